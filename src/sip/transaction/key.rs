//! The keys by which requests find their server transaction and requests that were merged find each other
//! (RFC 3261 §17.2.3, §8.2.2.2).
//!
//! A key is one octet string of length-prefixed parts, so that parts cannot run into each other. It is written into a
//! buffer that is used again, so a look-up allocates nothing.

/// What of a request the keys are made of. Values are as they stand in the message.
#[derive(Debug, Clone, Copy)]
pub struct RequestIdentity<'a> {
    /// The `branch` parameter of the top Via.
    pub branch: Option<&'a [u8]>,
    /// The host of the top Via's sent-by.
    pub sent_by_host: &'a [u8],
    /// The port of the top Via's sent-by.
    pub sent_by_port: Option<u16>,
    /// The whole value of the top Via.
    pub top_via: &'a [u8],
    /// The Request-URI.
    pub request_uri: &'a [u8],
    /// From's tag; where it has none (RFC 2543), its whole value.
    pub from: &'a [u8],
    /// The Call-ID.
    pub call_id: &'a [u8],
    /// The number in CSeq.
    pub cseq: u32,
}

/// What every RFC 3261 branch begins with (RFC 3261 §8.1.1.7).
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// The port that a sent-by without one means, over UDP and TCP (RFC 3261 §18.2.2).
pub const DEFAULT_PORT: u16 = 5060;

/// Whether a branch was made by RFC 3261's rules, and so identifies its transaction. A branch of only the cookie does
/// not (RFC 4475 §3.2.1).
pub fn is_rfc3261_branch(branch: &[u8]) -> bool {
    branch.len() > MAGIC_COOKIE.len()
        && branch.get(..MAGIC_COOKIE.len()).is_some_and(|head| head.eq_ignore_ascii_case(MAGIC_COOKIE))
}

fn part(key: &mut Vec<u8>, octets: &[u8]) {
    // No part is longer than a datagram, so four octets hold every length.
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(octets);
}

/// Writes the key of the server transaction to which `identity` belongs into `key`, which is emptied first. `method` is
/// that of the transaction: INVITE for an ACK, and the method to be cancelled for a CANCEL in search of it.
///
/// A branch with the cookie: branch, sent-by and method (RFC 3261 §17.2.3). Otherwise Request-URI, From tag, Call-ID,
/// CSeq number, top Via and method. The To tag is left to the owner, which compares that of an ACK with its own.
pub fn write_server_key(key: &mut Vec<u8>, identity: &RequestIdentity<'_>, method: &[u8]) {
    key.clear();
    match identity.branch {
        Some(branch) if is_rfc3261_branch(branch) => {
            key.push(1);
            part(key, branch);
            part(key, &identity.sent_by_host.to_ascii_lowercase());
            key.extend_from_slice(&identity.sent_by_port.unwrap_or(DEFAULT_PORT).to_be_bytes());
        }
        _ => {
            key.push(0);
            part(key, identity.request_uri);
            part(key, identity.from);
            part(key, identity.call_id);
            part(key, identity.top_via);
            key.extend_from_slice(&identity.cseq.to_be_bytes());
        }
    }
    part(key, method);
}

/// Writes the key by which two copies of one request, come by different ways, are known (RFC 3261 §8.2.2.2): From tag,
/// Call-ID and CSeq. `key` is emptied first.
pub fn write_merge_key(key: &mut Vec<u8>, identity: &RequestIdentity<'_>, method: &[u8]) {
    key.clear();
    part(key, identity.from);
    part(key, identity.call_id);
    key.extend_from_slice(&identity.cseq.to_be_bytes());
    part(key, method);
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: RequestIdentity<'_> = RequestIdentity {
        branch: Some(b"z9hG4bKabc"),
        sent_by_host: b"pbx.example.com",
        sent_by_port: None,
        top_via: b"SIP/2.0/UDP pbx.example.com;branch=z9hG4bKabc",
        request_uri: b"sip:130@example.com",
        from: b"tag1",
        call_id: b"call1",
        cseq: 1,
    };

    fn key(identity: &RequestIdentity<'_>, method: &[u8]) -> Vec<u8> {
        let mut key = vec![9; 3];
        write_server_key(&mut key, identity, method);
        key
    }

    #[test]
    fn a_cookie_branch_matches_on_branch_sent_by_and_method_alone() {
        let same = RequestIdentity {
            sent_by_host: b"PBX.example.com",
            sent_by_port: Some(5060),
            top_via: b"other",
            request_uri: b"sip:other",
            from: b"other",
            call_id: b"other",
            cseq: 9,
            ..IDENTITY
        };
        assert_eq!(key(&IDENTITY, b"INVITE"), key(&same, b"INVITE"));
        assert_ne!(key(&IDENTITY, b"INVITE"), key(&IDENTITY, b"CANCEL"));
        for other in [
            RequestIdentity { branch: Some(b"z9hG4bKabC"), ..IDENTITY },
            RequestIdentity { sent_by_port: Some(5061), ..IDENTITY },
            RequestIdentity { sent_by_host: b"pbx.example.co", ..IDENTITY },
        ] {
            assert_ne!(key(&IDENTITY, b"INVITE"), key(&other, b"INVITE"));
        }
    }

    #[test]
    fn without_a_usable_branch_rfc_2543_s_fields_decide() {
        for branch in [None, Some(&b"z9hG4bK"[..]), Some(&b"1"[..]), Some(&b""[..])] {
            let old = RequestIdentity { branch, ..IDENTITY };
            assert_eq!(key(&old, b"INVITE"), key(&old, b"INVITE"));
            for other in [
                RequestIdentity { request_uri: b"sip:131@example.com", ..old },
                RequestIdentity { from: b"tag2", ..old },
                RequestIdentity { call_id: b"call2", ..old },
                RequestIdentity { cseq: 2, ..old },
                RequestIdentity { top_via: b"SIP/2.0/UDP b", ..old },
            ] {
                assert_ne!(key(&old, b"INVITE"), key(&other, b"INVITE"));
            }
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let one = RequestIdentity { branch: None, from: b"ab", call_id: b"c", ..IDENTITY };
        let two = RequestIdentity { branch: None, from: b"a", call_id: b"bc", ..IDENTITY };
        assert_ne!(key(&one, b"INVITE"), key(&two, b"INVITE"));
        let (mut first, mut second) = (vec![], vec![]);
        write_merge_key(&mut first, &one, b"INVITE");
        write_merge_key(&mut second, &two, b"INVITE");
        assert_ne!(first, second);
    }
}
