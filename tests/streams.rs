//! SIP over TCP and TLS against `klikon serve`: whole messages whatever the pieces, and limits that close what exceeds them
//! without touching others.

mod service;

use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use service::{FOR_EVER, Service, folder_with, text};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use tokio_rustls::rustls;

/// Where it listens, by this transport.
fn address(service: &Service, transport: &str) -> String {
    let said = service.listening.iter().find_map(|listening| listening.strip_prefix(transport));
    said.expect("it listens there").trim().to_owned()
}

fn by_tcp(settings: &str) -> Service {
    Service::start_in(folder_with(&format!(
        "sip.listen = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"]\n{settings}"
    )))
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(FOR_EVER)).unwrap();
    stream
}

fn options(transport: &str, number: u32, length: &str) -> String {
    format!(
        "OPTIONS sip:130@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:130@127.0.0.1>\r\nCall-ID: {number}\r\n\
         CSeq: 1 OPTIONS\r\n{length}\r\n"
    )
}

/// The next message without a body, as text; empty when the connection is closed.
fn answer(stream: &mut impl Read) -> String {
    let mut octets = Vec::new();
    let mut octet = [0];
    while !octets.ends_with(b"\r\n\r\n") {
        match stream.read(&mut octet) {
            Ok(0) => break,
            Ok(_) => octets.push(octet[0]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8(octets).unwrap()
}

/// Waits for the end of the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    answer(stream).is_empty()
}

const EMPTY: &str = "Content-Length: 0\r\n";

#[test]
fn pieces_and_heaps_are_whole_messages_and_a_ping_gets_its_pong() {
    let service = by_tcp("");
    let mut stream = connect(&address(&service, "tcp"));
    stream.set_nodelay(true).unwrap();
    for piece in options("TCP", 1, EMPTY).as_bytes().chunks(7) {
        stream.write_all(piece).unwrap();
    }
    assert!(answer(&mut stream).starts_with("SIP/2.0 200 OK\r\n"));
    stream.write_all((options("TCP", 2, EMPTY) + &options("TCP", 3, "l: 0\r\n")).as_bytes()).unwrap();
    for number in [2, 3] {
        let answer = answer(&mut stream);
        assert!(
            answer.starts_with("SIP/2.0 200 OK\r\n") && answer.contains(&format!("Call-ID: {number}\r\n"))
        );
    }
    stream.write_all(b"\r\n\r\n").unwrap();
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");
    service.stop();
}

#[test]
fn what_exceeds_a_limit_is_answered_and_closed_and_others_go_on() {
    let service = by_tcp("[streams]\nmessage_ms = 500\nmax_connections_of_address = 4\n");
    let address = address(&service, "tcp");
    let mut other = connect(&address);
    for (number, (length, status)) in [
        ("Content-Length: 100000000000\r\n", "413"),
        ("Content-Length: 2147483648\r\n", "413"),
        ("Content-Length: -1\r\n", "400"),
        ("", "400"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = connect(&address);
        stream.write_all(options("TCP", 10 + number as u32, length).as_bytes()).unwrap();
        let said = answer(&mut stream);
        assert!(said.starts_with(&format!("SIP/2.0 {status} ")), "{length}: {said}");
        assert!(is_closed(&mut stream));
        // Whoever keeps within the limits is served all the while.
        other.write_all(options("TCP", 20 + number as u32, EMPTY).as_bytes()).unwrap();
        assert!(answer(&mut other).starts_with("SIP/2.0 200 OK\r\n"));
    }
    // A header that never ends.
    let mut endless = connect(&address);
    let field = format!("X-Endless: {}\r\n", "a".repeat(1000));
    endless.write_all(options("TCP", 30, "").trim_end().as_bytes()).unwrap();
    endless.write_all(b"\r\n").unwrap();
    for _ in 0..1000 {
        if endless.write_all(field.as_bytes()).is_err() {
            break;
        }
    }
    let said = answer(&mut endless);
    assert!(said.is_empty() || said.starts_with("SIP/2.0 513 "), "{said}");
    // One that is not whole in time, and one that says nothing at all.
    let mut slow = connect(&address);
    slow.write_all(b"OPTIONS sip:130@127.0.0.1 SIP/2.0\r\n").unwrap();
    assert!(is_closed(&mut slow));
    // More connections from one address than there may be.
    let held: Vec<TcpStream> = (0..3).map(|_| connect(&address)).collect();
    let mut beyond = connect(&address);
    assert!(is_closed(&mut beyond));
    other.write_all(options("TCP", 40, EMPTY).as_bytes()).unwrap();
    assert!(answer(&mut other).starts_with("SIP/2.0 200 OK\r\n"));
    drop(held);
    let log = service.stop();
    for counted in ["closed_broken=", "closed_slow=", "dropped_connections="] {
        assert!(log.contains(counted), "{counted} is not in {log}");
    }
}

/// A connection from an address that is nobody's peer.
fn connect_from(source: [u8; 4], to: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from((source, 0)).into()).unwrap();
    let to: std::net::SocketAddr = to.parse().unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(FOR_EVER)).unwrap();
    stream
}

#[test]
fn a_banned_address_holds_no_connection_and_a_peer_goes_on() {
    let service = by_tcp("[[peers]]\nname = \"pbx\"\naddresses = [\"127.0.0.1/32\"]\n");
    let address = address(&service, "tcp");
    let mut peer = connect(&address);
    // One that waits, opened before the ban.
    let mut idle = connect_from([127, 0, 0, 3], &address);
    let mut scanner = connect_from([127, 0, 0, 3], &address);
    let scan = options("TCP", 1, &format!("User-Agent: friendly-scanner\r\n{EMPTY}"));
    scanner.write_all(scan.as_bytes()).unwrap();
    assert!(is_closed(&mut scanner), "a scanner gets nothing");
    assert!(is_closed(&mut connect_from([127, 0, 0, 3], &address)), "nor does it get in again");
    idle.write_all(options("TCP", 2, EMPTY).as_bytes()).unwrap();
    assert!(is_closed(&mut idle), "nor is anything read of what it had open");
    // Who babbles is banned as over UDP; the peer never.
    for _ in 0..200 {
        let mut babbler = connect_from([127, 0, 0, 4], &address);
        let _ = babbler.write_all(b"GET / HTTP/1.0\r\n\r\n");
        assert!(is_closed(&mut babbler));
        let mut own = connect(&address);
        let _ = own.write_all(b"GET / HTTP/1.0\r\n\r\n");
        assert!(is_closed(&mut own));
    }
    peer.write_all(options("TCP", 3, EMPTY).as_bytes()).unwrap();
    assert!(answer(&mut peer).starts_with("SIP/2.0 200 OK\r\n"));
    let log = service.stop();
    for counted in [" dropped_banned=", " dropped_scanner=1 ", " sources_banned=2 "] {
        assert!(log.contains(counted), "{counted} is not in {log}");
    }
}

#[test]
fn tls_is_spoken_with_the_certificate_of_the_settings() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["klikon.example".to_owned()]).unwrap();
    let folder = folder_with(
        "sip.listen = [\"udp:127.0.0.1:0\", \"tls:127.0.0.1:0\"]\n\
         [tls]\ncertificate = \"klikon.pem\"\nkey = \"klikon.key\"\n",
    );
    std::fs::write(folder.path().join("klikon.pem"), cert.pem()).unwrap();
    std::fs::write(folder.path().join("klikon.key"), signing_key.serialize_pem()).unwrap();
    let service = Service::start_in(folder);
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from("klikon.example").unwrap();
    let tcp = connect(&address(&service, "tls"));
    let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp);
    stream.write_all(options("TLS", 1, EMPTY).as_bytes()).unwrap();
    assert!(answer(&mut stream).starts_with("SIP/2.0 200 OK\r\n"));
    // What is no TLS is closed, and harms nobody.
    let mut plain = connect(&address(&service, "tls"));
    plain.write_all(options("TLS", 2, EMPTY).as_bytes()).unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest);
    stream.write_all(options("TLS", 3, EMPTY).as_bytes()).unwrap();
    assert!(answer(&mut stream).starts_with("SIP/2.0 200 OK\r\n"));
    service.stop();
}

/// Phones with the built-in caller; yields what it said.
fn phone(service: &Service, uri: &str, more: &[&str]) -> (bool, String) {
    let mut command = service.caller(uri, &["--hang-up-after-s", "6", "--timeout-s", "60"]);
    let output = command.args(more).output().unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn the_built_in_caller_phones_over_tcp() {
    let service = by_tcp("");
    let (succeeded, said) =
        phone(&service, &format!("sip:131@{};transport=tcp", address(&service, "tcp")), &[]);
    assert!(succeeded && said.contains("answered after"), "{said}");
    let log = service.stop();
    assert!(log.contains("connections_accepted=1"), "{log}");
}

#[test]
fn the_built_in_caller_phones_over_tls_only_where_the_certificate_is_believed() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let folder = folder_with(
        "sip.listen = [\"udp:127.0.0.1:0\", \"tls:127.0.0.1:0\"]\n\
         [tls]\ncertificate = \"klikon.pem\"\nkey = \"klikon.key\"\n",
    );
    std::fs::write(folder.path().join("klikon.pem"), cert.pem()).unwrap();
    std::fs::write(folder.path().join("klikon.key"), signing_key.serialize_pem()).unwrap();
    let service = Service::start_in(folder);
    let uri = format!("sips:131@{}", address(&service, "tls"));
    let (succeeded, said) = phone(&service, &uri, &["--tls-ca", "klikon.pem"]);
    assert!(succeeded && said.contains("answered after"), "{said}");
    let (succeeded, said) = phone(&service, &uri, &[]);
    assert!(!succeeded && said.contains("over TLS: no authority of certificates is believed"), "{said}");
    assert!(said.contains("--tls-ca"), "{said}");
    let elsewhere = uri.replace("127.0.0.1", "127.0.0.2");
    let (succeeded, said) = phone(&service, &elsewhere, &["--tls-ca", "klikon.pem"]);
    assert!(!succeeded && said.contains("onnection refused"), "{said}");
    service.stop();
}

#[test]
fn an_authoritys_certificate_is_no_servers_and_the_caller_is_told_so() {
    let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let folder = folder_with(
        "sip.listen = [\"udp:127.0.0.1:0\", \"tls:127.0.0.1:0\"]\n\
         [tls]\ncertificate = \"klikon.pem\"\nkey = \"klikon.key\"\n",
    );
    std::fs::write(folder.path().join("klikon.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.path().join("klikon.key"), key.serialize_pem()).unwrap();
    let service = Service::start_in(folder);
    let uri = format!("sips:131@{}", address(&service, "tls"));
    let (succeeded, said) = phone(&service, &uri, &["--tls-ca", "klikon.pem"]);
    assert!(!succeeded && said.contains("CaUsedAsEndEntity"), "{said}");
    assert!(said.contains("CA:FALSE"), "{said}");
    service.stop();
}

#[test]
fn certificates_are_read_again_at_a_hangup_signal() {
    let folder = folder_with(
        "sip.listen = [\"udp:127.0.0.1:0\", \"tls:127.0.0.1:0\"]\n\
         [tls]\ncertificate = \"klikon.pem\"\nkey = \"klikon.key\"\nreload_s = 0\n",
    );
    let certify = |folder: &std::path::Path, authority: &str| {
        let made = generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        for file in ["klikon.pem", authority] {
            std::fs::write(folder.join(file), made.cert.pem()).unwrap();
        }
        std::fs::write(folder.join("klikon.key"), made.signing_key.serialize_pem()).unwrap();
    };
    certify(folder.path(), "first.pem");
    let service = Service::start_in(folder);
    let uri = format!("sips:131@{}", address(&service, "tls"));
    certify(service.folder(), "second.pem");
    let (succeeded, said) = phone(&service, &uri, &["--tls-ca", "first.pem"]);
    assert!(succeeded, "{said}");
    service.signal("HUP");
    service.log_line("certificates read again");
    let (succeeded, said) = phone(&service, &uri, &["--tls-ca", "first.pem"]);
    assert!(!succeeded && said.contains("invalid peer certificate"), "{said}");
    let (succeeded, said) = phone(&service, &uri, &["--tls-ca", "second.pem"]);
    assert!(succeeded, "{said}");
    service.stop();
}
