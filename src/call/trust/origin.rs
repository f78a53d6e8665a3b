//! What a call record keeps of where a call came from and what it said of its caller, believed or not.

use super::Identified;
use crate::sip::IncomingInvite;
use crate::sip::message::{Field, HeaderName, Message, Uri};
use crate::store::{Origin, StatedField};

/// Header fields kept of one INVITE; the first ones.
const MAX_CLAIMS: usize = 32;
/// Octets kept of one value, and of all together four times as many. A PASSporT of STIR (RFC 8225) takes a few hundred.
const MAX_CLAIM_OCTETS: usize = 2_048;
/// Octets kept of an identifier that is a column of its own.
const MAX_ID_OCTETS: usize = 256;

/// What is kept: P-Asserted-Identity and what else says who calls, why the call came here, and what vouches for it.
/// Identity is kept as it came; its signature is not verified (RFC 8224).
const KEPT: [HeaderName; 8] = [
    HeaderName::PAssertedIdentity,
    HeaderName::PPreferredIdentity,
    HeaderName::PServedUser,
    HeaderName::RemotePartyId,
    HeaderName::HistoryInfo,
    HeaderName::Diversion,
    HeaderName::Privacy,
    HeaderName::Identity,
];

/// Reads it from `invite`. P-Charging-Vector counts only from a peer (RFC 7315 §5.6).
pub fn origin_of(invite: &IncomingInvite, identified: &Identified) -> Origin {
    let message = Message::parse(&invite.message).ok();
    let charging_id = message.as_ref().and_then(Message::charging_id).filter(|_| identified.peer.is_some());
    Origin {
        peer: identified.peer.clone(),
        user: invite.authenticated.clone(),
        charging_id: charging_id.map(|id| text(&id, MAX_ID_OCTETS)),
        routing_number: invite
            .asserted_identities
            .iter()
            .find_map(|party| routing_number(party.uri.as_bytes())),
        stated: message.map(|message| stated(message.fields())).unwrap_or_default(),
    }
}

fn stated<'a>(fields: impl Iterator<Item = Field<'a>>) -> Vec<StatedField> {
    let mut left = 4 * MAX_CLAIM_OCTETS;
    let mut kept = Vec::new();
    for field in fields.filter(|field| KEPT.contains(&field.name)).take(MAX_CLAIMS) {
        let value = text(field.value, MAX_CLAIM_OCTETS.min(left));
        left -= value.len();
        kept.push(StatedField { name: field.name.as_str().to_owned(), value });
    }
    kept
}

/// Where a ported number is routed to (`rn`, RFC 4694): in the parameters of a tel URI, or of the telephone-subscriber in
/// a SIP URI. For the record only; it names an exchange, not a caller.
fn routing_number(uri: &[u8]) -> Option<String> {
    let number = match Uri::parse(uri)? {
        Uri::Tel(tel) => tel.parameters.value("rn").map(<[u8]>::to_vec),
        sip @ Uri::Sip(_) => sip.user()?.split(|octet| *octet == b';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_at_checked(3)?;
            name.eq_ignore_ascii_case(b"rn=").then(|| value.to_vec())
        }),
        Uri::Other(_) => None,
    };
    number.map(|number| text(&number, MAX_ID_OCTETS))
}

/// Octets as text of at most `limit` octets: UTF-8, or else Latin-1. Folds become one space; other control characters
/// are left out.
fn text(octets: &[u8], limit: usize) -> String {
    let read = match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().copied().map(char::from).collect(),
    };
    let mut kept = String::new();
    for c in read.split_ascii_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if kept.len() + c.len_utf8() > limit {
            break;
        }
        if !c.is_control() {
            kept.push(c);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::trust::Caller;
    use crate::call::trust::spoofs::invite;

    fn by(peer: Option<&str>) -> Identified {
        Identified { caller: Caller::Untrusted, peer: peer.map(str::to_owned), asks_pin: false }
    }

    #[test]
    fn what_was_said_is_kept_and_named() {
        let invite = invite(
            "P-Asserted-Identity: <tel:+355672123456;npdi;rn=+35569>\r\n\
             P-Charging-Vector: icid-value=\"AyretyU0dm+6O2IrT5tAFrbHLso=023551024\";icid-generated-at=192.0.2.1\r\n\
             Diversion: <sip:+355692000001@x>;reason=unconditional\r\n\
             History-Info: <sip:130@x>;index=1,\r\n <sip:131@x>;index=1.1\r\n\
             P-Served-User: <sip:a@x>;sescase=orig\r\nPrivacy: id\r\n\
             Identity: eyJhbGciOiJFUzI1NiJ9..sig;info=<https://cert.example/x.pem>;alg=ES256\r\n\
             User-Agent: not kept\r\n",
        );
        let origin = origin_of(&invite, &by(Some("core")));
        assert_eq!(origin.charging_id.as_deref(), Some("AyretyU0dm+6O2IrT5tAFrbHLso=023551024"));
        assert_eq!(
            (origin.peer.as_deref(), origin.routing_number.as_deref()),
            (Some("core"), Some("+35569"))
        );
        let names: Vec<_> = origin.stated.iter().map(|field| field.name.as_str()).collect();
        let expected =
            ["P-Asserted-Identity", "Diversion", "History-Info", "P-Served-User", "Privacy", "Identity"];
        assert_eq!(names, expected);
        assert_eq!(origin.stated[2].value, "<sip:130@x>;index=1, <sip:131@x>;index=1.1");
        assert_eq!(origin_of(&invite, &by(None)).charging_id, None, "a stranger writes no charging record");
    }

    #[test]
    fn a_charging_vector_is_read_in_each_form() {
        for (value, id) in [
            ("icid-value=1234bc9876e;icid-generated-at=192.0.2.1;orig-ioi=home1.net", Some("1234bc9876e")),
            ("ICID-Value = \"a;b\" ; x=y", Some("a;b")),
            ("icid-value=one", Some("one")),
            ("icid-value=", None),
            ("icid-value=\"open", None),
            ("orig-ioi=x;icid-value=1", None),
            ("", None),
        ] {
            let invite = invite(&format!("P-Charging-Vector: {value}\r\n"));
            assert_eq!(origin_of(&invite, &by(Some("core"))).charging_id.as_deref(), id, "{value}");
        }
    }

    #[test]
    fn routing_numbers_are_read_from_both_kinds_of_uri() {
        for (uri, number) in [
            ("<tel:+355672123456;rn=+35569;npdi>", Some("+35569")),
            ("<sip:+355672123456;npdi;RN=+35569@x;user=phone>", Some("+35569")),
            ("<sip:+355672123456@x;rn=+35569>", None),
            ("<tel:+355672123456;npdi>", None),
        ] {
            let invite = invite(&format!("P-Asserted-Identity: {uri}\r\n"));
            assert_eq!(origin_of(&invite, &by(None)).routing_number.as_deref(), number, "{uri}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_without_control_characters() {
        let long = "x".repeat(5_000);
        let lines = format!("Diversion: <sip:{long}@x>\r\n").repeat(10) + &"Privacy: id\r\n".repeat(50);
        let origin = origin_of(&invite(&lines), &by(None));
        assert_eq!(origin.stated.len(), MAX_CLAIMS);
        assert!(origin.stated.iter().all(|field| field.value.len() <= MAX_CLAIM_OCTETS));
        let octets: usize = origin.stated.iter().map(|field| field.value.len()).sum();
        assert_eq!(octets, 4 * MAX_CLAIM_OCTETS);
        let hostile = origin_of(&invite("Diversion: \"\u{1b}[31m\u{7}\u{85}ë%n\" <sip:a@x>\r\n"), &by(None));
        assert_eq!(hostile.stated[0].value, "\"[31më%n\" <sip:a@x>");
    }
}
