//! What a caller heard and pressed, recorded in whole calls over UDP and TLS, and read with `klikon recording`.

mod service;
mod sounds;

use klikon::media::tone::{Detector, ToneEvent};
use klikon::units::clock::Clock;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use service::{FOR_EVER, Service, folder_with, klikon, text};
use sounds::{keys_by_multimon, keys_in};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const LEADER: &str = "0672003456";

/// Settings for every test, with a key.
fn encrypted(calls: &str) -> String {
    format!(
        "[recording]\ncalls = \"{calls}\"\nkey_file = \"recording.key\"\n[calls]\nactivation_wait_ms = 0\n"
    )
}

fn write_key(folder: &Path, name: &str, digits: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, digits.repeat(32)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// With a ledger, and a key for recordings.
fn start(settings: &str) -> Service {
    Service::start_prepared(settings, |folder| write_key(folder, "recording.key", "5c"))
}

fn recording(service: &Service, arguments: &[&str]) -> Output {
    klikon(service.folder()).arg("recording").args(arguments).output().unwrap()
}

/// The last recording as JSON, once it is as it should be.
fn shown(service: &Service, is_ready: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    part_shown(service, &["show", "last", "--json"], is_ready)
}

/// A part of it: each look starts a command, so that waiting is no busy loop.
fn part_shown(
    service: &Service,
    arguments: &[&str],
    is_ready: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    let clock = Clock::system();
    let began = clock.instant();
    loop {
        let output = recording(service, arguments);
        if let Ok(json) = serde_json::from_slice(&output.stdout)
            && is_ready(&json)
        {
            return json;
        }
        let waited = clock.instant().duration_since(began);
        assert!(waited < FOR_EVER, "{}{}", text(&output.stdout), text(&output.stderr));
    }
}

fn whole(service: &Service) -> serde_json::Value {
    shown(service, |json| json["whole"] == true && json["end"].is_object())
}

/// The last recording's channels: what was played, what the caller sent; and samples a second.
fn exported(service: &Service, name: &str) -> (Vec<i16>, Vec<i16>, u32) {
    let output = recording(service, &["export", "last", "--wav", name]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut reader = hound::WavReader::open(service.folder().join(name)).unwrap();
    assert_eq!(reader.spec().channels, 2);
    let rate_hz = reader.spec().sample_rate;
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let channel = |which: usize| samples.iter().skip(which).step_by(2).copied().collect();
    (channel(0), channel(1), rate_hz)
}

fn heard(service: &Service, name: &str) -> Vec<i16> {
    let mut reader = hound::WavReader::open(service.folder().join(name)).unwrap();
    reader.samples().map(Result::unwrap).collect()
}

fn correlation(one: &[i16], other: &[i16]) -> f64 {
    let pairs = || one.iter().zip(other).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let energy = |side: fn((f64, f64)) -> f64| pairs().map(side).map(|x| x * x).sum::<f64>();
    let both: f64 = pairs().map(|(a, b)| a * b).sum();
    both / (energy(|(a, _)| a) * energy(|(_, b)| b)).sqrt().max(1.0)
}

/// Where something loud begins, from there on.
fn onset(samples: &[i16], from: usize) -> usize {
    from + samples[from..].iter().position(|sample| sample.unsigned_abs() > 500).expect("something is loud")
}

/// How well the recording is what the caller himself recorded, at one and the same shift for the whole call.
fn likeness(recorded: &[i16], heard: &[i16]) -> f64 {
    let shift = onset(recorded, 0) - onset(heard, 0);
    let around = shift.saturating_sub(20)..shift + 20;
    around.map(|shift| correlation(&recorded[shift..], heard)).fold(0.0, f64::max)
}

/// The samples of a prompt of the tests, at 8,000 a second.
fn master(service: &Service, prompt: &str) -> Vec<i16> {
    let path = service.folder().join(format!("prompts/sq/{prompt}.wav"));
    let mut reader = hound::WavReader::open(path).unwrap();
    reader.samples::<i16>().map(Result::unwrap).step_by(2).collect()
}

/// The keys' tones, each with the ms at which it was recognised.
fn tones(samples: &[i16]) -> Vec<(char, u64)> {
    let (mut detector, mut keys) = (Detector::new(), Vec::new());
    for (number, block) in samples.chunks(40).enumerate() {
        detector.push(block, |event| {
            if let ToneEvent::Began { digit } = event {
                keys.push((digit, number as u64 * 5));
            }
        });
    }
    keys
}

/// Times of the cues of a sort, ms, and one of their values.
fn cues(json: &serde_json::Value, what: &str, value: &str) -> Vec<(u64, String)> {
    let cues = json["cues"].as_array().unwrap().iter().filter(|cue| cue["what"] == what);
    cues.map(|cue| (cue["at_ms"].as_u64().unwrap(), cue[value].as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn call(service: &Service, arguments: &[&str]) -> String {
    let all = [&["--identity", LEADER], arguments].concat();
    let output = service.call("130", &all);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

const BOOKING: [&str; 10] = [
    "--keys",
    "ask-member-number:0672123456#",
    "--keys",
    "choose-package:1",
    "--keys",
    "confirm-keys:1",
    "--keys",
    "another-keys:2",
    "--barge-in-after-ms",
    "100",
];

#[test]
fn a_booking_is_recorded_as_it_was_heard_and_keyed() {
    let service = start(&encrypted("booked"));
    // Without a booking nothing is kept.
    call(&service, &["--keys", "ask-member-number:9#", "--barge-in-after-ms", "0"]);
    call(&service, &[&BOOKING[..], &["--wav", "heard.wav"]].concat());
    let json = whole(&service);
    let listed = text(&recording(&service, &["list"]).stdout);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(!listed.contains(LEADER) && !listed.contains("672003456"), "{listed}");

    let (played, caller, rate_hz) = exported(&service, "dispute.wav");
    assert_eq!(rate_hz, 8_000);
    let alike = likeness(&played, &heard(&service, "heard.wav"));
    assert!(alike > 0.99, "{alike}: {:?}", json["end"]);
    let at = |ms: u64| usize::try_from(ms).unwrap() * 8;
    let node = |name: &str| cues(&json, "node", "node").into_iter().find(|(_, node)| node == name).unwrap().0;
    // The only prompt that no key stops.
    let began = onset(&played, at(node("welcome")));
    let prompt = master(&service, "welcome");
    let best = (began.saturating_sub(40)..began + 40)
        .map(|at| correlation(&played[at..], &prompt))
        .fold(0.0, f64::max);
    assert!(best > 0.95, "{best}");

    assert_eq!(json["keys"], "0672123456#112");
    assert_eq!(
        (keys_in(&caller), keys_by_multimon(&caller)),
        ("0672123456#112".into(), "0672123456#112".into())
    );
    for ((key, heard_ms), (cue_ms, cue)) in tones(&caller).into_iter().zip(cues(&json, "key", "key")) {
        assert_eq!(key.to_string(), cue);
        // A tone is recognised within sixty milliseconds of its beginning.
        assert!(
            (0..=60).contains(&heard_ms.abs_diff(cue_ms)) && heard_ms >= cue_ms,
            "{key}: {heard_ms}, {cue_ms}"
        );
    }
    // The dispute: what was said, which key confirmed it, what came of it.
    let said = text(&recording(&service, &["show", "last"]).stdout);
    let (confirmed, _) = cues(&json, "key", "key")[12];
    let line =
        |ms: u64, what: &str| format!("{:02}:{:02}.{:03}  {what}", ms / 60_000, ms / 1_000 % 60, ms % 1_000);
    assert!(said.contains(&line(confirmed, "key 1, ")), "{said}");
    assert!(node("confirm") < confirmed && confirmed < node("activate"), "{said}");
    assert!(said.contains("activate: accepted, activation 0"), "{said}");
    assert!(said.contains("state      whole; ended") && said.contains("encrypted"), "{said}");

    // Nothing shows in the file, and no other key opens it; the call's record knows of it.
    let file = PathBuf::from(json["file"].as_str().unwrap());
    let octets = std::fs::read(service.folder().join(&file)).unwrap();
    for plain in [&b"klik-on"[..], b"confirm", &[0; 32]] {
        assert!(!octets.windows(plain.len()).any(|window| window == plain), "{plain:?}");
    }
    write_key(service.folder(), "other.key", "11");
    let refused = recording(&service, &["export", "last", "--wav", "no.wav", "--key-file", "other.key"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("it is encrypted with the key"));
    let record = klikon(service.folder()).args(["calls", json["call"].as_str().unwrap()]).output().unwrap();
    assert!(text(&record.stdout).contains(&format!("recording        {}", file.display())));

    // A flipped bit and a cut end are noticed.
    for damaged in
        [&octets[..octets.len() - 40], &[&octets[..2_000], &[octets[2_000] ^ 4], &octets[2_001..]].concat()]
    {
        std::fs::write(service.folder().join(&file), damaged).unwrap();
        let refused = recording(&service, &["export", "last", "--wav", "no.wav"]);
        let why = text(&refused.stderr);
        assert!(!refused.status.success() && why.contains("give --unfinished"), "{why}");
    }
    let log = service.stop();
    assert!(log.contains("kept: 1, discarded: 1"), "{log}");
}

/// The prompt ends where the key's first packet came.
#[test]
fn a_prompt_that_a_key_stops_is_cut_in_the_recording_too() {
    let service = start(&encrypted("all"));
    call(&service, &["--keys", "ask-member-number:9#", "--barge-in-after-ms", "60"]);
    let json = whole(&service);
    let (played, caller, _) = exported(&service, "cut.wav");
    let (key_ms, _) = cues(&json, "key", "key")[0];
    let prompt_ms =
        cues(&json, "node", "node").iter().find(|(_, node)| node == "ask-member-number").unwrap().0;
    let began = onset(&played, prompt_ms as usize * 8);
    let quiet = played[began..].windows(80).position(|window| window.iter().all(|sample| sample.abs() < 100));
    let cut_ms = (began + quiet.unwrap()) as i64 / 8;
    assert!((-200..=45).contains(&(cut_ms - key_ms as i64)), "cut at {cut_ms} ms, key at {key_ms} ms");
    assert!(cut_ms - (began as i64 / 8) < 190, "the whole prompt has 200 ms");
    assert_eq!((keys_in(&caller), cues(&json, "barge-in", "").len()), ("9#".to_owned(), 1));
}

/// Whatever way the PIN is keyed, nothing of it is in the file, which lies there unencrypted to be looked through.
#[test]
fn no_key_of_a_pin_is_recorded_in_any_form() {
    let service = Service::start_prepared(
        "peers = [{ name = \"weak\", addresses = [\"127.0.0.0/8\"], pin = true }]\n\
         [recording]\ncalls = \"all\"\nunencrypted = true\n",
        |folder| {
            let mut command = klikon(folder);
            command.args(["admin", "leader", "pin", "042250928"]).stdin(Stdio::piped()).stdout(Stdio::null());
            let mut child = command.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"4738\n").unwrap();
            assert!(child.wait().unwrap().success());
        },
    );
    let way = |pin: &'static str, more: &[&'static str]| {
        [&["--keys", pin, "--keys", "ask-member-number:0612#", "--keys", "ask-member-number-again:9#"], more]
            .concat()
    };
    let ways = [
        // The field is open; the first key comes ahead of it; by tones; and wrong first.
        way("ask-pin:4738#", &["--barge-in-after-ms", "300"]),
        way("welcome:4738#", &["--barge-in-after-ms", "0"]),
        way("ask-pin:4738#", &["--barge-in-after-ms", "300", "--in-band"]),
        way("welcome:4738#", &["--barge-in-after-ms", "0", "--in-band"]),
        [&["--keys", "ask-pin:7777#"], &way("pin-wrong:4738#", &["--barge-in-after-ms", "300"])[..]].concat(),
    ];
    let mut seen = serde_json::Value::Null;
    for (number, way) in ways.iter().enumerate() {
        call(&service, way);
        let json =
            shown(&service, |json| json["whole"] == true && json["end"].is_object() && json["call"] != seen);
        seen = json["call"].clone();
        let (_, caller, _) = exported(&service, &format!("pin-{number}.wav"));
        let keys = json["keys"].as_str().unwrap();
        assert!(!keys.is_empty() && keys.chars().all(|key| "0612#9".contains(key)), "{way:?}: {keys}");
        for heard in [keys_in(&caller), keys_by_multimon(&caller)] {
            assert!(heard.chars().all(|key| "0612#9".contains(key)), "{way:?}: {heard}");
        }
        // Not a sample of the caller's before he is heard: neither his keys, nor how many they were.
        let (opened_ms, _) = cues(&json, "caller-heard", "")[0];
        assert!(caller[..opened_ms as usize * 8].iter().all(|sample| *sample == 0), "{way:?}");
        let left = cues(&json, "node", "node").into_iter().find(|(_, node)| node == "left").unwrap().0;
        assert!(
            opened_ms >= left + 1_000 && cues(&json, "key", "key").iter().all(|(ms, _)| *ms >= opened_ms)
        );
        let file = std::fs::read(service.folder().join(json["file"].as_str().unwrap())).unwrap();
        let file = String::from_utf8_lossy(&file);
        for digit in "4738".chars() {
            assert!(!file.contains(&format!("\"key\":\"{digit}\"")), "{way:?}");
        }
        assert!(file.contains("\"what\":\"caller-withheld\""));
    }
    service.stop();
}

#[test]
fn a_call_by_srtp_in_g722_is_recorded_in_the_clear_of_its_codec() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let folder = folder_with(
        "[sip]\nlisten = [\"tls:127.0.0.1:0\"]\n[tls]\ncertificate = \"klikon.pem\"\nkey = \"klikon.key\"\n\
         [recording]\ncalls = \"all\"\nkey_file = \"recording.key\"\nrate_hz = 16000\n",
    );
    std::fs::write(folder.path().join("klikon.pem"), cert.pem()).unwrap();
    std::fs::write(folder.path().join("klikon.key"), signing_key.serialize_pem()).unwrap();
    write_key(folder.path(), "recording.key", "5c");
    let service = Service::start_in(folder);
    let address = service.listening[0].strip_prefix("tls ").unwrap();
    let uri = format!("sip:130@{address};transport=tls");
    let arguments = [
        "--codecs",
        "G722",
        "--srtp",
        "--tls-ca",
        "klikon.pem",
        "--wav",
        "heard.wav",
        "--keys",
        "caller-anonymous:5",
        "--barge-in-after-ms",
        "100",
    ];
    let called = service.caller(&uri, &arguments).output().unwrap();
    assert!(called.status.success(), "{}{}", text(&called.stdout), text(&called.stderr));
    let json = whole(&service);
    let (played, caller, rate_hz) = exported(&service, "wide.wav");
    assert_eq!((rate_hz, json["keys"].as_str()), (16_000, Some("5")));
    assert_eq!(keys_in(&caller.into_iter().step_by(2).collect::<Vec<_>>()), "5");
    let alike = likeness(&played, &heard(&service, "heard.wav"));
    assert!(alike > 0.99, "{alike}: {:?}", json["end"]);
}

/// By hand, while the call goes on; then the service is killed.
#[test]
fn a_live_call_is_recorded_on_demand_and_a_killed_service_leaves_what_it_had_written() {
    let service = Service::start_prepared("recording.unencrypted = true", |_| {});
    let none = recording(&service, &["start", "last"]);
    assert!(text(&none.stderr).contains("no such call is under way"), "{}", text(&none.stderr));
    let uri = format!("sip:131@{}", service.address);
    let mut caller =
        service.caller(&uri, &["--hang-up-after-s", "60"]).stdout(Stdio::null()).spawn().unwrap();
    service.line("\"event\":\"answered\"");
    let begun = recording(&service, &["start", "last"]);
    assert!(begun.status.success() && text(&begun.stdout).contains(".klikrec"), "{}", text(&begun.stderr));
    let again = recording(&service, &["start", "last"]);
    assert!(text(&again.stdout).contains("recorded already"), "{}", text(&again.stderr));
    let stopped = recording(&service, &["stop", "last"]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    let first = whole(&service);
    assert_eq!((first["part"].as_u64(), first["end"]["by"].as_str()), (Some(1), Some("demand")));
    assert_eq!(first["why"], "on-demand");

    assert!(recording(&service, &["start", "last"]).status.success());
    let second = ["show", "last", "--part", "2", "--json"];
    part_shown(&service, &second, |json| json["duration_ms"].as_u64().is_some_and(|ms| ms > 1_000));
    service.signal("KILL");
    caller.kill().unwrap();
    caller.wait().unwrap();
    let refused = recording(&service, &["export", "last", "--part", "2", "--wav", "killed.wav"]);
    let why = text(&refused.stderr);
    assert!(!refused.status.success() && why.contains("the recording has no end"), "{why}");
    let given =
        recording(&service, &["export", "last", "--part", "2", "--wav", "killed.wav", "--unfinished"]);
    assert!(given.status.success(), "{}", text(&given.stderr));
    let samples = heard(&service, "killed.wav");
    assert!(samples.len() > 2 * 8_000 && samples.iter().any(|sample| sample.unsigned_abs() > 500));
}

#[test]
fn a_caller_is_told_first_and_old_recordings_go() {
    let settings =
        "[recording]\ncalls = \"all\"\nunencrypted = true\nkeep_days = 30\nannouncement = \"visit-shop\"\n";
    let old = "recordings/2026-01-05/019b8c5a-0000-7000-8000-000000000001.klikrec";
    let service = Service::start_prepared(settings, |folder| {
        std::fs::create_dir_all(folder.join(old).parent().unwrap()).unwrap();
        std::fs::write(folder.join(old), "old").unwrap();
    });
    assert!(service.log_line("old recordings are deleted").contains("files=1"));
    assert!(!service.folder().join(old).exists());
    // Keys that come meanwhile wait for the flow.
    let keys = ["--identity", LEADER, "--keys", "visit-shop:9#", "--barge-in-after-ms", "0"];
    let said = text(&service.call("130", &keys).stdout);
    assert!(said.contains("hears `visit-shop`") && said.find("visit-shop") < said.find("goodbye"), "{said}");
    let json = whole(&service);
    let nodes: Vec<String> = cues(&json, "node", "node").into_iter().map(|(_, node)| node).collect();
    assert_eq!(nodes[..2], ["welcome", "rights"], "{nodes:?}");
    assert_eq!((json["keys"].as_str(), nodes.last().map(String::as_str)), (Some("9#"), Some("goodbye")));
    let unnamed =
        Command::new("grep").args(["-rl", "672003456", "recordings"]).current_dir(service.folder()).output();
    assert_eq!(text(&unnamed.unwrap().stdout), "", "no whole number of the caller's");
    service.stop();
}
