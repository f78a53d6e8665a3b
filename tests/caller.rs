//! The built-in caller against a service that runs.

mod service;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use service::{FOR_EVER, Service, folder_with, text};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

#[test]
fn an_interval_that_is_too_small_is_raised_and_the_call_answered() {
    let service = Service::start_with("calls.min_se_s = 1800");
    let called = service.call("131", &["--hang-up-after-s", "6", "--session-expires-s", "90"]);
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

/// By every transport, with a certificate of its own.
fn by_every_transport() -> Service {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let listen = ["udp", "tcp", "tls", "ws", "wss"].map(|transport| format!("\"{transport}:127.0.0.1:0\""));
    let folder = folder_with(&format!(
        "[sip]\nlisten = [{}]\n[tls]\ncertificate = \"klikon.pem\"\nkey = \"klikon.key\"\n",
        listen.join(", ")
    ));
    std::fs::write(folder.path().join("klikon.pem"), cert.pem()).unwrap();
    std::fs::write(folder.path().join("klikon.key"), signing_key.serialize_pem()).unwrap();
    Service::start_in(folder)
}

fn uri(service: &Service, transport: &str) -> String {
    let said = service.listening.iter().find_map(|one| one.strip_prefix(&format!("{transport} ")));
    format!("sip:131@{};transport={transport}", said.expect("it listens there"))
}

#[test]
fn it_phones_over_websocket_and_believes_only_certificates_that_it_is_told_of() {
    let service = by_every_transport();
    for transport in ["ws", "wss"] {
        let arguments = ["--hang-up-after-s", "6", "--timeout-s", "60", "--tls-ca", "klikon.pem"];
        let called = service.caller(&uri(&service, transport), &arguments).output().unwrap();
        let said = text(&called.stdout) + &text(&called.stderr);
        assert!(called.status.success() && said.contains("answered after"), "{transport}: {said}");
    }
    let called = service.caller(&uri(&service, "wss"), &["--hang-up-after-s", "6"]).output().unwrap();
    let said = text(&called.stdout) + &text(&called.stderr);
    assert!(!called.status.success() && said.contains("no authority of certificates is believed"), "{said}");
    let log = service.stop();
    assert!(log.contains("sessions_confirmed=2 "), "{log}");
}

#[test]
fn it_speaks_srtp_over_tls_and_not_where_its_keys_could_be_read() {
    let service = by_every_transport();
    let arguments = ["--hang-up-after-s", "6", "--timeout-s", "60", "--tls-ca", "klikon.pem", "--srtp"];
    let called = service.caller(&uri(&service, "tls"), &arguments).output().unwrap();
    let said = text(&called.stdout) + &text(&called.stderr);
    assert!(called.status.success() && said.contains("answered after"), "{said}");
    assert!(service.log_line("rtp sent=").contains("srtp=\"AEAD_AES_128_GCM\""));
    // Who may see the signalling may not for that decrypt the media.
    let traced = service::klikon(service.folder()).args(["trace", "last", "--full"]).output().unwrap();
    let traced = text(&traced.stdout);
    let keys: Vec<&str> = traced.split("inline:").skip(1).map(|rest| &rest[..30]).collect();
    assert!(keys.len() >= 4 && keys.iter().all(|key| *key == "x".repeat(30)), "{traced}");
    let called = service.caller(&uri(&service, "tcp"), &arguments).output().unwrap();
    let said = text(&called.stdout) + &text(&called.stderr);
    assert!(
        !called.status.success() && said.contains("TCP would send the keys of --srtp for all to read"),
        "{said}"
    );
    let log = service.stop();
    assert!(log.contains("sessions_confirmed=1 "), "{log}");
}

#[test]
fn it_makes_many_calls_over_one_connection() {
    let service = by_every_transport();
    for transport in ["tcp", "tls", "ws", "wss"] {
        let arguments = ["--rate", "50", "--calls", "20", "--hold", "0.1", "--tls-ca", "klikon.pem"];
        let called = service.caller(&uri(&service, transport), &arguments).output().unwrap();
        let said = text(&called.stdout) + &text(&called.stderr);
        assert!(called.status.success(), "{transport}: {said}");
        assert!(said.contains("20 answered, 20 ended in good order, 0 failed"), "{transport}: {said}");
    }
    let log = service.stop();
    assert!(log.contains("connections_accepted=4 "), "{log}");
}
