//! What a whole call takes of the processor, in the service's own process: 130 is phoned over UDP, the member's number,
//! the package, the confirmation and the goodbye are keyed into the prompts, and the activation is booked with SQLite's
//! full durability.
//!
//!     cargo bench --bench whole_call             # 400 calls, 100 at a time
//!     cargo bench --bench whole_call -- 2000 50  # so many, so many at a time
//!
//! Beside it: calls that key nothing but the goodbye. Few calls at a time are dear: a worker then wakes for each packet.

use klikon::call::{KeyGroup, Manner, Phone, PhoneSettings};
use klikon::config::{Files, Settings};
use klikon::media::Engine;
use klikon::server::encode_prompts;
use klikon::sip::Transport;
use klikon::store::BookFilter;
use klikon::units::clock::Clock;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The kernel's unit of a process's time, `sysconf(_SC_CLK_TCK)` of every Linux.
const TICK_MS: f64 = 10.0;

/// Callers do not all dial in the same instant: at most 250 a second.
const BETWEEN_CALLS: Duration = Duration::from_millis(4);

/// Longer than the confirmation is deaf to keys pressed ahead.
const BARGE_IN_AFTER: Duration = Duration::from_millis(800);

struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    /// Serves groups of one leader and one member, in a folder.
    fn start(folder: &Path, groups: usize) -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let settings = format!(
            "numbers = {{ 130 = \"klik-on\" }}\npeers = [{{ name = \"caller\", addresses = [\"127.0.0.0/8\"] }}]\n\
             [sip]\nlisten = [\"127.0.0.1:0\"]\n[files]\ndialplans = {:?}\nprompts = {:?}\n\
             [calls]\nmax = 5000\nactivation_wait_ms = 0\n[overload]\nmax_calls_per_s = 0\n[log]\nlevel = \"error\"\n",
            project.join("dialplans"),
            project.join("prompts"),
        );
        std::fs::write(folder.join("klikon.toml"), settings).expect("the settings are written");
        let mut csv = String::from("contract,msisdn,role,granted_by,channel,declaration\n");
        for group in 0..groups {
            let (contract, leader, member) = numbers(group);
            csv +=
                &format!("{contract},{leader},leader,Lideri Fiks,shop,D-1\n{contract},{member},member,,,\n");
        }
        std::fs::write(folder.join("groups.csv"), csv).expect("the groups are written");
        for arguments in [&["seed"][..], &["import", "groups.csv"]] {
            let done = command(folder).arg("admin").args(arguments).output().expect("klikon runs");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        let mut child =
            command(folder).arg("serve").stdout(Stdio::piped()).spawn().expect("the service starts");
        let mut first = String::new();
        let stdout = child.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut first).expect("it says where it listens");
        let address = first.trim().rsplit(' ').next().and_then(|text| text.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address in `{first}`")) }
    }

    /// Processor time so far, ms, of its threads that bear a name, by that.
    fn threads_ms(&self) -> BTreeMap<String, f64> {
        let mut all = BTreeMap::new();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        for task in tasks.filter_map(Result::ok) {
            let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let run_ns = read("schedstat").split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
            let name = read("comm").trim_end().trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
            *all.entry(name).or_default() += run_ns.unwrap_or_default() / 1e6;
        }
        all
    }

    /// Processor time so far, ms, of all its threads, in user and in system mode.
    fn processor_ms(&self) -> (f64, f64) {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap_or_else(|error| panic!("{error}"));
        (ticks(11) * TICK_MS, ticks(12) * TICK_MS)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klikon"));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Contract, leader and member of a group.
fn numbers(group: usize) -> (String, String, String) {
    (format!("042{group:06}"), format!("0672{:06}", 2 * group), format!("0672{:06}", 2 * group + 1))
}

/// Phones once as the leader of a group. Yields how long the call lasted.
async fn phone(address: SocketAddr, group: usize, keys: &[String], engine: Arc<Engine>) -> Duration {
    let (_, leader, _) = numbers(group);
    let settings = PhoneSettings {
        remote: address,
        transport: Transport::Udp,
        server_ca: None,
        request_uri: format!("sip:130@{address}"),
        identity: Some(format!("tel:+355{}", &leader[1..])),
        from: None,
        session_expires_s: 0,
        in_band: false,
        redundancy: klikon::sdp::RedundancyPolicy::default(),
        srtp: false,
        codecs: klikon::sdp::Codecs::default(),
        keys: keys.iter().map(|keys| KeyGroup { prompt: None, keys: keys.clone() }).collect(),
        manner: Manner::BargeIn { after: BARGE_IN_AFTER },
        hang_up_on: vec!["goodbye".to_owned()],
        hang_up_after: None,
        timeout: Duration::from_secs(120),
    };
    let report = Phone::of_many(settings, engine, Clock::system()).call(|_, _| {}).await;
    let report = report.unwrap_or_else(|error| panic!("a call failed: {error}"));
    assert!(report.keyed_everything, "a call ended before everything was keyed: {:?}", report.clips);
    report.lasted
}

/// Makes calls, so many at a time, and prints what one took.
async fn measure(
    name: &str,
    service: &Service,
    calls: std::ops::Range<usize>,
    at_a_time: usize,
    booking: bool,
    engine: &Arc<Engine>,
) -> f64 {
    let (before, threads_before) = (service.processor_ms(), service.threads_ms());
    let count = calls.len();
    let mut left = calls;
    let mut running = tokio::task::JoinSet::new();
    let mut lasted = Duration::ZERO;
    loop {
        while running.len() < at_a_time {
            let Some(group) = left.next() else { break };
            let (_, _, member) = numbers(group);
            let mut keys = vec!["9".to_owned()];
            if booking {
                keys = vec![format!("{member}#"), "1".to_owned(), "1".to_owned(), "9".to_owned()];
            }
            let (address, engine) = (service.address, Arc::clone(engine));
            running.spawn(async move { phone(address, group, &keys, engine).await });
            tokio::time::sleep(BETWEEN_CALLS).await;
        }
        let Some(ended) = running.join_next().await else { break };
        lasted += ended.unwrap_or_else(|error| panic!("{error}"));
        if std::io::stderr().is_terminal() {
            eprint!("\r  {name}: {} of {count} \r", count - left.len() - running.len());
        }
    }
    let after = service.processor_ms();
    let each = |before: f64, after: f64| (after - before) / count as f64;
    let (user, system) = (each(before.0, after.0), each(before.1, after.1));
    println!(
        "  {name:<20} {:>6.2} ms of processor a call ({user:.2} user, {system:.2} system), {:.1} s long",
        user + system,
        lasted.as_secs_f64() / count as f64
    );
    for (thread, after) in service.threads_ms() {
        let each = (after - threads_before.get(&thread).copied().unwrap_or_default()) / count as f64;
        if each > 0.005 {
            println!("    {thread:<18} {each:>6.2} ms");
        }
    }
    user + system
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let calls = numbers.first().copied().unwrap_or(400);
    let at_a_time = numbers.get(1).copied().unwrap_or(100);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), calls);
    let files = Files { prompts: Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts"), ..Files::default() };
    let prompts = encode_prompts(&files, &klikon::sdp::Codecs::default()).expect("the prompts are read");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("{calls} calls, {at_a_time} at a time");
    let engine = Arc::new(Phone::engine(prompts).expect("the callers' engine starts"));
    let clock = Clock::system();
    let began = clock.instant();
    runtime.block_on(async {
        measure("warming up", &service, 0..at_a_time.min(calls), at_a_time, false, &engine).await;
        let short = measure("one key, to leave", &service, 0..calls, at_a_time, false, &engine).await;
        let whole = measure("14 keys, and booked", &service, 0..calls, at_a_time, true, &engine).await;
        println!(
            "  keys and booking: {:.2} ms a call; {:.0} s in all",
            whole - short,
            (clock.instant() - began).as_secs_f64()
        );
        let settings = Settings::default();
        let database = klikon::store::Settings {
            url: settings.database.url.below(folder.path()),
            ..settings.database.clone()
        };
        let store = klikon::store::Store::open(&database).await.expect("the ledger is there");
        let filter = BookFilter { group: None, month: None };
        let booked = store.activations(filter).await.expect("it is read").len();
        assert_eq!(booked, calls, "each call books once");
    });
}
