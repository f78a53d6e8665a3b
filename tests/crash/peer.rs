//! The other sides of delivery: the network's batch and the SMS gateway, over the spool folder as `delivery` describes it. They keep
//! one log of their own, and outlive the service.

use super::logs::Told;
use super::waiting::{pass, until};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at the folder: a folder does not say that it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A file as it was seen: one that is written again under its name is another.
type Seen = (PathBuf, u64, i64);

/// Batch and gateway, at work until dropped.
#[derive(Debug)]
pub struct Peer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    spool: PathBuf,
    log: Mutex<Vec<Told>>,
    /// What was looked at; not what was done, which is in the log.
    seen: Mutex<BTreeSet<Seen>>,
    answers: AtomicBool,
    rejects: bool,
    stopping: AtomicBool,
    passes: AtomicU64,
}

impl Peer {
    /// Starts both. With `rejects` the network refuses one order in four, by its id.
    pub fn start(spool: PathBuf, rejects: bool) -> Self {
        let shared = Arc::new(Shared {
            spool,
            rejects,
            log: Mutex::default(),
            seen: Mutex::default(),
            answers: AtomicBool::new(true),
            stopping: AtomicBool::new(false),
            passes: AtomicU64::new(0),
        });
        let working = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !working.stopping.load(Ordering::Acquire) {
                working.look();
                working.passes.fetch_add(1, Ordering::AcqRel);
                pass(LOOK_EVERY);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Whether the network answers the orders that it has done.
    pub fn answer(&self, answers: bool) {
        self.shared.answers.store(answers, Ordering::Release);
        self.start_again();
    }

    /// As after a start of its own: what lies in the folder is looked at again; what was done stays known.
    pub fn start_again(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    /// What was seen and done so far, with everything that lies in the folder by now.
    pub fn log(&self) -> Vec<Told> {
        // The one under way may have begun before.
        let enough = self.shared.passes.load(Ordering::Acquire) + 2;
        let broke = || self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        until(|| broke() || self.shared.passes.load(Ordering::Acquire) >= enough);
        assert!(!broke(), "the peer broke");
        self.shared.log.lock().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn look(&self) {
        for (path, content) in self.fresh("orders") {
            self.order(&path, content);
        }
        for (path, content) in self.fresh("sms") {
            self.sms(&path, &content);
        }
    }

    /// The whole files of a folder that were not seen as they are.
    fn fresh(&self, folder: &str) -> BTreeMap<PathBuf, String> {
        let entries = std::fs::read_dir(self.spool.join(folder)).into_iter().flatten().flatten();
        let mut fresh = BTreeMap::new();
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with('.') || !name.ends_with(".json") {
                continue;
            }
            // It may be shelved between the two looks.
            let (Ok(metadata), Ok(content)) = (path.metadata(), std::fs::read_to_string(&path)) else {
                continue;
            };
            let file =
                (path.clone(), metadata.ino(), metadata.mtime_nsec() + metadata.mtime() * 1_000_000_000);
            if self.seen.lock().unwrap().insert(file) {
                fresh.insert(path, content);
            }
        }
        fresh
    }

    fn order(&self, path: &Path, content: String) {
        let order: serde_json::Value =
            serde_json::from_str(&content).expect("an order is whole when it is seen");
        let word = |key: &str| order[key].as_str().unwrap_or_else(|| panic!("{key}: {content}")).to_owned();
        let activation = word("activation");
        let activated = !self.rejects || !activation.ends_with(['0', '1', '2', '3']);
        {
            let mut log = self.log.lock().unwrap();
            log.push(Told::Order {
                activation: activation.clone(),
                msisdn: word("msisdn"),
                package: word("package"),
                content,
            });
            // An order that comes twice is the same order: what was done for it is on record here.
            let done = Told::Effect { activation: activation.clone(), activated };
            if !log.contains(&done) {
                log.push(done);
            }
        }
        if self.answers.load(Ordering::Acquire) {
            let result = if activated {
                serde_json::json!({ "activation": activation, "result": "activated" })
            } else {
                serde_json::json!({ "activation": activation, "result": "rejected", "reason": "number barred" })
            };
            // Aside first, so that it is whole when it appears.
            let name = path.file_name().expect("a file has a name");
            let aside = self.spool.join(name);
            std::fs::write(&aside, result.to_string()).unwrap();
            std::fs::rename(&aside, self.spool.join("acks").join(name)).unwrap();
        }
    }

    fn sms(&self, path: &Path, content: &str) {
        let sms: serde_json::Value = serde_json::from_str(content).expect("an SMS is whole when it is seen");
        let word = |key: &str| sms[key].as_str().unwrap_or_else(|| panic!("{key}: {content}")).to_owned();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        self.log.lock().unwrap().push(Told::Sms {
            row: name.parse().expect("an SMS is named by its row"),
            activation: word("activation"),
            recipient: word("recipient"),
            text: word("text"),
        });
    }
}
