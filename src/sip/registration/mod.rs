//! A registration at one registrar (RFC 3261 §10.2), kept alive: REGISTER, its challenges, its refresh, its end.
//!
//! Sans-IO: `now` and the generator are arguments. The machine says which REGISTER to send
//! ([`Registration::handle_timeout`], [`Registration::handle_outcome`], [`Registration::unregister`]) and is told what
//! came of it; where the REGISTER goes is found by `locate` from [`Registration::destination`], and tried at one target
//! after the other before the outcome is handed in.
//!
//! All REGISTERs have one Call-ID and rising CSeq numbers (§10.2). Of several challenges the strongest is answered (local
//! policy, as RFC 8760 §2.4 allows); a nonce is used again, with its count, until the registrar says that it is stale.

mod answer;
mod backoff;
mod credentials;

#[cfg(test)]
mod tests;

pub use answer::RegisterAnswer;
use backoff::Failure;
use credentials::Wallet;

use crate::sip::endpoint::RegisterParams;
use crate::sip::message::HeaderName;
use crate::units::Secret;
use rand::Rng;
use rand::rngs::StdRng;
use std::fmt;
use std::time::{Duration, Instant};

/// REGISTERs sent for one refresh, answers to challenges and redirections included.
const MAX_REQUESTS_A_ROUND: u32 = 6;
/// Redirections that are followed for one refresh.
const MAX_REDIRECTIONS: u32 = 2;
/// A Min-Expires above this is not accepted, s: a day.
const MIN_EXPIRES_MAX_S: u32 = 86_400;
/// Shortest life of a binding that is believed, s: a registrar that says less is asked again no sooner.
const EXPIRES_MIN_S: u32 = 10;

/// Between two registrations of which the second is for a lost connection: a server that closes each connection is not
/// asked without end.
const RENEWAL_MIN: Duration = Duration::from_secs(1);

/// What a registration needs to know.
#[derive(Debug, Clone)]
pub struct RegistrationSettings {
    /// Request-URI: the registrar's domain, without a user (§10.2).
    pub registrar: String,
    /// The address-of-record, for To and From.
    pub address_of_record: String,
    /// User part of our Contact: the number that calls to the binding ask for.
    pub contact_user: String,
    /// User name in the answers to challenges.
    pub auth_user: String,
    /// The password; without one challenges are not answered.
    pub password: Option<Secret>,
    /// Only challenges of this realm are answered; any when unset.
    pub realm: Option<String>,
    /// The life of the binding that is asked for, s.
    pub expires_s: u32,
    /// The URI of an outbound proxy, which all REGISTERs go to with a Route (§8.1.2).
    pub outbound_proxy: Option<String>,
}

/// What came of a REGISTER, at the last target that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// A final response.
    Answered(Box<RegisterAnswer>),
    /// None within timer F.
    TimedOut,
    /// It could not be sent, or nobody is there.
    Unreachable,
    /// The DNS gave no target.
    NotFound,
}

/// Something to be told, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The binding is made; before, there was none.
    Registered {
        /// Its life, s.
        expires_s: u32,
    },
    /// The binding was refreshed.
    Refreshed,
    /// A REGISTER failed.
    Failed {
        /// Why.
        why: RegisterFailure,
        /// When the next one goes out.
        again_after: Duration,
    },
    /// The binding came to its end before a refresh succeeded.
    Lapsed,
    /// The binding was given up.
    Unregistered,
}

/// Why a REGISTER failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterFailure {
    /// The registrar does not take the user name or the password.
    WrongCredentials,
    /// It asks for an algorithm or realm that cannot be answered, or no password is set.
    UnanswerableChallenge,
    /// It refused.
    Refused(u16),
    /// It answered with what cannot go on for ever: too many challenges, redirections or Min-Expires.
    NoEnd(u16),
    /// Nobody answered.
    TimedOut,
    /// It could not be sent.
    Unreachable,
    /// The DNS gave no target.
    NotFound,
}

impl fmt::Display for RegisterFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongCredentials => {
                f.write_str("the registrar does not take the user name or the password")
            }
            Self::UnanswerableChallenge => f.write_str(
                "a challenge that cannot be answered: no password, another realm, or unknown algorithms only",
            ),
            Self::Refused(status) => write!(f, "the registrar answered {status}"),
            Self::NoEnd(status) => write!(f, "the registrar answered {status} again and again"),
            Self::TimedOut => f.write_str("no answer"),
            Self::Unreachable => f.write_str("the registrar cannot be reached"),
            Self::NotFound => f.write_str("the registrar's name leads nowhere"),
        }
    }
}

/// What follows of an input: a REGISTER to be sent, and news.
#[derive(Debug, Default)]
pub struct Step {
    /// To be sent at once.
    pub send: Option<Box<RegisterParams>>,
    /// To be told.
    pub news: Vec<News>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The next REGISTER goes out then.
    Waiting { until: Instant },
    /// A REGISTER is out.
    Registering,
    /// The REGISTER that ends the binding is out.
    Leaving,
    /// Nothing more will be sent.
    Left,
}

/// What happened since the refresh began.
#[derive(Debug, Clone, Default)]
struct Round {
    requests: u32,
    redirections: u32,
    /// Where a redirection leads.
    redirected_to: Option<String>,
    interval_was_too_brief: bool,
}

/// A registration.
#[derive(Debug)]
pub struct Registration {
    settings: RegistrationSettings,
    call_id: String,
    cseq: u32,
    expires_s: u32,
    phase: Phase,
    round: Round,
    wallet: Wallet,
    failures: u32,
    /// Until when the registrar holds our binding.
    bound_until: Option<Instant>,
    /// When it said so last.
    bound_at: Option<Instant>,
    service_route: Vec<String>,
    path: Vec<String>,
}

impl Registration {
    /// A registration whose first REGISTER is due at `now`.
    pub fn new(settings: RegistrationSettings, now: Instant, random: &mut StdRng) -> Self {
        let expires_s = settings.expires_s;
        let wallet = Wallet::new(&settings);
        Self {
            settings,
            call_id: hex(random),
            cseq: 0,
            expires_s,
            phase: Phase::Waiting { until: now },
            round: Round::default(),
            wallet,
            failures: 0,
            bound_until: None,
            bound_at: None,
            service_route: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Whether the registrar holds our binding.
    pub fn is_registered(&self) -> bool {
        self.bound_until.is_some()
    }

    /// Whether nothing more will be sent.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Left
    }

    /// The routes that other requests of ours to this domain must take (RFC 3608 §5).
    pub fn service_route(&self) -> &[String] {
        &self.service_route
    }

    /// The proxies that calls to us come by (RFC 3327).
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// The URI whose targets the next REGISTER goes to: a redirection's, the outbound proxy's or the registrar's.
    pub fn destination(&self) -> &str {
        let fixed = self.settings.outbound_proxy.as_ref().unwrap_or(&self.settings.registrar);
        self.round.redirected_to.as_ref().unwrap_or(fixed)
    }

    /// When [`Registration::handle_timeout`] is to be called; `None` when there is nothing to wait for but an outcome.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Registering => None,
            Phase::Leaving | Phase::Left => return None,
        };
        match (due, self.bound_until) {
            (Some(due), Some(end)) => Some(due.min(end)),
            (due, end) => due.or(end),
        }
    }

    /// The connection that the registration went by, and that calls come by, is gone (RFC 5626 §4.4): it is renewed at once,
    /// by another one.
    pub fn connection_lost(&mut self, now: Instant) {
        if let (Phase::Waiting { until }, Some(bound_at)) = (&mut self.phase, self.bound_at) {
            *until = (*until).min(now.max(bound_at + RENEWAL_MIN));
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, random: &mut StdRng) -> Step {
        let mut step = Step::default();
        if self.bound_until.is_some_and(|end| end <= now) && self.phase != Phase::Left {
            self.forget_binding();
            step.news.push(News::Lapsed);
        }
        if let Phase::Waiting { until } = self.phase
            && until <= now
        {
            self.round = Round::default();
            self.wallet.begin_round();
            self.phase = Phase::Registering;
            step.send = Some(self.request(self.expires_s, random));
        }
        step
    }

    /// The REGISTER again, for the next target of the same destination: a new request, so with the next CSeq.
    pub fn again(&mut self, random: &mut StdRng) -> Option<Box<RegisterParams>> {
        match self.phase {
            Phase::Registering => Some(self.request(self.expires_s, random)),
            Phase::Leaving => Some(self.request(0, random)),
            Phase::Waiting { .. } | Phase::Left => None,
        }
    }

    /// Gives the binding up (§10.2.2). Nothing is sent where there is none; then the registration is over.
    pub fn unregister(&mut self, random: &mut StdRng) -> Step {
        match self.phase {
            Phase::Leaving | Phase::Left => return Step::default(),
            // A REGISTER that is out may make the binding yet: what follows it must take it away.
            Phase::Waiting { .. } if self.bound_until.is_none() => {
                self.phase = Phase::Left;
                return Step::default();
            }
            Phase::Waiting { .. } | Phase::Registering => {}
        }
        self.phase = Phase::Leaving;
        self.round = Round::default();
        self.wallet.begin_round();
        Step { send: Some(self.request(0, random)), news: Vec::new() }
    }

    /// Nobody waits for the end of the binding any longer.
    pub fn abandon(&mut self) {
        self.phase = Phase::Left;
        self.forget_binding();
    }

    /// Takes in what came of the last REGISTER.
    pub fn handle_outcome(&mut self, now: Instant, outcome: &RegisterOutcome, random: &mut StdRng) -> Step {
        match self.phase {
            Phase::Waiting { .. } | Phase::Left => return Step::default(),
            Phase::Registering | Phase::Leaving => {}
        }
        let answer = match outcome {
            RegisterOutcome::Answered(answer) => answer,
            RegisterOutcome::TimedOut => return self.failed(now, RegisterFailure::TimedOut, None, random),
            RegisterOutcome::Unreachable => {
                return self.failed(now, RegisterFailure::Unreachable, None, random);
            }
            RegisterOutcome::NotFound => return self.failed(now, RegisterFailure::NotFound, None, random),
        };
        match answer.status {
            200..=299 => self.accepted(now, answer),
            300..=399 => self.redirected(now, answer, random),
            401 | 407 => self.challenged(now, answer, random),
            423 => self.too_brief(now, answer, random),
            status => self.failed(now, RegisterFailure::Refused(status), answer.retry_after_s, random),
        }
    }

    fn accepted(&mut self, now: Instant, answer: &RegisterAnswer) -> Step {
        self.failures = 0;
        self.wallet.accepted(answer);
        if self.phase == Phase::Leaving {
            self.phase = Phase::Left;
            self.forget_binding();
            return Step { send: None, news: vec![News::Unregistered] };
        }
        let expires_s = answer.expires_s.unwrap_or(self.expires_s).max(EXPIRES_MIN_S);
        let expires = Duration::from_secs(expires_s.into());
        let news = if self.is_registered() { News::Refreshed } else { News::Registered { expires_s } };
        (self.bound_until, self.bound_at) = (Some(now + expires), Some(now));
        self.service_route.clone_from(&answer.service_route);
        self.path.clone_from(&answer.path);
        self.phase = Phase::Waiting { until: now + backoff::refresh_after(expires) };
        Step { send: None, news: vec![news] }
    }

    /// §8.1.3.4, §21.3: the first Contact that is one of a server is asked instead, for this round.
    fn redirected(&mut self, now: Instant, answer: &RegisterAnswer, random: &mut StdRng) -> Step {
        self.round.redirections += 1;
        match answer.redirects.first() {
            Some(uri) if self.round.redirections <= MAX_REDIRECTIONS => {
                self.round.redirected_to = Some(without_user(uri));
                self.send_again(now, answer.status, random)
            }
            Some(_) => self.failed(now, RegisterFailure::NoEnd(answer.status), None, random),
            None => self.failed(now, RegisterFailure::Refused(answer.status), None, random),
        }
    }

    fn challenged(&mut self, now: Instant, answer: &RegisterAnswer, random: &mut StdRng) -> Step {
        match self.wallet.challenged(answer) {
            Ok(()) => self.send_again(now, answer.status, random),
            Err(failure) => self.failed(now, failure, None, random),
        }
    }

    /// §10.2.8: once more with what the registrar asks for at the least.
    fn too_brief(&mut self, now: Instant, answer: &RegisterAnswer, random: &mut StdRng) -> Step {
        let least =
            answer.min_expires_s.filter(|least| *least <= MIN_EXPIRES_MAX_S && *least > self.expires_s);
        match least {
            Some(least) if !self.round.interval_was_too_brief && self.phase == Phase::Registering => {
                self.round.interval_was_too_brief = true;
                self.expires_s = least;
                self.send_again(now, answer.status, random)
            }
            _ => self.failed(now, RegisterFailure::NoEnd(answer.status), None, random),
        }
    }

    fn send_again(&mut self, now: Instant, status: u16, random: &mut StdRng) -> Step {
        if self.round.requests >= MAX_REQUESTS_A_ROUND {
            return self.failed(now, RegisterFailure::NoEnd(status), None, random);
        }
        Step { send: self.again(random), news: Vec::new() }
    }

    fn failed(
        &mut self,
        now: Instant,
        why: RegisterFailure,
        retry_after_s: Option<u32>,
        random: &mut StdRng,
    ) -> Step {
        if self.phase == Phase::Leaving {
            // The binding ends by itself in time.
            self.abandon();
            return Step::default();
        }
        self.failures = self.failures.saturating_add(1);
        let retry_after = retry_after_s.map(|s| Duration::from_secs(s.into()));
        let again_after = backoff::wait(kind(&why), self.failures, retry_after, random.next_u64());
        self.phase = Phase::Waiting { until: now + again_after };
        Step { send: None, news: vec![News::Failed { why, again_after }] }
    }

    fn forget_binding(&mut self) {
        self.bound_until = None;
        self.service_route.clear();
        self.path.clear();
    }

    fn request(&mut self, expires_s: u32, random: &mut StdRng) -> Box<RegisterParams> {
        self.cseq = self.cseq.saturating_add(1).min((1 << 31) - 1);
        self.round.requests += 1;
        let request_uri = self.round.redirected_to.clone().unwrap_or_else(|| self.settings.registrar.clone());
        let mut fields = Vec::new();
        for (name, value) in self.wallet.answers(&request_uri, random) {
            fields.push((name, value));
        }
        // RFC 3327 §5.1: we take a Path in the answer, so registrars behind proxies need not refuse us.
        fields.push((HeaderName::Supported, "path".to_owned()));
        let routes = match (&self.round.redirected_to, &self.settings.outbound_proxy) {
            (None, Some(proxy)) => vec![route_to(proxy)],
            _ => Vec::new(),
        };
        Box::new(RegisterParams {
            request_uri,
            address_of_record: self.settings.address_of_record.clone(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            contact_user: self.settings.contact_user.clone(),
            expires_s,
            routes,
            fields,
        })
    }
}

fn kind(why: &RegisterFailure) -> Failure {
    match why {
        RegisterFailure::WrongCredentials
        | RegisterFailure::UnanswerableChallenge
        | RegisterFailure::NoEnd(_) => Failure::Refused,
        RegisterFailure::Refused(status) => match status {
            408 | 430 | 480 | 481 | 486 | 491 | 500..=599 | 600 => Failure::Passing,
            _ => Failure::Refused,
        },
        RegisterFailure::TimedOut | RegisterFailure::Unreachable | RegisterFailure::NotFound => {
            Failure::Passing
        }
    }
}

/// The value of a Route to a proxy (RFC 3261 §8.1.2): loose, so that the Request-URI stays the registrar's.
pub fn route_to(proxy: &str) -> String {
    let has_lr = proxy
        .split(';')
        .skip(1)
        .any(|parameter| parameter.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("lr")));
    if has_lr { format!("<{proxy}>") } else { format!("<{proxy};lr>") }
}

/// A URI without its user part: §10.2 has none in a REGISTER's Request-URI.
fn without_user(uri: &str) -> String {
    match (uri.split_once(':'), uri.split_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}:{host}"),
        _ => uri.to_owned(),
    }
}

/// 128 random bits in hexadecimal.
fn hex(random: &mut StdRng) -> String {
    format!("{:016x}{:016x}", random.next_u64(), random.next_u64())
}
