//! The engine over real UDP on loopback. Everything waits for events or packets, nothing for time.

use super::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A test that hangs fails after this; none comes near it.
const GUARD: Duration = Duration::from_secs(60);

fn library() -> Arc<PromptLibrary> {
    let clip = |step: usize, frames: usize| {
        (0..frames * 320).map(|sample| (sample * step % 20_011) as i16 - 10_000).collect()
    };
    let clips = [("welcome", clip(37, 25)), ("menu", clip(101, 10))];
    let clips = clips.map(|(id, samples): (_, Vec<i16>)| (id.to_owned(), samples));
    Arc::new(PromptLibrary::encode(clips).expect("good clips"))
}

fn engine(settings: EngineSettings) -> Engine {
    Engine::start(settings, library()).expect("it starts")
}

fn parameters(remote: SocketAddr) -> StreamParameters {
    let event = TelephoneEvent::new(101, 8_000);
    StreamParameters { telephone_event: Some(event), ..StreamParameters::new(remote, Encoding::Pcmu, 0) }
}

async fn next(events: &mut mpsc::Receiver<MediaEvent>) -> MediaEvent {
    tokio::time::timeout(GUARD, events.recv()).await.expect("in time").expect("the stream lives")
}

/// A caller's stream and a service's, over loopback: prompts heard, keys read, barge-in, summary.
async fn a_whole_call(here: IpAddr, workers: usize) {
    let settings = EngineSettings { workers, ..EngineSettings::default() };
    let engine = engine(settings);
    let (to_service, mut service_events) = mpsc::channel(64);
    let (to_caller, mut caller_events) = mpsc::channel(64);
    let service = engine.open(here, Reach::Anywhere, to_service).expect("a stream");
    let caller = engine.open_listening(here, to_caller).expect("a stream");
    service.start(parameters(caller.local())).expect("taken");
    caller.start(parameters(service.local())).expect("taken");
    let clip = |id| Element::Clip(engine.library().lookup(id).expect("is there"));
    service.play(1, vec![clip("menu"), Element::Silence { ms: 20 }], true).expect("taken");
    assert_eq!(next(&mut service_events).await, MediaEvent::PlayDone { play_id: 1, interrupted: false });
    loop {
        if let MediaEvent::Heard(Heard::ClipEnded { id, complete, .. }) = next(&mut caller_events).await {
            assert_eq!((&*id, complete), ("menu", true));
            break;
        }
    }
    service.play(2, vec![clip("welcome"); 400], true).expect("taken");
    loop {
        if let MediaEvent::Heard(Heard::ClipBegan { id, .. }) = next(&mut caller_events).await {
            assert_eq!(&*id, "welcome");
            break;
        }
    }
    caller.send_digits("19#", DigitTiming::default()).expect("taken");
    assert_eq!(next(&mut service_events).await, MediaEvent::PlayDone { play_id: 2, interrupted: true });
    let mut keys = String::new();
    while keys.len() < 6 {
        match next(&mut service_events).await {
            MediaEvent::DigitBegan { .. } => keys.push('.'),
            MediaEvent::Digit { digit, .. } => keys.push(digit),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(keys, ".1.9.#");
    while next(&mut caller_events).await != MediaEvent::DigitsSent {}
    let summary = tokio::time::timeout(GUARD, caller.finish()).await.expect("in time").expect("a summary");
    let recording = summary.recording.expect("it listened");
    assert!(recording.rms() > 500.0 && recording.duration_ms() > 500);
    let Statistics { received, accepted, dropped_early, .. } = summary.statistics;
    assert_eq!(received, accepted + dropped_early);
    let served = tokio::time::timeout(GUARD, service.finish()).await.expect("in time").expect("a summary");
    assert_eq!((served.statistics.keys.presses, served.recording), (3, None));
    assert_eq!(engine.counters().streams, 0);
    assert!(engine.counters().transmitted > 40);
}

#[tokio::test]
async fn a_call_over_ipv4() {
    a_whole_call(HERE, 1).await;
}

#[tokio::test]
async fn a_call_over_ipv6_with_two_workers() {
    a_whole_call(IpAddr::V6(Ipv6Addr::LOCALHOST), 2).await;
}

#[tokio::test]
async fn a_closed_stream_sends_nothing_more() {
    let engine = engine(EngineSettings::default());
    let peer = UdpSocket::bind((HERE, 0)).expect("a socket");
    peer.set_read_timeout(Some(GUARD)).expect("a guard");
    let (events, mut reports) = mpsc::channel(8);
    let stream = engine.open(HERE, Reach::Anywhere, events).expect("a stream");
    stream.start(parameters(peer.local_addr().expect("an address"))).expect("taken");
    let mut datagram = [0; 2_048];
    for _ in 0..5 {
        let (length, from) = peer.recv_from(&mut datagram).expect("a packet");
        assert_eq!((length, from), (172, stream.local()));
    }
    let summary = stream.finish().await.expect("a summary");
    // The stream is gone: all that it sent is in our socket by now.
    peer.set_nonblocking(true).expect("not to wait");
    let mut rest = Vec::new();
    while let Ok((length, _)) = peer.recv_from(&mut datagram) {
        rest.push(datagram[..length].to_vec());
    }
    let goodbye = rest.pop().expect("a last report");
    assert!(goodbye[1] == 200 && goodbye[goodbye.len() - 7] == 203, "SR first, BYE last: {goodbye:?}");
    assert_eq!(summary.statistics.transmitted, 5 + rest.len() as u64);
    assert_eq!(reports.recv().await, None, "and so is its end of the channel");
}

#[tokio::test]
async fn a_dropped_stream_is_closed() {
    let engine = engine(EngineSettings::default());
    let (events, mut reports) = mpsc::channel(8);
    drop(engine.open(HERE, Reach::Anywhere, events).expect("a stream"));
    assert_eq!(tokio::time::timeout(GUARD, reports.recv()).await.expect("in time"), None);
}

/// A press of one packet.
fn key(event: u8, sequence: u16) -> Vec<u8> {
    let payload = telephone_event::Event { event, end: true, volume: 10, duration: 800 }.write();
    let timestamp = u32::from(sequence) * 1_000;
    let packet = Packet { payload_type: 101, marker: true, sequence, timestamp, ssrc: 5, payload: &payload };
    let mut buffer = [0; 32];
    let length = packet.write(&mut buffer);
    buffer[..length].to_vec()
}

#[tokio::test]
async fn calls_from_one_port_are_told_apart_by_their_own() {
    let engine = engine(EngineSettings::default());
    let peer = UdpSocket::bind((HERE, 0)).expect("a socket");
    peer.set_read_timeout(Some(GUARD)).expect("a guard");
    let mut calls = Vec::new();
    for event in 1..=3_u8 {
        let (events, reports) = mpsc::channel(8);
        let stream = engine.open(HERE, Reach::Anywhere, events).expect("a stream");
        stream.start(parameters(peer.local_addr().expect("an address"))).expect("taken");
        // Its first packet says that it has started.
        while peer.recv_from(&mut [0; 2_048]).expect("a packet").1 != stream.local() {}
        calls.push((event, stream, reports));
    }
    for (event, stream, _) in &calls {
        peer.send_to(&key(*event, 1), stream.local()).expect("sent");
    }
    for (event, _, reports) in &mut calls {
        let expected = telephone_event::key_of(*event).expect("a key");
        assert!(matches!(next(reports).await, MediaEvent::DigitBegan { digit, .. } if digit == expected));
        assert!(matches!(next(reports).await, MediaEvent::Digit { digit, .. } if digit == expected));
    }
}

#[tokio::test]
async fn a_call_that_does_not_listen_loses_no_key() {
    let engine = engine(EngineSettings::default());
    let peer = UdpSocket::bind((HERE, 0)).expect("a socket");
    peer.set_read_timeout(Some(GUARD)).expect("a guard");
    let (events, mut reports) = mpsc::channel(1);
    let stream = engine.open(HERE, Reach::Anywhere, events).expect("a stream");
    stream.start(parameters(peer.local_addr().expect("an address"))).expect("taken");
    peer.recv_from(&mut [0; 2_048]).expect("it runs");
    for event in 0..10_u8 {
        peer.send_to(&key(event, event.into()), stream.local()).expect("sent");
    }
    let mut keys = String::new();
    while keys.len() < 10 {
        if let MediaEvent::Digit { digit, .. } = next(&mut reports).await {
            keys.push(digit);
        }
    }
    assert_eq!(keys, "0123456789");
}

#[tokio::test]
async fn as_many_streams_as_are_allowed() {
    let engine = engine(EngineSettings { max_streams: 2, ..EngineSettings::default() });
    let open = || engine.open(HERE, Reach::Anywhere, mpsc::channel(1).0);
    let (one, _two) = (open().expect("a stream"), open().expect("a stream"));
    assert!(matches!(open(), Err(OpenError::TooManyStreams(2))));
    drop(one);
    open().expect("a stream is free again");
}

#[tokio::test]
async fn a_stream_outlives_its_engine_without_harm() {
    let engine = engine(EngineSettings::default());
    let (events, mut reports) = mpsc::channel(1);
    let stream = engine.open(HERE, Reach::Anywhere, events).expect("a stream");
    drop(engine);
    assert_eq!(reports.recv().await, None);
    assert_eq!(stream.stop(), Err(CommandError::Stopped));
    assert!(stream.finish().await.is_err());
}

/// A receiver report of source 9.
const RECEIVER_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 9];

/// The first report that comes to `socket`, after whatever else, and where it came from.
fn report(socket: &UdpSocket) -> SocketAddr {
    let mut datagram = [0; 2_048];
    loop {
        let (length, from) = socket.recv_from(&mut datagram).expect("a report");
        if length > 1 && datagram[1] == 200 {
            return from;
        }
    }
}

/// A peer whose RTCP has a port of its own.
fn peer_apart() -> ([UdpSocket; 2], StreamParameters) {
    let sockets = [(); 2].map(|()| UdpSocket::bind((HERE, 0)).expect("a socket"));
    let [rtp, rtcp] = sockets.each_ref().map(|socket| {
        socket.set_read_timeout(Some(GUARD)).expect("a guard");
        socket.local_addr().expect("an address")
    });
    (sockets, StreamParameters { remote_rtcp: rtcp, ..parameters(rtp) })
}

#[tokio::test]
async fn rtcp_has_the_port_above_where_it_is_not_shared() {
    let engine = engine(EngineSettings::default());
    let ([rtp, rtcp], agreed) = peer_apart();
    // The system chooses the port of RTP, so that another program may have the one above.
    let (stream, own) = loop {
        let (events, _reports) = mpsc::channel(8);
        let stream = engine.open(HERE, Reach::Anywhere, events).expect("a stream");
        let own = SocketAddr::new(HERE, stream.local().port().saturating_add(1));
        if UdpSocket::bind(own).is_ok() {
            break (stream, own);
        }
    };
    stream.start(agreed).expect("taken");
    // The stream has begun, so its port is open.
    rtp.recv_from(&mut [0; 2_048]).expect("a packet");
    rtcp.send_to(&RECEIVER_REPORT, own).expect("sent");
    rtcp.send_to(b"no report", own).expect("sent");
    assert_eq!(report(&rtcp), own, "and ours come from there");
    let counted = stream.finish().await.expect("a summary").statistics.rtcp;
    assert_eq!((counted.received, counted.dropped), (1, 1));
    assert!(UdpSocket::bind(own).is_ok(), "the port is free again");
}

#[tokio::test]
async fn reports_go_out_from_the_port_of_rtp_where_the_one_above_is_taken() {
    let engine = engine(EngineSettings::default());
    let ([_rtp, rtcp], agreed) = peer_apart();
    let (stream, _taken) = loop {
        let (events, _reports) = mpsc::channel(8);
        let stream = engine.open(HERE, Reach::Anywhere, events).expect("a stream");
        let above = SocketAddr::new(HERE, stream.local().port().saturating_add(1));
        if let Ok(taken) = UdpSocket::bind(above) {
            break (stream, taken);
        }
    };
    let local = stream.local();
    stream.start(agreed).expect("taken");
    assert_eq!(report(&rtcp), local);
}
