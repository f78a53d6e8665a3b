//! Other readers of SIP, as witnesses for all that is sent here.

use bytes::Bytes;
use klikon::sip::message::Message;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Reads each message once, whatever the number of its retransmissions.
#[derive(Default)]
pub struct Witnesses {
    read: HashSet<u64>,
}

impl Witnesses {
    /// Messages that were read.
    pub fn count(&self) -> usize {
        self.read.len()
    }

    /// The message is sound to our own reader, to `sipx-sip` and to `rsip`.
    pub fn hear(&mut self, octets: &Bytes) {
        let mut hasher = DefaultHasher::new();
        octets.hash(&mut hasher);
        if !self.read.insert(hasher.finish()) {
            return;
        }
        let text = String::from_utf8_lossy(octets);
        let message = Message::parse(octets).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        assert_eq!(message.check(), Ok(()), "{text}");
        let limits = sipx_sip::parser::Limits::datagram();
        if let Err(error) = sipx_sip::parser::parse_datagram(octets.clone(), &limits) {
            panic!("sipx-sip: {error:?}\n{text}");
        }
        if let Err(error) = rsip::SipMessage::try_from(&octets[..]) {
            panic!("rsip: {error}\n{text}");
        }
    }
}
