//! Kamailio as a PBX with a registrar (`registrar.cfg`).

use crate::kamailio::Kamailio;
use std::path::Path;

/// Starts one that challenges with this algorithm and keeps a binding for so long.
pub fn start(algorithm: &str, password: &str, expires_s: u32) -> Kamailio {
    Kamailio::start(|folder, port| {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trunks/registrar.cfg");
        let settings = std::fs::read_to_string(shipped)
            .unwrap()
            .replace("@PORT@", &port.to_string())
            .replace("@ALGORITHM@", algorithm)
            .replace("@PASSWORD@", password)
            .replace("@EXPIRES@", &expires_s.to_string());
        std::fs::write(folder.join("kamailio.cfg"), settings).unwrap();
    })
}
