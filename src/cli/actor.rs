//! In whose name a command changes something.

use crate::store::{Actor, ActorError};
use jiff::Timestamp;
use std::path::Path;

/// The one who is named, else the user whom the command runs as.
///
/// # Errors
/// [`ActorError`]: a name or a reason that is empty or cannot be read.
pub(super) fn actor(name: Option<&str>, reason: Option<&str>, now: Timestamp) -> Result<Actor, ActorError> {
    match name {
        Some(name) => Actor::new(name, reason, now),
        None => Actor::new(&operating_system_user(), reason, now),
    }
}

/// By the number of the process's owner: an environment variable would be anybody's word.
fn operating_system_user() -> String {
    let user = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    name_of(user, &users).unwrap_or_else(|| format!("user {user}"))
}

/// The name of a user in a text like `/etc/passwd`.
fn name_of(user: u32, users: &str) -> Option<String> {
    let line = users.lines().find(|line| line.split(':').nth(2).is_some_and(|id| id.parse() == Ok(user)))?;
    line.split(':').next().filter(|name| !name.trim().is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_his_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\n\nclerk:x:1000:1000:A. Clerk,,,:/home/clerk:/bin/sh\n:x:7:7::/:\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("clerk"));
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(7, users), None);
        assert_eq!(name_of(100, users), None);
        assert!(!operating_system_user().is_empty());
    }

    #[test]
    fn nobody_is_refused() {
        let now = Timestamp::UNIX_EPOCH;
        for (name, reason, said) in [
            (" ", None, "--actor"),
            ("A. Clerk", Some(""), "--reason"),
            ("A.\u{7}Clerk", None, "control"),
            ("A. Clerk", Some(&*"x".repeat(501)), "501"),
        ] {
            let error = actor(Some(name), reason, now).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(actor(None, None, now).is_ok());
    }
}
