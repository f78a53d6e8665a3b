//! Any octets to the readers of challenges and credentials, and what they make of them to the writers.
#![no_main]

use klikon::sip::auth::{Account, Challenge, Credentials, Ha1};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    if let Ok(challenge) = Challenge::parse(value) {
        let written = challenge.to_value();
        assert!(!written.iter().any(u8::is_ascii_control));
        assert_eq!(Challenge::parse(&written).as_ref(), Ok(&challenge));
        let account = Account { username: b"user", password: b"password" };
        let answer = challenge.answer(&account, b"INVITE", b"sip:130@x", b"cnonce", 1).expect("an answer");
        assert_eq!(Credentials::parse(&answer.to_value()).as_ref(), Ok(&answer));
        let ha1 = Ha1::new(challenge.algorithm(), account.username, &challenge.realm, account.password);
        assert!(answer.is_answer_of(&ha1, b"INVITE"));
    }
    if let Ok(credentials) = Credentials::parse(value) {
        let written = credentials.to_value();
        assert!(!written.iter().any(u8::is_ascii_control));
        assert_eq!(Credentials::parse(&written).as_ref(), Ok(&credentials));
        let ha1 = Ha1::new(credentials.algorithm(), &credentials.username, &credentials.realm, b"password");
        let _ = credentials.is_answer_of(&ha1, b"INVITE");
    }
});
