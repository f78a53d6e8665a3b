//! The key that recordings are encrypted with.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Octets of a key.
const KEY_OCTETS: usize = 32;
/// Octets of what a key is known by.
pub const KEY_ID_OCTETS: usize = 8;
/// Octets of a file's own random number.
pub const SALT_OCTETS: usize = 32;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is not there or cannot be read.
    #[error("the key of recordings, {}, cannot be read; make one with `openssl rand -hex 32`, and name it in `recording.key_file`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not 64 hexadecimal digits.
    #[error("{} is no key: it has to hold 64 hexadecimal digits; make one with `openssl rand -hex 32`", .0.display())]
    NoKey(PathBuf),
    /// Anybody may read it.
    #[error("everybody on this machine can read the key {}; `chmod 600` it", .0.display())]
    Open(PathBuf),
}

/// A key of 256 bits. Its `Debug` hides it.
#[derive(Clone)]
pub struct Key([u8; KEY_OCTETS]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl Key {
    /// Of these octets.
    pub const fn new(octets: [u8; KEY_OCTETS]) -> Self {
        Self(octets)
    }

    /// Reads a file of 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError`], also where others than its owner and group may read it.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        Self::parse(text.trim()).ok_or_else(|| KeyError::NoKey(path.to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut octets = [0; KEY_OCTETS];
        if text.len() != 2 * KEY_OCTETS || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (octet, digits) in octets.iter_mut().zip(text.as_bytes().chunks(2)) {
            *octet = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(octets))
    }

    /// What it is known by in files: nothing of the key can be told from it.
    pub fn id(&self) -> [u8; KEY_ID_OCTETS] {
        let digest = Sha256::new().chain_update(b"klikon recording key id").chain_update(self.0).finalize();
        let mut id = [0; KEY_ID_OCTETS];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        id
    }

    /// The key of one file, which no other file has (HKDF-Expand of RFC 5869 §2.3, one block).
    pub(super) fn of_file(&self, salt: &[u8; SALT_OCTETS]) -> [u8; KEY_OCTETS] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0)
            .unwrap_or_else(|_| <Hmac<Sha256> as KeyInit>::new(&Default::default()));
        mac.update(b"klikon recording");
        mac.update(salt);
        mac.update(&[1]);
        mac.finalize().into_bytes().into()
    }
}

/// An id as it is shown.
pub(super) fn shown(id: &[u8; KEY_ID_OCTETS]) -> String {
    id.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_digits_that_not_everybody_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Key::read(&path)
        };
        let digits = "00ff".repeat(16);
        let key = write(&format!("{digits}\n"), 0o600).unwrap();
        assert_eq!(key.0[..4], [0, 255, 0, 255]);
        assert_eq!(format!("{key:?}"), "Key(hidden)");
        assert!(matches!(write(&digits, 0o644), Err(KeyError::Open(_))));
        for bad in ["", "00ff", &digits.replacen('0', "g", 1), &digits.replacen("00", "+0", 1)] {
            assert!(matches!(write(bad, 0o600), Err(KeyError::NoKey(_))), "{bad}");
        }
        assert!(matches!(Key::read(Path::new("/none")), Err(KeyError::Unreadable { .. })));
    }

    #[test]
    fn files_and_keys_differ() {
        let (one, other) = (Key::new([1; 32]), Key::new([2; 32]));
        assert_ne!(one.id(), other.id());
        assert_ne!(one.of_file(&[0; 32]), one.of_file(&[1; 32]));
        assert_ne!(one.of_file(&[0; 32]), other.of_file(&[0; 32]));
        assert_eq!(shown(&[0, 1, 2, 3, 4, 5, 254, 255]), "000102030405feff");
    }
}
