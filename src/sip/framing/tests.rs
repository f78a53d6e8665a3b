use super::*;
use crate::units::clock::Clock;
use proptest::prelude::*;

const LIMITS: FramingLimits =
    FramingLimits { max_body_octets: 1_000, message_time: Duration::from_millis(500) };

fn head(more: &str) -> String {
    format!("OPTIONS sip:130@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1\r\n{more}\r\n")
}

fn message(body: &str) -> String {
    head(&format!("Content-Length: {}\r\n", body.len())) + body
}

/// All that comes out of a stream, taken in piece by piece.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<Broken>) {
    let mut framer = Framer::new(LIMITS);
    let (mut frames, mut broken) = (Vec::new(), None);
    for piece in pieces {
        framer.receive(Clock::system().instant(), piece);
        while let Some(frame) = framer.next() {
            match frame {
                Ok(frame) => frames.push(frame),
                Err(error) => broken = Some(error),
            }
        }
    }
    (frames, broken)
}

fn broken(stream: &str) -> FramingError {
    let (frames, broken) = read([stream.as_bytes()]);
    assert_eq!(frames, []);
    broken.expect("broken").error
}

#[test]
fn messages_and_pings_come_out_whole() {
    let stream =
        format!("\r\n{}{}\r\n\r\n\r\n\r\n\r\n{}", message("abc"), message(""), message("x\r\n\r\ny"));
    let whole = |body| Frame::Message(Bytes::from(message(body)));
    let expected = vec![whole("abc"), whole(""), Frame::Ping, Frame::Ping, whole("x\r\n\r\ny")];
    assert_eq!(read([stream.as_bytes()]), (expected.clone(), None));
    assert_eq!(read(stream.as_bytes().chunks(1)), (expected, None));
}

#[test]
fn a_stream_must_say_how_long_a_body_is() {
    assert_eq!(broken(&head("")), FramingError::NoContentLength);
    for bad in ["-1", "x", "", "1x", "1 2"] {
        assert_eq!(
            broken(&head(&format!("Content-Length: {bad}\r\n"))),
            FramingError::ContentLength,
            "{bad}"
        );
    }
    assert_eq!(broken(&head("Content-Length: 1\r\nl: 2\r\n")), FramingError::ContentLength);
    // Two that agree are one.
    assert_eq!(read([(head("Content-Length: 1\r\nl: 1\r\n") + "x").as_bytes()]).0.len(), 1);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_comes_and_without_room_for_it() {
    for octets in
        ["1001", "2147483648", "4294967295", "4294967296", "100000000000", "99999999999999999999999"]
    {
        let mut framer = Framer::new(LIMITS);
        let header = head(&format!("Content-Length: {octets}\r\n"));
        framer.receive(Clock::system().instant(), header.as_bytes());
        let Some(Err(broken)) = framer.next() else { panic!("not refused") };
        assert_eq!(broken, Broken { error: FramingError::BodyTooLarge, header: Bytes::from(header) });
        assert_eq!((framer.held_octets(), framer.deadline(), framer.next()), (0, None, None));
        framer.receive(Clock::system().instant(), b"more");
        assert_eq!((framer.held_octets(), framer.next()), (0, None), "nothing is read after it");
    }
    let longest = message(&"x".repeat(1_000));
    assert_eq!(read([longest.as_bytes()]).0.len(), 1);
}

#[test]
fn a_header_that_never_ends_is_held_only_to_the_limit() {
    let mut framer = Framer::new(LIMITS);
    let mut taken = 0;
    framer.receive(Clock::system().instant(), b"OPTIONS sip:130@192.0.2.1 SIP/2.0\r\n");
    let error = loop {
        framer.receive(Clock::system().instant(), b"X: yyyyyyyyyyyyyyyyyyyyyy\r\n");
        taken += 1;
        assert!(taken < 2_000 && framer.held_octets() < MAX_HEADER_OCTETS + 100);
        if let Some(frame) = framer.next() {
            break frame.expect_err("not a message").error;
        }
    };
    assert_eq!(error, FramingError::HeaderTooLarge);
    // More fields than are read: one of them may be another Content-Length.
    let many = "X: y\r\n".repeat(200) + "Content-Length: 0\r\n";
    assert_eq!(broken(&head(&many)), FramingError::HeaderTooLarge);
    assert_eq!(broken(&head(&("l: 0\r\n".to_owned() + &many))), FramingError::HeaderTooLarge);
}

#[test]
fn what_is_no_sip_and_lines_in_doubt_end_the_stream() {
    assert_eq!(broken("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), FramingError::NotSip);
    assert_eq!(broken(&message("").replace("\r\n", "\n")), FramingError::LineEnd);
    assert_eq!(broken(&head("X: a\nContent-Length: 0\r\n")), FramingError::LineEnd);
    // An empty line made of LF alone would end the header for some readers and not for others.
    assert_eq!(broken(&head("X: a\r\n\nContent-Length: 0\r\n")), FramingError::LineEnd);
}

#[test]
fn a_message_has_its_time_from_its_first_octet() {
    let start = Clock::system().instant();
    let mut framer = Framer::new(LIMITS);
    assert_eq!(framer.deadline(), None);
    framer.receive(start, b"\r\n\r\n\r\n");
    assert_eq!((framer.next(), framer.next(), framer.deadline()), (Some(Ok(Frame::Ping)), None, None));
    let whole = message("abc");
    for (count, octet) in whole.as_bytes().iter().enumerate() {
        framer.receive(start + Duration::from_millis(count as u64), &[*octet]);
        let frame = framer.next();
        if count + 1 < whole.len() {
            assert_eq!((frame, framer.deadline()), (None, Some(start + LIMITS.message_time)), "{count}");
        } else {
            assert_eq!((frame.is_some(), framer.deadline()), (true, None));
        }
    }
    framer.receive(start, &whole.as_bytes()[..whole.len() - 1]);
    assert_eq!(framer.next(), None);
    let broken = framer.too_slow();
    assert_eq!(broken.error, FramingError::TooSlow);
    assert!(broken.header.starts_with(b"OPTIONS "));
    framer.receive(start, b"c");
    assert_eq!(framer.next(), None, "nothing is read after it");
    let mut framer = Framer::new(LIMITS);
    framer.receive(start, b"OPT");
    assert_eq!((framer.next(), framer.too_slow().header), (None, Bytes::new()));
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z\r\n]{0,40}".prop_map(|body| message(&body)),
        3 => Just("\r\n".to_owned()),
        1 => Just(head("Content-Length: 5000\r\n")),
        1 => Just(head("")),
        1 => "[ -~\r\n]{0,60}",
    ]
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_frames(
        parts in prop::collection::vec(part(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream = parts.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &stream.as_bytes()[ends[0]..ends[1]]);
        prop_assert_eq!(read(pieces), read([stream.as_bytes()]));
    }

    #[test]
    fn any_octets_are_held_within_the_limit(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..60),
    ) {
        let mut framer = Framer::new(LIMITS);
        for piece in &pieces {
            framer.receive(Clock::system().instant(), piece);
            while framer.next().is_some() {}
            prop_assert!(framer.held_octets() <= MAX_HEADER_OCTETS + LIMITS.max_body_octets);
        }
    }
}
