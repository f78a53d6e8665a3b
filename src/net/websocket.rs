//! SIP over WebSocket (RFC 7118): one SIP message a WebSocket message, the sub-protocol `sip`. Content-Length need not be
//! there (§5), and a connection cannot be opened towards a browser.

use super::connection::{Arrival, Connection, Outgoing, Surroundings, Written, pong};
use super::settings::Origins;
use super::watched::{Beginning, Watched};
use crate::sip::Counter;
use crate::sip::message::MAX_MESSAGE_OCTETS;
use bytes::Bytes;
use futures_util::{Sink, SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, Uri, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config, client_async_with_config};

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

/// Answers the handshake: only `sip` is spoken here (RFC 7118 §4.2), and a page must come from where the settings say
/// (RFC 6455 §10.2). What is no browser says no Origin.
// The size of the error is the library's.
#[allow(clippy::result_large_err)]
fn agree(request: &Request, mut response: Response, origins: &Origins) -> Result<Response, ErrorResponse> {
    let mut said = request.headers().get_all(header::ORIGIN).iter();
    if !said.all(|origin| origins.admit(origin.as_bytes())) {
        return Err(refusal(StatusCode::FORBIDDEN, "this origin is not in streams.websocket_origins"));
    }
    let offered = request.headers().get_all(PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if offered.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(SIP)) {
        response.headers_mut().insert(PROTOCOL, HeaderValue::from_static(SIP));
        return Ok(response);
    }
    Err(refusal(StatusCode::BAD_REQUEST, "the sub-protocol is sip"))
}

fn refusal(status: StatusCode, why: &str) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(why.to_owned()));
    *refusal.status_mut() = status;
    refusal
}

/// The handshake of a peer that has connected.
pub(super) async fn accept<S>(
    stream: Watched<S>,
    origins: &Origins,
) -> Result<WebSocketStream<Watched<S>>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // The size of the error is the library's.
    #[allow(clippy::result_large_err)]
    let agree = |request: &Request, response| agree(request, response, origins);
    accept_hdr_async_with_config(stream, agree, Some(limits())).await
}

/// The handshake with a server that we have connected to (RFC 7118 §4.1); one that does not agree to `sip` is left.
pub(super) async fn connect<S>(
    stream: Watched<S>,
    host: &str,
    remote: SocketAddr,
) -> io::Result<WebSocketStream<Watched<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    // The scheme only tells the library that it is a WebSocket: what is under it is ours.
    let uri = format!("ws://{host}:{}/", remote.port());
    let uri: Uri = uri.parse().map_err(io::Error::other)?;
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(SIP);
    let (stream, _) =
        client_async_with_config(request, stream, Some(limits())).await.map_err(io::Error::other)?;
    Ok(stream)
}

/// How long the peer is waited for: a message that has begun has its time, and so has the first octet; after that the
/// connection may rest.
struct Patience {
    beginning: Beginning,
    message_time: Duration,
    /// The end of a rest, and what its passing is counted under.
    rest: (Instant, Counter),
}

impl Patience {
    fn deadline(&self) -> (Instant, Counter) {
        let begun = self.beginning.get().map(|begun| (begun + self.message_time, Counter::ClosedSlow));
        begun.unwrap_or(self.rest)
    }
}

/// Speaks over a WebSocket until its end.
pub(super) async fn run<S>(mut connection: Connection, stream: WebSocketStream<Watched<S>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Surroundings { settings, clock, .. } = &connection.surroundings;
    let (clock, message_time, idle) = (*clock, settings.framing.message_time, settings.idle);
    let beginning = stream.get_ref().beginning();
    // Those of the handshake.
    beginning.clear();
    let rest = (clock.instant() + message_time, Counter::ClosedSlow);
    let mut patience = Patience { beginning: beginning.clone(), message_time, rest };
    let (mut writer, mut reader) = stream.split();
    let mut is_read = true;
    let written = loop {
        let (deadline, counter) = patience.deadline();
        tokio::select! {
            message = reader.next(), if is_read => {
                beginning.clear();
                patience.rest = (clock.instant() + idle, Counter::ClosedIdle);
                is_read = read(&connection, message).await;
            }
            outgoing = connection.line.outbox.recv() => match outgoing {
                Some(outgoing) => {
                    if let Err(lost) = write(&mut connection, &mut writer, outgoing).await {
                        break lost;
                    }
                }
                None => {
                    // A peer that is gone already needs no goodbye.
                    let _ = tokio::time::timeout(WRITE_TIME, writer.close()).await;
                    break Written::All;
                }
            },
            () = connection.line.cut.off() => break Written::Cut,
            // A deadline begins.
            () = beginning.begun(), if is_read => {}
            () = tokio::time::sleep_until(deadline.into()), if is_read => {
                is_read = false;
                connection.surroundings.tally.count(counter);
                read_over(&connection).await;
            }
        }
    };
    connection.over(written).await;
}

/// Takes over what the library read; `false` when that was the last.
async fn read(connection: &Connection, message: Option<Result<Message, Error>>) -> bool {
    match message {
        Some(Ok(Message::Text(text))) => take_in(connection, text.into()).await,
        Some(Ok(Message::Binary(octets))) => take_in(connection, octets).await,
        // Ping is answered by the library.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
        Some(Ok(Message::Close(_))) | None => {
            read_over(connection).await;
            return false;
        }
        Some(Err(error)) => {
            if matches!(error, Error::Capacity(_) | Error::Protocol(_) | Error::Utf8(_)) {
                connection.surroundings.tally.count(Counter::ClosedBroken);
            }
            tracing::debug!(%error, remote = %connection.link.flow.remote, "a WebSocket broke");
            read_over(connection).await;
            return false;
        }
    }
    true
}

async fn read_over(connection: &Connection) {
    // An error means that the driver has ended, and this task soon will.
    let over = Arrival::ReadOver { link: connection.link, broken: None };
    let _ = connection.surroundings.arrivals.send(over).await;
}

async fn write(
    connection: &mut Connection,
    writer: &mut (impl Sink<Message, Error = Error> + Unpin),
    Outgoing { flow, bytes, .. }: Outgoing,
) -> Result<(), Written> {
    let written = tokio::select! {
        written = tokio::time::timeout(WRITE_TIME, writer.send(frame(bytes))) => written,
        () = connection.line.cut.off() => return Err(Written::Lost(flow)),
    };
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Written::Lost(flow)),
        Err(_) => {
            connection.surroundings.tally.count(Counter::ClosedDeaf);
            Err(Written::Lost(flow))
        }
    }
}

async fn take_in(connection: &Connection, bytes: Bytes) {
    if !bytes.is_empty() && bytes.iter().all(|octet| matches!(octet, b'\r' | b'\n')) {
        let pongs = Some(&connection.line.pongs).filter(|_| !connection.is_ours);
        return pong(connection.link, &connection.surroundings, pongs);
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
