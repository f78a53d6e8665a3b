//! SIP over WebSocket (RFC 7118): one SIP message a WebSocket message, the sub-protocol `sip`. Content-Length need not be
//! there (§5), and a connection cannot be opened towards a browser.

use super::connection::{Arrival, Connection, Outgoing, Written, pong};
use crate::sip::Counter;
use crate::sip::message::MAX_MESSAGE_OCTETS;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// The header field that names sub-protocols (RFC 6455 §11.3.4).
const PROTOCOL: &str = "Sec-WebSocket-Protocol";
/// The name of this one (RFC 7118 §4).
const SIP: &str = "sip";
/// How long one message may take to be written.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// Limits: a message is no longer than a datagram.
fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_OCTETS))
        .max_frame_size(Some(MAX_MESSAGE_OCTETS))
        .read_buffer_size(8_192)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_MESSAGE_OCTETS)
}

/// Answers the handshake: only `sip` is spoken here (RFC 7118 §4.2).
// The size of the error is the library's.
#[allow(clippy::result_large_err)]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if offered.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(SIP)) {
        response.headers_mut().insert(PROTOCOL, HeaderValue::from_static(SIP));
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some("the sub-protocol is sip".to_owned()));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    Err(refusal)
}

/// The handshake of a peer that has connected.
pub(super) async fn accept<S>(stream: S) -> Result<WebSocketStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    accept_hdr_async_with_config(stream, agree, Some(limits())).await
}

/// Speaks over a WebSocket until its end.
pub(super) async fn run<S>(mut connection: Connection, stream: WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut writer, mut reader) = stream.split();
    let settings = connection.surroundings.settings;
    let (clock, link) = (connection.surroundings.clock, connection.link);
    let (mut rest, mut at_rest_too_long) =
        (clock.instant() + settings.framing.message_time, Counter::ClosedSlow);
    let mut is_read = true;
    let written = loop {
        tokio::select! {
            message = reader.next(), if is_read => {
                (rest, at_rest_too_long) = (clock.instant() + settings.idle, Counter::ClosedIdle);
                match message {
                    Some(Ok(Message::Text(text))) => take_in(&connection, text.into()).await,
                    Some(Ok(Message::Binary(octets))) => take_in(&connection, octets).await,
                    // Ping is answered by the library.
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => {
                        is_read = false;
                        let over = Arrival::ReadOver { link, broken: None };
                        let _ = connection.surroundings.arrivals.send(over).await;
                    }
                }
            }
            outgoing = connection.outbox.recv() => {
                let Some(Outgoing { flow, bytes, .. }) = outgoing else {
                    let _ = tokio::time::timeout(WRITE_TIME, writer.close()).await;
                    break Written::All;
                };
                match tokio::time::timeout(WRITE_TIME, writer.send(frame(bytes))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => break Written::Lost(flow),
                    Err(_) => {
                        connection.surroundings.tally.count(Counter::ClosedDeaf);
                        break Written::Lost(flow);
                    }
                }
            }
            () = tokio::time::sleep_until(rest.into()), if is_read => {
                is_read = false;
                connection.surroundings.tally.count(at_rest_too_long);
                let over = Arrival::ReadOver { link, broken: None };
                let _ = connection.surroundings.arrivals.send(over).await;
            }
        }
    };
    connection.over(written).await;
}

async fn take_in(connection: &Connection, bytes: Bytes) {
    if !bytes.is_empty() && bytes.iter().all(|octet| matches!(octet, b'\r' | b'\n')) {
        return pong(connection.link, &connection.surroundings, &connection.pongs);
    }
    let flow = connection.link.flow;
    // An error means that the driver has ended, and this task soon will.
    let _ = connection.surroundings.arrivals.send(Arrival::Message { flow, bytes }).await;
}

/// Text where it is UTF-8, as browsers like it; octets where it is not (RFC 7118 §5).
fn frame(bytes: Bytes) -> Message {
    match std::str::from_utf8(&bytes) {
        Ok(text) => Message::text(text),
        Err(_) => Message::binary(bytes),
    }
}
