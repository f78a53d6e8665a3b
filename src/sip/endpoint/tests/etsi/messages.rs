//! Messages (`SIP_MG_TE`): what must be read, and what must be refused.

use super::*;

/// The answer to an INVITE that was changed.
fn changed(from: &str, to: &str) -> u16 {
    let message = invite(Some(SDP));
    assert!(message.contains(from), "{from}");
    status(&answer(&mut Bench::new(), message.replacen(from, to, 1)))
}

/// §7.1: another version than SIP/2.0 is 505.
#[test]
fn sip_mg_te_i_001() {
    assert_eq!(changed("192.0.2.1 SIP/2.0", "192.0.2.1 SIP/3.0"), 505);
}

/// §19.1.1, §7.1: a Request-URI in angle brackets is 400.
#[test]
fn sip_mg_te_i_002() {
    assert_eq!(changed("INVITE sip:130@192.0.2.1 ", "INVITE <sip:130@192.0.2.1> "), 400);
}

/// §19.1.1, §7.1: one with white space is 400.
#[test]
fn sip_mg_te_i_003() {
    assert_eq!(changed("INVITE sip:130@192.0.2.1 ", "INVITE sip:130@192.0.2.1; lr "), 400);
}

/// §19.1.1: one with header fields is 400.
#[test]
fn sip_mg_te_i_004() {
    assert_eq!(changed("INVITE sip:130@192.0.2.1 ", "INVITE sip:130@192.0.2.1?Subject=x "), 400);
}

/// §21.4.1: the reason phrase of a 400 says what is wrong.
#[test]
fn sip_mg_te_i_005() {
    let refusal = answer(&mut Bench::new(), invite(Some(SDP)).replace("CSeq: 1 INVITE", "CSeq: 1 BYE"));
    assert_eq!(status(&refusal), 400);
    assert!(first_line(&refusal).contains("CSeq"), "{refusal}");
}

/// §7.3.2, §20: a field that has no place in a request is passed over.
#[test]
fn sip_mg_te_i_006() {
    assert_eq!(changed("Max-Forwards", "Unsupported: foo\r\nRetry-After: 5\r\nMax-Forwards"), 100);
}

/// §18.3: a datagram that ends before its body does is 400.
#[test]
fn sip_mg_te_i_007() {
    let length = format!("Content-Length: {}", SDP.len());
    assert_eq!(changed(&length, &format!("Content-Length: {}", SDP.len() + 1)), 400);
}

/// §18.3: octets after the body are passed over.
#[test]
fn sip_mg_te_i_008() {
    let mut bench = Bench::new();
    assert_eq!(status(&answer(&mut bench, invite(Some(SDP)) + "more\r\nINVITE sip:x SIP/2.0\r\n")), 100);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert_eq!(event.offer.as_deref(), Some(SDP.as_bytes()));
}

/// §19.1.1, §19.1.2: an escaped user part is the user it means.
#[test]
fn sip_mg_te_v_001() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)).replacen("sip:130@", "sip:%31%330@", 1));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert_eq!(event.called.as_deref(), Some("130"));
}

/// §19.1.1: parameters of the Request-URI that are not known are passed over.
#[test]
fn sip_mg_te_v_002() {
    assert_eq!(changed("sip:130@192.0.2.1 ", "sip:130@192.0.2.1;unknown=x;another "), 100);
}

/// §19.1.1: so are those that are known and mean nothing here.
#[test]
fn sip_mg_te_v_003() {
    assert_eq!(
        changed(
            "sip:130@192.0.2.1 ",
            "sip:130@192.0.2.1:5060;user=phone;transport=udp;ttl=1;maddr=192.0.2.1 "
        ),
        100
    );
}

/// §19.1.1: hosts are names, addresses of either family, with or without a port.
#[test]
fn sip_mg_te_v_004() {
    for host in
        ["klikon.example.al", "KLIKON.EXAMPLE.AL.", "192.0.2.1:5062", "[2001:db8::1]", "[2001:db8::1]:5062"]
    {
        assert_eq!(changed("sip:130@192.0.2.1 ", &format!("sip:130@{host} ")), 100, "{host}");
    }
}

/// §19.1.1: the scheme is read in any case, and a password is not looked at.
#[test]
fn sip_mg_te_v_005() {
    assert_eq!(changed("sip:130@192.0.2.1 ", "SIP:130:secret@192.0.2.1 "), 100);
}

/// §8.2.1: a method that is not supported is 405, with Allow.
#[test]
fn sip_mg_te_v_006() {
    let refusal = answer(&mut Bench::new(), request("SUBSCRIBE", "", ""));
    assert_eq!(status(&refusal), 405);
    assert!(field(&refusal, "Allow").is_some_and(|allow| allow.contains("INVITE")));
}

/// §8.2.2: fields that are not known are passed over.
#[test]
fn sip_mg_te_v_007() {
    assert_eq!(changed("Max-Forwards", "X-Unknown: ,;<\"\r\nMax-Forwards"), 100);
}

/// §7.3.1: a value may be folded.
#[test]
fn sip_mg_te_v_008() {
    assert_eq!(
        changed("From: <sip:caller@192.0.2.9>;tag=peer", "From:\r\n <sip:caller@192.0.2.9>\r\n\t;tag=peer"),
        100
    );
}

/// §7.3.1: white space around the colon and the value does not matter.
#[test]
fn sip_mg_te_v_009() {
    assert_eq!(changed("Call-ID: call-1", "Call-ID  \t:   call-1  "), 100);
}

/// §7.3.1: the order of fields of different names does not matter.
#[test]
fn sip_mg_te_v_010() {
    let message = invite(Some(SDP));
    let (head, body) = message.split_once("\r\n\r\n").expect("a body");
    let (line, fields) = head.split_once("\r\n").expect("fields");
    let mut fields: Vec<&str> = fields.split("\r\n").collect();
    fields.reverse();
    let reversed = format!("{line}\r\n{}\r\n\r\n{body}", fields.join("\r\n"));
    assert_eq!(status(&answer(&mut Bench::new(), reversed)), 100);
}

/// §7.3.1: values of a list may stand in one field or in several.
#[test]
fn sip_mg_te_v_011() {
    let refusal = |field: &str| {
        let message = invite(Some(SDP)).replace("Max-Forwards", &format!("{field}\r\nMax-Forwards"));
        answer(&mut Bench::new(), message)
    };
    let (one, several) = (refusal("Require: foo, bar"), refusal("Require: foo\r\nRequire: bar"));
    assert_eq!(field(&one, "Unsupported"), Some("foo, bar"));
    assert_eq!(field(&several, "Unsupported"), Some("foo, bar"));
}

/// §7.3.1: names of fields, and tokens, are read in any case.
#[test]
fn sip_mg_te_v_012() {
    let mut bench = Bench::new();
    let message = invite(Some(SDP))
        .replace("From:", "FROM:")
        .replace("CSeq:", "cseq:")
        .replace("Content-Type: application/sdp", "content-TYPE: Application/SDP")
        .replace("branch=", "BRANCH=");
    assert_eq!(status(&answer(&mut bench, message)), 100);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert!(event.offer.is_some());
}

/// §7.3.3: compact names are read.
#[test]
fn sip_mg_te_v_013() {
    let mut message = invite(Some(SDP));
    for (name, compact) in [
        ("Via", "v"),
        ("From", "f"),
        ("To", "t"),
        ("Call-ID", "i"),
        ("Contact", "m"),
        ("Content-Type", "c"),
        ("Content-Length", "l"),
    ] {
        message = message.replace(&format!("\r\n{name}: "), &format!("\r\n{compact}: "));
    }
    assert_eq!(status(&answer(&mut Bench::new(), message)), 100);
}

/// §18.1.1: a datagram may be as large as there are.
#[test]
fn sip_mg_te_v_014() {
    let fields: String = (0..100).map(|number| format!("X-{number}: {}\r\n", "x".repeat(600))).collect();
    let message = invite(Some(SDP)).replace("Max-Forwards", &format!("{fields}Max-Forwards"));
    assert!(message.len() > 60_000);
    assert_eq!(status(&answer(&mut Bench::new(), message)), 100);
}

/// §7.5: line ends before the first line are passed over.
#[test]
fn sip_mg_te_v_015() {
    assert_eq!(status(&answer(&mut Bench::new(), format!("\r\n\r\n{}", invite(Some(SDP))))), 100);
}
