//! The keys by which requests find their server transaction and requests that were merged find each other
//! (RFC 3261 §17.2.3, §8.2.2.2).
//!
//! A key is one octet string of length-prefixed parts, so that parts cannot run into each other. It is written into a
//! buffer that is used again, so a look-up allocates nothing.

use crate::sip::message::{Branch, Defect, Host, Message, Method, StartLine, Via};

/// What of a request the keys are made of.
#[derive(Debug, Clone, Copy)]
pub struct RequestIdentity<'a> {
    /// The topmost Via.
    pub via: Via<'a>,
    /// The Request-URI as on the wire.
    pub request_uri: &'a [u8],
    /// From's tag; where it has none (RFC 2543), its whole value.
    pub from: &'a [u8],
    /// The Call-ID.
    pub call_id: &'a [u8],
    /// The number in CSeq.
    pub cseq: u32,
}

/// The port that a sent-by without one means, over UDP and TCP (RFC 3261 §18.2.2).
pub const DEFAULT_PORT: u16 = 5060;

impl<'a> RequestIdentity<'a> {
    /// Reads it from a request.
    ///
    /// # Errors
    /// The defect of a field that cannot be read; none in a message that passed its check.
    pub fn of(request: &Message<'a>) -> Result<Self, Defect> {
        let StartLine::Request { uri, .. } = request.start() else { return Err(Defect::RequestLine) };
        let from = request.from()?;
        Ok(Self {
            via: request.top_via()?,
            request_uri: uri,
            from: from.tag().unwrap_or(from.raw),
            call_id: request.call_id()?,
            cseq: request.cseq()?.number,
        })
    }
}

fn part(key: &mut Vec<u8>, octets: &[u8]) {
    // No part is longer than a datagram, so four octets hold every length.
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(octets);
}

/// The sent-by: host names without regard to case, addresses as addresses, 5060 where no port is given.
fn sent_by(key: &mut Vec<u8>, via: &Via<'_>) {
    match via.host {
        Host::Name(name) => {
            part(key, name);
            let start = key.len() - name.len();
            key.iter_mut().skip(start).for_each(|octet| octet.make_ascii_lowercase());
        }
        Host::Address(std::net::IpAddr::V4(address)) => part(key, &address.octets()),
        Host::Address(std::net::IpAddr::V6(address)) => part(key, &address.octets()),
    }
    key.extend_from_slice(&via.port.unwrap_or(DEFAULT_PORT).to_be_bytes());
}

/// Writes the key of the server transaction to which `identity` belongs into `key`, which is emptied first. `method` is
/// that of the transaction: INVITE for an ACK, and the method to be cancelled for a CANCEL in search of it.
///
/// A branch with the cookie: branch, sent-by and method (RFC 3261 §17.2.3). Otherwise Request-URI, From tag, Call-ID,
/// CSeq number, top Via and method. The To tag is left to the owner, which compares that of an ACK with its own.
pub fn write_server_key(key: &mut Vec<u8>, identity: &RequestIdentity<'_>, method: Method<'_>) {
    key.clear();
    match identity.via.branch_kind() {
        Branch::Unique(branch) => {
            key.push(1);
            part(key, branch);
            sent_by(key, &identity.via);
        }
        Branch::Legacy => {
            key.push(0);
            part(key, identity.request_uri);
            part(key, identity.from);
            part(key, identity.call_id);
            part(key, identity.via.raw);
            key.extend_from_slice(&identity.cseq.to_be_bytes());
        }
    }
    part(key, method.as_octets());
}

/// Writes the key by which two copies of one request, come by different ways, are known (RFC 3261 §8.2.2.2): From tag,
/// Call-ID and CSeq. `key` is emptied first.
pub fn write_merge_key(key: &mut Vec<u8>, identity: &RequestIdentity<'_>, method: Method<'_>) {
    key.clear();
    part(key, identity.from);
    part(key, identity.call_id);
    key.extend_from_slice(&identity.cseq.to_be_bytes());
    part(key, method.as_octets());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(via: &'static str) -> RequestIdentity<'static> {
        RequestIdentity {
            via: Via::parse(via.as_bytes()).expect("a Via"),
            request_uri: b"sip:130@example.com",
            from: b"tag1",
            call_id: b"call1",
            cseq: 1,
        }
    }

    fn key(identity: &RequestIdentity<'_>, method: Method<'_>) -> Vec<u8> {
        let mut key = vec![9; 3];
        write_server_key(&mut key, identity, method);
        key
    }

    #[test]
    fn a_cookie_branch_matches_on_branch_sent_by_and_method_alone() {
        let one = identity("SIP/2.0/UDP pbx.example.com;branch=z9hG4bKabc");
        let same = RequestIdentity {
            request_uri: b"sip:other",
            from: b"other",
            call_id: b"other",
            cseq: 9,
            ..identity("SIP/2.0/UDP PBX.example.com:5060;rport;branch=z9hG4bKabc")
        };
        assert_eq!(key(&one, Method::Invite), key(&same, Method::Invite));
        assert_ne!(key(&one, Method::Invite), key(&one, Method::Cancel));
        for other in [
            "SIP/2.0/UDP pbx.example.com;branch=z9hG4bKabC",
            "SIP/2.0/UDP pbx.example.com:5061;branch=z9hG4bKabc",
            "SIP/2.0/UDP pbx.example.co;branch=z9hG4bKabc",
            "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc",
        ] {
            assert_ne!(key(&one, Method::Invite), key(&identity(other), Method::Invite));
        }
    }

    #[test]
    fn without_a_usable_branch_rfc_2543_s_fields_decide() {
        for via in ["SIP/2.0/UDP a", "SIP/2.0/UDP a;branch=z9hG4bK", "SIP/2.0/UDP a;branch=1"] {
            let old = identity(via);
            assert_eq!(key(&old, Method::Invite), key(&identity(via), Method::Invite));
            for other in [
                RequestIdentity { request_uri: b"sip:131@example.com", ..old },
                RequestIdentity { from: b"tag2", ..old },
                RequestIdentity { call_id: b"call2", ..old },
                RequestIdentity { cseq: 2, ..old },
                identity("SIP/2.0/UDP b"),
            ] {
                assert_ne!(key(&old, Method::Invite), key(&other, Method::Invite));
            }
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let old = identity("SIP/2.0/UDP a");
        let one = RequestIdentity { from: b"ab", call_id: b"c", ..old };
        let two = RequestIdentity { from: b"a", call_id: b"bc", ..old };
        assert_ne!(key(&one, Method::Invite), key(&two, Method::Invite));
        let (mut first, mut second) = (vec![], vec![]);
        write_merge_key(&mut first, &one, Method::Invite);
        write_merge_key(&mut second, &two, Method::Invite);
        assert_ne!(first, second);
    }
}
