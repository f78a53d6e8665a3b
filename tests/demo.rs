//! The binary's own promises: the demo, the service and the caller as commands.

mod service;

use service::{Service, folder, klikon, repository, text};
use std::path::Path;

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

#[test]
fn the_caller_s_exit_code_says_how_the_call_went() {
    let service = Service::start();
    // Nobody's number with an empty ledger: it says so, and goodbye.
    let identity = ["--identity", "0691234567"];
    let heard = service
        .call("130", &[&identity[..], &["--expect", "not-in-a-group", "--expect", "goodbye"]].concat());
    assert!(heard.status.success(), "{}{}", text(&heard.stdout), text(&heard.stderr));
    let answered = service.line("\"event\":\"answered\"");
    assert!(!answered.contains("1234567"), "the number is masked: {answered}");
    assert!(service.line("\"event\":\"ended\"").contains("\"cause\":\"goodbye\""));
    // One who has keys left does not hang up himself: it is the service that ends the call.
    let left = service.call("130", &[&identity[..], &["--keys", "please-wait:1"]].concat());
    assert!(text(&left.stdout).contains("the far end hung up"), "{}", text(&left.stdout));
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
