//! Limits, and what gives way at them.

use super::*;

fn with_limits(limits: Limits) -> Bench {
    Bench::with(EndpointConfig { limits, ..EndpointConfig::new([3; 32]) })
}

/// The INVITE of call `number`.
fn call(number: usize) -> String {
    invite(Some(SDP))
        .replace("call-1", &format!("call-{number}"))
        .replace("INVITE-1", &format!("INVITE-{number}"))
}

#[test]
fn a_full_service_answers_503_with_retry_after_and_takes_calls_again() {
    let mut bench = with_limits(Limits { max_sessions: 2, ..Limits::default() });
    bench.receive(call(1));
    bench.receive(call(2));
    let sent = bench.receive(call(3));
    assert_eq!(first_lines(&sent), ["SIP/2.0 503 Service Unavailable"]);
    assert_eq!(field(&sent[0], "Retry-After"), Some("10"));
    assert_eq!(bench.count(Counter::RefusedSessionLimit), 1);
    let events = bench.events();
    let Some(Event::Invite(event)) = events.first() else { panic!("no INVITE") };
    bench.endpoint.reject(bench.now, event.session, &Rejection::new(404)).expect("rejected");
    bench.sent();
    assert_eq!(first_lines(&bench.receive(call(3))), ["SIP/2.0 100 Trying"]);
    assert!(matches!(
        bench.endpoint.invite(bench.now, flow(), &InviteParams::default()),
        Err(OriginateError::TooManySessions)
    ));
}

#[test]
fn calls_that_exist_have_transactions_left_when_new_ones_are_refused() {
    let mut bench = with_limits(Limits { max_server_transactions: 16, ..Limits::default() });
    let (_, ok) = bench.established();
    let refused: usize = (2..40)
        .filter(|number| first_lines(&bench.receive(call(*number))) == ["SIP/2.0 503 Service Unavailable"])
        .count();
    assert_eq!(bench.endpoint.transaction_count(), 14);
    assert_eq!(bench.count(Counter::RefusedOverload), refused as u64);
    assert_eq!(first_lines(&bench.receive(within(&ok, "OPTIONS", 2, ""))), ["SIP/2.0 200 OK"]);
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 3, ""))), ["SIP/2.0 200 OK"]);
    assert_eq!(bench.endpoint.transaction_count(), 16);
    // Even the reserve has its end: what finds no transaction is not answered, and its sender tries again.
    bench.events();
    let cancel = request("CANCEL", "", "").replace("call-1", "call-2").replace("CANCEL-1", "INVITE-2");
    bench.receive(cancel);
    assert_eq!(bench.count(Counter::DroppedNoTransaction), 1);
    assert!(bench.events().is_empty(), "what is not answered has no effect");
}

#[test]
fn client_transactions_are_limited_and_a_bye_is_sent_all_the_same() {
    let mut bench = with_limits(Limits { max_client_transactions: 8, ..Limits::default() });
    let (id, _) = bench.established();
    let options = OptionsParams {
        request_uri: "sip:192.0.2.9".to_owned(),
        from: "sip:a@192.0.2.1".to_owned(),
        extra_headers: vec![],
    };
    let sent = (0..20).filter(|_| bench.endpoint.options(bench.now, flow(), &options).is_ok()).count();
    assert_eq!(sent, 7);
    assert!(matches!(
        bench.endpoint.options(bench.now, flow(), &options),
        Err(OriginateError::TooManyTransactions)
    ));
    bench.sent();
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    assert!(bench.sent()[0].starts_with("BYE "));
}

#[test]
fn a_driver_that_falls_behind_loses_datagrams_not_memory() {
    let mut bench = with_limits(Limits { max_queued_outputs: 16, ..Limits::default() });
    for number in 0..100 {
        bench.endpoint.handle_datagram(bench.now, flow(), call(number).as_bytes());
    }
    assert!(bench.count(Counter::RefusedOverload) > 0);
    assert!(bench.count(Counter::DroppedQueueFull) > 0);
    let outputs = bench.sent().len() + bench.events().len();
    assert!(outputs <= 16 + 1, "{outputs}");
    assert_eq!(first_lines(&bench.receive(call(1_000))), ["SIP/2.0 100 Trying"]);
}

#[test]
fn a_refused_datagram_from_anywhere_costs_one_answer() {
    let mut bench = Bench::new();
    for number in 0..1_000 {
        let refused = call(number).replace("Max-Forwards", "Require: x\r\nMax-Forwards");
        assert_eq!(bench.receive(refused).len(), 1);
    }
    assert!(bench.advance(ms(60_000)).is_empty());
    assert_eq!((bench.endpoint.session_count(), bench.endpoint.transaction_count()), (0, 0));
}

#[test]
fn keep_alives_are_counted_and_not_answered() {
    let mut bench = Bench::new();
    for keep_alive in ["\r\n\r\n", "\r\n", "\0", ""] {
        assert!(bench.receive(keep_alive).is_empty());
    }
    assert_eq!(bench.count(Counter::KeepAlives), 4);
    assert!(bench.receive("hello").is_empty());
    assert_eq!(bench.count(Counter::DroppedUnreadable), 1);
}

#[test]
fn what_a_finished_call_leaves_is_small() {
    // A state of a few hundred octets for 64·T1: at 100 calls a second some 3,200 of each.
    assert!(size_of::<server_table::ServerTransaction>() <= 512);
    assert!(size_of::<client_table::ClientTransaction>() <= 384);
}
