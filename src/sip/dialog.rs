//! Dialogs (RFC 3261 §12): the state two user agents share, and the requests that are sent within it.
//!
//! Requests within a dialog are written by our own writer, not by `rsip`: the remote target and both identities go
//! back octet by octet as they came, in whatever encoding.

use super::identifier::Tag;
use super::message::{
    CSeq, Contact, Defect, HeaderName, Host, Message, Method, NameAddr, Unwritable, Uri, Writer,
};
use super::transaction::key::DEFAULT_PORT;
use super::transport::{Flow, Transport};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Max-Forwards of every request we send (RFC 3261 §8.1.1.6).
pub const MAX_FORWARDS: u32 = 70;

/// A dialog, from our side.
#[derive(Debug, Clone)]
pub struct Dialog {
    call_id: Box<[u8]>,
    local_tag: Tag,
    /// Empty where the peer has none (RFC 2543).
    remote_tag: Box<[u8]>,
    /// The From of our requests.
    local: Box<[u8]>,
    /// The To of our requests.
    remote: Box<[u8]>,
    /// The URI of the peer's Contact.
    remote_target: Box<[u8]>,
    /// `name-addr` values in the order of our Route.
    route_set: Vec<Box<[u8]>>,
    /// Whether the INVITE that made the dialog was ours.
    is_ours: bool,
    /// Whether that INVITE asked for `sips`.
    is_sips: bool,
    /// CSeq of the INVITE that made the dialog, and of its ACK.
    invite_cseq: u32,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    /// The way by which the peer was last heard.
    heard: Flow,
    /// By which way our requests go.
    flow: Flow,
    /// The URI of the next hop, where it names a host whose address only the DNS knows.
    named_hop: Option<Box<[u8]>>,
    /// The way that was found for such a URI.
    found: Option<(Box<[u8]>, Flow)>,
}

/// A value as it can stand in one line: of a fold its white space is left, which means the same (RFC 3261 §7.3.1).
fn unfolded(value: &[u8]) -> Vec<u8> {
    value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect()
}

fn boxed(value: &[u8]) -> Box<[u8]> {
    unfolded(value).into_boxed_slice()
}

/// The first Contact that is an address; of an RFC 2543 peer that gives none, `fallback`.
fn target_of<'a>(message: &Message<'a>, fallback: NameAddr<'a>) -> Result<Uri<'a>, Defect> {
    for contact in message.contacts() {
        if let Contact::Address(address) = contact? {
            return Ok(address.uri);
        }
    }
    Ok(fallback.uri)
}

/// A URI as it may stand in a request line: without the header fields that one in a Contact may hold (RFC 3261 §19.1.1).
fn request_uri_of<'a>(uri: &Uri<'a>) -> &'a [u8] {
    match uri {
        Uri::Sip(uri) => {
            let headers = uri.headers.map_or(0, |headers| headers.len() + 1);
            uri.raw.get(..uri.raw.len() - headers).unwrap_or(uri.raw)
        }
        other => other.raw(),
    }
}

/// Whether a request asks for `sips` (RFC 3261 §12.1.1): in its Request-URI, or in the top Record-Route, or where there is
/// none in the Contact.
pub fn asks_for_sips(request: &Message<'_>) -> bool {
    let is_sips = |uri: &Uri<'_>| matches!(uri, Uri::Sip(uri) if uri.secure);
    let contact = || {
        request.contacts().find_map(|contact| match contact {
            Ok(Contact::Address(address)) => Some(address.uri),
            _ => None,
        })
    };
    let route = request.record_routes().next().and_then(Result::ok).map(|route| route.uri);
    request.request_uri().is_ok_and(|uri| is_sips(&uri))
        || route.or_else(contact).is_some_and(|uri| is_sips(&uri))
}

/// Whether a request may go to `address`, which a peer heard from `heard` has named: of the same family, one host, and
/// this machine only for a peer on it.
pub(super) fn is_reachable(address: IpAddr, heard: IpAddr) -> bool {
    address.is_ipv4() == heard.is_ipv4()
        && !address.is_unspecified()
        && !address.is_multicast()
        && address != IpAddr::V4(Ipv4Addr::BROADCAST)
        && (!address.is_loopback() || heard.is_loopback())
}

impl Dialog {
    /// The dialog that our 2xx (or 101–199) response to `invite` makes (RFC 3261 §12.1.1). `flow` is the way the
    /// INVITE came.
    ///
    /// # Errors
    /// The defect of a field that cannot be read; none in a message that passed its check.
    pub fn uas(invite: &Message<'_>, local_tag: Tag, flow: Flow) -> Result<Self, Defect> {
        let (from, to, cseq) = (invite.from()?, invite.to()?, invite.cseq()?.number);
        let mut local = unfolded(to.raw);
        local.extend_from_slice(format!(";tag={local_tag}").as_bytes());
        let target = target_of(invite, from)?;
        let route_set: Result<_, Defect> =
            invite.record_routes().map(|route| route.map(|r| boxed(r.raw))).collect();
        let mut dialog = Self {
            call_id: invite.call_id()?.into(),
            local_tag,
            remote_tag: from.tag().unwrap_or_default().into(),
            local: local.into_boxed_slice(),
            remote: boxed(from.raw),
            remote_target: request_uri_of(&target).into(),
            route_set: route_set?,
            is_ours: false,
            is_sips: asks_for_sips(invite),
            invite_cseq: cseq,
            local_cseq: 0,
            remote_cseq: Some(cseq),
            heard: flow,
            flow,
            named_hop: None,
            found: None,
        };
        dialog.route(invite, &target);
        Ok(dialog)
    }

    /// The dialog that a 2xx `response` to our `invite` makes (RFC 3261 §12.1.2).
    ///
    /// # Errors
    /// The defect of a field that cannot be read; [`Defect::Syntax`] of From where the tag is not ours.
    pub fn uac(invite: &Message<'_>, response: &Message<'_>, flow: Flow) -> Result<Self, Defect> {
        let (from, to, cseq) = (invite.from()?, response.to()?, invite.cseq()?.number);
        let local_tag = from.tag().and_then(Tag::parse).ok_or(Defect::Syntax(HeaderName::From))?;
        let target = target_of(response, to)?;
        let route_set: Result<Vec<_>, Defect> =
            response.record_routes().map(|route| route.map(|r| boxed(r.raw))).collect();
        let mut route_set = route_set?;
        route_set.reverse();
        let mut dialog = Self {
            call_id: invite.call_id()?.into(),
            local_tag,
            remote_tag: to.tag().unwrap_or_default().into(),
            local: boxed(from.raw),
            remote: boxed(to.raw),
            remote_target: request_uri_of(&target).into(),
            route_set,
            is_ours: true,
            is_sips: asks_for_sips(invite),
            invite_cseq: cseq,
            local_cseq: cseq,
            remote_cseq: None,
            heard: flow,
            flow,
            named_hop: None,
            found: None,
        };
        dialog.route(response, &target);
        Ok(dialog)
    }

    /// Finds the next hop: the host of the first Route, or of the remote target, where that is an address of the same
    /// family (RFC 3261 §8.1.2 and §12.2.1.1); where it is a name, [`Dialog::follow`] says where that leads. Otherwise, and
    /// until then, the address the peer was heard from. So too for a
    /// peer behind address translation: its top Via names the same host as its Contact, and it is heard from another.
    fn route(&mut self, heard: &Message<'_>, target: &Uri<'_>) {
        let first = self.route_set.first().and_then(|route| NameAddr::parse(route));
        let next = match (&first, target) {
            (Some(route), _) => &route.uri,
            (None, target) => target,
        };
        self.named_hop = None;
        let Uri::Sip(next) = next else { return };
        let is_sender = first.is_none()
            && heard.method().is_some()
            && heard.top_via().is_ok_and(|via| via.host == next.host);
        let address = match next.host {
            Host::Address(address) => address,
            // Who names himself as he does in Via is where he is heard.
            Host::Name(_) if is_sender => return,
            Host::Name(_) => {
                let uri: Box<[u8]> = next.raw.into();
                self.flow = match &self.found {
                    Some((known, found)) if *known == uri => *found,
                    _ => self.flow,
                };
                self.named_hop = Some(uri);
                return;
            }
        };
        let translated = is_sender && address != self.heard.remote.ip();
        let port = next.port.unwrap_or(DEFAULT_PORT);
        if !translated
            && port != 0
            && self.heard.transport == Transport::Udp
            && is_reachable(address, self.heard.remote.ip())
        {
            self.flow = Flow { remote: SocketAddr::new(address, port), ..self.heard };
        }
    }

    /// The URI of the next hop, where it names a host, with the address its peer is heard from. Until
    /// [`Dialog::follow`] our requests go there.
    pub fn named_hop(&self) -> Option<(&[u8], IpAddr)> {
        self.named_hop.as_deref().map(|uri| (uri, self.heard.remote.ip()))
    }

    /// Sends our requests by `flow`, which was found for the URI of [`Dialog::named_hop`]. `false` where that has changed
    /// meanwhile, or a request may not go there: what is true of addresses is true of names. A peer that is heard over a
    /// connection is spoken to by it, unless its name asks for another transport.
    pub fn follow(&mut self, uri: &[u8], flow: Flow) -> bool {
        let is_ours = self.named_hop.as_deref() == Some(uri);
        let keeps = self.heard.transport.is_reliable() && self.heard.transport == flow.transport;
        let address = flow.remote;
        if !is_ours
            || keeps
            || address.port() == 0
            || !is_reachable(address.ip(), self.heard.remote.ip())
            || (self.is_sips && !flow.transport.is_secure())
        {
            return false;
        }
        self.flow = flow;
        self.found = Some((uri.into(), flow));
        true
    }

    /// The way that was found for our requests, where one was.
    pub fn found(&self) -> Option<Flow> {
        self.found.as_ref().map(|(_, flow)| *flow)
    }

    /// Our tag, by which the endpoint finds the dialog.
    pub fn local_tag(&self) -> Tag {
        self.local_tag
    }

    /// The peer's tag; empty where it has none.
    pub fn remote_tag(&self) -> &[u8] {
        &self.remote_tag
    }

    /// The way by which the peer was last heard.
    pub fn heard(&self) -> Flow {
        self.heard
    }

    /// Whether we made the call, and with it the Call-ID.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Whether our Contact is to be a `sips` URI.
    pub fn is_sips(&self) -> bool {
        self.is_sips
    }

    /// By which way our requests go.
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// Where the peer was heard from: where our responses went.
    pub fn heard_from(&self) -> IpAddr {
        self.heard.remote.ip()
    }

    /// Whether a request of the peer, whose To tag is ours, belongs to this dialog (RFC 3261 §12.2.2).
    pub fn matches(&self, request: &Message<'_>) -> bool {
        let same_call = request.call_id().is_ok_and(|call_id| call_id == &*self.call_id);
        same_call && request.from().is_ok_and(|from| from.tag().unwrap_or_default() == &*self.remote_tag)
    }

    /// Whether it is the dialog of this Call-ID and tag of the peer, where `0` stands for none (RFC 3891 §3).
    pub fn is(&self, call_id: &[u8], remote_tag: &[u8]) -> bool {
        let is_peer = &*self.remote_tag == remote_tag || (self.remote_tag.is_empty() && remote_tag == b"0");
        is_peer && &*self.call_id == call_id
    }

    /// Notes the CSeq of a request of the peer. `false` when it is lower than one that came before (RFC 3261 §12.2.2).
    /// ACK and CANCEL repeat the number of their INVITE and are not handed in.
    pub fn accept_cseq(&mut self, cseq: &CSeq<'_>) -> bool {
        if self.remote_cseq.is_some_and(|last| cseq.number < last) {
            return false;
        }
        self.remote_cseq = Some(cseq.number);
        true
    }

    /// Takes over the remote target of a re-INVITE or UPDATE that is answered with 2xx (RFC 3261 §12.2.2, RFC 3311 §5.2).
    /// Without a Contact the target stays.
    pub fn refresh_target(&mut self, reinvite: &Message<'_>, flow: Flow) {
        self.heard = flow;
        for contact in reinvite.contacts() {
            if let Ok(Contact::Address(address)) = contact {
                self.remote_target = request_uri_of(&address.uri).into();
                self.flow = flow;
                self.route(reinvite, &address.uri);
                return;
            }
        }
    }

    /// CSeq of the INVITE that made the dialog, and of the ACK to its 2xx.
    pub fn invite_cseq(&self) -> u32 {
        self.invite_cseq
    }

    /// The number for our next request (RFC 3261 §12.2.1.1).
    pub fn next_cseq(&mut self) -> u32 {
        // 2³¹ − 1 is the highest allowed; no dialog sends as many requests.
        self.local_cseq = self.local_cseq.saturating_add(1).min((1 << 31) - 1);
        self.local_cseq
    }

    /// Goes on with the numbers of an early dialog of the same peer, in which requests were sent.
    pub fn continue_cseq(&mut self, early: &Self) {
        self.local_cseq = self.local_cseq.max(early.local_cseq);
    }

    /// Begins a request of ours within the dialog (RFC 3261 §12.2.1.1), with loose routing, or strict routing where the
    /// first Route lacks `lr`. `via` is our Via's value.
    ///
    /// # Errors
    /// When something the peer gave us cannot stand in a line.
    pub fn request(&self, method: Method<'_>, cseq: u32, via: &str) -> Result<Writer, Unwritable> {
        let first = self.route_set.first().and_then(|route| NameAddr::parse(route));
        let strict = match first {
            Some(NameAddr { uri: uri @ Uri::Sip(sip), .. }) if !sip.parameters.has("lr") => Some(uri),
            _ => None,
        };
        let mut writer =
            Writer::request(method, strict.as_ref().map_or(&*self.remote_target, request_uri_of))?;
        writer.field(HeaderName::Via, via)?;
        writer.field_number(HeaderName::MaxForwards, MAX_FORWARDS)?;
        for route in self.route_set.iter().skip(usize::from(strict.is_some())) {
            writer.field(HeaderName::Route, route)?;
        }
        if strict.is_some() {
            let target = [b"<", &*self.remote_target, b">"].concat();
            writer.field(HeaderName::Route, target)?;
        }
        writer.field(HeaderName::From, &self.local)?;
        writer.field(HeaderName::To, &self.remote)?;
        writer.field(HeaderName::CallId, &self.call_id)?;
        writer.field(HeaderName::CSeq, format!("{cseq} {method}"))?;
        Ok(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::identifier::Identifiers;

    /// Where a request goes in the dialog of an INVITE from `heard` with this Contact and these further fields.
    fn next_hop(heard: &str, via: &str, contact: &str, more: &str) -> String {
        let invite = format!(
            "INVITE sip:130@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:130@c>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{contact}{more}Content-Length: 0\r\n\r\n"
        );
        let message = Message::parse(invite.as_bytes()).expect("reads");
        assert_eq!(message.check(), Ok(()));
        let remote: SocketAddr = heard.parse().expect("an address");
        let local = if remote.is_ipv4() { "192.0.2.1:5060" } else { "[2001:db8::1]:5060" };
        let flow = Flow { transport: Transport::Udp, local: local.parse().expect("an address"), remote };
        let tag = Identifiers::new([0; 32]).tag();
        let dialog = Dialog::uas(&message, tag, flow).expect("a dialog");
        let bye = dialog.request(Method::Bye, 1, "SIP/2.0/UDP x").expect("writes").finish();
        let bye = Message::parse(&bye).expect("reads").check();
        assert!(matches!(bye, Ok(()) | Err(Defect::UriScheme)), "{bye:?}");
        dialog.flow().remote.to_string()
    }

    #[test]
    fn requests_go_to_the_contact_or_the_first_route_or_where_the_peer_is_heard() {
        let heard = "192.0.2.9:5060";
        let to =
            |contact: &str, more: &str| next_hop(heard, heard, &format!("Contact: <{contact}>\r\n"), more);
        assert_eq!(to("sip:a@192.0.2.33:5099", ""), "192.0.2.33:5099");
        assert_eq!(to("sip:a@192.0.2.33", ""), "192.0.2.33:5060");
        assert_eq!(to("sip:a@192.0.2.33", "Record-Route: <sip:192.0.2.44:5070;lr>\r\n"), "192.0.2.44:5070");
        assert_eq!(to("sip:a@192.0.2.33", "Record-Route: <sip:p.example;lr>\r\n"), heard);
        for elsewhere in [
            "sip:a@host.example",
            "tel:+35567",
            "sip:a@[2001:db8::2]",
            "sip:a@127.0.0.1",
            "sip:a@0.0.0.0",
            "sip:a@255.255.255.255",
            "sip:a@224.0.0.1",
            "sip:a@192.0.2.33:0",
        ] {
            assert_eq!(to(elsewhere, ""), heard, "{elsewhere}");
        }
        assert_eq!(next_hop(heard, heard, "", ""), heard);
        assert_eq!(
            next_hop("127.0.0.1:9", "127.0.0.1:9", "Contact: <sip:a@127.0.0.1:7>\r\n", ""),
            "127.0.0.1:7"
        );
        assert_eq!(
            next_hop("[2001:db8::9]:9", "[2001:db8::9]", "Contact: <sip:a@[2001:db8::2]:7>\r\n", ""),
            "[2001:db8::2]:7"
        );
    }

    #[test]
    fn header_fields_in_a_contact_stay_out_of_the_request_line() {
        let contact = "Contact: <sip:a?b@192.0.2.33?Route=%3Csip:x%3E>\r\n";
        assert_eq!(next_hop("192.0.2.9:5060", "192.0.2.9", contact, ""), "192.0.2.33:5060");
    }

    #[test]
    fn a_name_is_followed_to_where_a_request_may_go_and_kept_over_a_refresh() {
        let invite = "INVITE sip:130@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
                      From: <sip:a@b>;tag=1\r\nTo: <sip:130@c>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
                      Contact: <sip:a@pbx.example>\r\nContent-Length: 0\r\n\r\n";
        let message = Message::parse(invite.as_bytes()).expect("reads");
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let flow = Flow {
            transport: Transport::Udp,
            local: address("192.0.2.1:5060"),
            remote: address("192.0.2.9:5060"),
        };
        let tag = Identifiers::new([0; 32]).tag();
        let mut dialog = Dialog::uas(&message, tag, flow).expect("a dialog");
        let (uri, heard) = dialog.named_hop().map(|(uri, heard)| (uri.to_vec(), heard)).expect("a name");
        assert_eq!((&*uri, heard), (&b"sip:a@pbx.example"[..], flow.remote.ip()));
        let to = |remote: &str| Flow { remote: address(remote), ..flow };
        for elsewhere in ["127.0.0.1:5060", "224.0.0.1:5060", "[2001:db8::1]:5060", "192.0.2.33:0"] {
            assert!(!dialog.follow(&uri, to(elsewhere)), "{elsewhere}");
        }
        assert!(!dialog.follow(b"sip:b@pbx.example", to("192.0.2.33:5070")), "another name");
        assert_eq!(dialog.flow().remote, flow.remote);
        assert!(dialog.follow(&uri, to("192.0.2.33:5070")));
        dialog.refresh_target(&message, flow);
        assert_eq!(dialog.flow().remote, address("192.0.2.33:5070"));
        // By another transport; and a peer heard over a connection keeps it, unless its name asks for another one.
        let over = |transport, flow| Flow { transport, ..flow };
        let by_tls = over(Transport::Tls, to("192.0.2.33:5071"));
        assert!(dialog.follow(&uri, by_tls));
        assert_eq!((dialog.flow(), dialog.found()), (by_tls, Some(by_tls)));
        let mut connected = Dialog::uas(&message, tag, over(Transport::Tcp, flow)).expect("a dialog");
        assert!(!connected.follow(&uri, over(Transport::Tcp, to("192.0.2.33:5070"))));
        assert_eq!(connected.flow(), over(Transport::Tcp, flow));
        assert!(connected.follow(&uri, by_tls));
        assert_eq!(connected.flow(), by_tls);
        // What was begun with `sips` goes on so.
        let secure = invite.replace("<sip:a@pbx.example>", "<sips:a@pbx.example>");
        let secure = Message::parse(secure.as_bytes()).expect("reads");
        let mut secure = Dialog::uas(&secure, tag, over(Transport::Tls, flow)).expect("a dialog");
        assert!(!secure.follow(b"sips:a@pbx.example", to("192.0.2.33:5070")));
        // A name that is also in Via is that of the sender, who is where he is heard.
        let own = invite.replace("UDP 192.0.2.9", "UDP pbx.example");
        let message = Message::parse(own.as_bytes()).expect("reads");
        assert_eq!(Dialog::uas(&message, tag, flow).expect("a dialog").named_hop(), None);
    }

    #[test]
    fn a_peer_behind_translation_is_reached_where_it_is_heard() {
        let contact = "Contact: <sip:a@10.0.0.9:5060>\r\n";
        assert_eq!(next_hop("192.0.2.9:40000", "10.0.0.9:5060", contact, ""), "192.0.2.9:40000");
    }
}
