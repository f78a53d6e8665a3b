//! Kamailio as a PBX with a registrar (`registrar.cfg`).

use crate::kamailio::{Kamailio, free_port};
use std::cell::RefCell;
use std::path::Path;

/// What it listens on beside UDP.
pub enum Beside<'a> {
    Nothing,
    /// TCP, at the same port.
    Tcp,
    /// TLS, at a port of its own, with a certificate and its key in PEM.
    Tls {
        certificate: &'a str,
        key: &'a str,
    },
}

/// Starts one that challenges with this algorithm and keeps a binding for so long.
pub fn start(algorithm: &str, password: &str, expires_s: u32) -> Kamailio {
    start_beside(&Beside::Nothing, algorithm, password, expires_s).0
}

/// The same, with what else it listens on, and the port of that.
pub fn start_beside(beside: &Beside<'_>, algorithm: &str, password: &str, expires_s: u32) -> (Kamailio, u16) {
    let other_port = RefCell::new(0);
    let kamailio = Kamailio::start(|folder, port| {
        let (other, listen, tls) = match beside {
            Beside::Nothing => (port, String::new(), ""),
            Beside::Tcp => (port, format!("listen=tcp:127.0.0.1:{port}"), ""),
            Beside::Tls { certificate, key } => {
                std::fs::write(folder.join("pbx.pem"), certificate).unwrap();
                std::fs::write(folder.join("pbx.key"), key).unwrap();
                let port = free_port();
                (port, format!("enable_tls=yes\nlisten=tls:127.0.0.1:{port}"), TLS)
            }
        };
        other_port.replace(other);
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trunks/registrar.cfg");
        let settings = std::fs::read_to_string(shipped)
            .unwrap()
            .replace("@PORT@", &port.to_string())
            .replace("@LISTEN@", &listen)
            .replace("@TLS@", &tls.replace("@FOLDER@", &folder.display().to_string()))
            .replace("@ALGORITHM@", algorithm)
            .replace("@PASSWORD@", password)
            .replace("@EXPIRES@", &expires_s.to_string());
        std::fs::write(folder.join("kamailio.cfg"), settings).unwrap();
    });
    (kamailio, other_port.into_inner())
}

const TLS: &str = "loadmodule \"tls.so\"\n\
                   modparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n\
                   modparam(\"tls\", \"certificate\", \"@FOLDER@/pbx.pem\")\n\
                   modparam(\"tls\", \"private_key\", \"@FOLDER@/pbx.key\")";
