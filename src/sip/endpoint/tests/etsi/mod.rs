//! The test purposes of ETSI TS 102 027-2 for a user agent as the terminating endpoint: call control, messages and
//! queries. Each test has the name of its purpose; `docs/etsi-ts-102-027-2.md` lists them, with what does not apply.

mod establishment;
mod messages;
mod queries;
mod release;

use super::*;

/// A call that rings: its session, and our 180.
fn ringing(bench: &mut Bench, invite: &str) -> (SessionId, String) {
    assert_eq!(first_lines(&bench.receive(invite)), ["SIP/2.0 100 Trying"]);
    let id = told(bench);
    bench.endpoint.ring(bench.now, id).expect("rings");
    let mut sent = bench.sent();
    assert_eq!(first_lines(&sent), ["SIP/2.0 180 Ringing"]);
    (id, sent.remove(0))
}

/// The session of the INVITE that the call layer is told of.
fn told(bench: &mut Bench) -> SessionId {
    match &*bench.events() {
        [Event::Invite(invite)] => invite.session,
        other => panic!("not an INVITE: {other:?}"),
    }
}

/// A call that was refused, with the refusal.
fn refused(bench: &mut Bench, status: u16) -> String {
    bench.receive(invite(Some(SDP)));
    let id = told(bench);
    bench.endpoint.reject(bench.now, id, &Rejection::new(status)).expect("refused");
    bench.sent().remove(0)
}

/// The one answer to a message.
fn answer(bench: &mut Bench, message: impl AsRef<[u8]>) -> String {
    let mut sent = bench.receive(message);
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

fn status(message: &str) -> u16 {
    Message::parse(message.as_bytes()).expect("reads").status().expect("a response")
}

/// The ACK to a refusal: the INVITE's branch, and the To of the refusal.
fn ack_to(refusal: &str) -> String {
    within(refusal, "ACK", 1, "").replace("z9hG4bK-ACK-1-d", "z9hG4bK-INVITE-1")
}

/// RFC 3261 §8.2.6.2: From, Call-ID, CSeq and Via as they came; To too, with a tag where it had none.
fn assert_copied(request: &str, response: &str) {
    for name in ["From", "Call-ID", "CSeq"] {
        assert_eq!(field(response, name), field(request, name), "{name}");
    }
    let via = |message: &str| {
        let message = Message::parse(message.as_bytes()).expect("reads");
        let vias = message.vias().map(|via| via.expect("a Via"));
        vias.map(|via| (via.branch().map(<[u8]>::to_vec), format!("{:?}", via.host))).collect::<Vec<_>>()
    };
    assert_eq!(via(response), via(request));
    let to = field(request, "To").expect("To");
    let returned = field(response, "To").expect("To");
    match to.contains(";tag=") {
        true => assert_eq!(returned, to),
        false => assert!(returned.strip_prefix(to).is_some_and(|tag| tag.starts_with(";tag=")), "{returned}"),
    }
}

/// The same message, of a caller of RFC 2543 whose branch has no cookie.
fn legacy(message: &str) -> String {
    message.replace("branch=z9hG4bK-", "branch=1-")
}
