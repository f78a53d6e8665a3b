//! SIPp as a registrar that follows a scenario.

use crate::kamailio::free_port;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A SIPp that waits for one registration; killed when dropped.
pub struct Registrar {
    child: Child,
    folder: TempDir,
    /// Where it listens, over UDP.
    pub port: u16,
}

impl Registrar {
    /// Starts one with a scenario of `tests/trunks/`.
    pub fn start(scenario: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trunks").join(scenario);
        let child = Command::new("sipp")
            .arg("-sf")
            .arg(scenario)
            .args(["-i", "127.0.0.1", "-p", &port.to_string(), "-m", "1", "-nostdin"])
            .args(["-watchdog_interval", "0", "-trace_msg", "-message_file", "messages.log"])
            .args(["-trace_err", "-error_file", "errors.log"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp is installed; `make tools` does that");
        Self { child, folder, port }
    }

    /// Waits for the scenario's end, which must be a good one.
    pub fn ended_well(mut self) {
        let status = self.child.wait().unwrap();
        let read = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        assert!(status.success(), "{status}\n{}\n{}", read("errors.log"), read("messages.log"));
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        // It has ended where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
