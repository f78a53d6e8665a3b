//! A real browser as a telephone (RFC 7118): Debian's `chromium`, without a window, opens a page of the test's own web server,
//! which speaks to `klikon serve` over WSS and tells what came back.

#[path = "../service/mod.rs"]
mod service;

use rcgen::{CertifiedKey, PublicKeyData, generate_simple_self_signed};
use service::{FOR_EVER, Service, folder_with};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use tempfile::TempDir;

const PAGE: &str = include_str!("page.html");

/// A web server that has one page, and hears what it tells.
struct Web {
    address: SocketAddr,
    told: Receiver<String>,
}

impl Web {
    fn start(listener: TcpListener, page: String) -> Self {
        let address = listener.local_addr().unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A browser opens connections that it does not use.
                let (page, tell) = (page.clone(), tell.clone());
                std::thread::spawn(move || {
                    let (path, body) = read_request(&stream)?;
                    if path == "/heard" {
                        let _ = tell.send(body);
                    }
                    let page = if path == "/" { page.as_str() } else { "" };
                    write!(
                        &stream,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}",
                        page.len()
                    )
                    .ok()
                });
            }
        });
        Self { address, told }
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

/// A service on WSS whose certificate's key has this hash, and a page for it.
fn start(settings: impl Fn(&Web) -> String) -> (Service, Web, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The page must know the service, and the service the page's origin: so the port is there first.
    let web = Web { address: listener.local_addr().unwrap(), told: channel().1 };
    let folder = folder_with(&format!(
        "sip.listen = [\"wss:127.0.0.1:0\"]\n\
         tls = {{ certificate = \"klikon.pem\", key = \"klikon.key\" }}\n{}",
        settings(&web)
    ));
    std::fs::write(folder.path().join("klikon.pem"), cert.pem()).unwrap();
    std::fs::write(folder.path().join("klikon.key"), signing_key.serialize_pem()).unwrap();
    let service = Service::start_in(folder);
    let port = service.listening[0].rsplit(':').next().unwrap();
    let web = Web::start(listener, PAGE.replace("PORT", port));
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
    let (service, web, key_hash) = start(|web| format!("streams.websocket_origins = [{:?}]\n", web.origin()));
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
    // What it wants is SRTP with keys by DTLS (RFC 8827 §6.5), which is not spoken here.
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
        start(|_| "streams.websocket_origins = [\"https://phone.example\"]\n".to_owned());
    assert_eq!(heard(&web, &key_hash)["opened"], false);
    let log = service.stop();
    assert!(log.contains("closed_handshake=1"), "{log}");
}
