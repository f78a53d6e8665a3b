//! Softphones from their packages: baresip, told what to do over its control socket, and linphone, over its terminal.

use crate::kamailio::{TRIES, free_port};
use crate::service::FOR_EVER;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// Seconds of a WAV that are louder than a line's noise: frames of 20 ms with an RMS above 300.
pub fn loud_s(path: &Path) -> f64 {
    let mut wav = hound::WavReader::open(path).unwrap();
    let rate = wav.spec().sample_rate;
    let samples: Vec<f64> = wav.samples::<i16>().map_while(Result::ok).map(f64::from).collect();
    let frame = usize::try_from(rate / 50).unwrap();
    let energy = |frame: &[f64]| frame.iter().map(|sample| sample * sample).sum::<f64>() / frame.len() as f64;
    samples.chunks_exact(frame).filter(|frame| energy(frame).sqrt() > 300.0).count() as f64 / 50.0
}

/// A baresip that runs; ended when dropped.
pub struct Baresip {
    child: Child,
    control: TcpStream,
    unread: Vec<u8>,
    folder: TempDir,
}

impl Baresip {
    /// Starts it as the phone of `user`, with these lines in its settings besides, and these parameters of its account.
    pub fn start(user: &str, settings: &str, account: &str) -> Self {
        Self::start_with("PCMA/8000/1", user, settings, account)
    }

    /// The same, with one codec alone.
    pub fn start_with(codec: &str, user: &str, settings: &str, account: &str) -> Self {
        (0..TRIES)
            .find_map(|_| Self::try_start(codec, user, settings, account))
            .expect("baresip found no free port")
    }

    fn try_start(codec: &str, user: &str, settings: &str, account: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        // Its own sound goes back to itself: no device is needed. What it hears is written down, too.
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:0\nnet_interface 127.0.0.1\nmodule_path {}\n\
             module g711.so\nmodule aubridge.so\nmodule sndfile.so\nmodule_tmp account.so\nmodule_app ctrl_tcp.so\n\
             module_app menu.so\naudio_player aubridge,x\naudio_source aubridge,x\nsnd_path {}\n\
             ctrl_tcp_listen 127.0.0.1:{port}\n{settings}",
            modules().display(),
            folder.path().display(),
        );
        std::fs::write(folder.path().join("config"), config).unwrap();
        let account = format!("<sip:{user}@127.0.0.1>;regint=0;audio_codecs={codec}{account}\n");
        std::fs::write(folder.path().join("accounts"), account).unwrap();
        std::fs::write(folder.path().join("contacts"), "").unwrap();
        // Without a terminal its lines would wait in a buffer: `stdbuf` makes each appear at once.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "baresip", "-f"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("stdbuf is there");
        if !listens(child.stdout.take().unwrap()) {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        let control = TcpStream::connect(("127.0.0.1", port)).expect("baresip said that it listens");
        control.set_read_timeout(Some(FOR_EVER)).unwrap();
        Some(Self { child, control, unread: Vec::new(), folder })
    }

    /// A command of its menu.
    pub fn order(&mut self, command: &str, parameters: &str) {
        let order = serde_json::json!({ "command": command, "params": parameters }).to_string();
        write!(self.control, "{}:{order},", order.len()).unwrap();
    }

    /// Waits for an event of this type.
    pub fn wait_for(&mut self, event: &str) -> serde_json::Value {
        loop {
            let message = self.next();
            if message["type"] == event {
                return message;
            }
            let refused = message["response"] == true && message["ok"] == false;
            assert!(!refused, "`{event}` never came; an order was refused: {message}");
            let closed = message["type"] == "CALL_CLOSED";
            assert!(!closed, "`{event}` never came; the call was closed: {message}");
        }
    }

    /// The next netstring.
    fn next(&mut self) -> serde_json::Value {
        loop {
            if let Some(colon) = self.unread.iter().position(|octet| *octet == b':') {
                let length: usize = std::str::from_utf8(&self.unread[..colon]).unwrap().parse().unwrap();
                if self.unread.len() > colon + 1 + length {
                    let message =
                        serde_json::from_slice(&self.unread[colon + 1..colon + 1 + length]).unwrap();
                    self.unread.drain(..colon + length + 2);
                    return message;
                }
            }
            let mut buffer = [0; 4096];
            let read = self.control.read(&mut buffer).expect("baresip says something");
            assert_ne!(read, 0, "baresip has ended");
            self.unread.extend_from_slice(&buffer[..read]);
        }
    }

    /// What it heard, when the call is over.
    pub fn heard(&self) -> PathBuf {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let decoded = |path: &PathBuf| path.to_string_lossy().ends_with("-dec.wav");
        files.into_iter().find(decoded).expect("baresip wrote down what it heard")
    }
}

/// Waits until baresip says that it is ready; false when its control socket's port was taken meanwhile, without which it
/// goes on. Nobody may connect before: a connection to a port where nothing listens yet can be given that very port as its
/// own, meets itself, and keeps baresip from it.
fn listens(output: ChildStdout) -> bool {
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let ready = lines.find(|line| line.contains("baresip is ready") || line.contains("ctrl_tcp: failed"));
    let ready = ready.expect("baresip is installed (`make tools` does that) and starts");
    // The rest is read, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    ready.contains("ready")
}

/// Where the package puts baresip's modules.
fn modules() -> PathBuf {
    let folders = ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules"];
    folders.into_iter().map(PathBuf::from).find(|folder| folder.is_dir()).expect("baresip's modules")
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A linphone that runs; ended when dropped.
pub struct Linphone {
    child: Child,
    terminal: ChildStdin,
    folder: TempDir,
}

impl Linphone {
    /// Starts it as the phone of `user`.
    pub fn start(user: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "[sip]\nsip_port={}\nsip_tcp_port=0\nsip_tls_port=0\ncontact=<sip:{user}@127.0.0.1>\nuse_rfc2833=1\nuse_info=0\n\
             guess_hostname=0\n[rtp]\naudio_rtp_port=-1\nbind_address=127.0.0.1\n\
             [video]\nautomatically_initiate=0\nautomatically_accept=0\n",
            free_port()
        );
        std::fs::write(folder.path().join("linphonerc"), settings).unwrap();
        std::fs::create_dir_all(folder.path().join(".local/share/linphone")).unwrap();
        let mut child = Command::new("linphonec")
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .arg("-c")
            .arg(folder.path().join("linphonerc"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("linphonec is installed; `make tools` does that");
        let terminal = child.stdin.take().unwrap();
        let mut phone = Self { child, terminal, folder };
        phone.order("soundcard use files");
        let heard = phone.heard();
        phone.order(&format!("record {}", heard.display()));
        phone
    }

    /// A line at its terminal; in a call, a digit is a key.
    pub fn order(&mut self, line: &str) {
        writeln!(self.terminal, "{line}").unwrap();
        self.terminal.flush().unwrap();
    }

    /// What it heard, when the call is over.
    pub fn heard(&self) -> PathBuf {
        self.folder.path().join("heard.wav")
    }

    /// Leaves, so that all it heard is written.
    pub fn quit(&mut self) {
        self.order("quit");
        let _ = self.child.wait();
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
