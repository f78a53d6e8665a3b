use super::*;
use crate::capture::protocol::characters;

fn message(ms: u32, received: bool, remote: &str, octets: &str) -> MessageLine {
    MessageLine {
        at: format!("2026-11-25T05:00:00.{ms:03}000Z"),
        received,
        transport: "UDP".to_owned(),
        local: "192.0.2.1:5060".to_owned(),
        remote: remote.to_owned(),
        octets: characters(octets.as_bytes()),
    }
}

const PEER: &str = "192.0.2.9:5062";
const PLAIN: Look = Look { columns: 120, colours: false };

fn messages() -> Vec<MessageLine> {
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n";
    let fields = "Call-ID: one@x\r\nCSeq: 1 INVITE\r\n";
    let invite = format!(
        "INVITE sip:130@x SIP/2.0\r\n{fields}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    vec![
        message(0, true, PEER, &invite),
        message(1, false, PEER, &format!("SIP/2.0 100 Trying\r\n{fields}\r\n")),
        message(500, true, PEER, &invite),
        message(
            501,
            false,
            PEER,
            &format!("SIP/2.0 503 Service Unavailable\r\n{fields}Retry-After: 10\r\n\r\n"),
        ),
        message(
            502,
            true,
            "[2001:db8::9]:5060",
            "ACK sip:130@x SIP/2.0\r\nCall-ID: one@x\r\nCSeq: 1 ACK\r\n\r\n",
        ),
    ]
}

fn printed(print: impl FnOnce(&mut Vec<u8>) -> anyhow::Result<()>) -> String {
    let mut out = Vec::new();
    print(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn replies(call: CallLine, messages: Vec<MessageLine>) -> impl Iterator<Item = anyhow::Result<Reply>> {
    let messages = messages.into_iter().map(Reply::Message);
    std::iter::once(Reply::Call(call)).chain(messages).chain([Reply::End]).map(Ok)
}

fn one() -> CallLine {
    CallLine {
        call_id: "one@x".to_owned(),
        id: "0192f3a1-5e00-7000-8000-000000000000".to_owned(),
        began: "2026-11-25T05:00:00.000000Z".to_owned(),
        lasted_ms: 502,
        method: "INVITE".to_owned(),
        caller: "+35569•••4567".to_owned(),
        called: "130".to_owned(),
        status: 503,
        end: "refused with 503".to_owned(),
        messages: 5,
        ..CallLine::default()
    }
}

#[test]
fn a_call_is_drawn_as_a_ladder() {
    let drawn = printed(|out| call(replies(one(), messages()), &PLAIN, false, out));
    let expected = "\
+35569•••4567 → 130  INVITE 503, refused with 503  0.5 s
call    0192f3a1-5e00-7000-8000-000000000000
Call-ID one@x
began   2026-11-25 05:00:00.000000 UTC

                   UDP                          UDP                        klikon
             192.0.2.9:5062             [2001:db8::9]:5060             192.0.2.1:5060
    +0.000 s        │──────────────────────── INVITE ────────────────────────▶│  1 INVITE  audio 192.0.2.9:4000 PCMA/te…
    +0.001 s        │◀────────────────────── 100 Trying ──────────────────────│  1 INVITE
    +0.500 s        │──────────────────────── INVITE ────────────────────────▶│  again  1 INVITE  audio 192.0.2.9:4000 …
    +0.501 s        │◀─────────────── 503 Service Unavailable ────────────────│  1 INVITE  Retry-After: 10
    +0.502 s        │                            │─────────── ACK ───────────▶│  1 ACK
";
    assert_eq!(drawn, expected);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_a_wide_one_shows_the_media() {
    for columns in [40, 80, 100, 132, 200] {
        let look = Look { columns, ..PLAIN };
        let drawn = Ladder::of(&messages(), &look).drawn(&messages());
        // A terminal narrower than the ladder's least is left to wrap.
        let least = columns.max(92);
        assert!(drawn.lines().all(|line| line.chars().count() <= least), "{columns}:\n{drawn}");
    }
    let look = Look { columns: 200, ..PLAIN };
    let drawn = Ladder::of(&messages(), &look).drawn(&messages());
    assert!(drawn.contains("1 INVITE  audio 192.0.2.9:4000 PCMA/telephone-event sendonly"), "{drawn}");
    assert!(drawn.contains("1 INVITE  Retry-After: 10"), "{drawn}");
}

#[test]
fn nothing_from_the_network_reaches_the_terminal_raw() {
    let evil = "\x1b]0;owned\x07\u{9b}2J\u{202e}";
    let mut line = message(0, true, PEER, "");
    line.octets = characters(
        format!("IN\x1bVITE sip:x SIP/2.0\r\nCall-ID: {evil}\r\nCSeq: 1 INVITE\r\nReason: {evil}\r\n\r\n")
            .as_bytes(),
    );
    let mut reply = line.clone();
    reply.octets = characters(format!("SIP/2.0 200 {evil}\r\nCall-ID: {evil}\r\nCSeq: 1 INVITE\r\nWarning: {evil}\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 {evil}\r\nt=0 0\r\nm=audio 4 RTP/AVP 97\r\na=rtpmap:97 {evil}/8000\r\n").as_bytes());
    let head = CallLine {
        call_id: evil.into(),
        id: evil.into(),
        caller: evil.into(),
        called: evil.into(),
        end: evil.into(),
        began: evil.into(),
        flow: evil.into(),
        method: evil.into(),
        ..one()
    };
    let lines = vec![line, reply];
    let mut shown = String::new();
    for full in [false, true] {
        shown += &printed(|out| call(replies(head.clone(), lines.clone()), &PLAIN, full, out));
        shown += &printed(|out| {
            follow(lines.clone().into_iter().map(|l| Ok(Reply::Message(l))), &PLAIN, full, out)
        });
    }
    shown += &printed(|out| list([Ok(Reply::Call(head))].into_iter(), &PLAIN, out));
    let raw: Vec<char> =
        shown.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
    assert_eq!(raw, [] as [char; 0], "{}", shown.escape_debug());
    assert!(shown.contains("\\u{1b}]0;owned\\u{7}"));
}

#[test]
fn colours_are_for_terminals_only() {
    let look = Look { colours: true, ..PLAIN };
    let drawn = Ladder::of(&messages(), &look).drawn(&messages());
    assert!(
        drawn.contains("\x1b[36m INVITE \x1b[0m")
            && drawn.contains("\x1b[31m 503 Service Unavailable \x1b[0m")
    );
    let plain = drawn.replace("\x1b[0m", "");
    let plain = ["\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[36m"]
        .iter()
        .fold(plain, |text, code| text.replace(code, ""));
    assert_eq!(plain, Ladder::of(&messages(), &PLAIN).drawn(&messages()));
}

#[test]
fn a_service_that_is_not_there_is_said_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("klikon.sock");
    let error = |socket: &Path| ask(socket, &Request::List {}).err().unwrap().to_string();
    assert!(error(&socket).contains("start `klikon serve`, or name the settings"), "{}", error(&socket));
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(error(&socket).contains("has ended"), "{}", error(&socket));
    assert!(error(Path::new("")).contains("`trace.socket` of the settings is empty"));
}
