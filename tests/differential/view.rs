//! What each reader sees in a message, in one form.

use bytes::Bytes;
use klikon::sip::message::{Contact, HeaderName, Host, Message, NameAddr, StartLine, ViaTransport};
use sipx_sip::headers as sipx;
use std::net::IpAddr;

/// A field that both readers type: absent, unreadable, or its value as text.
pub type Typed = Option<Result<String, ()>>;

/// What is seen without typing any field.
#[derive(Debug, PartialEq, Eq)]
pub struct Raw {
    /// Method, Request-URI and version, or status and reason.
    pub start: String,
    /// Names as the reader knows them, in lower case, and values without folding.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

fn text(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

/// A fold is one space, and white space around a value does not count.
fn unfolded(value: &[u8]) -> String {
    let mut line = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((octet, after)) = rest.split_first() {
        if rest.starts_with(b"\r\n") {
            let next = after.iter().skip(1).position(|octet| !matches!(octet, b' ' | b'\t'));
            rest = next.map_or(&[], |next| &after[next + 1..]);
            line.push(b' ');
        } else {
            line.push(*octet);
            rest = after;
        }
    }
    text(line.trim_ascii())
}

pub fn raw_ours(message: &Message<'_>) -> Raw {
    let start = match message.start() {
        StartLine::Request { method, uri, version } => {
            format!("{} {} {}", text(method.as_octets()), text(uri), text(&version.to_ascii_uppercase()))
        }
        StartLine::Response { status, reason } => format!("{status} {}", text(reason)),
    };
    let fields = message.fields().map(|field| {
        let name = match field.name {
            HeaderName::Other => text(&field.spelled.to_ascii_lowercase()),
            known => known.as_str().to_ascii_lowercase(),
        };
        (name, unfolded(field.value))
    });
    Raw { start, fields: fields.collect(), body: message.body().to_vec() }
}

pub fn raw_theirs(message: &sipx_sip::Message) -> Raw {
    let start = match message {
        sipx_sip::Message::Request(request) => {
            let version = request.version.as_bytes().to_ascii_uppercase();
            format!(
                "{} {} {}",
                text(request.method.as_bytes()),
                text(&request.uri.to_bytes()),
                text(&version)
            )
        }
        sipx_sip::Message::Response(response) => {
            format!("{} {}", response.status.code(), text(&response.reason))
        }
    };
    let fields = message.headers().iter().map(|header| {
        let name = HeaderName::from_octets(header.name().canonical());
        let name = match name {
            HeaderName::Other => text(&header.name().canonical().to_ascii_lowercase()),
            known => known.as_str().to_ascii_lowercase(),
        };
        (name, unfolded(header.raw_value()))
    });
    Raw { start, fields: fields.collect(), body: message.body().to_vec() }
}

fn address_ours(address: &NameAddr<'_>) -> String {
    let tag = address.tag().map(text);
    format!("{:?} <{}> tag {tag:?}", text(&address.display_name()), text(address.uri.raw()))
}

fn address_theirs(address: &sipx::Address) -> String {
    let tag = address.tag().map(text);
    let display = address.display_name.clone().unwrap_or_default();
    format!("{:?} <{}> tag {tag:?}", text(&display), text(&address.uri.to_bytes()))
}

fn host_ours(host: &Host<'_>) -> String {
    match host {
        Host::Name(name) => text(&name.to_ascii_lowercase()),
        Host::Address(address) => address.to_string(),
    }
}

fn host_theirs(host: &sipx_sip::uri::Host) -> String {
    let written = host.to_bytes().to_ascii_lowercase();
    let bare = String::from_utf8_lossy(&written).trim_matches(['[', ']']).to_owned();
    bare.parse::<IpAddr>().map_or_else(|_| text(&written), |address| address.to_string())
}

fn via_ours(message: &Message<'_>) -> Typed {
    message.values(HeaderName::Via).next()?;
    let vias: Result<Vec<String>, ()> = message
        .vias()
        .map(|via| {
            let via = via.map_err(drop)?;
            let transport = match via.transport {
                ViaTransport::Other(other) => text(&other.to_ascii_uppercase()),
                known => format!("{known:?}").to_ascii_uppercase(),
            };
            let branch = via.branch().map(text);
            Ok(format!("{transport} {}:{:?} {branch:?}", host_ours(&via.host), via.port))
        })
        .collect();
    Some(vias.map(|vias| vias.join(", ")))
}

fn via_theirs(headers: &sipx_sip::Headers) -> Typed {
    headers.get(&sipx_sip::HeaderName::Via)?;
    let vias: Result<Vec<String>, ()> = headers
        .typed_all::<sipx::Via>()
        .map(|via| {
            let via = via.map_err(drop)?;
            let branch = via.branch().map(text);
            let transport = text(&via.transport.to_ascii_uppercase());
            Ok(format!("{transport} {}:{:?} {branch:?}", host_theirs(&via.host), via.port))
        })
        .collect();
    Some(vias.map(|vias| vias.join(", ")))
}

/// The fields both type, of our reader. A field that is absent is `None`; one of which there may be one and are several
/// counts as unreadable.
pub fn typed_ours(message: &Message<'_>) -> Vec<(&'static str, Typed)> {
    let present = |name, value: Result<String, ()>| message.values(name).next().map(|_| value);
    let contacts: Result<Vec<String>, ()> = message
        .contacts()
        .map(|contact| match contact {
            Ok(Contact::Any) => Ok("*".to_owned()),
            Ok(Contact::Address(address)) => Ok(address_ours(&address)),
            Err(_) => Err(()),
        })
        .collect();
    let routes: Result<Vec<String>, ()> =
        message.routes().map(|route| route.map(|route| address_ours(&route)).map_err(drop)).collect();
    let content_type = message.content_type().map_err(drop).map(|media| {
        let media = media.map(|media| (media.kind.to_ascii_lowercase(), media.subtype.to_ascii_lowercase()));
        format!("{:?}", media.map(|(kind, subtype)| format!("{}/{}", text(&kind), text(&subtype))))
    });
    vec![
        ("via", via_ours(message)),
        ("from", present(HeaderName::From, message.from().map(|from| address_ours(&from)).map_err(drop))),
        ("to", present(HeaderName::To, message.to().map(|to| address_ours(&to)).map_err(drop))),
        ("call-id", present(HeaderName::CallId, message.call_id().map(text).map_err(drop))),
        (
            "cseq",
            present(
                HeaderName::CSeq,
                message
                    .cseq()
                    .map(|cseq| format!("{} {}", cseq.number, text(cseq.method.as_octets())))
                    .map_err(drop),
            ),
        ),
        (
            "max-forwards",
            present(
                HeaderName::MaxForwards,
                message.max_forwards().map(|it| format!("{it:?}")).map_err(drop),
            ),
        ),
        ("contact", present(HeaderName::Contact, contacts.map(|contacts| contacts.join(", ")))),
        ("route", present(HeaderName::Route, routes.map(|routes| routes.join(", ")))),
        ("content-type", present(HeaderName::ContentType, content_type)),
    ]
}

/// The same of the other reader.
pub fn typed_theirs(message: &sipx_sip::Message) -> Vec<(&'static str, Typed)> {
    let headers = message.headers();
    let single = |name: &sipx_sip::HeaderName, value: Typed| match headers.count(name) {
        0 => None,
        1 => value,
        _ => Some(Err(())),
    };
    use sipx_sip::HeaderName as Name;
    let contacts: Result<Vec<String>, ()> = headers
        .typed_all::<sipx::ContactValue>()
        .map(|contact| match contact {
            Ok(sipx::ContactValue::Wildcard) => Ok("*".to_owned()),
            Ok(sipx::ContactValue::Address(address)) => Ok(address_theirs(&address)),
            Err(_) => Err(()),
        })
        .collect();
    let routes: Result<Vec<String>, ()> = headers
        .typed_all::<sipx::Route>()
        .map(|route| route.map(|route| address_theirs(&route)).map_err(drop))
        .collect();
    let typed = |value: Option<Result<String, sipx_sip::HeaderError>>| value.map(|value| value.map_err(drop));
    vec![
        ("via", via_theirs(headers)),
        (
            "from",
            single(
                &Name::From,
                typed(headers.typed::<sipx::From>().map(|it| it.map(|it| address_theirs(&it)))),
            ),
        ),
        (
            "to",
            single(&Name::To, typed(headers.typed::<sipx::To>().map(|it| it.map(|it| address_theirs(&it))))),
        ),
        (
            "call-id",
            single(&Name::CallId, typed(headers.typed::<sipx::CallId>().map(|it| it.map(|it| text(&it.0))))),
        ),
        (
            "cseq",
            single(
                &Name::CSeq,
                typed(
                    headers
                        .typed::<sipx::CSeq>()
                        .map(|it| it.map(|it| format!("{} {}", it.sequence, text(it.method.as_bytes())))),
                ),
            ),
        ),
        (
            "max-forwards",
            single(
                &Name::MaxForwards,
                typed(
                    headers.typed::<sipx::MaxForwards>().map(|it| it.map(|it| format!("{:?}", Some(it.0)))),
                ),
            ),
        ),
        ("contact", headers.get(&Name::Contact).map(|_| contacts.map(|contacts| contacts.join(", ")))),
        ("route", headers.get(&Name::Route).map(|_| routes.map(|routes| routes.join(", ")))),
        (
            "content-type",
            single(
                &Name::ContentType,
                typed(headers.typed::<sipx::ContentType>().map(|it| {
                    it.map(|it| {
                        let of = |part: &[u8]| text(&part.to_ascii_lowercase());
                        format!(
                            "{:?}",
                            Some(format!("{}/{}", of(it.media_type.as_ref()), of(it.subtype.as_ref())))
                        )
                    })
                })),
            ),
        ),
    ]
}

/// Reads a datagram with the other reader.
pub fn read_theirs(octets: &[u8]) -> Result<sipx_sip::Message, sipx_sip::error::ParseError> {
    let limits = sipx_sip::parser::Limits::datagram();
    sipx_sip::parser::parse_datagram(Bytes::copy_from_slice(octets), &limits)
}
