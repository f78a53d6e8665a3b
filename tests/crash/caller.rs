//! A caller: the built-in one, over real SIP and RTP, in a thread and a runtime of its own, so that he can be cut off. He
//! remembers when he confirmed, and what he heard then.

use super::house::{Wanted, files};
use super::invariants::{FAILURES, REJECTED, SUCCESSES, UNKNOWN};
use super::logs::Call;
use klikon::call::{KeyGroup, Manner, Notice, Phone, PhoneSettings};
use klikon::media::{Engine, Heard};
use klikon::sdp::{Codecs, RedundancyPolicy};
use klikon::server::encode_prompts;
use klikon::sip::Transport;
use klikon::units::clock::Clock;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// What confirms.
const YES: &str = "1";
/// Longer than the guard of the confirmation.
const BARGE_IN_AFTER: Duration = Duration::from_millis(550);
/// A safety net.
const TIMEOUT: Duration = Duration::from_secs(50);

/// A call under way.
#[derive(Debug)]
pub struct Caller {
    thread: JoinHandle<()>,
    call: Arc<Mutex<Call>>,
    cut: watch::Sender<bool>,
}

/// Carries the media of all callers, and recognises the prompts that the services say.
fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let start = || Arc::new(Phone::engine(encode_prompts(files(), &Codecs::default()).unwrap()).unwrap());
    Arc::clone(ENGINE.get_or_init(start))
}

/// Phones, keys the member's number and the package's key, and confirms.
pub fn phone(service: SocketAddr, wanted: &Wanted) -> Caller {
    let call = Arc::new(Mutex::new(Call {
        caller: wanted.caller.e164(),
        member: wanted.member.e164(),
        package: wanted.package.to_owned(),
        confirmed_at_ms: None,
        heard: Vec::new(),
    }));
    let group = |prompt: Option<&str>, keys: String| KeyGroup { prompt: prompt.map(str::to_owned), keys };
    let settings = PhoneSettings {
        remote: service,
        transport: Transport::Udp,
        server_ca: None,
        request_uri: format!("sip:130@{service}"),
        identity: Some(format!("tel:{}", wanted.caller.e164())),
        from: None,
        session_expires_s: 0,
        in_band: false,
        redundancy: RedundancyPolicy::default(),
        srtp: false,
        codecs: Codecs::default(),
        keys: vec![
            // The package's key is typed ahead.
            group(None, format!("{}#{}", wanted.member.national(), wanted.key)),
            group(Some("activate-super"), YES.to_owned()),
        ],
        manner: Manner::BargeIn { after: BARGE_IN_AFTER },
        // He knows what came of it.
        hang_up_on: [&SUCCESSES[..], &FAILURES, &[REJECTED, UNKNOWN]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        hang_up_after: None,
        timeout: TIMEOUT,
    };
    let (cut, mut is_cut) = watch::channel(false);
    let memory = Arc::clone(&call);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let phone = Phone::of_many(settings, engine(), Clock::system());
        runtime.block_on(async {
            tokio::select! {
                // However it ends: what was heard is remembered.
                _ = phone.call(|_, notice| remember(&memory, notice)) => {}
                _ = is_cut.wait_for(|cut| *cut) => {}
            }
        });
    });
    Caller { thread, call, cut }
}

fn remember(memory: &Mutex<Call>, notice: &Notice) {
    let mut call = memory.lock().unwrap();
    match notice {
        Notice::Keyed(keys) if keys == YES => {
            call.confirmed_at_ms = Some(Clock::system().wall().as_millisecond());
        }
        Notice::Heard(Heard::ClipBegan { id, .. }) if call.confirmed_at_ms.is_some() => {
            call.heard.push(id.to_string());
        }
        _ => {}
    }
}

impl Caller {
    /// Waits until he has hung up, or the service has.
    pub fn finish(self) -> Call {
        self.thread.join().unwrap();
        Arc::try_unwrap(self.call).unwrap().into_inner().unwrap()
    }

    /// Whether he has pressed the key that confirms, or hung up without.
    pub fn has_confirmed(&self) -> bool {
        self.call.lock().unwrap().confirmed_at_ms.is_some() || self.thread.is_finished()
    }

    /// The line is dead: the call is over for him.
    pub fn cut(self) -> Call {
        // An error means that he has hung up.
        let _ = self.cut.send(true);
        self.finish()
    }
}
