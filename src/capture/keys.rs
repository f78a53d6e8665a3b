//! Hides the keys of media in what is captured: who may see a call's signalling may not for that decrypt its media, and a
//! collector gets its copy over a network that nobody has encrypted.

/// How a session description begins a line with keys of SRTP (RFC 4568 §4), in any case.
const CRYPTO: &[u8] = b"a=crypto:";
/// How it begins one with the password of ICE (RFC 8839 §5.4): who has it may say where the media is to go.
const PASSWORD: &[u8] = b"a=ice-pwd:";
/// What a key follows.
const INLINE: &[u8] = b"inline:";

/// Puts an `x` in place of each octet of a key, in `a=crypto`, in `a=ice-pwd` and in the `k=` of RFC 4566 §5.12: the message keeps
/// its length and its shape. Every line is looked at, whatever it is part of.
pub fn hide_keys(octets: &mut [u8]) {
    for line in octets.split_mut(|octet| matches!(octet, b'\r' | b'\n')) {
        match line {
            [b'k' | b'K', b'=', key @ ..] => key.fill(b'x'),
            line if begins(line, CRYPTO) => hide_inline(line),
            line if begins(line, PASSWORD) => {
                line.iter_mut().skip(PASSWORD.len()).for_each(|octet| *octet = b'x')
            }
            _ => {}
        }
    }
}

fn begins(line: &[u8], with: &[u8]) -> bool {
    line.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
}

/// A key ends at its lifetime or identifier, at the next key, or at a space.
fn hide_inline(line: &mut [u8]) {
    let mut at = CRYPTO.len();
    while at < line.len() {
        if !begins(line.get(at..).unwrap_or_default(), INLINE) {
            at += 1;
            continue;
        }
        at += INLINE.len();
        let key = line.get_mut(at..).unwrap_or_default();
        let end =
            key.iter().position(|octet| matches!(octet, b'|' | b';' | b' ' | b'\t')).unwrap_or(key.len());
        key.get_mut(..end).unwrap_or_default().fill(b'x');
        at += end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hidden(text: &str) -> String {
        let mut octets = text.as_bytes().to_vec();
        hide_keys(&mut octets);
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn keys_are_hidden_and_all_else_is_left() {
        let message = "INVITE sip:130@x SIP/2.0\r\nSubject: inline:kept\r\n\r\nv=0\r\nm=audio 1 RTP/SAVP 8\r\n\
                       a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AbC+/=|2^20|1:4 WSH=64\r\n\
                       A=Crypto:2 AEAD_AES_128_GCM INLINE:abc;inline:def\nA=ice-pwd:8Lr2PZVx\nk=base64:c2VjcmV0\r\na=ptime:20\r\n";
        let expected = message
            .replace("AbC+/=", "xxxxxx")
            .replace("8Lr2PZVx", "xxxxxxxx")
            .replace("INLINE:abc;inline:def", "INLINE:xxx;inline:xxx")
            .replace("k=base64:c2VjcmV0", &format!("k={}", "x".repeat(15)));
        assert_eq!(hidden(message), expected);
        assert_eq!(hidden("a=crypto:1 X inline:"), "a=crypto:1 X inline:");
    }

    proptest! {
        #[test]
        fn no_octets_panic_and_the_length_stays(mut octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let length = octets.len();
            hide_keys(&mut octets);
            prop_assert_eq!(octets.len(), length);
        }
    }
}
