use super::super::{Capture, HomerSettings, TraceSettings};
use super::*;
use crate::net::{Direction, Tap};
use crate::sip::{Flow, Transport};
use crate::units::clock::Clock;
use tempfile::TempDir;
use tokio::io::Lines;

/// A safety net: no test waits so long unless it has failed.
const FOR_EVER: Duration = Duration::from_secs(60);

struct House {
    capture: Capture,
    tap: Tap,
    folder: TempDir,
}

impl House {
    fn new(change: impl FnOnce(&mut TraceSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings =
            TraceSettings { socket: folder.path().join("trace.sock"), ..TraceSettings::default() };
        change(&mut settings);
        let capture = Capture::start(&HomerSettings::default(), &settings, Clock::system(), orders());
        Self { tap: capture.tap(), capture, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("trace.sock")
    }

    fn pass(&self, direction: Direction, text: &str) {
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "192.0.2.9:5060".parse().unwrap(),
        };
        self.tap.see(&Clock::system(), direction, flow, text.as_bytes());
    }

    fn invite(&self, call_id: &str, caller: &str) {
        self.pass(
            Direction::Received,
            &format!("INVITE sip:130@x SIP/2.0\r\nFrom: <sip:{caller}@x>;tag=1\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"),
        );
    }

    async fn ask(&self, request: &str) -> Lines<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(b"\n").await.unwrap();
        BufReader::new(stream).lines()
    }

    /// Everything that is answered, to its end.
    async fn answer(&self, request: &str) -> Vec<Reply> {
        let mut lines = self.ask(request).await;
        let mut replies = Vec::new();
        while let Some(reply) = next(&mut lines).await {
            replies.push(reply);
        }
        replies
    }

    async fn refusal(&self, request: &str) -> String {
        match &self.answer(request).await[..] {
            [Reply::Refused { why }] => why.clone(),
            other => panic!("{other:?}"),
        }
    }
}

async fn next(lines: &mut Lines<BufReader<UnixStream>>) -> Option<Reply> {
    let line = tokio::time::timeout(FOR_EVER, lines.next_line()).await.unwrap().ok()??;
    Some(serde_json::from_str(&line).unwrap())
}

#[tokio::test]
async fn calls_are_listed_and_shown_with_their_numbers_hidden() {
    let house = House::new(|_| {});
    house.invite("one@x", "0672123456");
    house.pass(Direction::Sent, "SIP/2.0 200 OK\r\nCall-ID: one@x\r\nCSeq: 1 INVITE\r\n\r\n");
    house.invite("two@x", "0683123456");
    house.capture.record().unwrap().name(b"one@x", |named| named.id = "0192-one".to_owned());
    let replies = house.answer(r#"{"ask":"list"}"#).await;
    let [Reply::Call(one), Reply::Call(two), Reply::End] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(
        (one.id.as_str(), one.caller.as_str(), one.called.as_str(), one.status),
        ("0192-one", "067...3456", "130", 200)
    );
    assert_eq!((two.call_id.as_str(), two.status, two.messages), ("two@x", 0, 1));
    for wanted in ["0192-one", "one@x", "0192", "on"] {
        let replies = house.answer(&format!(r#"{{"ask":"call","call":"{wanted}"}}"#)).await;
        let [Reply::Call(_), Reply::Message(invite), Reply::Message(ok), Reply::End] = &replies[..] else {
            panic!("{wanted}: {replies:?}")
        };
        assert!(invite.received && !ok.received);
        assert!(invite.octets.contains("sip:067...3456@x") && ok.octets.starts_with("SIP/2.0 200 OK\r\n"));
        assert_eq!((invite.transport.as_str(), invite.remote.as_str()), ("UDP", "192.0.2.9:5060"));
    }
    let replies = house.answer(r#"{"ask":"call","call":"last"}"#).await;
    assert!(matches!(&replies[0], Reply::Call(call) if call.call_id == "two@x"));
    assert!(house.refusal(r#"{"ask":"call","call":"three"}"#).await.contains("no such call is kept"));
    house.invite("one-more", "0672123456");
    assert!(house.refusal(r#"{"ask":"call","call":"one"}"#).await.contains("2 calls begin so"));
}

#[tokio::test]
async fn numbers_are_whole_only_when_asked_for() {
    let house = House::new(|settings| settings.mask_msisdn = false);
    house.invite("one@x", "0672123456");
    let replies = house.answer(r#"{"ask":"list"}"#).await;
    assert!(matches!(&replies[0], Reply::Call(call) if call.caller == "0672123456"));
}

#[tokio::test]
async fn a_follower_of_a_caller_sees_that_caller_s_calls_only() {
    let house = House::new(|_| {});
    let mut all = house.ask(r#"{"ask":"follow"}"#).await;
    let mut one = house.ask(r#"{"ask":"follow","caller":"+355672123456"}"#).await;
    for reader in [&mut all, &mut one] {
        assert_eq!(next(reader).await, Some(Reply::Following));
    }
    house.invite("other@x", "0683123456");
    house.invite("wanted@x", "0672123456");
    house.pass(Direction::Sent, "SIP/2.0 100 Trying\r\nCall-ID: other@x\r\nCSeq: 1 INVITE\r\n\r\n");
    house.pass(Direction::Sent, "SIP/2.0 404 Not Found\r\nCall-ID: wanted@x\r\nCSeq: 1 INVITE\r\n\r\n");
    for (reader, expected) in [
        (&mut all, &["INVITE", "INVITE", "SIP/2.0 100", "SIP/2.0 404"][..]),
        (&mut one, &["INVITE", "SIP/2.0 404"]),
    ] {
        for begins in expected {
            let Some(Reply::Message(message)) = next(reader).await else { panic!("no message") };
            assert!(message.octets.starts_with(begins), "{} is not {begins}", message.octets);
        }
    }
    assert!(house.refusal(r#"{"ask":"follow","caller":"anna"}"#).await.contains("no telephone number"));
    // Followers that have gone leave nothing behind.
    drop((all, one));
    while house.capture.live.receiver_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_are_limited_in_size_and_number_and_rubbish_is_refused() {
    let house = House::new(|_| {});
    assert!(house.refusal(&"a".repeat(MAX_REQUEST_OCTETS)).await.contains("at most 4096 octets"));
    assert!(house.refusal(r#"{"ask":"stop"}"#).await.contains("not understood"));
    assert!(house.refusal("").await.contains("not understood"));
    assert!(house.refusal(r#"{"ask":"call","call":"last"}"#).await.contains("no call is kept yet"));
    let mut readers = Vec::new();
    for _ in 0..MAX_READERS {
        readers.push(house.ask(r#"{"ask":"follow"}"#).await);
    }
    while house.capture.live.receiver_count() < MAX_READERS {
        tokio::task::yield_now().await;
    }
    assert!(house.refusal(r#"{"ask":"list"}"#).await.contains("8 others are reading"));
}

#[tokio::test]
async fn the_socket_is_its_owner_s_alone_and_goes_with_the_service() {
    let house = House::new(|_| {});
    let path = house.socket();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let shown =
        || Shown { record: None, live: broadcast::channel(1).0, hide_numbers: true, orders: orders() };
    assert!(matches!(Control::open(&path, shown()), Err(ControlError::Taken(_))));
    drop(house.capture);
    assert!(!path.exists());
    // What a service left that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let control = Control::open(&path, shown()).unwrap();
    drop(control);
    fs::write(&path, "a file").unwrap();
    let error = Control::open(&path, shown()).unwrap_err();
    assert!(error.to_string().contains("trace.socket"), "{error}");
    assert!(path.exists(), "it is not ours to remove");
    let far = path.with_file_name("a".repeat(200));
    let error = Control::open(&far, shown()).unwrap_err();
    assert!(error.to_string().contains("a shorter path"), "{error}");
}

#[tokio::test]
async fn without_a_record_a_socket_or_a_collector_nobody_watches() {
    let settings = TraceSettings { calls: 0, socket: PathBuf::new(), ..TraceSettings::default() };
    let capture = Capture::start(&HomerSettings::default(), &settings, Clock::system(), orders());
    assert_eq!(format!("{:?}", capture.tap()), "Tap(nobody)");
    assert_eq!(capture.homer_counts(), None);
}

/// Nobody takes orders.
fn orders() -> mpsc::Sender<RecordOrder> {
    mpsc::channel(1).0
}
