//! The binary's own promises: the demo, the service and the caller as commands.

mod tones;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// A safety net: no test waits so long unless it has failed.
const FOR_EVER: Duration = Duration::from_secs(120);

fn klikon(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klikon"));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Seconds of a WAV (PCM) that are louder than a line's noise: frames of 20 ms with an RMS above 300.
fn speech_s(path: &Path) -> f64 {
    let mut wav = hound::WavReader::open(path).unwrap();
    let rate = wav.spec().sample_rate;
    let samples: Vec<f64> = wav.samples::<i16>().map(|sample| f64::from(sample.unwrap())).collect();
    let frame = usize::try_from(rate / 50).unwrap();
    let energy = |frame: &[f64]| frame.iter().map(|sample| sample * sample).sum::<f64>() / frame.len() as f64;
    let loud = samples.chunks_exact(frame).filter(|frame| energy(frame).sqrt() > 300.0).count();
    loud as f64 / 50.0
}

#[test]
fn the_demo_books_and_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let output = klikon(repository()).args(["demo", "--folder"]).arg(&kept).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    for line in [
        "Mirë se vini në shërbimin Klik-ON.",
        "keys 0672123456#",
        "books `activate`: activated",
        "order ",
        // Both hang up after the goodbye; whoever is first.
        "the call is over: ",
        "post of 2",
        "what the caller heard: ",
        "the activation is booked, and the WAV holds speech",
    ] {
        assert!(said.contains(line), "`{line}` is not in\n{said}");
    }
    assert!(said.contains("left of the limit for ") && said.contains("5\u{a0}600\u{a0}lekë\n"), "{said}");
    assert!(speech_s(&kept.join("heard.wav")) > 3.0);
    // What it leaves is a ledger that an auditor can read.
    let settings = kept.join("klikon.toml");
    std::fs::write(&settings, "[database]\nurl = \"sqlite://klikon.db\"\n").unwrap();
    let audit = klikon(&kept).args(["ledger", "verify"]).output().unwrap();
    assert!(audit.status.success(), "{}{}", text(&audit.stdout), text(&audit.stderr));
}

/// A service that runs as a command; killed when dropped.
struct Service {
    child: Child,
    address: String,
    lines: Receiver<String>,
    log: Receiver<String>,
    folder: TempDir,
}

/// A folder with settings, and prompts that are tones, so that neither start nor call takes long.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    tones::write_prompts(&folder.path().join("prompts/sq"));
    let text = format!(
        "numbers = {{ 130 = \"klik-on\", 131 = \"line-test\" }}\n\
         [sip]\nlisten = [\"127.0.0.1:0\"]\n[calls]\ndrain_s = 0\n[files]\ndialplans = {:?}\n",
        repository().join("dialplans")
    );
    std::fs::write(folder.path().join("klikon.toml"), text).unwrap();
    folder
}

impl Service {
    fn start() -> Self {
        let folder = folder();
        let mut child = klikon(folder.path())
            .args(["serve", "--events", "-"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let stderr: ChildStderr = child.stderr.take().unwrap();
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send(line);
            }
        });
        let first = lines.recv_timeout(FOR_EVER).expect("the service starts");
        let address = first.strip_prefix("listening on udp ").expect("the address comes first").to_owned();
        Self { child, address, lines, log, folder }
    }

    fn call(&self, called: &str, arguments: &[&str]) -> Output {
        let uri = format!("sip:{called}@{}", self.address);
        klikon(self.folder.path()).args(["call", &uri]).args(arguments).output().unwrap()
    }

    /// The next line that holds this.
    fn line(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(FOR_EVER).unwrap_or_else(|_| panic!("`{part}` never came"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// SIGTERM; the service must end by itself, and well. Gives its log.
    fn stop(mut self) -> String {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        // The lines end with the process.
        while self.lines.recv_timeout(FOR_EVER).is_ok() {}
        assert!(self.child.wait().unwrap().success());
        self.log.iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_caller_s_exit_code_says_how_the_call_went() {
    let service = Service::start();
    // Nobody's number with an empty ledger: it says so, and goodbye.
    let identity = ["--identity", "0691234567"];
    let heard = service
        .call("130", &[&identity[..], &["--expect", "not-in-a-group", "--expect", "goodbye"]].concat());
    assert!(heard.status.success(), "{}{}", text(&heard.stdout), text(&heard.stderr));
    assert!(text(&heard.stdout).contains("the far end hung up"));
    let answered = service.line("\"event\":\"answered\"");
    assert!(!answered.contains("1234567"), "the number is masked: {answered}");
    assert!(service.line("\"event\":\"ended\"").contains("\"cause\":\"goodbye\""));
    for (called, arguments, why) in [
        ("131", &["--hang-up-after-s", "1", "--expect", "goodbye"][..], "`goodbye` was not heard"),
        (
            "131",
            &["--hang-up-after-s", "1", "--keys", "1", "--barge-in-after-ms", "30000"],
            "before everything was keyed",
        ),
        ("999", &[], "the call was refused: 404 Not Found"),
        ("131", &["--keys", "x"], "`x` is no key"),
    ] {
        let failed = service.call(called, arguments);
        assert!(!failed.status.success(), "{called} {arguments:?}");
        assert!(text(&failed.stderr).contains(why), "{why} is not in {}", text(&failed.stderr));
    }
    let log = service.stop();
    assert!(log.contains(" rejected_by_call=1 ") && !log.contains("1234567"), "{log}");
}

#[test]
fn nobody_there_is_a_failure() {
    // A socket that is open and says nothing.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("sip:130@{}", silent.local_addr().unwrap());
    let output = klikon(folder().path()).args(["call", &uri, "--timeout-s", "1"]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("no answer within 1 s"), "{}", text(&output.stderr));
}

#[test]
fn settings_that_cannot_be_used_are_refused_with_their_mend() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("klikon.toml"), "[calls]\nmax = 0\n").unwrap();
    let output = klikon(folder.path()).arg("serve").output().unwrap();
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(error.contains("klikon.toml: `calls.max`: 0 is out of range; write 1 to 1000000"), "{error}");
    std::fs::write(
        folder.path().join("klikon.toml"),
        "numbers = { 130 = \"no-such\" }\n[sip]\nlisten = [\"127.0.0.1:0\"]\n",
    )
    .unwrap();
    let output = klikon(folder.path()).arg("serve").output().unwrap();
    assert!(!output.status.success() && !text(&output.stderr).is_empty());
}
