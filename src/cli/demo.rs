//! `klikon demo`: the whole path on this machine, shown line by line.

use super::ledger;
use crate::call::{CallEvent, KeyGroup, Notice, Observer, Phone, PhoneSettings, Report, Step};
use crate::config::Settings;
use crate::klikon::day_of;
use crate::server::Server;
use crate::sip::Transport;
use crate::store::{self, Activation, ActivationState, BookFilter, GrantChannel, Store};
use crate::units::clock::Clock;
use crate::units::{FixedNumber, Month, Msisdn};
use anyhow::{Context, bail};
use clap::Args;
use std::collections::HashSet;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The sample group: a fixed line, its leader and a member (numbers of DOMAIN §4.4).
const CONTRACT: &str = "042250928";
const LEADER: &str = "0691234567";
const MEMBER: &str = "0672123456";
/// What is keyed, prompt by prompt: the member's number, Super 1100 on the menu, yes, and no other.
const KEYS: [&str; 4] = ["0672123456#", "choose-package:2", "1", "2"];
/// How much of what is said is heard before the keys barge in, ms: the whole ends in about 20 s.
const BARGE_IN_AFTER_MS: u64 = 2200;

/// Show the whole thing on this machine.
///
/// Starts the service on loopback with an SQLite file in a temporary folder and a sample SuperFamilja group, phones
/// 130 over real UDP and RTP, buys Super 1100 for a member, and shows what is said, keyed and decided, what was
/// booked, what is left, the line of the next bill, and a WAV of what the caller heard.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0 means: the activation is booked and the WAV holds speech.")]
pub struct Arguments {
    /// Let the prompts run out instead of barging in.
    #[arg(long)]
    listen: bool,

    /// Keep the ledger, the spool folder and the WAV here instead of in a temporary folder.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Runs it, on a ledger of its own or on the database given, and fails unless everything it promises came true.
pub fn run(arguments: Arguments, database: Option<store::Settings>) -> anyhow::Result<()> {
    let folder = match &arguments.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            folder.clone()
        }
        None => {
            tempfile::Builder::new().prefix("klikon-demo-").tempdir().context("no temporary folder")?.keep()
        }
    };
    let settings = settings(&folder, database)?;
    super::start_logging(&settings.log);
    super::runtime()?.block_on(show(&arguments, settings, &folder))
}

fn settings(folder: &Path, database: Option<store::Settings>) -> anyhow::Result<Settings> {
    let mut settings = Settings::default();
    settings.sip.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
    settings.database = database.unwrap_or_else(|| store::Settings::for_file(folder.join("klikon.db")));
    settings.delivery.spool = folder.join("spool");
    settings.trace.socket = folder.join("klikon.sock");
    settings.log.level = "error".to_owned();
    Ok(settings)
}

async fn show(arguments: &Arguments, settings: Settings, folder: &Path) -> anyhow::Result<()> {
    let clock = Clock::system();
    let store = Store::open(&settings.database).await?;
    let contract = FixedNumber::parse(CONTRACT)?;
    let leader = Msisdn::parse(LEADER)?;
    sample_group(&store, &contract, leader, clock).await?;
    let booked_before = activations(&store, &contract, clock).await?;
    let screen = Arc::new(Screen::new(clock));
    let watching = Arc::clone(&screen);
    let spool = settings.delivery.spool.clone();
    let server = Server::start(settings, Observer::new(move |event| watching.step(&event)), clock).await?;
    let address = server.listening().first().context("the service listens nowhere")?.address;
    println!(
        "130 answers on {address}; the ledger, the spool folder and the WAV are in {}\n",
        folder.display()
    );
    screen.line(Side::Caller, &format!("phones 130 as the Lider Mobile, {leader}"));
    let network = tokio::spawn(acknowledge_orders(spool, Arc::clone(&screen)));
    let phone = PhoneSettings {
        remote: address,
        transport: Transport::Udp,
        server_ca: None,
        request_uri: format!("sip:130@{address}"),
        identity: Some(format!("tel:{}", leader.e164())),
        from: None,
        session_expires_s: 0,
        in_band: false,
        redundancy: crate::sdp::RedundancyPolicy::default(),
        srtp: false,
        codecs: crate::sdp::Codecs::default(),
        keys: keys()?,
        manner: super::call::manner(arguments.listen, BARGE_IN_AFTER_MS),
        hang_up_on: vec!["goodbye".to_owned()],
        hang_up_after: None,
        timeout: Duration::from_secs(180),
    };
    let prompts = Arc::clone(server.library());
    let told = Arc::clone(&screen);
    let report = Phone::new(phone, prompts, clock)?.call(move |_, notice| told.notice(notice)).await?;
    server.drain().await;
    server.finished().await;
    server.stop().await;
    network.abort();
    let wav = folder.join("heard.wav");
    report.recording.write_wav(&wav).with_context(|| format!("cannot write {}", wav.display()))?;
    account(&store, &contract, clock, &report, &wav).await?;
    // In a folder that was kept, those of an earlier demo do not count.
    let booked = activations(&store, &contract, clock).await?;
    let is_new = |id| !booked_before.iter().any(|before: &Activation| before.id == id);
    if !booked.iter().any(|activation| activation.state == ActivationState::Posted && is_new(activation.id)) {
        bail!("no activation was booked");
    }
    if !report.heard_speech() {
        bail!("the WAV holds no speech");
    }
    println!("the activation is booked, and the WAV holds speech");
    Ok(())
}

/// The sample group's activations of this month.
async fn activations(store: &Store, contract: &FixedNumber, clock: Clock) -> anyhow::Result<Vec<Activation>> {
    let group = store.group(contract).await?.context("the sample group is gone")?;
    let filter = BookFilter { group: Some(group.id), month: Some(Month::of(clock.wall())) };
    Ok(store.activations(filter).await?)
}

fn keys() -> anyhow::Result<Vec<KeyGroup>> {
    KEYS.iter().map(|text| super::call::key_group(text).map_err(anyhow::Error::msg)).collect()
}

/// The same administration an operator does.
async fn sample_group(
    store: &Store,
    contract: &FixedNumber,
    leader: Msisdn,
    clock: Clock,
) -> anyhow::Result<()> {
    let now = clock.wall();
    store.seed_catalogue(day_of(now)).await?;
    if store.group(contract).await?.is_some() {
        return Ok(());
    }
    store.create_group(contract, now).await?;
    store.add_member(contract, leader, now).await?;
    store.add_member(contract, Msisdn::parse(MEMBER)?, now).await?;
    let channel = GrantChannel::Shop { declaration: "DEMO-1".to_owned() };
    store.grant_leader(contract, leader, "Lideri Fiks", &channel, now).await?;
    Ok(())
}

/// The operator's batch, as the demo plays it: takes each order out of the spool folder and drops its
/// acknowledgement back.
async fn acknowledge_orders(spool: PathBuf, screen: Arc<Screen>) {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let mut seen = HashSet::new();
    loop {
        looks.tick().await;
        for order in spool_files(&spool.join("orders")) {
            let Some(activation) = order.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else {
                continue;
            };
            if !seen.insert(activation.clone()) {
                continue;
            }
            let acknowledgement = format!("{{\"activation\":\"{activation}\",\"result\":\"activated\"}}\n");
            match std::fs::write(spool.join("acks").join(format!("{activation}.json")), acknowledgement) {
                Ok(()) => screen.line(Side::Network, &format!("order {activation} taken and acknowledged")),
                Err(error) => {
                    screen.line(Side::Network, &format!("the acknowledgement cannot be written: {error}"))
                }
            }
        }
    }
}

fn spool_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect()
}

/// What was booked, what is left, the next bill's line, the WAV.
async fn account(
    store: &Store,
    contract: &FixedNumber,
    clock: Clock,
    report: &Report,
    wav: &Path,
) -> anyhow::Result<()> {
    let month = Month::of(clock.wall());
    let group = store.group(contract).await?.context("the sample group is gone")?;
    let filter = BookFilter { group: Some(group.id), month: Some(month) };
    println!("\n{}", ledger::ledger_text(&store.ledger(filter).await?));
    println!("left of the limit for {month}: {}\n", store.remaining(group.id, month).await?);
    println!("{}", ledger::bill_text(&store.bill(contract, month).await?));
    println!(
        "what the caller heard: {} ({:.1} s)",
        wav.display(),
        report.recording.duration_ms() as f64 / 1000.0
    );
    Ok(())
}

/// Who a line is about.
#[derive(Debug, Clone, Copy)]
enum Side {
    Caller,
    Service,
    Network,
}

/// Prints both sides, each line with the seconds since the beginning.
struct Screen {
    clock: Clock,
    began: Instant,
    colours: bool,
}

impl Screen {
    fn new(clock: Clock) -> Self {
        Self { clock, began: clock.instant(), colours: std::io::stdout().is_terminal() }
    }

    fn line(&self, side: Side, text: &str) {
        let seconds = self.clock.instant().duration_since(self.began).as_secs_f64();
        let (name, colour) = match side {
            Side::Caller => ("caller", "36"),
            Side::Service => ("130", "33"),
            Side::Network => ("network", "35"),
        };
        if self.colours {
            println!("{seconds:6.2} s  \u{1b}[{colour}m{name:<8}\u{1b}[0m {text}");
        } else {
            println!("{seconds:6.2} s  {name:<8} {text}");
        }
    }

    /// The service's side.
    fn step(&self, event: &CallEvent) {
        let text = match &event.step {
            Step::Answered { caller, flow, .. } => format!("answers {caller} with the flow `{flow}`"),
            Step::Say { whole_text, .. } => format!("says: «{whole_text}»"),
            Step::BargeIn => "stops speaking: a key".to_owned(),
            Step::Query { name, outcome } => format!("asks the ledger `{name}`: {outcome}"),
            Step::Booking { name, outcome, .. } => format!("books `{name}`: {outcome}"),
            Step::Session { direction, encoding } => format!("changes the session: {direction}, {encoding}"),
            Step::Refused { status } => format!("refuses the call: {status}"),
            Step::Ended { cause } => format!("the call is over: {cause}"),
            Step::Node { .. } | Step::Digit => return,
        };
        self.line(Side::Service, &text);
    }

    /// The caller's side; what he hears is what the service says.
    fn notice(&self, notice: &Notice) {
        if !matches!(notice, Notice::Heard(_)) {
            self.line(Side::Caller, &notice.to_string());
        }
    }
}
