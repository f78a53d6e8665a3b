//! A scripted caller of one call, which writes its messages itself and has one bad habit.

use crate::chance::Chance;
use crate::habit::Habit;
use bytes::Bytes;
use klikon::sip::message::{HeaderName, Message, Method};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

/// The waits before a request goes out again, in milliseconds: timer E. Those of timer A grow further; a caller may
/// do either.
const AGAIN_MS: [u64; 10] = [500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000, 4_000, 4_000, 4_000];

/// Something a phone will do.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends a request, and again until it is answered.
    Send {
        request: Bytes,
        id: (u32, &'static str),
        tries: usize,
    },
    /// Sends octets once.
    Once(Bytes),
    Cancel,
    /// Sends a request in the dialog; INVITE and UPDATE with a description changed as `change` says.
    Within {
        method: &'static str,
        change: Change,
    },
    Vanish,
}

/// What an offer within the dialog changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Nothing,
    Port,
    Hold,
    Inactive,
    NoAddress,
    /// There is none.
    NoOffer,
    /// The request has a CSeq lower than the last.
    OldCseq,
    /// The request has another From tag.
    ForeignTag,
}

type Acts = Vec<(u64, Act)>;

pub struct Phone {
    pub address: SocketAddr,
    pub habit: Habit,
    pub is_gone: bool,
    number: usize,
    cseq: u32,
    branches: u32,
    late_offer: bool,
    /// To with the service's tag, once there is a dialog.
    to: Option<String>,
    /// CSeq numbers and methods that got a final response; INVITE also a provisional one.
    answered: BTreeSet<(u32, &'static str)>,
    /// INVITEs whose 2xx came.
    accepted: BTreeSet<u32>,
    hung_up: bool,
}

impl Phone {
    pub fn new(chance: &mut Chance, number: usize, address: SocketAddr, habit: Habit) -> Self {
        Self {
            address,
            habit,
            is_gone: false,
            number,
            cseq: 1,
            branches: 0,
            late_offer: chance.one_in(4),
            to: None,
            answered: BTreeSet::new(),
            accepted: BTreeSet::new(),
            hung_up: false,
        }
    }

    /// The call begins.
    pub fn start(&mut self, chance: &mut Chance) -> Acts {
        let invite = self.request("INVITE", 1, "", self.late_offer.then_some(Change::NoOffer), "z9hG4bK");
        let mut acts = vec![(0, Act::Send { request: invite.clone(), id: (1, "INVITE"), tries: 0 })];
        match self.habit {
            Habit::Cancels => acts.push((chance.below(8_000), Act::Cancel)),
            Habit::Vanishes => acts.push((chance.below(30_000), Act::Vanish)),
            Habit::Forks => {
                let other = String::from_utf8_lossy(&invite).replace("-INVITE-1", "-INVITE-1-fork");
                acts.push((chance.below(200), Act::Once(other.into())));
            }
            Habit::Strays => {
                for _ in 0..4 {
                    acts.push((chance.below(20_000), Act::Once(self.stray(chance))));
                }
            }
            _ => {}
        }
        acts
    }

    /// Does what was planned; yields what goes out now and what is planned next.
    pub fn act(&mut self, chance: &mut Chance, act: Act) -> (Vec<Bytes>, Acts) {
        match act {
            Act::Send { id, .. } if self.answered.contains(&id) => (vec![], vec![]),
            Act::Send { request, id, tries } => {
                let next = AGAIN_MS
                    .get(tries)
                    .map(|wait| (*wait, Act::Send { request: request.clone(), id, tries: tries + 1 }));
                let copies = if self.habit == Habit::Stutters { 3 } else { 1 };
                (vec![request; copies], next.into_iter().collect())
            }
            Act::Once(octets) => (vec![octets], vec![]),
            Act::Cancel => {
                let cancel = self.request("CANCEL", 1, "", None, "z9hG4bK");
                (vec![], vec![(0, Act::Send { request: cancel, id: (1, "CANCEL"), tries: 0 })])
            }
            Act::Within { method, change } => (vec![], self.within(chance, method, change)),
            Act::Vanish => {
                self.is_gone = true;
                (vec![], vec![])
            }
        }
    }

    /// A message of the service came.
    pub fn receive(&mut self, chance: &mut Chance, octets: &[u8]) -> Acts {
        let Ok(message) = Message::parse(octets) else { return vec![] };
        match (message.status(), message.method()) {
            (Some(status), _) => self.response(chance, &message, status),
            (_, Some(Method::Ack)) => vec![],
            _ => self.service_asks(chance, &message),
        }
    }

    fn response(&mut self, chance: &mut Chance, response: &Message<'_>, status: u16) -> Acts {
        let Ok(cseq) = response.cseq() else { return vec![] };
        let (number, method) = (cseq.number, name(cseq.method));
        if status >= 200 || method == "INVITE" {
            self.answered.insert((number, method));
        }
        let tagged = response.to().ok().filter(|to| to.tag().is_some());
        let is_first_tag = self.to.is_none() && tagged.is_some() && status < 300 && method == "INVITE";
        if is_first_tag {
            self.to = tagged.map(|to| String::from_utf8_lossy(to.raw).into_owned());
        }
        let mut acts = vec![];
        if is_first_tag && self.habit == Habit::HangsUpEarly {
            acts.push((chance.below(50), Act::Within { method: "BYE", change: Change::Nothing }));
        }
        if method != "INVITE" || status < 200 {
            return acts;
        }
        let spares_ack = self.habit == Habit::Reinvites && number > 1 && number.is_multiple_of(3);
        if self.habit != Habit::NeverAcknowledges && !spares_ack {
            acts.push((chance.below(20), Act::Once(self.acknowledgement(response, number, status))));
        }
        if status < 300 && self.accepted.insert(number) && number == 1 {
            acts.extend(self.conversation(chance));
        }
        acts
    }

    /// What it does once the call stands.
    fn conversation(&mut self, chance: &mut Chance) -> Acts {
        let mut acts: Acts = vec![];
        let mut plan = |chance: &mut Chance, method, change| {
            acts.push((chance.below(30_000), Act::Within { method, change }));
        };
        match self.habit {
            Habit::Reinvites => {
                for _ in 0..4 {
                    let changes =
                        [Change::Nothing, Change::Nothing, Change::Port, Change::NoOffer, Change::OldCseq];
                    let change = chance.pick(&changes);
                    let method = chance.pick(&["INVITE", "INVITE", "UPDATE"]);
                    plan(chance, method, change);
                }
            }
            Habit::Holds => {
                let change = chance.pick(&[Change::Hold, Change::Inactive, Change::NoAddress]);
                plan(chance, "INVITE", change);
                plan(chance, "INVITE", Change::Nothing);
            }
            Habit::Chatters => {
                for _ in 0..5 {
                    let method =
                        chance.pick(&["OPTIONS", "INFO", "UPDATE", "MESSAGE", "REFER", "PRACK", "FOO"]);
                    let change = chance.pick(&[Change::NoOffer, Change::OldCseq, Change::ForeignTag]);
                    plan(chance, method, change);
                }
                plan(chance, "BYE", Change::OldCseq);
                plan(chance, "BYE", Change::ForeignTag);
            }
            _ => {}
        }
        if chance.one_in(2) {
            acts.push((chance.below(60_000), Act::Within { method: "BYE", change: Change::Nothing }));
        }
        acts
    }

    /// A request within the dialog.
    fn within(&mut self, chance: &mut Chance, method: &'static str, change: Change) -> Acts {
        if self.to.is_none() || (self.hung_up && !chance.one_in(4)) {
            return vec![];
        }
        self.hung_up |= method == "BYE" && change == Change::Nothing;
        let cseq = match change {
            Change::OldCseq => 1,
            _ => {
                self.cseq += 1;
                self.cseq
            }
        };
        self.branches += 1;
        let has_body = matches!(method, "INVITE" | "UPDATE");
        let change = if has_body { change } else { Change::NoOffer };
        let prefix = format!("z9hG4bK{}", self.branches);
        let to = self.to.clone().unwrap_or_default();
        let request = self.request(method, cseq, &to, Some(change), &prefix);
        vec![(0, Act::Send { request, id: (cseq, method), tries: 0 })]
    }

    /// The service asks something: the answer, as the habit has it.
    fn service_asks(&mut self, chance: &mut Chance, request: &Message<'_>) -> Acts {
        let status = match self.habit {
            Habit::Sulks if chance.one_in(2) => return vec![],
            Habit::Sulks => chance.pick(&[200, 408, 481, 500, 603]),
            _ => 200,
        };
        let mut text = format!("SIP/2.0 {status} Whatever\r\n");
        copy(&mut text, request, &[HeaderName::Via, HeaderName::From, HeaderName::To]);
        copy(&mut text, request, &[HeaderName::CallId, HeaderName::CSeq]);
        let has_body = matches!(request.method(), Some(Method::Invite)) && status == 200;
        self.finish(&mut text, has_body.then_some(Change::Nothing));
        vec![(chance.below(200), Act::Once(text.into()))]
    }

    /// The ACK to a final response: of the INVITE's transaction, or of the dialog with a branch of its own.
    fn acknowledgement(&mut self, response: &Message<'_>, cseq: u32, status: u16) -> Bytes {
        let to = response.values(HeaderName::To).next().unwrap_or_default();
        let to = String::from_utf8_lossy(to).into_owned();
        if status >= 300 {
            let branch = response.top_via().ok().and_then(|via| via.branch()).unwrap_or_default();
            return self.request_with("ACK", cseq, &to, None, &String::from_utf8_lossy(branch));
        }
        self.branches += 1;
        let change = (self.late_offer && cseq == 1).then_some(Change::Nothing);
        self.request("ACK", cseq, &to, change, &format!("z9hG4bK{}", self.branches))
    }

    /// Something that belongs to nothing.
    fn stray(&mut self, chance: &mut Chance) -> Bytes {
        self.branches += 1;
        let prefix = format!("z9hG4bK{}", self.branches);
        let to = "<sip:130@192.0.2.1>;tag=0123456789abcdef0123456789abcdef";
        match chance.below(5) {
            0 => self.request("ACK", 1, to, None, &prefix),
            1 => self.request("BYE", 7, to, None, &prefix),
            2 => self.request("CANCEL", 9, "", None, &prefix),
            3 => "\r\n\r\n".into(),
            _ => {
                let request = self.request("OPTIONS", 1, "", None, &prefix);
                let answer = String::from_utf8_lossy(&request).replacen(
                    "OPTIONS sip:130@192.0.2.1 SIP/2.0",
                    "SIP/2.0 200 OK",
                    1,
                );
                answer.into()
            }
        }
    }

    /// A request of the phone; an empty `to` is that of a request outside dialogs.
    fn request(&self, method: &str, cseq: u32, to: &str, offer: Option<Change>, prefix: &str) -> Bytes {
        // A CANCEL has the branch of its INVITE.
        let named = if method == "CANCEL" { "INVITE" } else { method };
        self.request_with(method, cseq, to, offer, &format!("{prefix}-{}-{named}-{cseq}", self.number))
    }

    fn request_with(&self, method: &str, cseq: u32, to: &str, offer: Option<Change>, branch: &str) -> Bytes {
        let to = if to.is_empty() { "<sip:130@192.0.2.1>" } else { to };
        let tag = if offer == Some(Change::ForeignTag) { "foreign" } else { "t" };
        let mut text = format!(
            "{method} sip:130@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch={branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@{ip}>;tag={tag}{number}\r\nTo: {to}\r\n\
             Call-ID: phone-{number}@{ip}\r\nCSeq: {cseq} {method}\r\n",
            address = self.address,
            ip = self.address.ip(),
            number = self.number,
        );
        let has_body = match method {
            "INVITE" | "UPDATE" => offer != Some(Change::NoOffer),
            "ACK" => offer.is_some(),
            _ => false,
        };
        self.finish(&mut text, has_body.then_some(offer.unwrap_or(Change::Nothing)));
        text.into()
    }

    /// Contact and the body.
    fn finish(&self, text: &mut String, offer: Option<Change>) {
        let _ = write!(text, "Contact: <sip:caller@{}>\r\n", self.address);
        let Some(change) = offer else { return text.push_str("Content-Length: 0\r\n\r\n") };
        let port = if change == Change::Port { 4_002 } else { 4_000 };
        let host = match change {
            Change::NoAddress => "0.0.0.0".to_owned(),
            _ => self.address.ip().to_string(),
        };
        let direction = match change {
            Change::Hold => "a=sendonly\r\n",
            Change::Inactive => "a=inactive\r\n",
            _ => "",
        };
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n{direction}"
        );
        let _ = write!(text, "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    }
}

fn copy(text: &mut String, from: &Message<'_>, names: &[HeaderName]) {
    for name in names {
        for value in from.values(*name) {
            let _ = write!(text, "{name}: {}\r\n", String::from_utf8_lossy(value));
        }
    }
}

/// The methods a phone sends, as it names them.
fn name(method: Method<'_>) -> &'static str {
    match method {
        Method::Invite => "INVITE",
        Method::Ack => "ACK",
        Method::Bye => "BYE",
        Method::Cancel => "CANCEL",
        Method::Options => "OPTIONS",
        other => match other.as_octets() {
            b"INFO" => "INFO",
            b"UPDATE" => "UPDATE",
            b"MESSAGE" => "MESSAGE",
            b"REFER" => "REFER",
            b"PRACK" => "PRACK",
            _ => "FOO",
        },
    }
}
