//! A real browser as a telephone (RFC 7118): Debian's `chromium`, without a window, opens a page of the test's own web server,
//! which speaks to `klikon serve` over WSS and tells what came back.

#[path = "../correlation/mod.rs"]
mod correlation;
#[path = "../service/mod.rs"]
mod service;

use rcgen::{CertifiedKey, PublicKeyData, generate_simple_self_signed};
use service::{FOR_EVER, Service, folder_with, put_a_group_in, repository};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const PAGE: &str = include_str!("page.html");
/// The page that calls.
const CALL: &str = include_str!("call.html");
/// Of what it hears, so much is told.
const HEARD_S: usize = 4;

/// A web server that has one page, and hears what it tells.
struct Web {
    address: SocketAddr,
    told: Receiver<String>,
    /// What the page is to do next.
    orders: Sender<String>,
}

impl Web {
    fn start(listener: TcpListener, page: String) -> Self {
        let address = listener.local_addr().unwrap();
        let (tell, told) = channel();
        let (orders, ordered) = channel();
        let ordered = Arc::new(Mutex::new(ordered));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A browser opens connections that it does not use.
                let (page, tell, ordered) = (page.clone(), tell.clone(), Arc::clone(&ordered));
                std::thread::spawn(move || {
                    let (path, body) = read_request(&stream)?;
                    if path == "/heard" {
                        let _ = tell.send(body);
                    }
                    // The page waits for its next order as long as there is none.
                    let page = match path.as_str() {
                        "/" => page,
                        "/order" => ordered.lock().ok()?.recv().unwrap_or_default(),
                        _ => String::new(),
                    };
                    write!(
                        &stream,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}",
                        page.len()
                    )
                    .ok()
                });
            }
        });
        Self { address, told, orders }
    }

    fn order(&self, order: &str) {
        self.orders.send(order.to_owned()).unwrap();
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Path and body of an HTTP request.
fn read_request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, String::from_utf8(body).ok()?))
}

/// A browser that shows a page; ended when dropped.
struct Browser {
    child: Child,
    _profile: TempDir,
}

impl Browser {
    /// Believes the certificate whose public key has this hash.
    fn open(page: &str, key_hash: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--remote-debugging-port=0",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            // A microphone that beeps, and sound without a click.
            .args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
            .args(["--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--ignore-certificate-errors-spki-list={key_hash}"))
            .arg(page)
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium is installed; `make tools` does that");
        Self { child, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its other processes.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// A service on WSS whose certificate's key has this hash, and a page for it. `prepare` has its folder before it starts.
fn start(
    page: &str,
    settings: impl Fn(&Web) -> String,
    prepare: impl FnOnce(&Path),
) -> (Service, Web, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The page must know the service, and the service the page's origin: so the port is there first.
    let web = Web { address: listener.local_addr().unwrap(), told: channel().1, orders: channel().0 };
    let folder = folder_with(&format!(
        "sip.listen = [\"wss:127.0.0.1:0\", \"127.0.0.1:0\"]\n\
         tls = {{ certificate = \"klikon.pem\", key = \"klikon.key\" }}\n{}",
        settings(&web)
    ));
    std::fs::write(folder.path().join("klikon.pem"), cert.pem()).unwrap();
    std::fs::write(folder.path().join("klikon.key"), signing_key.serialize_pem()).unwrap();
    prepare(folder.path());
    let service = Service::start_in(folder);
    let secure = service.listening.iter().find(|address| address.starts_with("wss ")).unwrap();
    let port = secure.rsplit(':').next().unwrap();
    let web = Web::start(listener, page.replace("PORT", port));
    (service, web, base64(&Sha256::digest(signing_key.subject_public_key_info())))
}

/// RFC 4648 §4.
fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place)) as usize & 63;
            text.push(if place > three.len() { '=' } else { char::from(ALPHABET[sextet]) });
        }
    }
    text
}

/// What the page heard.
fn heard(web: &Web, key_hash: &str) -> serde_json::Value {
    let _browser = Browser::open(&web.origin(), key_hash);
    let told = web.told.recv_timeout(FOR_EVER).expect("the page tells what it heard");
    serde_json::from_str(&told).unwrap()
}

#[test]
fn a_browser_asks_phones_and_hangs_up_and_its_own_offer_is_refused() {
    let origin = |web: &Web| format!("streams.websocket_origins = [{:?}]\n", web.origin());
    let (service, web, key_hash) = start(PAGE, origin, |_| {});
    let heard = heard(&web, &key_hash);
    let answers = &heard["answers"];
    let answered = |name: &str, status: &str| {
        let answer = answers[name].as_str().unwrap_or_default();
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{name}: {heard:#}");
    };
    assert_eq!(heard["protocol"], "sip", "{heard:#}");
    answered("options", "200");
    answered("register", "405");
    answered("plain", "200");
    answered("bye", "200");
    // What it wants is SRTP with keys by DTLS (RFC 8827 §6.5), which `media.webrtc` leaves off.
    assert!(heard["offer"].as_str().unwrap().contains(" UDP/TLS/RTP/SAVPF "), "{heard:#}");
    answered("webrtc", "488");
    assert!(answers["webrtc"].as_str().unwrap().contains("\r\nWarning: 3"), "{heard:#}");
    answered("after", "200");
    let log = service.stop();
    assert!(log.contains(" sessions_confirmed=1 ") && !log.contains("panicked"), "{log}");
}

#[test]
fn a_page_of_another_origin_gets_no_connection() {
    let (service, web, key_hash) =
        start(PAGE, |_| "streams.websocket_origins = [\"https://phone.example\"]\n".to_owned(), |_| {});
    assert_eq!(heard(&web, &key_hash)["opened"], false);
    let log = service.stop();
    assert!(log.contains("closed_handshake=1"), "{log}");
}

/// What it says first.
const WELCOME: &str = "prompts/sq/welcome.wav";

/// How many parts of the welcome, a fifth of a second each, are in what was heard as they are and in their order. A browser
/// plays a little faster or slower to keep its buffer short, more so on a busy machine, so that the whole would not fit.
fn parts_heard(heard: &serde_json::Value) -> (usize, usize) {
    let sound = heard["sound"].as_str().unwrap_or_else(|| panic!("nothing was heard: {heard:#}"));
    let octets = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, sound).unwrap();
    let samples: Vec<i16> =
        octets.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let heard = correlation::to_8_khz(&samples, heard["rate_hz"].as_u64().unwrap() as usize);
    let master = correlation::read_wav(&repository().join(WELCOME));
    let length = correlation::RATE_HZ / 5;
    let fits: Vec<(isize, f64)> = master
        .chunks_exact(length)
        .enumerate()
        .map(|(number, part)| {
            let (place, fit) = correlation::best_fit(part, &heard);
            (place as isize - (number * length) as isize, fit)
        })
        .collect();
    eprintln!("where and how well the parts of the welcome fit: {fits:.3?}");
    let mut delays: Vec<isize> = fits.iter().map(|(delay, _)| *delay).collect();
    delays.sort_unstable();
    let usual = delays[delays.len() / 2];
    let fitting = fits.iter().filter(|(delay, fit)| *fit > 0.8 && delay.abs_diff(usual) < length / 2);
    (fitting.count(), fits.len())
}

/// The final answer to an offer that comes by UDP.
fn by_udp(service: &Service, offer: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(FOR_EVER)).unwrap();
    let own = socket.local_addr().unwrap();
    let invite = format!(
        "INVITE sip:130@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKplain;rport\r\nMax-Forwards: 70\r\n\
         To: <sip:130@127.0.0.1>\r\nFrom: <sip:0672003456@klikon.example>;tag=plain\r\nCall-ID: plain\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
        offer.len()
    );
    socket.send_to(invite.as_bytes(), &service.address).unwrap();
    let mut answer = [0; 4096];
    loop {
        let octets = socket.recv(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..octets]);
        if !answer.starts_with("SIP/2.0 1") {
            return answer.into_owned();
        }
    }
}

#[test]
fn a_browser_hears_the_welcome_keys_and_books() {
    // What browsers like best is Opus, whose telephone-event has its clock, 48,000 Hz.
    let (codec, others) = if cfg!(feature = "opus") { ("opus", "\"PCMA\"") } else { ("G722", "\"PCMU\"") };
    let settings = |web: &Web| {
        format!(
            "streams.websocket_origins = [{:?}]\nmedia.webrtc = true\nmedia.codecs = [{codec:?}, {others}]\n\
             calls.activation_wait_ms = 0\n\
             peers = [{{ name = \"browser\", addresses = [\"127.0.0.0/8\"], identity = \"from\" }}]\n",
            web.origin()
        )
    };
    let (service, web, key_hash) =
        start(&CALL.replace("SECONDS", &HEARD_S.to_string()), settings, |folder| {
            put_a_group_in(folder);
            std::fs::copy(repository().join(WELCOME), folder.join("prompts/sq/welcome.wav")).unwrap();
        });
    let _browser = Browser::open(&web.origin(), &key_hash);
    assert!(service.line("\"event\":\"answered\"").contains("•••3456"));
    service.line("\"node\":\"ask-member-number\"");
    web.order("keys 0672123456#");
    service.line("\"node\":\"choose-package\"");
    for order in ["hold", "resume", "restart", "keys 2"] {
        web.order(order);
    }
    service.line("\"node\":\"confirm\"");
    // The comma is a pause of two seconds: a key in the first half second would be type-ahead.
    web.order("keys ,1");
    assert!(service.line("\"event\":\"booking\"").contains("\"outcome\":\"accepted\""));
    web.order("hangup");
    let heard: serde_json::Value =
        serde_json::from_str(&web.told.recv_timeout(FOR_EVER).expect("the page tells")).unwrap();
    assert!(service.line("\"event\":\"ended\"").contains("\"cause\":\"caller-hung-up\""));
    let statistics = &heard["statistics"];
    assert_eq!(heard["error"], serde_json::Value::Null, "{heard:#}");
    assert_eq!(statistics["transport"]["dtlsState"], "connected", "{statistics:#}");
    assert!(statistics["codecs"].to_string().contains(&format!("audio/{codec}")), "{statistics:#}");
    // Those of the stream begin anew with the resumption.
    assert!(statistics["inbound"]["packetsReceived"].as_u64().unwrap() > 50, "{statistics:#}");
    let (fitting, parts) = parts_heard(&heard);
    assert!(parts > 8 && fitting * 2 >= parts, "{fitting} of {parts}");
    // Where everybody could have changed its fingerprint, the same offer is worth nothing.
    let refusal = by_udp(&service, heard["offer"].as_str().unwrap());
    assert!(refusal.starts_with("SIP/2.0 488 ") && refusal.contains("\r\nWarning: 302 "), "{refusal}");
    let log = service.stop();
    assert!(log.contains(" handshakes_completed=1"), "{log}");
    assert!(log.contains("the stream has its keys") && log.contains("keys=\"DTLS\""), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}
