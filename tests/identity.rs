//! Who is believed, and what is written of it, as `klikon serve` does it over real UDP: digest authentication with its
//! replays, claims that are not believed, and logs and event lines that hostile messages cannot forge.

mod service;

use klikon::sip::auth::{Account, Challenge};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use service::{FOR_EVER, Service, folder_with, klikon};
use sqlx::{Connection, Executor, SqliteConnection};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use tokio_rustls::rustls;

const LEADER: &str = "P-Asserted-Identity: <tel:+355672003456>\r\n";
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8 101\r\n\
                   a=rtpmap:101 telephone-event/8000\r\n";

/// A caller who writes his messages octet by octet.
struct Peer {
    socket: UdpSocket,
    requests: u32,
}

impl Peer {
    fn to(address: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(FOR_EVER)).unwrap();
        Self { socket, requests: 0 }
    }

    /// A request of a new transaction, and its number.
    fn request(&mut self, method: &str, uri: &str, from: &str, call_id: &[u8], lines: &[u8]) -> Vec<u8> {
        self.requests += 1;
        let number = self.requests;
        let own = self.socket.local_addr().unwrap();
        let (kind, body) =
            if method == "INVITE" { ("Content-Type: application/sdp\r\n", SDP) } else { ("", "") };
        let head = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\n\
             From: {from};tag=1\r\nTo: <sip:130@127.0.0.1>\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:a@{own}>\r\n{kind}Content-Length: {}\r\nCall-ID: ",
            body.len()
        );
        [head.as_bytes(), call_id, b"\r\n", lines, b"\r\n", body.as_bytes()].concat()
    }

    /// The final response to `request`; a refused INVITE is acknowledged.
    fn exchange(&self, request: &[u8]) -> String {
        self.socket.send(request).unwrap();
        let wanted = field(&String::from_utf8_lossy(request), "CSeq");
        let mut octets = [0; 65_536];
        loop {
            let length = self.socket.recv(&mut octets).unwrap();
            let response = String::from_utf8_lossy(&octets[..length]).into_owned();
            let is_final = response.starts_with("SIP/2.0 ") && !response.starts_with("SIP/2.0 1");
            if !is_final || field(&response, "CSeq") != wanted {
                continue;
            }
            if request.starts_with(b"INVITE") {
                self.socket.send(&acknowledgement(request, &response)).unwrap();
            }
            return response;
        }
    }
}

fn field(message: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    message.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
}

/// The ACK to a response: for a refusal with the branch of its INVITE, else with one of its own.
fn acknowledgement(request: &[u8], response: &str) -> Vec<u8> {
    rewritten(request, response, "ACK", response.starts_with("SIP/2.0 2"))
}

/// `request` with another method, without body and claims, within the dialog of `response`.
fn rewritten(request: &[u8], response: &str, method: &str, new_branch: bool) -> Vec<u8> {
    let to = field(response, "To");
    let mut octets = Vec::new();
    for line in request.split_inclusive(|octet| *octet == b'\n') {
        let text = String::from_utf8_lossy(line).into_owned();
        if text == "\r\n" {
            break;
        }
        if text.starts_with("INVITE ") {
            octets.extend(text.replacen("INVITE", method, 1).bytes());
        } else if text.starts_with("Via: ") && new_branch {
            octets.extend(text.replacen("branch=z9hG4bK", &format!("branch=z9hG4bK-{method}-"), 1).bytes());
        } else if text.starts_with("To: ") {
            octets.extend(format!("To: {to}\r\n").bytes());
        } else if let Some(cseq) = text.strip_prefix("CSeq: ") {
            let number: u32 = cseq.split(' ').next().unwrap().parse().unwrap();
            let number = if method == "BYE" { number + 1_000 } else { number };
            octets.extend(format!("CSeq: {number} {method}\r\n").bytes());
        } else if text.starts_with("Content-Length") {
            octets.extend(b"Content-Length: 0\r\n");
        } else if ["From", "Max-Fo", "Call-I", "Via"].iter().any(|name| text.starts_with(name)) {
            octets.extend_from_slice(line);
        }
    }
    octets.extend(b"\r\n");
    octets
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

const DIGEST: &str = r#"
peers = [{ name = "softphones", addresses = ["0.0.0.0/0"], digest = true }]
users = [{ name = "lider", password = "sekret", identities = ["+355672003456"] }]
"#;

/// The next datagram, which is RTP version 2.
fn rtp(socket: &UdpSocket) {
    let mut octets = [0; 2_048];
    let length = socket.recv(&mut octets).unwrap();
    assert!(length > 12 && octets[0] == 0x80, "{:?}", &octets[..length]);
}

#[test]
fn a_strangers_call_sends_no_audio_to_a_third_party() {
    let service = Service::start_with("peers = []");
    let listens = |address: &str| {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(FOR_EVER)).unwrap();
        socket
    };
    let (own, third_party) = (listens("127.0.0.1:0"), listens("127.0.0.2:0"));
    let mut stranger = Peer::to(&service.address);
    let mut call = |call_id: &[u8], named: &UdpSocket| {
        let mut request = stranger.request("INVITE", "sip:131@x", "<sip:a@127.0.0.1>", call_id, b"");
        let named = named.local_addr().unwrap();
        let sdp = SDP
            .replace("c=IN IP4 127.0.0.1", &format!("c=IN IP4 {}", named.ip()))
            .replace("m=audio 9 ", &format!("m=audio {} ", named.port()));
        let head = String::from_utf8(request).unwrap();
        let (head, _) = head.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}", sdp.len());
        request =
            format!("{}\r\n\r\n{sdp}", head.replace(&format!("Content-Length: {}", SDP.len()), &length))
                .into();
        let answer = stranger.exchange(&request);
        assert_eq!(status(&answer), "200");
        let port = answer.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        format!("127.0.0.1:{port}")
    };
    let towards_third_party = call(b"aimed@x", &third_party);
    call(b"own@x", &own);
    // Ten packets of the later call have gone out, so the earlier one has long begun.
    (0..10).for_each(|_| rtp(&own));
    third_party.set_nonblocking(true).unwrap();
    assert!(third_party.recv(&mut [0; 2_048]).is_err(), "audio went to one who had not asked for it");
    third_party.set_nonblocking(false).unwrap();
    // A packet of its own says that it takes part in the call.
    let packet = [&[0x80, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7][..], &[0xd5; 160]].concat();
    third_party.send_to(&packet, &towards_third_party).unwrap();
    rtp(&third_party);
}

#[test]
fn an_answer_to_a_challenge_serves_once() {
    let service = Service::start_with(DIGEST);
    let mut peer = Peer::to(&service.address);
    let uri = "sip:130@127.0.0.1";
    let account = Account { username: b"lider", password: b"sekret" };
    let mut options = |lines: &str| {
        let request = peer.request("OPTIONS", uri, "<sip:lider@x>", b"one", lines.as_bytes());
        peer.exchange(&request)
    };
    let credentials = |challenge: &Challenge, account: &Account<'_>, count| {
        let answer = challenge.answer(account, b"OPTIONS", uri.as_bytes(), b"cnonce", count).unwrap();
        format!("Authorization: {}\r\n", String::from_utf8(answer.to_value()).unwrap())
    };
    let challenged = |response: &str| {
        assert_eq!(status(response), "401");
        Challenge::parse(field(response, "WWW-Authenticate").as_bytes()).unwrap()
    };
    let challenge = challenged(&options(""));
    assert_eq!(challenge.algorithm().as_str(), "SHA-256");
    let first = credentials(&challenge, &account, 1);
    assert_eq!(status(&options(&first)), "200");
    assert!(challenged(&options(&first)).stale, "a replay");
    assert_eq!(status(&options(&credentials(&challenge, &account, 10))), "200");
    assert!(challenged(&options(&credentials(&challenge, &account, 9))).stale, "a count that falls");
    let raised = first.replace("nc=00000001", "nc=0000000b");
    assert!(!challenged(&options(&raised)).stale, "a count that was not hashed");
    let unreadable = first.replace("nc=00000001", "nc=11");
    assert!(!challenged(&options(&unreadable)).stale, "no count at all");
    let wrong = Account { password: b"gabim", ..account };
    let unknown = Account { username: b"askush", ..account };
    let answers = [wrong, unknown].map(|account| options(&credentials(&challenge, &account, 11)));
    assert!(answers.iter().all(|answer| !challenged(answer).stale));
    let shape = |answer: &str| answer.lines().map(|line| line.len()).collect::<Vec<_>>();
    assert_eq!(shape(&answers[0]), shape(&answers[1]), "an unknown user is told nothing more");
    let log = service.stop();
    for counted in
        ["authenticated=2", "refused_replay=2", "refused_credentials=3", "refused_unauthenticated=2"]
    {
        assert!(log.contains(counted), "{counted}\n{log}");
    }
    assert!(!log.contains("sekret") && !log.contains("gabim"), "{log}");
}

#[test]
fn claims_that_nobody_vouches_for_make_no_leader() {
    let number = "<sip:+355672003456@x>";
    let strangers = "peers = [{ name = \"elsewhere\", addresses = [\"192.0.2.0/24\"] }]";
    for (settings, caller, lines) in [
        ("", "+35567•••3456", LEADER.to_owned()),
        ("", "anonymous", format!("P-Preferred-Identity: {number}\r\n")),
        ("", "anonymous", format!("Remote-Party-ID: {number};party=calling;screen=yes\r\n")),
        ("", "anonymous", format!("Diversion: {number};reason=unconditional\r\n")),
        ("", "anonymous", format!("History-Info: {number};index=1\r\nP-Served-User: {number}\r\n")),
        ("", "untrusted", format!("{LEADER}p-asserted-identity : <sip:+355692000001@x>\r\n")),
        ("", "withheld", format!("{LEADER}Privacy: id\r\n")),
        (strangers, "untrusted", LEADER.to_owned()),
    ] {
        let service = Service::start_in(folder_with(settings));
        let mut peer = Peer::to(&service.address);
        let invite = peer.request("INVITE", "sip:130@127.0.0.1", number, b"claim", lines.as_bytes());
        let ok = peer.exchange(&invite);
        assert_eq!(status(&ok), "200");
        let answered = service.line("\"answered\"");
        assert!(answered.contains(&format!("\"caller\":\"{caller}\"")), "{lines}: {answered}");
        let bye = rewritten(&invite, &ok, "BYE", true);
        assert_eq!(status(&peer.exchange(&bye)), "200");
        service.line("\"ended\"");
    }
}

/// An authority of the test's own: it signs the service's certificate and those of its clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A connection whose client proves to be `name`, or proves nothing.
    fn connect(&self, address: &str, name: Option<&str>) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match name.map(|name| self.sign(name)) {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(FOR_EVER)).unwrap();
        let server = ServerName::try_from("klikon.example").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), server).unwrap(), tcp)
    }
}

/// The next final response of a connection.
fn final_response(stream: &mut impl Read) -> String {
    loop {
        let mut octets = Vec::new();
        let mut octet = [0];
        while !octets.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut octet).unwrap();
            octets.extend(octet);
        }
        let head = String::from_utf8(octets).unwrap();
        let mut body = vec![0; field(&head, "Content-Length").parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        if !head.starts_with("SIP/2.0 1") {
            return head;
        }
    }
}

#[test]
fn a_peer_is_known_by_its_certificate_and_no_other_name() {
    let authority = Authority::new();
    let folder = folder_with(
        "sip.listen = [\"udp:127.0.0.1:0\", \"tls:127.0.0.1:0\"]\n\
         peers = [{ name = \"core\", certificates = [\"core.example\"] }]\n\
         [tls]\ncertificate = \"klikon.pem\"\nkey = \"klikon.key\"\nclient_ca = \"ca.pem\"\n",
    );
    let (certificate, key) = authority.sign("klikon.example");
    for (file, pem) in [
        ("klikon.pem", certificate.pem()),
        ("klikon.key", key.serialize_pem()),
        ("ca.pem", authority.certificate.pem()),
    ] {
        std::fs::write(folder.path().join(file), pem).unwrap();
    }
    let service = Service::start_in(folder);
    let address = service.listening.iter().find_map(|said| said.strip_prefix("tls ")).unwrap().to_owned();
    let mut peer = Peer::to(&service.address);
    for (name, caller) in [
        (Some("core.example"), "+35567•••3456"),
        (Some("other.example"), "untrusted"),
        (Some("*.example"), "untrusted"),
        (None, "untrusted"),
    ] {
        let mut stream = authority.connect(&address, name);
        let call_id = format!("{name:?}").replace(['"', '(', ')'], "");
        let invite =
            peer.request("INVITE", "sip:130@127.0.0.1", "<sip:a@x>", call_id.as_bytes(), LEADER.as_bytes());
        let invite = String::from_utf8(invite).unwrap().replace("SIP/2.0/UDP", "SIP/2.0/TLS").into_bytes();
        stream.write_all(&invite).unwrap();
        let ok = final_response(&mut stream);
        assert_eq!(status(&ok), "200");
        stream.write_all(&acknowledgement(&invite, &ok)).unwrap();
        let answered = service.line("\"answered\"");
        assert!(answered.contains(&format!("\"caller\":\"{caller}\"")), "{name:?}: {answered}");
        stream.write_all(&rewritten(&invite, &ok, "BYE", true)).unwrap();
        assert_eq!(status(&final_response(&mut stream)), "200");
        service.line("\"ended\"");
    }
    service.stop();
}

/// What a thread reads, line by line, as octets.
fn octets_of(source: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        while source.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let _ = sender.send(std::mem::take(&mut line));
        }
    });
    lines
}

/// The next line that holds `part`; those before it are kept too.
fn until(lines: &Receiver<Vec<u8>>, part: &str, kept: &mut Vec<Vec<u8>>) {
    loop {
        let line = lines.recv_timeout(FOR_EVER).unwrap_or_else(|_| panic!("`{part}` never came"));
        let found = String::from_utf8_lossy(&line).contains(part);
        kept.push(line);
        if found {
            return;
        }
    }
}

const EVIL: &[u8] = b"\x1b[31mEVIL%n%s\x07\x08\x7f\xc2\x9b2J\xe2\x80\xae";

/// Hostile octets in every place that a message has for them, none of which is to be answered by a call.
fn hostile(peer: &mut Peer) {
    for name in [
        "User-Agent",
        "Subject",
        "Reason",
        "Diversion",
        "History-Info",
        "P-Charging-Vector",
        "Accept-Language",
        "X-Unknown",
        "Supported",
        "Require",
        "Content-Disposition",
        "Warning",
        "Identity",
        "Authorization",
        "P-Asserted-Identity",
        "Record-Route",
        "Via",
        "Date",
    ] {
        let line = [name.as_bytes(), b": \"", EVIL, b"\" <sip:a@x>\r\n"].concat();
        let uri = "sip:999%0d%0a%1b%5b31m@127.0.0.1";
        let invite = peer.request("INVITE", uri, "\"%n\" <sip:a@x>", b"h\x9b%n", &line);
        assert_ne!(status(&peer.exchange(&invite)), "200", "{name}");
    }
    for line in ["From: \"\x1b[31m\r\n INFO forged\" <sip:a@x>", "Reason: SIP;text=\"a\rINFO forged\""] {
        let invite = peer.request(
            "INVITE",
            "sip:999@127.0.0.1",
            "<sip:a@x>",
            b"lines",
            format!("{line}\r\n").as_bytes(),
        );
        assert_ne!(status(&peer.exchange(&invite)), "200");
    }
    let method = peer.request("EVIL%n", "sip:130@127.0.0.1", "<sip:a@x>", b"method", b"");
    assert_ne!(status(&peer.exchange(&method)), "200");
    for junk in [
        &b"\x1b[31mEVIL\r\n\r\n"[..],
        EVIL,
        b"SIP/2.0 200 \x1b[31m\r\nVia: x\r\n\r\n",
        b"\n2026 INFO forged\n",
    ] {
        peer.socket.send(junk).unwrap();
    }
}

fn hygiene(format: &str) {
    let folder = folder_with(&format!(
        "[log]\nlevel = \"trace\"\nformat = \"{format}\"\n[database]\nbusy_timeout_ms = 50"
    ));
    let mut child = klikon(folder.path())
        .args(["serve", "--events", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let events = octets_of(child.stdout.take().unwrap());
    let log = octets_of(child.stderr.take().unwrap());
    let (mut told, mut logged) = (Vec::new(), Vec::new());
    let first = String::from_utf8(events.recv_timeout(FOR_EVER).unwrap()).unwrap();
    let mut peer = Peer::to(first.strip_prefix("listening on udp ").unwrap().trim_end());
    hostile(&mut peer);

    // A call whose record cannot be written stands in the log, its Call-ID with it.
    let lines =
        [LEADER.as_bytes(), b"User-Agent: ", EVIL, b"\r\nDiversion: \"", EVIL, b"\" <sip:a@x>\r\n"].concat();
    let uri = "sip:130;x=%0d%0aevil%1b%5b31m@127.0.0.1";
    let call_id = b"evil\x9b31m%n%s@x";
    let invite = peer.request("INVITE", uri, "\"%n\u{202e}\" <sip:a@x>", call_id, &lines);
    let ok = peer.exchange(&invite);
    assert_eq!(status(&ok), "200");
    until(&events, "\"answered\"", &mut told);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("klikon.db").display());
    let mut database = runtime.block_on(SqliteConnection::connect(&url)).unwrap();
    runtime.block_on(database.execute("BEGIN IMMEDIATE")).unwrap();
    let bye = rewritten(&invite, &ok, "BYE", true);
    assert_eq!(status(&peer.exchange(&bye)), "200");
    until(&log, "the call record is lost", &mut logged);
    runtime.block_on(database.execute("ROLLBACK")).unwrap();
    until(&events, "\"ended\"", &mut told);

    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success() && child.wait().unwrap().success());
    told.extend(events.iter());
    logged.extend(log.iter());
    for line in told.iter().chain(&logged) {
        inspect(line);
    }
    let whole = |lines: &[Vec<u8>]| String::from_utf8(lines.concat()).unwrap();
    let (told, logged) = (whole(&told), whole(&logged));
    // It is there, and escaped.
    assert!(told.contains(r"evil\u009b31m%n%s@x") && told.contains(r"130;x=\r\nevil\u001b[31m"), "{told}");
    let expected = if format == "json" { r"evil\u009b31m%n%s@x" } else { r"evil\u{9b}31m%n%s@x" };
    assert!(logged.contains(expected), "{logged}");
    for line in told.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object(), "{line}");
    }
    for line in logged.lines() {
        let sound = match format {
            "json" => serde_json::from_str::<serde_json::Value>(line).is_ok_and(|record| record.is_object()),
            _ => line.len() > 28 && line.as_bytes()[26] == b'Z' && line.starts_with("20"),
        } || line.starts_with("klikon: ");
        assert!(sound, "a line that is no record: {line:?}");
    }
}

/// No control character but the line end: of ASCII, of C1, none that turns or breaks text.
fn inspect(line: &[u8]) {
    let text = std::str::from_utf8(line).expect("UTF-8");
    let body = text.strip_suffix('\n').expect("a whole line");
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!body.contains(bad), "{body:?}");
}

#[test]
fn hostile_messages_forge_no_line_of_the_text_log_and_the_events() {
    hygiene("text");
}

#[test]
fn hostile_messages_forge_no_line_of_the_json_log_and_the_events() {
    hygiene("json");
}
