//! Whole calls: a service and a caller in one process, over real UDP and RTP on loopback, into a real ledger.
//!
//! The prompts are tones of a fifth of a second under the ids of the real ones, so that calls are short.

#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/severing.rs"]
mod severing;
mod tones;

use klikon::call::{
    CallEvent, EarlyMedia, KeyGroup, Manner, Notice, Observer, Phone, PhoneError, PhoneSettings, Report, Step,
};
use klikon::config::Settings;
use klikon::klikon::day_of;
use klikon::media::Heard;
use klikon::sdp::{Codecs, RedundancyPolicy};
use klikon::server::Server;
use klikon::sip::Transport;
use klikon::store::{self, ActivationState, BookFilter, CallEnd, CallRecord, GrantChannel, Store};
use klikon::units::clock::Clock;
use klikon::units::rtp::Encoding;
use klikon::units::{FixedNumber, Msisdn};
use severing::{Severing, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A safety net: no test waits so long unless it has failed.
const FOR_EVER: Duration = Duration::from_secs(60);
const LEADER: &str = "0691234567";
/// The number of the loop; 130 is the service.
const LINE_TEST: &str = "131";
/// The member's number, Super 1100, yes, no other.
const KEYS: [&str; 4] = ["0672123456#", "2", "1", "2"];

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(FOR_EVER, work).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A service with one group, and who watches it.
struct Bench {
    server: Server,
    store: Store,
    events: mpsc::UnboundedReceiver<CallEvent>,
    folder: TempDir,
}

impl Bench {
    async fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let (steps, events) = mpsc::unbounded_channel();
        Self::watched(change, events, move |event| drop(steps.send(event))).await
    }

    async fn watched(
        change: impl FnOnce(&mut Settings),
        events: mpsc::UnboundedReceiver<CallEvent>,
        watch: impl Fn(CallEvent) + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        tones::write_prompts(&folder.path().join("prompts/sq"));
        let mut settings = Settings::default();
        settings.sip.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
        settings.numbers.insert(LINE_TEST.to_owned(), "line-test".to_owned());
        settings.files.dialplans = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialplans");
        settings.files.prompts = folder.path().join("prompts");
        settings.database = store::Settings::for_file(folder.path().join("klikon.db"));
        settings.delivery.spool = folder.path().join("spool");
        settings.delivery.poll_interval_ms = 10;
        settings.calls.activation_wait_ms = 14_000;
        settings.media.initial_silence_ms = 20;
        settings.trace.socket = folder.path().join("klikon.sock");
        change(&mut settings);
        let clock = Clock::system();
        let store = Store::open(&settings.database).await.unwrap();
        let (now, contract) = (clock.wall(), FixedNumber::parse("042250928").unwrap());
        store.seed_catalogue(day_of(now)).await.unwrap();
        store.create_group(&contract, now).await.unwrap();
        for number in [LEADER, "0672123456"] {
            store.add_member(&contract, Msisdn::parse(number).unwrap(), now).await.unwrap();
        }
        let leader = Msisdn::parse(LEADER).unwrap();
        store.grant_leader(&contract, leader, "Lideri Fiks", &GrantChannel::Online, now).await.unwrap();
        let server = Server::start(settings, Observer::new(watch), clock).await.unwrap();
        Self { server, store, events, folder }
    }

    fn address(&self) -> SocketAddr {
        self.server.listening()[0].address
    }

    /// A caller who is the leader.
    fn caller(&self, called: &str, keys: &[&str]) -> PhoneSettings {
        let remote = self.address();
        PhoneSettings {
            remote,
            transport: Transport::Udp,
            server_ca: None,
            request_uri: format!("sip:{called}@{remote}"),
            identity: Some(format!("tel:+355{}", &LEADER[1..])),
            from: None,
            session_expires_s: 0,
            in_band: false,
            redundancy: RedundancyPolicy::default(),
            srtp: false,
            codecs: Codecs::default(),
            keys: keys.iter().map(|&keys| KeyGroup { prompt: None, keys: keys.to_owned() }).collect(),
            // Longer than the guard of the confirmation.
            manner: Manner::BargeIn { after: Duration::from_millis(650) },
            hang_up_on: Vec::new(),
            hang_up_after: None,
            timeout: FOR_EVER,
        }
    }

    /// Phones in the background; what the caller notices is collected.
    fn phone(&self, settings: PhoneSettings) -> JoinHandle<Result<(Report, Vec<Notice>), PhoneError>> {
        let prompts = Arc::clone(self.server.library());
        let mut notices = Vec::new();
        tokio::spawn(async move {
            let phone = Phone::new(settings, prompts, Clock::system()).unwrap();
            let report = phone.call(|_, notice| notices.push(notice.clone())).await?;
            Ok((report, notices))
        })
    }

    /// Waits for a step that a call takes.
    async fn step(&mut self, what: &str, mut wanted: impl FnMut(&Step) -> bool) -> Step {
        in_time(what, async {
            loop {
                let event = self.events.recv().await.expect("the service is there");
                if wanted(&event.step) {
                    return event.step;
                }
            }
        })
        .await
    }

    async fn answered(&mut self) {
        self.step("an answer", |step| matches!(step, Step::Answered { .. })).await;
    }

    async fn ended(&mut self) {
        self.step("the end of a call", |step| matches!(step, Step::Ended { .. })).await;
    }

    /// Waits for an order in the spool folder, and gives its name there.
    async fn order(&self) -> String {
        let orders = self.folder.path().join("spool/orders");
        in_time("an order in the spool folder", async {
            loop {
                let found = std::fs::read_dir(&orders).unwrap().flatten().map(|entry| entry.file_name());
                let mut names = found.filter_map(|name| name.into_string().ok());
                if let Some(name) = names.find(|name| name.ends_with(".json") && !name.starts_with('.')) {
                    return name;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// The operator's batch acknowledges an order.
    fn acknowledge(&self, order: &str) {
        let activation = order.trim_end_matches(".json");
        let text = format!("{{\"activation\":\"{activation}\",\"result\":\"activated\"}}\n");
        // Written aside, then moved, as the batch does.
        let aside: PathBuf = self.folder.path().join("acknowledgement");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, self.folder.path().join("spool/acks").join(order)).unwrap();
    }

    /// What was booked, by its state.
    async fn booked(&self) -> Vec<ActivationState> {
        let booked = self.store.activations(BookFilter::default()).await.unwrap();
        booked.into_iter().map(|activation| activation.state).collect()
    }

    /// Waits until all that was booked is posted, and counts it.
    async fn posted(&self) -> usize {
        in_time("a settlement", async {
            loop {
                let booked = self.booked().await;
                if booked.iter().all(|state| *state == ActivationState::Posted) {
                    return booked.len();
                }
            }
        })
        .await
    }

    /// The drain must come to its end; then the records, oldest first.
    async fn closed(self) -> Vec<CallRecord> {
        self.server.drain().await;
        in_time("the end of the drain", self.server.finished()).await;
        assert!(self.server.account().await.is_none(), "nothing answers any more");
        in_time("the stop", self.server.stop()).await;
        self.store.audit().await.unwrap();
        let mut records = self.store.calls(None, 100).await.unwrap();
        records.reverse();
        records
    }
}

fn refused(result: Result<(Report, Vec<Notice>), PhoneError>) -> u16 {
    match result {
        Err(PhoneError::Refused { status, .. }) => status,
        other => panic!("not refused: {other:?}"),
    }
}

/// A caller's side without telephone-event: the whole dialogue is keyed with tones.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_keyed_with_tones_becomes_a_booked_activation() {
    let mut bench = Bench::new(|_| {}).await;
    let call = bench.phone(PhoneSettings { in_band: true, ..bench.caller("130", &KEYS) });
    bench.acknowledge(&bench.order().await);
    let (report, _) = in_time("the call's end", call).await.unwrap().unwrap();
    let mut digits = 0;
    bench
        .step("the end of a call", |step| {
            digits += usize::from(matches!(step, Step::Digit));
            matches!(step, Step::Ended { .. })
        })
        .await;
    assert!(report.keyed_everything);
    assert_eq!(digits, KEYS.concat().len(), "each press counts once");
    assert_eq!(bench.booked().await, [ActivationState::Posted]);
    let records = bench.closed().await;
    assert_eq!(records[0].end, CallEnd::Goodbye);
}

/// A database whose tables an owner made, and its URL for the service's role, which can do no more than it needs.
async fn granted(cluster: &postgres::Cluster) -> String {
    const ROLE: &str = "klikon_service";
    let owner = cluster.database("klikon").await.unwrap();
    let settings = store::Settings { url: owner.clone().try_into().unwrap(), ..store::Settings::default() };
    Store::open(&settings).await.unwrap().close().await;
    cluster.role(ROLE).await.unwrap();
    cluster.execute("klikon", &store::grants(ROLE).unwrap()).await.unwrap();
    cluster.url_for("klikon", ROLE)
}

/// The ledger is on PostgreSQL, and the service is a role that can change nothing in it. The commands read it there too.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_booked_on_postgresql() {
    let cluster = postgres::Cluster::start().unwrap();
    let url = granted(&cluster).await;
    let database = url.clone().try_into().unwrap();
    let mut bench = Bench::new(|settings| settings.database.url = database).await;
    let call = bench.phone(bench.caller("130", &KEYS));
    bench.acknowledge(&bench.order().await);
    in_time("the call's end", call).await.unwrap().unwrap();
    bench.ended().await;
    assert_eq!(bench.booked().await, [ActivationState::Posted]);
    let kept = tempfile::tempdir().unwrap();
    let settings = kept.path().join("klikon.toml");
    std::fs::write(&settings, format!("[database]\nurl = \"{url}\"\n")).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_klikon"));
        let output = command.arg("--config").arg(&settings).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    let verified = command(&["ledger", "verify"]);
    assert!(verified.contains("7 transfers in 1 months of groups; 1 activations, 1 posted"), "{verified}");
    assert!(command(&["ledger", "show"]).contains("post of 2"));
    assert!(command(&["ledger", "bill", "--contract", "042250928"]).contains("900"));
    assert!(command(&["admin", "group", "list"]).contains("042250928"));
    let records = bench.closed().await;
    assert_eq!(records[0].end, CallEnd::Goodbye);
    let call = command(&["calls", &records[0].id.to_string()]);
    assert!(call.contains("Super 1100") && !call.contains("not booked"), "{call}");
    // A password comes from the file that the environment names.
    let role = postgres::ROLE_WITH_PASSWORD;
    let made = format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 's3cr3t'");
    cluster.execute("klikon", &made).await.unwrap();
    let passwords = kept.path().join("passwords");
    std::fs::write(&passwords, "*:*:*:*:s3cr3t\n").unwrap();
    std::fs::set_permissions(&passwords, std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = kept.path().join("password.toml");
    std::fs::write(&settings, format!("[database]\nurl = \"{}\"\n", cluster.url_for("klikon", role)))
        .unwrap();
    for (file, succeeds) in [(&passwords, true), (&kept.path().join("none"), false)] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_klikon"));
        command.arg("--config").arg(&settings).args(["ledger", "verify"]).env("PGPASSFILE", file);
        assert_eq!(command.output().unwrap().status.success(), succeeds);
    }
}

/// A service whose connections to PostgreSQL are cut from the COMMIT of the first booking on, after the server has done it,
/// while `down` says so.
async fn bench_that_is_cut_off(cluster: &postgres::Cluster, down: Arc<AtomicBool>) -> (Bench, Severing) {
    cluster.database("klikon").await.unwrap();
    let relay = Severing::start(cluster.folder()).await.unwrap();
    let url = relay.url("klikon").try_into().unwrap();
    let bench = Bench::new(|settings| settings.database.url = url).await;
    let mut is_cut = false;
    relay.judge(move |asked| {
        if !is_cut && asked.commits("INSERT INTO activations") {
            is_cut = true;
            Verdict::CutAfter
        } else if is_cut && down.load(Ordering::Relaxed) {
            Verdict::CutBefore
        } else {
            Verdict::Pass
        }
    });
    (bench, relay)
}

/// The reply to the booking's COMMIT is lost: the same id is asked for, and the caller hears what it came to.
#[tokio::test(flavor = "multi_thread")]
async fn a_booking_whose_reply_is_lost_is_found_by_its_id() {
    let cluster = postgres::Cluster::start().unwrap();
    let (mut bench, _relay) = bench_that_is_cut_off(&cluster, Arc::default()).await;
    let call = bench.phone(bench.caller("130", &KEYS));
    bench.acknowledge(&bench.order().await);
    let (report, _) = in_time("the call's end", call).await.unwrap().unwrap();
    bench.ended().await;
    assert!(report.heard_clip("accepted") || report.heard_clip("activated"), "{:?}", report.clips);
    assert!(!report.heard_clip("service-unavailable"), "{:?}", report.clips);
    assert_eq!(bench.posted().await, 1);
    assert_eq!(bench.closed().await.len(), 1);
}

/// And it cannot be asked for: the caller hears neither success nor failure, and the booking goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_booking_whose_outcome_stays_unknown_is_never_called_a_failure() {
    let cluster = postgres::Cluster::start().unwrap();
    let down = Arc::new(AtomicBool::new(true));
    let (mut bench, _relay) = bench_that_is_cut_off(&cluster, Arc::clone(&down)).await;
    let call = bench.phone(bench.caller("130", &KEYS[..3]));
    let booking = bench.step("the booking's answer", |step| matches!(step, Step::Booking { .. })).await;
    assert!(matches!(&booking, Step::Booking { outcome, .. } if outcome == "unknown"), "{booking:?}");
    down.store(false, Ordering::Relaxed);
    let (report, _) = in_time("the call's end", call).await.unwrap().unwrap();
    assert!(report.heard_clip("in-progress"), "{:?}", report.clips);
    for announced in ["accepted", "activated", "rejected", "service-unavailable"] {
        assert!(!report.heard_clip(announced), "{:?}", report.clips);
    }
    bench.acknowledge(&bench.order().await);
    assert_eq!(bench.posted().await, 1);
    let records = bench.closed().await;
    assert_eq!(records[0].outcome, "activate: unknown");
}

/// The setting is off: nobody hears the tones.
#[tokio::test(flavor = "multi_thread")]
async fn tones_are_no_keys_where_the_setting_is_off() {
    let mut bench = Bench::new(|settings| settings.media.in_band_keys = false).await;
    let hang_up_on = vec!["line-test".to_owned()];
    let call = bench.phone(PhoneSettings { in_band: true, hang_up_on, ..bench.caller(LINE_TEST, &["123"]) });
    let (report, _) = in_time("the call's end", call).await.unwrap().unwrap();
    bench
        .step("the end of a call", |step| {
            assert!(!matches!(step, Step::Digit));
            matches!(step, Step::Ended { .. })
        })
        .await;
    assert!(report.keyed_everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_becomes_a_booked_activation() {
    let mut bench = Bench::new(|_| {}).await;
    let call = bench.phone(bench.caller("130", &KEYS));
    bench.acknowledge(&bench.order().await);
    let (report, notices) = in_time("the call's end", call).await.unwrap().unwrap();
    bench.ended().await;
    assert!(report.keyed_everything);
    assert!(report.heard_clip("activated") && report.heard_clip("goodbye"), "{:?}", report.clips);
    assert_eq!(notices.last(), Some(&Notice::FarEndHungUp));
    assert_eq!(bench.booked().await, [ActivationState::Posted]);
    let records = bench.closed().await;
    let [record] = records.as_slice() else { panic!("one record, not {records:?}") };
    assert_eq!((record.end, record.outcome.as_str()), (CallEnd::Goodbye, "activate: activated"));
    assert_eq!((record.caller.as_deref(), record.called.as_str()), (Some("+355691234567"), "130"));
    assert!(record.answered_at.is_some() && record.free_of_charge);
    assert_eq!(record.nodes.first().map(String::as_str), Some("welcome"));
    assert_eq!(record.nodes.last().map(String::as_str), Some("goodbye"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_after_the_confirmation_lets_the_booking_go_on() {
    let mut bench = Bench::new(|_| {}).await;
    // The network is slow, so the caller is asked to wait, and does not.
    let caller =
        PhoneSettings { hang_up_on: vec!["please-wait".to_owned()], ..bench.caller("130", &KEYS[..3]) };
    let call = bench.phone(caller);
    let (_, notices) = in_time("the call's end", call).await.unwrap().unwrap();
    assert!(notices.contains(&Notice::HungUp), "{notices:?}");
    assert_eq!(bench.booked().await, [ActivationState::Pending]);
    assert_eq!(bench.server.drain().await, 1, "the booking is still waited for");
    bench.acknowledge(&bench.order().await);
    bench.ended().await;
    assert_eq!(bench.booked().await, [ActivationState::Posted]);
    let records = bench.closed().await;
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].end, records[0].outcome.as_str()), (CallEnd::CallerHungUp, "activate: activated"));
    let reason = records[0].reason.as_deref();
    assert_eq!(reason, Some("Q.850;cause=16;text=\"Normal call clearing\""), "of the caller's BYE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_before_the_confirmation_books_nothing() {
    let mut bench = Bench::new(|_| {}).await;
    let caller =
        PhoneSettings { hang_up_on: vec!["confirm-keys".to_owned()], ..bench.caller("130", &KEYS[..2]) };
    let call = bench.phone(caller);
    in_time("the call's end", call).await.unwrap().unwrap();
    bench.ended().await;
    assert_eq!(bench.booked().await, []);
    let records = bench.closed().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].end, CallEnd::CallerHungUp);
    assert_eq!(records[0].nodes.last().map(String::as_str), Some("confirm"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_service_refuses_and_a_stop_says_goodbye() {
    let mut bench = Bench::new(|settings| {
        settings.calls.max = 1;
        settings.sip.listen = vec![SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into()];
    })
    .await;
    assert_eq!(refused(in_time("404", bench.phone(bench.caller("999", &[]))).await.unwrap()), 404);
    let parameters = bench.caller(&format!("{LINE_TEST};phone-context=+355"), &[]);
    let looping = bench.phone(parameters);
    bench.answered().await;
    // The loop comes round.
    for _ in 0..3 {
        bench.step("the loop", |step| matches!(step, Step::Say { .. })).await;
    }
    assert_eq!(refused(in_time("503", bench.phone(bench.caller("130", &[]))).await.unwrap()), 503);
    let account = bench.server.account().await.unwrap();
    assert_eq!(account.calls, 1);
    assert!(account.counters.iter().any(|(_, count)| *count > 0));
    in_time("the goodbyes", bench.server.end_calls()).await;
    let (report, notices) = in_time("the call's end", looping).await.unwrap().unwrap();
    assert!(report.heard_clip("line-test") && report.heard_clip("goodbye"), "{:?}", report.clips);
    assert_eq!(notices.last(), Some(&Notice::FarEndHungUp));
    let records = bench.closed().await;
    assert_eq!(records.iter().map(|record| record.end).collect::<Vec<_>>(), [CallEnd::Shutdown]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_refuses_new_calls_and_lets_the_last_one_end() {
    let mut bench = Bench::new(|_| {}).await;
    let caller =
        PhoneSettings { hang_up_after: Some(Duration::from_millis(2500)), ..bench.caller(LINE_TEST, &[]) };
    let last = bench.phone(caller);
    bench.answered().await;
    assert_eq!(bench.server.drain().await, 1);
    assert_eq!(refused(in_time("503", bench.phone(bench.caller("130", &[]))).await.unwrap()), 503);
    assert_eq!(bench.server.drain().await, 1, "a second drain changes nothing");
    let (_, notices) = in_time("the call's end", last).await.unwrap().unwrap();
    assert!(notices.contains(&Notice::HungUp));
    let records = bench.closed().await;
    assert_eq!(records.iter().map(|record| record.end).collect::<Vec<_>>(), [CallEnd::CallerHungUp]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_hears_each_prompt_and_is_heard_in_every_codec() {
    for encoding in Encoding::ALL.into_iter().filter(|encoding| encoding.is_built()) {
        let bench = Bench::new(|settings| {
            settings.media.codecs = vec![encoding.name().to_owned()];
            settings.files.encoded = PathBuf::new();
        })
        .await;
        let codecs = Codecs::new(vec![encoding]);
        let call = bench.phone(PhoneSettings { codecs, ..bench.caller("130", &["9"]) });
        let (report, notices) = in_time("the call's end", call).await.unwrap().unwrap();
        assert!(
            report.heard_clip("welcome") && report.heard_clip("goodbye"),
            "{encoding:?}: {:?}",
            report.clips
        );
        assert_eq!(notices.last(), Some(&Notice::FarEndHungUp), "{encoding:?}");
        assert_eq!(report.recording.rate_hz, encoding.sampling_rate_hz());
        assert!(report.recording.rms() > 300.0, "{encoding:?}: {}", report.recording.rms());
        assert_eq!(bench.closed().await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_welcome_is_heard_before_the_answer_which_comes_with_the_first_question() {
    let mut bench = Bench::new(|settings| {
        settings.calls.early_media = EarlyMedia::Welcome;
        settings.calls.ringing = true;
    })
    .await;
    let call = bench.phone(bench.caller("130", &KEYS));
    bench
        .step("the question", |step| matches!(step, Step::Node { node } if node == "ask-member-number"))
        .await;
    bench.answered().await;
    let order = bench.order().await;
    bench.acknowledge(&order);
    let (report, notices) = in_time("the call's end", call).await.unwrap().unwrap();
    let place = |wanted: &dyn Fn(&Notice) -> bool| notices.iter().position(wanted);
    let ringing = place(&|notice| *notice == Notice::Progress(180));
    let progress = place(&|notice| *notice == Notice::Progress(183));
    let welcome =
        place(&|notice| matches!(notice, Notice::Heard(Heard::ClipBegan { id, .. }) if **id == *"welcome"));
    let answered = place(&|notice| *notice == Notice::Answered);
    assert!(ringing.is_some() && ringing < progress && progress < welcome, "{notices:?}");
    assert!(welcome < answered && report.keyed_everything, "{notices:?}");
    let records = bench.closed().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].end, CallEnd::Goodbye);
    assert!(records[0].answered_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_buy_hears_so_before_any_answer_and_is_refused() {
    let bench = Bench::new(|settings| settings.calls.early_media = EarlyMedia::Welcome).await;
    let stranger =
        PhoneSettings { identity: Some("tel:+355682000000".to_owned()), ..bench.caller("130", &[]) };
    let refused = in_time("the refusal", bench.phone(stranger)).await.unwrap();
    assert!(matches!(refused, Err(PhoneError::Refused { status: 603, .. })), "{refused:?}");
    let records = bench.closed().await;
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].end, records[0].answered_at), (CallEnd::Goodbye, None));
    assert!(records[0].nodes.iter().any(|node| node == "not-in-a-group"), "{:?}", records[0].nodes);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_call_ends_with_goodbye() {
    let bench = Bench::new(|settings| settings.calls.max_duration_s = 1).await;
    let (report, notices) =
        in_time("the call's end", bench.phone(bench.caller(LINE_TEST, &[]))).await.unwrap().unwrap();
    assert!(report.heard_clip("goodbye"), "{:?}", report.clips);
    assert_eq!(notices.last(), Some(&Notice::FarEndHungUp));
    let records = bench.closed().await;
    assert_eq!(records.iter().map(|record| record.end).collect::<Vec<_>>(), [CallEnd::Goodbye]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_breaks_leaves_nothing_behind() {
    let (_, events) = mpsc::unbounded_channel();
    let bench = Bench::watched(
        |settings| settings.calls.max = 1,
        events,
        |event| assert!(!matches!(event.step, Step::Answered { .. }), "broken on purpose"),
    )
    .await;
    for _ in 0..2 {
        let (_, notices) =
            in_time("the call's end", bench.phone(bench.caller("130", &[]))).await.unwrap().unwrap();
        assert_eq!(notices.last(), Some(&Notice::FarEndHungUp));
        // Its place is free again once the driver has heard of it.
        in_time("the free place", async { while bench.server.account().await.unwrap().calls > 0 {} }).await;
    }
    let records = bench.closed().await;
    assert_eq!(
        records.iter().map(|record| record.end).collect::<Vec<_>>(),
        [CallEnd::Failed, CallEnd::Failed]
    );
}

/// A caller made of text, who does what a well-behaved one never would.
struct Wire {
    socket: UdpSocket,
    service: SocketAddr,
    called: &'static str,
}

impl Wire {
    async fn new(service: SocketAddr, called: &'static str) -> Self {
        let any: IpAddr =
            if service.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        Self { socket: UdpSocket::bind((any, 0)).await.unwrap(), service, called }
    }

    async fn send(&self, method: &str, cseq: u32, to_tag: &str, body: &str) {
        let (us, service, called) = (self.socket.local_addr().unwrap(), self.service, self.called);
        // CANCEL is of the INVITE's transaction, ACK of a 2xx and BYE are of their own.
        let branch = if method == "CANCEL" { "INVITE" } else { method };
        let branch = if method == "UPDATE" { format!("UPDATE-{cseq}") } else { branch.to_owned() };
        let content_type = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let request = format!(
            "{method} sip:{called}@{service} SIP/2.0\r\nVia: SIP/2.0/UDP {us};rport;branch=z9hG4bK-{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:wire@{us}>;tag=wire\r\nTo: <sip:{called}@{service}>{to_tag}\r\n\
             Call-ID: wire@{us}\r\nCSeq: {cseq} {method}\r\nContact: <sip:wire@{us}>\r\n{content_type}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.send_to(request.as_bytes(), service).await.unwrap();
    }

    async fn receive(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        in_time(what, async {
            loop {
                let mut datagram = vec![0; 65_535];
                let (length, _) = self.socket.recv_from(&mut datagram).await.unwrap();
                // Its socket hears the RTP as well.
                let message = String::from_utf8_lossy(&datagram[..length]).into_owned();
                if wanted(&message) {
                    return message;
                }
            }
        })
        .await
    }

    /// INVITE without SDP, to its 200; gives the parameter of the service's tag.
    async fn invite(&self) -> String {
        self.send("INVITE", 1, "", "").await;
        let ok = self.receive("200", |message| message.starts_with("SIP/2.0 200 ")).await;
        let to = ok.lines().find(|line| line.starts_with("To:")).unwrap();
        to[to.find(";tag=").unwrap()..].trim_end().to_owned()
    }

    /// The answer to the service's offer, for RTP that nobody sends.
    fn answer(&self) -> String {
        let port = self.socket.local_addr().unwrap().port();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
        )
    }

    /// Takes the service's BYE and answers it.
    async fn take_bye(&self) {
        let bye = self.receive("BYE", |message| message.starts_with("BYE ")).await;
        let kept = bye.lines().filter(|line| {
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
        });
        let fields: String = kept.map(|line| format!("{line}\r\n")).collect();
        let ok = format!("SIP/2.0 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
        self.socket.send_to(ok.as_bytes(), self.service).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_cannot_be_answered_is_refused_with_its_reason() {
    let bench = Bench::new(|_| {}).await;
    let refusals = [
        ("hello", "SIP/2.0 400 ", None),
        ("m=audio 4000 RTP/AVP 8\r\nc=IN IP6 ::1", "SIP/2.0 488 ", Some("301")),
        ("m=audio 4000 RTP/SAVP 8", "SIP/2.0 488 ", Some("302")),
        ("m=video 4000 RTP/AVP 31", "SIP/2.0 488 ", Some("304")),
        ("m=audio 4000 RTP/AVP 18", "SIP/2.0 488 ", Some("305")),
    ];
    for (line, status, warn_code) in refusals {
        let wire = Wire::new(bench.address(), "130").await;
        let offer =
            format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{line}\r\n");
        wire.send("INVITE", 1, "", &offer).await;
        let refusal = wire.receive("a refusal", |message| message.starts_with("SIP/2.0 4")).await;
        assert!(refusal.starts_with(status), "{line}: {refusal}");
        let warning = refusal.lines().find_map(|line| line.strip_prefix("Warning: "));
        assert_eq!(warning.and_then(|warning| warning.split(' ').next()), warn_code, "{line}");
    }
    let counters = bench.server.account().await.unwrap().counters;
    assert!(counters.contains(&("rejected_by_call", refusals.len() as u64)), "{counters:?}");
    let records = bench.closed().await;
    assert_eq!(records.len(), refusals.len());
    assert!(records.iter().all(|record| record.end == CallEnd::Rejected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_meets_an_unfinished_call_waits_for_its_ack() {
    let bench = Bench::new(|_| {}).await;
    let wire = Wire::new(bench.address(), "130").await;
    let tag = wire.invite().await;
    let stop = async {
        in_time("the end of calls", bench.server.end_calls()).await;
    };
    let finish = async {
        // The 200 comes again, so the stop does not hurry: BYE may only follow the ACK (RFC 3261 §15).
        wire.receive("200 again", |message| message.starts_with("SIP/2.0 200 ")).await;
        wire.send("ACK", 1, &tag, &wire.answer()).await;
        wire.take_bye().await;
    };
    tokio::join!(stop, finish);
    let records = bench.closed().await;
    assert_eq!(records.iter().map(|record| record.end).collect::<Vec<_>>(), [CallEnd::Shutdown]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_at_an_odd_moment_is_recorded() {
    let mut bench = Bench::new(|settings| settings.media.rtp_timeout_s = 1).await;
    // BYE instead of ACK.
    let hasty = Wire::new(bench.address(), "130").await;
    let tag = hasty.invite().await;
    hasty.send("BYE", 2, &tag, "").await;
    hasty.receive("200 to BYE", |message| message.contains("CSeq: 2 BYE")).await;
    bench.ended().await;
    // An ACK without the answer that is due.
    let silent = Wire::new(bench.address(), "130").await;
    let tag = silent.invite().await;
    silent.send("ACK", 1, &tag, "").await;
    silent.take_bye().await;
    bench.ended().await;
    // No RTP ever comes.
    let deaf = Wire::new(bench.address(), LINE_TEST).await;
    let tag = deaf.invite().await;
    deaf.send("ACK", 1, &tag, &deaf.answer()).await;
    deaf.take_bye().await;
    bench.ended().await;
    // CANCEL right behind the INVITE: whichever the service sees first, nothing may be left over.
    let fickle = Wire::new(bench.address(), "130").await;
    fickle.send("INVITE", 1, "", "").await;
    fickle.send("CANCEL", 1, "", "").await;
    let last = fickle
        .receive("a final response", |message| {
            message.contains("CSeq: 1 INVITE") && !message.starts_with("SIP/2.0 1")
        })
        .await;
    let tag = last.lines().find_map(|line| line.strip_prefix("To:")).and_then(|to| to.split_once(";tag="));
    let tag = format!(";tag={}", tag.unwrap().1.trim_end());
    fickle.send("ACK", 1, &tag, &fickle.answer()).await;
    if last.starts_with("SIP/2.0 200 ") {
        fickle.send("BYE", 2, &tag, "").await;
    } else {
        assert!(last.starts_with("SIP/2.0 487 "), "{last}");
    }
    bench.ended().await;
    let records = bench.closed().await;
    let ends: Vec<CallEnd> = records.iter().map(|record| record.end).collect();
    assert_eq!(ends[..3], [CallEnd::CallerHungUp, CallEnd::Failed, CallEnd::RtpTimeout]);
    assert!(matches!(ends[3..], [CallEnd::Cancelled | CallEnd::CallerHungUp]), "{ends:?}");
}

/// Hold stops the dialogue and not the longest call; the audio may go and come back meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_hold_ends_at_its_longest() {
    let mut bench = Bench::new(|settings| settings.calls.max_duration_s = 5).await;
    let wire = Wire::new(bench.address(), LINE_TEST).await;
    let tag = wire.invite().await;
    let offer = wire.answer();
    wire.send("ACK", 1, &tag, &offer).await;
    bench.answered().await;
    let port = wire.socket.local_addr().unwrap().port().to_string();
    for (cseq, offer, answer, direction) in [
        (2, offer.replace(&port, "0"), "m=audio 0 RTP/AVP 8\r\n", "inactive"),
        (3, offer.clone(), "a=sendrecv\r\n", "sendrecv"),
        (4, format!("{offer}a=inactive\r\n"), "a=inactive\r\n", "inactive"),
    ] {
        wire.send("UPDATE", cseq, &tag, &offer).await;
        let ok = wire.receive("200", |message| message.contains(&format!("CSeq: {cseq} UPDATE"))).await;
        assert!(ok.starts_with("SIP/2.0 200 ") && ok.ends_with(answer), "{ok}");
        let changed = |step: &Step| matches!(step, Step::Session { direction: d, .. } if d == direction);
        bench.step(direction, changed).await;
    }
    wire.take_bye().await;
    bench.ended().await;
    let records = bench.closed().await;
    assert_eq!(records.iter().map(|record| record.end).collect::<Vec<_>>(), [CallEnd::Goodbye]);
}
