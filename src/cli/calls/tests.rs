//! The command as it is typed, on a real database.

use super::*;
use crate::store::{ActivationOrder, CallEnd, MediaQuality, Origin, StatedField, StreamQuality};
use crate::units::CallId;
use clap::Parser;
use jiff::Timestamp;

#[derive(Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record(seed: u8, caller: Option<&str>) -> CallRecord {
    let received_at = at("2026-11-22T10:00:00Z") + jiff::SignedDuration::from_secs(seed.into());
    CallRecord {
        id: CallId::new(received_at, [seed; 10]),
        sip_call_id: format!("call-{seed}@pc33"),
        caller: caller.map(ToOwned::to_owned),
        called: "130".to_owned(),
        received_at,
        answered_at: caller.map(|_| received_at),
        ended_at: received_at + jiff::SignedDuration::from_millis(12_345),
        end: CallEnd::CallerHungUp,
        reason: Some("Q.850;cause=16;text=\"\u{1b}[2J\"".to_owned()),
        outcome: "leader-rights: leader".to_owned(),
        nodes: vec!["welcome".to_owned(), "menu".to_owned()],
        free_of_charge: true,
        media: caller.map(|_| MediaQuality {
            encoding: "PCMA".to_owned(),
            heard: StreamQuality {
                packets: 997,
                lost: Some(3),
                jitter_ms: Some(4),
                mean_opinion_score: Some("4.38".parse().unwrap()),
            },
            far: StreamQuality { packets: 900, lost: None, jitter_ms: None, mean_opinion_score: None },
            round_trip_ms: Some(71),
        }),
        origin: Origin {
            peer: Some("core".to_owned()),
            charging_id: Some("1234bc9876e".to_owned()),
            stated: vec![StatedField {
                name: "Diversion".to_owned(),
                value: "<sip:1@x>\r\nVia: y".to_owned(),
            }],
            ..Origin::default()
        },
    }
}

/// A booking that the call tried, and of which nothing came.
fn tried(record: &CallRecord) -> ActivationOrder {
    let number = crate::units::Msisdn::parse("0672123456").unwrap();
    ActivationOrder {
        id: crate::units::ActivationId::new(record.received_at, [4; 10]),
        call: record.id,
        caller: number,
        member: number,
        package: crate::units::PackageId(3),
        quoted_net: crate::units::Money::from_lek(900),
        at: record.received_at,
    }
}

async fn run(records: &[CallRecord], line: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let database = crate::store::Settings::for_file(folder.path().join("klikon.db"));
    let store = Store::open(&database).await.unwrap();
    let mut settings = Settings { database, ..Settings::default() };
    settings.recording.folder = folder.path().join("recordings");
    for record in records {
        store.record_call(record).await.unwrap();
        store.record_attempt(&tried(record)).await.unwrap();
        let day = settings.recording.folder.join("2026-11-22");
        std::fs::create_dir_all(&day).unwrap();
        std::fs::write(day.join(format!("{}.klikrec", record.id)), "abc").unwrap();
    }
    let line = Line::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    super::run(&line.arguments, &settings, &mut out).await.map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn calls_are_listed_newest_first_and_by_caller() {
    let records = [record(1, Some("+355691234567")), record(2, None), record(3, Some("+355672000123"))];
    let all = run(&records, "").await.unwrap();
    let lines: Vec<_> = all.lines().skip(1).collect();
    assert_eq!(lines.len(), 3, "{all}");
    assert!(lines[0].starts_with("2026-11-22 11:00:03     12.3  +355672000123"), "{all}");
    assert!(
        lines[1].contains("-  -              130     core  caller-hung-up  leader-rights: leader"),
        "{all}"
    );
    assert_eq!(run(&records, "--last 1").await.unwrap().lines().count(), 2);
    let of_one = run(&records, "--caller 0691234567").await.unwrap();
    assert!(of_one.lines().count() == 2 && of_one.contains(&records[0].id.to_string()), "{of_one}");
    assert!(run(&[], "").await.unwrap().contains("(none)"));
}

#[tokio::test]
async fn everything_about_one_call_without_what_a_terminal_acts_on() {
    let records = [record(1, Some("+355691234567"))];
    for name in [&records[0].id.to_string(), "call-1@pc33", "1234bc9876e"] {
        let text = run(&records, name).await.unwrap();
        for part in [
            "Reason           Q.850;cause=16;text=\"\\u{1b}[2J\"\n",
            "stated           Diversion: <sip:1@x>\\r\\nVia: y\n",
            "nodes            welcome menu\n",
            "heard            997 packets of PCMA, 3 lost, jitter 4 ms, score 4.38\n",
            "sent             900 packets of PCMA\n",
            "round trip       71 ms\n",
            "charging id      1234bc9876e\n",
            "ended            2026-11-22 11:00:13, caller-hung-up\n",
            " for 0672123456, 900\u{a0}lekë\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let file = format!("/recordings/2026-11-22/{}.klikrec (3 octets)\n", records[0].id);
        assert!(text.contains(&file), "{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&run(&records, "call-1@pc33 --json").await.unwrap()).unwrap();
    assert_eq!(json[0]["end"], "caller-hung-up");
    assert_eq!(json[0]["activations"], serde_json::json!([]));
    assert_eq!(json[0]["not_booked"], serde_json::json!([tried(&records[0]).id.to_string()]));
    assert!(json[0]["recordings"][0].as_str().unwrap().ends_with(".klikrec"), "{json}");
    let error = run(&records, "call-2@pc33").await.unwrap_err();
    assert!(error.contains("no call has") && error.contains("klikon calls"), "{error}");
    assert!(run(&records, "x --caller 0691234567").await.is_err());
}
