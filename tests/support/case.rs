//! A case's folder, read: `case.toml` says who calls, what is keyed when, and what must be left behind.
//! `sip-tests/README.md` explains every key to those who write cases.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of all cases.
pub fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests")
}

/// One case: `sip-tests/<name>/case.toml`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// What the case shows, as a sentence.
    pub title: String,
    /// Where the rule stands: sections of DOMAIN or of an RFC.
    pub rule: Vec<String>,
    /// What the case runs over; all transports when unset.
    #[serde(default)]
    pub transports: Transports,
    /// Settings that differ from the runner's, in the shape of `klikon.toml`.
    #[serde(default)]
    pub settings: toml::Table,
    /// What the service must have counted when it stops, by the names of its counters.
    #[serde(default)]
    pub counted: BTreeMap<String, u64>,
    /// What is in the ledger before the first call.
    #[serde(default)]
    pub seed: Seed,
    /// The calls, each one SIPp.
    #[serde(rename = "call")]
    pub calls: Vec<Call>,
    /// Which call meets which list of steps is the server's choice: calls that race.
    #[serde(default)]
    pub interchangeable: bool,
    /// What must be left behind when all calls are over and the server has stopped.
    pub ledger: Ledger,
}

/// `[seed]`: what differs from the sample group that every case starts from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Seed {
    /// Packages booked and posted earlier this month, by the leader for himself.
    #[serde(default)]
    pub booked: Vec<String>,
    /// `klikon admin` commands, run in order before the server starts.
    #[serde(default)]
    pub admin: Vec<Vec<String>>,
    /// The leader's PIN.
    pub pin: Option<String>,
}

/// `[[call]]`: one SIPp with its script.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Call {
    /// Names the call in other calls' cues, in the Call-ID and in reports.
    #[serde(default = "Call::unnamed")]
    pub name: String,
    /// SIPp's scenario, a file of the case's folder; the shared dialogue when unset.
    pub scenario: Option<PathBuf>,
    /// The From header field's address and name; does not say who calls.
    #[serde(default = "Call::from")]
    pub from: String,
    /// The header field that says who calls, whole; the sample group's leader when unset.
    #[serde(default = "Call::identity")]
    pub identity: String,
    /// The user part of the request URI.
    #[serde(default = "Call::short_code")]
    pub number: String,
    /// RTP payload types offered, in order of preference: `8` PCMA, `0` PCMU, `96` telephone-event.
    #[serde(default = "Call::formats")]
    pub formats: String,
    /// More arguments for SIPp.
    #[serde(default)]
    pub sipp_arguments: Vec<String>,
    /// Whether SIPp calls over IPv6.
    #[serde(default)]
    pub ipv6: bool,
    /// Whether SIPp's side shows the peer's certificate, where the case runs over TLS.
    #[serde(default)]
    pub certificate: bool,
    /// The step after which the call begins; at once when unset.
    pub begins: Option<Moment>,
    /// What is done when, in order.
    #[serde(default, rename = "cue")]
    pub cues: Vec<Cue>,
    /// The steps the server must report of this call, in order, all of them: answered, nodes, queries, bookings,
    /// refusal, end.
    pub steps: Vec<String>,
    /// The SIP messages SIPp must see, in order: `> INVITE`, `< 200 INVITE`. Retransmissions count.
    pub sip: Option<Vec<String>>,
}

impl Call {
    fn unnamed() -> String {
        "call".to_owned()
    }

    fn from() -> String {
        "<sip:0672003456@klikon.example>".to_owned()
    }

    fn identity() -> String {
        "P-Asserted-Identity: <sip:+355672003456@klikon.example>".to_owned()
    }

    fn short_code() -> String {
        "130".to_owned()
    }

    fn formats() -> String {
        "8 0 96".to_owned()
    }
}

/// What a case runs over. Each of them is a test of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// UDP, all calls of a SIPp by one socket.
    Udp,
    /// TCP, all calls of a SIPp by one connection.
    Tcp,
    /// TLS, by a relay of the runner: Debian's SIPp has none.
    Tls,
}

impl Transport {
    /// As the server says it where it listens, and modules of tests are named.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// As it stands in a Via header field (RFC 3261 §20.42).
    pub fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// SIPp's word for what it speaks itself, after `-t`.
    pub fn mode(self) -> &'static str {
        match self {
            Self::Udp => "u1",
            Self::Tcp | Self::Tls => "t1",
        }
    }
}

/// `transports`: those a case is bound to, and what binds it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Transports {
    /// The only ones; all when empty.
    #[serde(default)]
    only: Vec<Transport>,
    /// Why not the others.
    #[serde(default)]
    because: String,
}

impl Transports {
    /// Whether the case runs over this one.
    pub fn holds(&self, transport: Transport) -> bool {
        self.only.is_empty() || self.only.contains(&transport)
    }

    /// Whether a reason is given where one is due, and nowhere else.
    fn is_reasoned(&self) -> bool {
        self.only.is_empty() == self.because.is_empty()
    }
}

/// A step of a call that is waited for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Moment {
    /// Whose step: another call's name. The call's own when unset, and then only steps after the last cue's count.
    pub of: Option<String>,
    /// The step's first words: `node confirm`, `booking activate accepted`, `ended`; or `over`, the end of SIPp.
    pub at: String,
    /// What a `say` step must contain.
    pub text: Option<String>,
    /// Which such step of the call, counted from its beginning; else the next after the last cue's.
    pub nth: Option<usize>,
}

impl Moment {
    /// The call's own step of these words.
    pub fn of_step(words: &str) -> Self {
        Self { of: None, at: words.to_owned(), text: None, nth: None }
    }
}

/// `[[call.cue]]`: at a step of the server, do something.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "CueText")]
pub struct Cue {
    /// When; at once when unset.
    pub moment: Option<Moment>,
    /// Whether to wait for every other call to come to its cue marked so too, that they act at the same time.
    pub together: bool,
    /// What.
    pub action: Action,
}

/// What is done at a cue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// SIPp sends these telephone-events.
    Keys(String),
    /// SIPp goes on from its `recvCmd` with this word: `hang-up`, `await-bye`, or one of the scenario's own.
    Say(String),
    /// The operator's batch acknowledges the order of the activation that this call booked.
    Acknowledge(Acknowledgement),
    /// A `klikon admin` command while the call goes on.
    Admin(Vec<String>),
    /// The server's process gets a signal.
    Signal(Signal),
    /// The database's file is moved.
    Database(DatabasePlace),
    /// Nothing: the step itself is what is asked for.
    Look,
}

impl Action {
    /// Whether SIPp then comes to its end by itself; later cues of the call are for after that.
    pub fn is_last_of_sipp(&self) -> bool {
        matches!(self, Self::Say(word) if word == "hang-up" || word == "await-bye")
    }
}

/// Where the database's file is moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabasePlace {
    /// Aside, as when a volume is not mounted any more.
    Away,
    /// Back to where it was.
    Back,
}

/// A signal for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// Stands still: what comes waits in its sockets, as when the machine is busy.
    Stop,
    /// Goes on.
    Cont,
    /// Stops in good order: takes no new calls, and ends when the last one has ended.
    Term,
}

impl Signal {
    /// As `kill` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::Cont => "CONT",
            Self::Term => "TERM",
        }
    }
}

/// What the operator's batch says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledgement {
    /// The package is on the member's number.
    Done,
    /// The network refused it.
    Rejected,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CueText {
    of: Option<String>,
    at: Option<String>,
    text: Option<String>,
    nth: Option<usize>,
    #[serde(default)]
    together: bool,
    keys: Option<String>,
    say: Option<String>,
    acknowledge: Option<Acknowledgement>,
    admin: Option<Vec<String>>,
    signal: Option<Signal>,
    database: Option<DatabasePlace>,
}

impl TryFrom<CueText> for Cue {
    type Error = String;

    fn try_from(text: CueText) -> Result<Self, String> {
        let mut actions: Vec<Action> = Vec::new();
        actions.extend(text.keys.map(Action::Keys));
        actions.extend(text.say.map(Action::Say));
        actions.extend(text.acknowledge.map(Action::Acknowledge));
        actions.extend(text.admin.map(Action::Admin));
        actions.extend(text.signal.map(Action::Signal));
        actions.extend(text.database.map(Action::Database));
        if actions.len() > 1 {
            return Err("a cue does one thing: keys, say, acknowledge, admin, signal or database".to_owned());
        }
        let moment = match (text.of, text.at) {
            (of, Some(at)) => Some(Moment { of, at, text: text.text, nth: text.nth }),
            (None, None) if text.text.is_none() && text.nth.is_none() => None,
            _ => return Err("`of`, `text` or `nth` without `at`".to_owned()),
        };
        Ok(Self { moment, together: text.together, action: actions.pop().unwrap_or(Action::Look) })
    }
}

/// `[ledger]`: what must be left.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ledger {
    /// What the group may still spend this month, Lek.
    pub left: i32,
    /// The activations of the calls, in the order they were booked: `Super 1100 for 355672123456: posted`.
    #[serde(default)]
    pub activations: Vec<String>,
    /// The SMS written, `355672003456`, sorted.
    #[serde(default)]
    pub sms: Vec<String>,
}

impl Case {
    /// Reads a case's folder.
    pub fn read(name: &str) -> Result<Self> {
        let path = cases().join(name).join("case.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let case: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        ensure!(!case.calls.is_empty(), "{}: a case needs a [[call]]", path.display());
        ensure!(!case.title.is_empty() && !case.rule.is_empty(), "{}: say title and rule", path.display());
        ensure!(
            case.transports.is_reasoned(),
            "{}: `transports` needs `only` and `because`, or neither",
            path.display()
        );
        for (index, call) in case.calls.iter().enumerate() {
            let again = case.calls.iter().take(index).any(|other| other.name == call.name);
            ensure!(!again, "{}: two calls named `{}`", path.display(), call.name);
        }
        Ok(case)
    }
}
