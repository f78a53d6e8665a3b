//! The load caller: many calls at a steady rate from one endpoint on one socket, signalling only.
//!
//! All of it happens in the driver's task: a tick begins the calls that are due and hangs up those that were held long
//! enough. The SDP names a port that swallows RTP.

mod histogram;
mod line;

pub use histogram::Histogram;

use super::phone::{PhoneError, sockets_towards};
use crate::net::{Driver, Tap};
use crate::sdp::{self, Capabilities};
use crate::sip::{Endpoint, EndpointConfig, InviteParams, Limits, Transport};
use crate::units::clock::{Clock, entropy};
use line::{Command, LoadLine};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(1);
/// Ticks that may wait.
const TICKS_WAITING: usize = 4;
/// How long transactions and goodbyes linger: 64·T1 and a little.
const LINGER_S: f64 = 35.0;
/// Sessions and transactions at most, whatever the rate.
const MOST_HELD: f64 = 4_000_000.0;

/// Whom to phone, how often.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// Where INVITEs are sent.
    pub remote: SocketAddr,
    /// By which transport; over a connection, all calls go by one.
    pub transport: Transport,
    /// With TLS: whose certificates of servers are believed, PEM.
    pub server_ca: Option<PathBuf>,
    /// Request-URI.
    pub request_uri: String,
    /// URI for P-Asserted-Identity.
    pub identity: Option<String>,
    /// From URI; the identity, or anonymous without.
    pub from: Option<String>,
    /// Calls begun a second.
    pub rate: f64,
    /// Calls in all.
    pub calls: u64,
    /// From the answer to our BYE.
    pub hold: Duration,
}

/// What came of the calls so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// INVITEs sent.
    pub started: u64,
    /// Calls answered with 200.
    pub answered: u64,
    /// Calls that were answered and ended in good order, by either side.
    pub completed: u64,
    /// Calls that ended in another way than by an answered BYE, or were given up after they were answered.
    pub broken: u64,
    /// Calls given up by us before an answer.
    pub abandoned: u64,
    /// Refusals by status; 408 also where no answer came.
    pub refused: BTreeMap<u16, u64>,
    /// INVITEs that could not be sent.
    pub unsent: u64,
    /// From INVITE to 100.
    pub trying: Histogram,
    /// From INVITE to the first ringing, or the answer: the post-dial delay.
    pub post_dial: Histogram,
    /// From INVITE to 200.
    pub answer: Histogram,
    /// From BYE to 200.
    pub bye: Histogram,
}

impl Tally {
    /// Calls that got no answer.
    pub fn failed(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.unsent
    }

    /// Calls that are not over.
    pub fn under_way(&self) -> u64 {
        let over = self.completed + self.broken + self.abandoned + self.failed();
        self.started.saturating_sub(over)
    }

    /// Whether so many calls were made and each was answered and ended in good order.
    pub fn is_whole(&self, calls: u64) -> bool {
        self.completed == calls
    }
}

/// The tally, shared with whoever shows it.
#[derive(Debug, Clone, Default)]
pub struct SharedTally(Arc<Mutex<Tally>>);

impl SharedTally {
    pub(super) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is now.
    pub fn read(&self) -> Tally {
        self.lock().clone()
    }
}

/// Makes the calls, until all are over. `stop` turning to `true` ends those under way and begins no more.
///
/// # Errors
/// When there is no socket, or no way there.
pub async fn run(
    settings: &LoadSettings,
    tally: SharedTally,
    clock: Clock,
    stop: watch::Receiver<bool>,
) -> Result<(), PhoneError> {
    let LoadSettings { transport, remote, server_ca, .. } = settings;
    let mut sockets = sockets_towards(*transport, *remote, server_ca.as_ref(), clock)?;
    let flow = sockets.flow_to(*transport, *remote).ok_or(PhoneError::Unreachable(*remote))?;
    // Nobody reads it: what is sent there is dropped by the system, without an ICMP error each.
    let rtp = UdpSocket::bind(SocketAddr::new(flow.local.ip(), 0)).ok();
    let rtp_port =
        rtp.as_ref().and_then(|socket| socket.local_addr().ok()).map_or(9, |address| address.port());
    let invite = invite(settings, flow.local.ip(), rtp_port);
    let (commands, waiting) = mpsc::channel(TICKS_WAITING);
    let tapped = line::Tapped::new(tally.clone());
    let line = LoadLine::new(flow, settings.clone(), invite, tally, clock.instant());
    let endpoint = Endpoint::new(config(settings));
    let driver = Driver::new(sockets, endpoint, line, waiting, clock)
        .with_tap(Tap::new(move |passed| tapped.see(passed)));
    let ticking = tokio::spawn(tick(commands, stop));
    driver.run().await;
    ticking.abort();
    Ok(())
}

/// Wakes the line up, and passes the stop on. It ends with the driver.
async fn tick(commands: mpsc::Sender<Command>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut stopped = false;
    loop {
        let command = tokio::select! {
            _ = ticks.tick() => Command::Tick,
            // An error means that nobody can stop it any more.
            changed = stop.changed(), if !stopped => {
                stopped = changed.is_err() || *stop.borrow();
                if stopped && changed.is_ok() { Command::Stop } else { Command::Tick }
            }
        };
        if commands.send(command).await.is_err() {
            return;
        }
    }
}

fn invite(settings: &LoadSettings, address: IpAddr, rtp_port: u16) -> InviteParams {
    let from = settings.from.as_deref().or(settings.identity.as_deref());
    InviteParams {
        request_uri: settings.request_uri.clone(),
        from: super::phone::bracketed(from.unwrap_or("sip:anonymous@anonymous.invalid")),
        to: super::phone::bracketed(&settings.request_uri),
        p_asserted_identity: settings.identity.as_deref().map(super::phone::bracketed),
        extra_headers: Vec::new(),
        sdp: Some(sdp::offer(&Capabilities::new(address, rtp_port, 1))),
    }
}

/// Limits that this rate needs.
fn config(settings: &LoadSettings) -> EndpointConfig {
    let held = |seconds: f64| {
        let held = (settings.rate * seconds).clamp(10_000.0, MOST_HELD);
        // Within the bounds above, so nothing is lost.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let held = held as usize;
        held
    };
    let limits = Limits {
        max_sessions: held(settings.hold.as_secs_f64() + LINGER_S),
        max_client_transactions: held(3.0 * LINGER_S),
        max_queued_outputs: held(LINGER_S).max(65_536),
        ..Limits::default()
    };
    EndpointConfig { limits, ..EndpointConfig::new(entropy()) }
}
