//! The built-in caller against a service that runs.

mod service;

use service::{FOR_EVER, Service, text};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

#[test]
fn an_interval_that_is_too_small_is_raised_and_the_call_answered() {
    let service = Service::start_with("calls.min_se_s = 1800");
    let arguments =
        ["--identity", "0672003456", "--keys", "9", "--expect", "goodbye", "--session-expires-s", "90"];
    let called = service.call("130", &arguments);
    let said = text(&called.stdout) + &text(&called.stderr);
    assert!(called.status.success() && said.contains("answered after"), "{said}");
    let log = service.stop();
    assert!(log.contains("refused_interval_too_small=1"), "{log}");
    assert!(log.contains("invites_received=2 ") && log.contains("sessions_confirmed=1 "), "{log}");
}

#[test]
fn a_sips_uri_over_tcp_is_refused() {
    let service = Service::start_with("sip.listen = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"]");
    let mut stream = TcpStream::connect(service.address.as_str()).unwrap();
    stream.set_read_timeout(Some(FOR_EVER)).unwrap();
    let request = "OPTIONS sips:130@klikon.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK-1\r\nMax-Forwards: 70\r\n\
                   From: <sip:a@klikon.test>;tag=1\r\nTo: <sip:130@klikon.test>\r\nCall-ID: sips\r\nCSeq: 1 OPTIONS\r\n\
                   Content-Length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("SIP/2.0 480 Temporarily Unavailable"));
    assert!(lines.any(|line| line == "Warning: 380 klikon \"SIPS Not Allowed\""));
    let log = service.stop();
    assert!(log.contains("refused_sips_without_tls=1"), "{log}");
}
