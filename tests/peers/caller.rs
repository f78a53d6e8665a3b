//! SIPp as a caller through a proxy.

use crate::kamailio::{Kamailio, free_port};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A SIPp that makes one call, by a scenario; killed when dropped.
pub struct Caller {
    child: Child,
    folder: TempDir,
}

impl Caller {
    /// Phones 130 at the proxy with a scenario of `tests/peers/`.
    pub fn start(scenario: &str, proxy: &Kamailio) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("sipp")
            .arg(format!("127.0.0.1:{}", proxy.port))
            .arg("-sf")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(scenario))
            .args([
                "-s",
                "130",
                "-i",
                "127.0.0.1",
                "-p",
                &free_port().to_string(),
                "-mi",
                "127.0.0.1",
                "-m",
                "1",
                "-nostdin",
            ])
            .args(["-watchdog_interval", "0", "-trace_msg", "-message_file", "messages.log"])
            .args(["-trace_err", "-error_file", "errors.log"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp is installed; `make tools` does that");
        Self { child, folder }
    }

    /// Waits for the scenario's end, which must be a good one; gives the messages.
    pub fn ended_well(mut self) -> String {
        let status = self.child.wait().unwrap();
        let read = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        let messages = read("messages.log");
        assert!(status.success(), "{status}\n{}\n{messages}", read("errors.log"));
        messages
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // It has ended where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
