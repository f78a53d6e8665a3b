//! A browser's media without the browser: checks, handshakes and protected packets over real UDP, and what is refused.

mod browser;

use browser::{
    CONTROLLED, CONTROLLING, Client, USE_CANDIDATE, Version, check, is_by, request, sealed, status_of,
    value_of, with_fingerprint,
};
use klikon::media::webrtc::{
    DATAGRAM_OCTETS, Failure, HANDSHAKE_LIMIT, Handshakes, LiteAgent, News, Outcome, WebRtc,
};
use klikon::media::{
    Element, Encoding, Engine, EngineSettings, MediaEvent, Packet, PromptLibrary, Reach, SessionSettings,
    Stream, StreamParameters, TelephoneEvent,
};
use klikon::units::clock::Clock;
use klikon::units::srtp::Keying;
use klikon::units::webrtc::{Fingerprint, Handshake, HashFunction, IceCredentials};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A test that hangs fails after this; none comes near it.
const GUARD: Duration = Duration::from_secs(60);
/// µ-law silence.
const SILENCE: u8 = 0xff;

fn credentials() -> IceCredentials {
    IceCredentials::new(&std::array::from_fn(|n| (n * 41 + 5) as u8))
}

fn there(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), port)
}

fn refused(agent: &mut LiteAgent, octets: &[u8]) -> (u16, Vec<u8>) {
    match agent.handle(there(1), octets) {
        Outcome::Refused(status, answer) => (status, answer.octets().to_vec()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_right_check_is_answered_and_only_a_nomination_says_where_media_goes() {
    let (ours, mut agent) = (credentials(), LiteAgent::new(credentials()));
    let Outcome::Answered(answer) = agent.handle(there(4_000), &check(1, &ours, false)) else { panic!() };
    let answer = answer.octets();
    assert_eq!((&answer[..2], &answer[8..20]), (&[1, 1][..], &[1; 12][..]));
    assert!(is_by(answer, ours.password()));
    let mapped = value_of(answer, 0x0020).unwrap();
    assert_eq!(mapped[..2], [0, 1]);
    assert_eq!(u16::from_be_bytes([mapped[2], mapped[3]]) ^ 0x2112, 4_000);
    let address: Vec<u8> = mapped[4..].iter().zip([0x21, 0x12, 0xa4, 0x42]).map(|(a, b)| a ^ b).collect();
    assert_eq!(address, [198, 51, 100, 7]);
    assert_eq!((agent.nominated(), agent.is_valid(there(4_000))), (None, true));
    for (transaction, port) in [(2, 4_000), (3, 5_000)] {
        assert!(matches!(agent.handle(there(port), &check(transaction, &ours, true)), Outcome::Answered(_)));
        assert_eq!(agent.nominated(), Some(there(port)), "the last one counts");
    }
    // A check that was answered and whose answer was lost comes again.
    assert!(matches!(agent.handle(there(5_000), &check(3, &ours, true)), Outcome::Answered(_)));
}

#[test]
fn what_is_forged_or_not_understood_is_refused_and_moves_nothing() {
    let (ours, mut agent) = (credentials(), LiteAgent::new(credentials()));
    let name = format!("{}:Xy3k", ours.fragment());
    let nominating = [CONTROLLING, USE_CANDIDATE];
    let with = |username: Option<&str>, password: &str, more: &[(u16, &[u8])]| {
        sealed(request(7, username, more), password)
    };
    for (forged, status) in [
        (with(Some(&name), "another password of its own", &nominating), 401),
        (with(Some("QW5v:Xy3k"), ours.password(), &nominating), 401),
        (with(Some(ours.fragment()), ours.password(), &nominating), 401),
        (with(None, ours.password(), &nominating), 400),
        (with_fingerprint(request(7, Some(&name), &nominating)), 400),
    ] {
        let (found, answer) = refused(&mut agent, &forged);
        assert_eq!((found, status_of(&answer)), (status, Some(status)));
        assert!(answer.len() <= forged.len(), "{} for {}", answer.len(), forged.len());
    }
    let (status, answer) =
        refused(&mut agent, &with(Some(&name), ours.password(), &[CONTROLLED, USE_CANDIDATE]));
    assert_eq!((status, status_of(&answer), is_by(&answer, ours.password())), (487, Some(487), true));
    let unknown = [(0x7f01, &[1, 2, 3][..]), CONTROLLING, USE_CANDIDATE];
    let (status, answer) = refused(&mut agent, &sealed(request(8, Some(&name), &unknown), ours.password()));
    assert_eq!((status, value_of(&answer, 0x000a)), (420, Some(&[0x7f, 0x01][..])));
    assert!(is_by(&answer, ours.password()));
    let short = with_fingerprint(request(7, None, &[])[..20].to_vec());
    assert_eq!(agent.handle(there(1), &short), Outcome::RefusedSilently, "its refusal would be longer");
    let mut indication = request(7, Some(&name), &nominating);
    indication[1] = 0x11;
    assert!(matches!(agent.handle(there(1), &sealed(indication, ours.password())), Outcome::Dropped(_)));
    assert_eq!((agent.nominated(), agent.is_valid(there(1))), (None, false));
}

#[test]
fn who_overhears_a_check_cannot_draw_the_stream_to_himself() {
    let (ours, mut agent) = (credentials(), LiteAgent::new(credentials()));
    let overheard = check(1, &ours, true);
    assert!(matches!(agent.handle(there(4_000), &overheard), Outcome::Answered(_)));
    assert_eq!(agent.handle(there(6_666), &overheard), Outcome::Replayed);
    assert_eq!((agent.nominated(), agent.is_valid(there(6_666))), (Some(there(4_000)), false));
    let other = IceCredentials::new(&[9; 24]);
    agent.restart(other);
    assert_eq!(refused(&mut agent, &check(9, &ours, true)).0, 401, "the credentials of before");
    assert_eq!(agent.nominated(), Some(there(4_000)), "until another path is nominated");
}

/// A call of its own, and its client, whose path is nominated.
fn nominated(version: &Version, now: Instant) -> (Client, WebRtc) {
    let handshakes = Arc::new(Handshakes::new().unwrap());
    let fingerprint = handshakes.fingerprint();
    let client = Client::new(version, Some(fingerprint), now);
    let agreed = Handshake { ice: credentials(), fingerprint: client.fingerprint };
    let mut service = WebRtc::new(handshakes, &agreed, now);
    service.handle_check(there(4_000), &check(1, &credentials(), true));
    assert_eq!(service.poll_answer().map(|(to, _)| to), Some(there(4_000)));
    (client, service)
}

/// A handshake in virtual time: `lose` says which datagrams do not arrive. What the service tells of it.
fn shake_hands(
    client: &mut Client,
    service: &mut WebRtc,
    mut now: Instant,
    mut lose: impl FnMut(usize) -> bool,
) -> Vec<News> {
    let (mut news, mut buffer, mut sent) = (Vec::new(), [0; DATAGRAM_OCTETS], 0..);
    for _ in 0..400 {
        client.handle_timeout(now);
        for datagram in client.datagrams() {
            if !lose(sent.next().unwrap()) {
                service.keep(there(4_000), &datagram);
            }
        }
        while let Some((remote, octets)) = service.poll_handshake(now, &mut buffer) {
            assert_eq!(remote, there(4_000));
            if !lose(sent.next().unwrap()) {
                client.handle(&buffer[..octets]);
            }
        }
        news.extend(service.poll_news());
        now += Duration::from_millis(20);
    }
    news
}

#[test]
fn both_sides_come_to_the_same_keys_in_every_version() {
    for version in [Version::Dtls12, Version::Dtls13, Version::Either] {
        let now = Clock::system().instant();
        let (mut client, mut service) = nominated(&version, now);
        let news = shake_hands(&mut client, &mut service, now, |_| false);
        let [News::Keys(keys)] = news[..] else { panic!("{news:?}") };
        let mut theirs = client.keys.unwrap();
        let mut ours = klikon::media::srtp::SrtpSender::new(&keys.send);
        let packet = [&[0x80, 0, 0, 1][..], &[0; 8], &[7; 160]].concat();
        let mut buffer = packet.clone();
        buffer.resize(200, 0);
        let octets = ours.protect(&mut buffer, packet.len()).unwrap();
        assert_eq!(theirs.receiver.open(&mut buffer[..octets]), Ok(packet.len()));
        assert_eq!(buffer[..packet.len()], packet);
        assert_eq!(service.statistics().handshakes_completed, 1);
        assert_eq!(service.destination(), Some(there(4_000)));
    }
}

#[test]
fn every_datagram_may_be_lost_once() {
    for version in [Version::Dtls12, Version::Dtls13] {
        for lost in 0..6 {
            let now = Clock::system().instant();
            let (mut client, mut service) = nominated(&version, now);
            let news = shake_hands(&mut client, &mut service, now, |number| number == lost);
            assert!(matches!(news[..], [News::Keys(_)]), "{lost}: {news:?}");
            assert!(client.keys.is_some(), "{lost}");
        }
    }
}

#[test]
fn another_certificate_in_mid_call_is_another_handshake() {
    let now = Clock::system().instant();
    let (mut first, mut service) = nominated(&Version::Dtls12, now);
    let before = shake_hands(&mut first, &mut service, now, |_| false);
    let again = Handshake { ice: credentials(), fingerprint: first.fingerprint };
    assert!(!service.change(&again, now) && service.destination().is_some(), "the same one goes on");
    let later = now + Duration::from_secs(60);
    let mut second = Client::new(&Version::Dtls12, None, later);
    let another = Handshake { ice: credentials(), fingerprint: second.fingerprint };
    assert!(service.change(&another, later));
    assert_eq!(service.destination(), None, "nothing is sent before its end");
    let after = shake_hands(&mut second, &mut service, later, |_| false);
    assert!(matches!((&before[..], &after[..]), ([News::Keys(a)], [News::Keys(b)]) if a != b), "{after:?}");
    assert_eq!(service.destination(), Some(there(4_000)));
}

#[test]
fn without_an_end_there_is_a_limit() {
    let now = Clock::system().instant();
    let handshakes = Arc::new(Handshakes::new().unwrap());
    let fingerprint = Fingerprint::of(HashFunction::Sha256, b"somebody");
    let agreed = Handshake { ice: credentials(), fingerprint };
    let mut service = WebRtc::new(handshakes, &agreed, now);
    let mut buffer = [0; DATAGRAM_OCTETS];
    let just_before = now + HANDSHAKE_LIMIT - Duration::from_millis(1);
    assert_eq!((service.poll_handshake(just_before, &mut buffer), service.poll_news()), (None, None));
    for _ in 0..2 {
        assert_eq!(service.poll_handshake(now + HANDSHAKE_LIMIT, &mut buffer), None);
    }
    assert_eq!((service.poll_news(), service.poll_news()), (Some(News::Failed(Failure::Timeout)), None));
}

#[test]
fn a_handshake_from_anywhere_else_than_the_nominated_path_is_not_looked_at() {
    let now = Clock::system().instant();
    let mut client = Client::new(&Version::Dtls12, None, now);
    let agreed = Handshake { ice: credentials(), fingerprint: client.fingerprint };
    let mut service = WebRtc::new(Arc::new(Handshakes::new().unwrap()), &agreed, now);
    let hello = client.datagrams().remove(0);
    let mut buffer = [0; DATAGRAM_OCTETS];
    service.keep(there(4_000), &hello);
    assert_eq!(service.poll_handshake(now, &mut buffer), None, "no check at all");
    service.handle_check(there(4_000), &check(1, &credentials(), false));
    service.keep(there(4_000), &hello);
    assert_eq!(service.poll_handshake(now, &mut buffer), None, "not nominated");
    service.handle_check(there(4_000), &check(2, &credentials(), true));
    service.keep(there(6_666), &hello);
    assert_eq!(service.poll_handshake(now, &mut buffer), None, "from elsewhere");
    assert_eq!(service.statistics().handshakes_deferred, 3);
    service.keep(there(4_000), &hello);
    assert!(service.poll_handshake(now, &mut buffer).is_some());
}

/// A service's stream, and a browser's socket.
struct Call {
    engine: Engine,
    stream: Stream,
    events: mpsc::Receiver<MediaEvent>,
    socket: UdpSocket,
    client: Client,
}

impl Call {
    fn begin(expected: impl FnOnce(&Client) -> Fingerprint) -> Self {
        let tone: Vec<i16> = (0..25 * 320).map(|n| ((n * 37) % 20_011) as i16 - 10_000).collect();
        let library = Arc::new(PromptLibrary::encode([("tone".to_owned(), tone)]).unwrap());
        let session = SessionSettings { initial_silence: Duration::ZERO, ..SessionSettings::default() };
        let engine =
            Engine::start(EngineSettings { webrtc: true, session, ..EngineSettings::default() }, library)
                .unwrap();
        let (sender, events) = mpsc::channel(64);
        // A stranger: it is his checks that say where he is.
        let stream = engine.open(HERE, Reach::Consenting(there(1).ip()), sender).unwrap();
        let client = Client::new(&Version::Either, engine.fingerprint(), Clock::system().instant());
        let agreed = Handshake { ice: credentials(), fingerprint: expected(&client) };
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9);
        stream
            .start(StreamParameters {
                telephone_event: Some(TelephoneEvent::new(126, 8_000)),
                security: Some(Keying::Handshake(agreed)),
                ..StreamParameters::new(nowhere, Encoding::Pcmu, 0)
            })
            .unwrap();
        let tone = Element::Clip(engine.library().lookup("tone").unwrap());
        stream.play(1, vec![tone], true).unwrap();
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        socket.connect(stream.local()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { engine, stream, events, socket, client }
    }

    fn nominate(&self) {
        self.socket.send(&check(1, &credentials(), true)).unwrap();
        let answer = self.receive(0..4);
        assert!(is_by(&answer, credentials().password()));
    }

    /// The next datagram whose first octet is one of these.
    fn receive(&self, first: std::ops::Range<u8>) -> Vec<u8> {
        let mut buffer = [0; 2_048];
        for _ in 0..2_000 {
            if let Ok(octets) = self.socket.recv(&mut buffer)
                && first.contains(&buffer[0])
            {
                return buffer[..octets].to_vec();
            }
        }
        panic!("nothing came");
    }

    fn event(&mut self) -> Option<MediaEvent> {
        self.events.try_recv().ok()
    }

    /// Goes on with the handshake until the service reports what came of it; the media that came meanwhile.
    fn shake_hands(&mut self) -> (MediaEvent, Vec<Vec<u8>>) {
        let (mut buffer, mut media) = ([0; 2_048], Vec::new());
        let clock = Clock::system();
        let until = clock.instant() + GUARD;
        while clock.instant() < until {
            self.client.handle_timeout(clock.instant());
            for datagram in self.client.datagrams() {
                self.socket.send(&datagram).unwrap();
            }
            match self.socket.recv(&mut buffer) {
                Ok(octets) if buffer[0] >= 128 => media.push(buffer[..octets].to_vec()),
                Ok(octets) => self.client.handle(&buffer[..octets]),
                Err(_) => {}
            }
            if let Some(event) = self.event() {
                return (event, media);
            }
        }
        panic!("nothing came of it");
    }
}

/// The RTP packets in what came, as they were before they were protected.
fn opened(call: &mut Call, octets: &[u8]) -> Option<(bool, Vec<u8>)> {
    if (192..=223).contains(&octets[1]) {
        return None;
    }
    let mut octets = octets.to_vec();
    let receiver = &mut call.client.keys.as_mut().unwrap().receiver;
    let length = receiver.open(&mut octets).unwrap();
    let packet = Packet::read(&octets[..length]).unwrap();
    Some((packet.marker, packet.payload.to_vec()))
}

#[tokio::test]
async fn a_browser_hears_the_prompt_from_its_first_octet_and_keys() {
    let mut call = Call::begin(|client| client.fingerprint);
    call.nominate();
    let (event, media) = call.shake_hands();
    assert!(matches!(event, MediaEvent::Secured(_)), "{event:?}");
    for datagram in call.client.datagrams() {
        call.socket.send(&datagram).unwrap();
    }
    // In DTLS 1.3 the client has its keys when the service has, or before; in 1.2 the service's last message brings them.
    let mut heard = Vec::new();
    let mut waiting = media.into_iter();
    while heard.len() < 27 {
        let datagram = waiting.next().unwrap_or_else(|| call.receive(20..192));
        if datagram[0] < 64 {
            call.client.handle(&datagram);
            call.client.datagrams();
        } else {
            heard.extend(opened(&mut call, &datagram));
        }
    }
    assert!(heard[0].0, "the first packet begins a talkspurt");
    let sounds: Vec<bool> =
        heard.iter().map(|(_, payload)| payload.iter().any(|octet| *octet != SILENCE)).collect();
    assert_eq!(
        (&sounds[..25], sounds[26]),
        (&[true; 25][..], false),
        "the whole prompt, and nothing before it"
    );

    let keys = call.client.keys.as_mut().unwrap();
    for (number, (ended, duration)) in
        [(false, 160), (false, 320), (true, 480), (true, 480)].into_iter().enumerate()
    {
        let event = [5, if ended { 0x8a } else { 0x0a }, (duration >> 8) as u8, duration as u8];
        let sequence = 1 + number as u16;
        let packet = Packet {
            payload_type: 126,
            marker: number == 0,
            sequence,
            timestamp: 0,
            ssrc: 77,
            payload: &event,
        };
        let mut octets = [0; 100];
        let length = packet.write(&mut octets);
        let length = keys.sender.protect(&mut octets, length).unwrap();
        call.socket.send(&octets[..length]).unwrap();
    }
    loop {
        match tokio::time::timeout(GUARD, call.events.recv()).await.unwrap().unwrap() {
            MediaEvent::Digit { digit, .. } => break assert_eq!(digit, '5'),
            MediaEvent::PlayDone { .. } | MediaEvent::DigitBegan { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let summary = call.stream.finish().await.unwrap();
    let counted = summary.webrtc.unwrap();
    assert_eq!((counted.handshakes_completed, counted.handshakes_failed), (1, 0));
    assert_eq!((summary.statistics.accepted, summary.statistics.dropped_tag), (4, 0));
    assert_eq!(call.engine.counters().handshakes_completed, 1);
}

#[tokio::test]
async fn another_certificate_than_the_description_says_gets_no_media() {
    let mut call = Call::begin(|_| Fingerprint::of(HashFunction::Sha256, b"that of somebody else"));
    call.nominate();
    let (event, media) = call.shake_hands();
    assert_eq!(event, MediaEvent::Unsecured(Failure::Fingerprint));
    assert_eq!(media, Vec::<Vec<u8>>::new());
    let summary = call.stream.finish().await.unwrap();
    assert_eq!(summary.statistics.transmitted, 0, "not a packet");
    let counters = call.engine.counters();
    assert_eq!((counters.handshakes_failed, counters.fingerprints_wrong), (1, 1));
}

#[tokio::test]
async fn who_cannot_check_gets_nothing() {
    let mut call = Call::begin(|client| client.fingerprint);
    for datagram in call.client.datagrams() {
        call.socket.send(&datagram).unwrap();
    }
    call.socket.send(&[0x80; 172]).unwrap();
    let forged =
        sealed(request(3, Some("QW5v:Xy3k"), &[CONTROLLING, USE_CANDIDATE]), "somebody's own password");
    call.socket.send(&forged).unwrap();
    let refusal = call.receive(0..255);
    assert_eq!(status_of(&refusal), Some(401), "the refusal is all that comes");
    assert!(refusal.len() <= forged.len());
    call.socket.send(&check(4, &credentials(), false)).unwrap();
    assert_eq!(call.receive(0..255)[..2], [1, 1], "a path that works is not nominated");
    let summary = call.stream.finish().await.unwrap();
    assert_eq!((summary.statistics.transmitted, summary.statistics.dropped_early), (0, 1));
    let counted = summary.webrtc.unwrap();
    assert_eq!((counted.checks_refused, counted.checks_answered), (1, 1));
    assert!(counted.handshakes_deferred > 0 && counted.handshakes_completed == 0);
    assert_eq!(call.socket.recv(&mut [0; 2_048]).map_err(|error| error.kind()).unwrap_or(0), 0);
}
