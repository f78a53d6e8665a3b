//! A browser's softphone: SIP over WebSocket (RFC 7118).

use super::service::*;
use futures_util::{SinkExt, StreamExt};
use klikon::net::{Origins, StreamSettings, TlsSettings};
use klikon::sip::{Counter, EndCause, Event, FramingLimits, Transport};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const WS: Transport = Transport::Ws;

fn start(settings: StreamSettings) -> Service {
    Service::start(&["ws:127.0.0.1:0"], settings, TlsSettings::default())
}

async fn connect(service: &Service, protocol: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    connect_from(service, protocol, &[]).await
}

/// Connects as pages of these origins do.
async fn connect_from(
    service: &Service,
    protocol: &str,
    origins: &[&str],
) -> Result<WebSocketStream<TcpStream>, Error> {
    let address = service.address(WS);
    let mut request = format!("ws://{address}/").into_client_request()?;
    for origin in origins {
        request.headers_mut().append("Origin", origin.parse().unwrap());
    }
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    in_time(client_async(request, stream)).await.map(|(stream, _)| stream)
}

async fn next(browser: &mut WebSocketStream<TcpStream>) -> String {
    match in_time(browser.next()).await.unwrap().unwrap() {
        Message::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn send(browser: &mut WebSocketStream<TcpStream>, message: impl Into<String>) {
    in_time(browser.send(Message::text(message.into()))).await.unwrap();
}

#[tokio::test]
async fn a_browser_calls_and_is_called_back_on_its_connection_alone() {
    let mut service = start(StreamSettings::default());
    let mut browser = connect(&service, "xmpp, sip").await.unwrap();
    // Browsers leave Content-Length out, and their Via names no host (§5).
    send(&mut browser, invite(WS, 1).replace(&format!("Content-Length: {}\r\n", SDP.len()), "")).await;
    assert!(next(&mut browser).await.starts_with("SIP/2.0 100 "));
    let ok = next(&mut browser).await;
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    assert_eq!(field(&ok, "Contact"), format!("<sip:130@{};transport=ws>", service.address(WS)));
    send(&mut browser, ack(&ok, WS)).await;
    let session = service.confirmed().await;
    send(&mut browser, "\r\n\r\n").await;
    assert_eq!(next(&mut browser).await, "\r\n");
    service.order(Order::Bye(session)).await;
    let bye = next(&mut browser).await;
    assert!(bye.starts_with("BYE ") && field(&bye, "Via").starts_with("SIP/2.0/WS "), "{bye}");
    in_time(browser.send(Message::binary(ok_to(&bye).into_bytes()))).await.unwrap();
    service
        .wait(|told| {
            matches!(told, Told::Event(Event::Ended { cause: EndCause::ByeCompleted, .. })).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_call_whose_browser_is_gone_ends_with_our_bye() {
    let mut service = start(StreamSettings::default());
    let mut browser = connect(&service, "sip").await.unwrap();
    send(&mut browser, invite(WS, 1)).await;
    next(&mut browser).await;
    let ok = next(&mut browser).await;
    send(&mut browser, ack(&ok, WS)).await;
    let session = service.confirmed().await;
    drop(browser);
    service.wait(|told| matches!(told, Told::Disconnected(_)).then_some(())).await;
    service.order(Order::Bye(session)).await;
    service
        .wait(|told| {
            matches!(told, Told::Event(Event::Ended { cause: EndCause::ByeTimeout, .. })).then_some(())
        })
        .await;
}

#[tokio::test]
async fn only_sip_is_spoken_and_no_message_is_longer_than_a_datagram() {
    let service = start(StreamSettings::default());
    let mut other = connect(&service, "sip").await.unwrap();
    assert!(
        matches!(connect(&service, "chat").await, Err(Error::Http(response)) if response.status() == 400)
    );
    assert_eq!(service.count(Counter::ClosedHandshake).await, 1);
    let mut browser = connect(&service, "sip").await.unwrap();
    let long = options(WS, 1) + &"x".repeat(70_000);
    // The service may close before it is all out.
    let _ = in_time(browser.send(Message::text(long))).await;
    let closed = loop {
        match in_time(browser.next()).await {
            None | Some(Ok(Message::Close(_)) | Err(_)) => break true,
            Some(Ok(Message::Text(_))) => break false,
            Some(Ok(_)) => {}
        }
    };
    assert!(closed);
    send(&mut other, options(WS, 2)).await;
    assert!(next(&mut other).await.starts_with("SIP/2.0 200 "));
}

#[tokio::test]
async fn a_page_connects_only_from_an_origin_of_the_settings() {
    let allowing = |origins: &[&str]| {
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        start(StreamSettings { websocket_origins: Origins::new(&origins), ..StreamSettings::default() })
    };
    let (ours, evil) = ("https://phone.example", "https://phone.example.evil");
    let (none, one, all) = (allowing(&[]), allowing(&[ours]), allowing(&["*"]));
    for (service, origins, may) in [
        (&none, &[][..], true),
        (&none, &[ours], false),
        (&one, &[], true),
        (&one, &[ours], true),
        (&one, &["HTTPS://phone.EXAMPLE"], true),
        (&one, &[evil], false),
        (&one, &["http://phone.example"], false),
        (&one, &["https://phone.example:8443"], false),
        (&one, &["null"], false),
        (&one, &["*"], false),
        (&one, &[""], false),
        (&one, &[ours, evil], false),
        (&all, &[evil], true),
    ] {
        match connect_from(service, "sip", origins).await {
            Ok(mut page) => {
                send(&mut page, options(WS, 1)).await;
                assert!(next(&mut page).await.starts_with("SIP/2.0 200 ") && may, "{origins:?}");
            }
            Err(Error::Http(response)) => {
                assert_eq!((response.status().as_u16(), may), (403, false), "{origins:?}")
            }
            Err(error) => panic!("{origins:?}: {error}"),
        }
    }
    assert_eq!(none.count(Counter::ClosedHandshake).await, 1);
    assert_eq!(one.count(Counter::ClosedHandshake).await, 7);
}

#[tokio::test]
async fn a_handshake_and_a_message_have_their_time() {
    let framing = FramingLimits { message_time: Duration::from_millis(300), ..FramingLimits::default() };
    let service = start(StreamSettings { framing, ..StreamSettings::default() });
    let mut half_open = Peer::new(TcpStream::connect(service.address(WS)).await.unwrap());
    half_open.send("GET / HTTP/1.1\r\n").await;
    let mut browser = connect(&service, "sip").await.unwrap();
    send(&mut browser, options(WS, 1)).await;
    assert!(next(&mut browser).await.starts_with("SIP/2.0 200 "));
    // A frame that never ends: its header promises 1,000 octets.
    let stream = browser.get_mut();
    tokio::io::AsyncWriteExt::write_all(stream, &[0x81, 0xfe, 0x03, 0xe8, 0, 0, 0, 0, b'O']).await.unwrap();
    assert!(!matches!(in_time(browser.next()).await, Some(Ok(Message::Text(_)))));
    assert_eq!(half_open.message().await, None);
    assert_eq!(service.count(Counter::ClosedSlow).await, 2);
}
