//! Registration, OPTIONS and outbound proxy over TCP and TLS, and calls by the connection that the registration opened.

use crate::registering::called_by_its_registration;
use crate::registrar::{self, Beside};
use crate::service::{FOR_EVER, Service, folder_with, klikon, text};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const PASSWORD: &str = "geheim";

fn trunk(uri: &str, more: &str) -> String {
    format!(
        "[[trunks]]\nname = \"pbx\"\nuri = \"{uri}\"\nuser = \"klikon\"\npassword = \"{PASSWORD}\"\npeer = \"loopback\"\n\
         options_interval_s = 1\n{more}\n[[peers]]\nname = \"loopback\"\naddresses = [\"127.0.0.1/32\"]\n"
    )
}

/// A certificate for 127.0.0.1 and its key, PEM.
fn certificate() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

/// With TCP, or with TLS where a certificate of the PBX is to be believed.
fn service(settings: &str, believed: Option<&str>) -> Service {
    let (transport, tls) = match believed {
        None => ("tcp", ""),
        Some(_) => {
            ("tls", "[tls]\ncertificate = \"klikon.pem\"\nkey = \"klikon.key\"\nserver_ca = \"pbx.pem\"\n")
        }
    };
    let listen = format!("[sip]\nlisten = [\"udp:127.0.0.1:0\", \"{transport}:127.0.0.1:0\"]\n");
    let folder = folder_with(&format!("{settings}\n{listen}{tls}"));
    if let Some(believed) = believed {
        let (certificate, key) = certificate();
        for (name, pem) in [("klikon.pem", &*certificate), ("klikon.key", &*key), ("pbx.pem", believed)] {
            std::fs::write(folder.path().join(name), pem).unwrap();
        }
    }
    let groups = "contract,msisdn,role,granted_by,channel,declaration\n\
                  042250928,0672003456,leader,Lideri Fiks,shop,D-1\n042250928,0672123456,member,,,\n";
    std::fs::write(folder.path().join("groups.csv"), groups).unwrap();
    for arguments in [&["seed"][..], &["import", "groups.csv"]] {
        assert!(klikon(folder.path()).arg("admin").args(arguments).output().unwrap().status.success());
    }
    Service::start_in(folder)
}

/// The same, all by one connection.
fn called_by_one_connection(service: Service, pbx_port: u16) -> String {
    let log = called_by_its_registration(service, pbx_port);
    assert!(log.contains("trunk_up=1 "), "{log}");
    // One connection for everything, and none the other way.
    assert!(log.contains("connections_opened=1") && !log.contains("connections_accepted="), "{log}");
    log
}

#[test]
fn a_pbx_is_registered_at_and_asked_over_tcp_and_calls_by_that_connection() {
    let (pbx, port) = registrar::start_beside(&Beside::Tcp, "SHA-256", PASSWORD, 60);
    let service = service(&trunk(&format!("sip:127.0.0.1:{port};transport=tcp"), ""), None);
    let said = pbx.log_line("registrar: klikon 2 expires=3600");
    assert!(said.contains("nc=00000001"), "{said}");
    called_by_one_connection(service, pbx.port);
    pbx.log_line("registrar: klikon 3 expires=0");
}

#[test]
fn a_pbx_is_registered_at_and_asked_over_tls_and_calls_by_that_connection() {
    let (certificate, key) = certificate();
    let beside = Beside::Tls { certificate: &certificate, key: &key };
    let (pbx, port) = registrar::start_beside(&beside, "SHA-256", PASSWORD, 60);
    let service = service(&trunk(&format!("sip:127.0.0.1:{port};transport=tls"), ""), Some(&certificate));
    pbx.log_line("registrar: klikon 2 expires=3600");
    called_by_one_connection(service, pbx.port);
    pbx.log_line("registrar: klikon 3 expires=0");
}

#[test]
fn everything_goes_through_an_outbound_proxy_over_tcp_and_over_tls() {
    let (certificate, key) = certificate();
    let tls = Beside::Tls { certificate: &certificate, key: &key };
    for (beside, transport, believed) in [(Beside::Tcp, "tcp", None), (tls, "tls", Some(&*certificate))] {
        let (proxy, port) = registrar::start_beside(&beside, "SHA-256", PASSWORD, 60);
        let through = format!("outbound_proxy = \"sip:127.0.0.1:{port};transport={transport}\"");
        // The registrar's own name leads nowhere.
        let service = service(&trunk("sip:pbx.invalid", &through), believed);
        let said = proxy.log_line("registrar: klikon");
        assert!(said.contains("uri=\"sip:pbx.invalid\"") && said.contains("route=<sip:127.0.0.1:"), "{said}");
        service.line("\"trunk\":\"pbx\",\"state\":\"up\"");
        let log = service.stop();
        assert!(log.contains("connections_opened=1"), "{log}");
    }
}

#[test]
fn a_pbx_whose_certificate_is_not_believed_is_not_registered_at() {
    let ((certificate, key), (other, _)) = (certificate(), certificate());
    let beside = Beside::Tls { certificate: &certificate, key: &key };
    let (_pbx, port) = registrar::start_beside(&beside, "MD5", PASSWORD, 60);
    let service = service(&trunk(&format!("sip:127.0.0.1:{port};transport=tls"), ""), Some(&other));
    service.line("\"state\":\"register-failed\"");
    let log = service.stop();
    assert!(log.contains("a connection could not be opened"), "{log}");
}

/// A registrar on a connection that takes every REGISTER.
struct Connected(TcpStream);

impl Connected {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(FOR_EVER)).unwrap();
        Self(stream)
    }

    /// The next message without a body, or ping.
    fn next(&mut self) -> String {
        let (mut read, mut octet) = (Vec::new(), [0]);
        while !read.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut octet).unwrap();
            read.push(octet[0]);
        }
        text(&read)
    }

    /// Takes the next REGISTER, and gives it.
    fn register(&mut self) -> String {
        let request = self.next();
        assert!(request.starts_with("REGISTER "), "{request}");
        let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"];
        let copied: Vec<_> =
            request.lines().filter(|line| copied.iter().any(|name| line.starts_with(name))).collect();
        let response = format!("SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n", copied.join("\r\n"));
        self.0.write_all(response.as_bytes()).unwrap();
        request
    }
}

#[test]
fn the_connection_of_a_registration_is_kept_alive_and_renewed_at_once_when_it_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("sip:{};transport=tcp", listener.local_addr().unwrap());
    let settings =
        trunk(&uri, "keep_alive_s = 1").replace("options_interval_s = 1", "options_interval_s = 0");
    let service = service(&settings, None);
    let mut first = Connected::accept(&listener);
    first.register();
    service.line("\"state\":\"registered\"");
    for _ in 0..3 {
        assert_eq!(first.next(), "\r\n\r\n");
        first.0.write_all(b"\r\n").unwrap();
    }
    drop(first);
    // The refresh would be due after half an hour.
    let mut second = Connected::accept(&listener);
    let renewed = second.register();
    assert!(renewed.contains("CSeq: 2 REGISTER"), "{renewed}");
    service.line("\"state\":\"refreshed\"");
    assert_eq!(second.next(), "\r\n\r\n");
    // A call comes by the new connection.
    let options = "OPTIONS sip:130@klikon.test SIP/2.0\r\nVia: SIP/2.0/TCP pbx.invalid;branch=z9hG4bK-1\r\nMax-Forwards: 70\r\n\
                   From: <sip:a@pbx.test>;tag=1\r\nTo: <sip:130@klikon.test>\r\nCall-ID: by-it\r\nCSeq: 1 OPTIONS\r\n\
                   Content-Length: 0\r\n\r\n";
    second.0.write_all(options.as_bytes()).unwrap();
    let answer = loop {
        let next = second.next();
        if next != "\r\n\r\n" {
            break next;
        }
    };
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    service.signal("TERM");
    let last = loop {
        let next = second.next();
        if next != "\r\n\r\n" {
            break next;
        }
    };
    assert!(last.contains("expires=0"), "{last}");
}
