//! A call's script: waits for the server's steps and tells SIPp, or plays the operator's part, when they come.

use super::case::{Action, Call, Case, Cue, Moment, Signal, Transport};
use super::journal::{Journal, OVER, SERVICE, SPOOL, Step};
use super::server::{self, House};
use super::sipp::{self, Sipp};
use super::spool;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Barrier;

/// What the scripts of one case share.
pub struct Stage {
    /// The case's name: its folder's.
    pub name: String,
    /// What it is run over this time.
    pub transport: Transport,
    /// The case.
    pub case: Case,
    /// What happens.
    pub journal: Journal,
    /// The server's settings, spool and admin commands.
    pub house: House,
    /// The server's process, once it has started.
    pub process: OnceLock<u32>,
    /// Whether a cue has told it to stop.
    pub stopping: AtomicBool,
    /// Where SIPp's files go, one folder a call.
    pub folder: PathBuf,
    /// Where calls that act together meet.
    pub together: Barrier,
}

/// Runs one call from begin to end, and compares the messages that SIPp saw.
pub async fn run(stage: Arc<Stage>, index: usize, address: SocketAddr) -> Result<()> {
    let Some(call) = stage.case.calls.get(index) else { bail!("no call {index}") };
    perform(&stage, call, address).await.with_context(|| format!("call `{}`", call.name))
}

async fn perform(stage: &Stage, call: &Call, address: SocketAddr) -> Result<()> {
    if let Some(begins) = &call.begins {
        let source = stage.source(call, begins.of.as_deref());
        stage.journal.wait_for(&source, begins, 0).await;
    }
    let mut sipp = Sipp::start(stage, call, address).await?;
    let mut places = BTreeMap::new();
    let mut cues = (1..).zip(&call.cues);
    for (number, cue) in cues.by_ref() {
        tokio::select! {
            biased;
            () = wait(stage, call, cue, &mut places) => {}
            status = sipp.over() => bail!("SIPp ended with {} before cue {number}: {cue:?}", status?),
        }
        act(stage, cue, &mut sipp).await.with_context(|| format!("cue {number}: {cue:?}"))?;
        if cue.action.is_last_of_sipp() {
            break;
        }
    }
    let status = sipp.over().await?;
    ensure!(status.success(), "SIPp ended with {status}: the call did not go as the scenario says");
    let call_id = stage.call_id(&call.name);
    stage.journal.add(Step { source: call_id.clone(), label: OVER.to_owned() });
    for (number, cue) in cues {
        wait(stage, call, cue, &mut places).await;
        act(stage, cue, &mut sipp).await.with_context(|| format!("cue {number}: {cue:?}"))?;
    }
    if let Some(last) = call.steps.last() {
        // The server's last step comes after the last message: `ended`, or `refused`.
        let kind = last.split(' ').next().unwrap_or_default();
        stage.journal.wait_for(&call_id, &Moment::of_step(kind), 0).await;
    }
    let seen = sipp::messages(&stage.folder, call)?;
    if let Some(expected) = &call.sip {
        ensure!(&seen == expected, "SIP messages\nexpected: {expected:#?}\nseen: {seen:#?}");
    }
    Ok(())
}

async fn wait(stage: &Stage, call: &Call, cue: &Cue, places: &mut BTreeMap<String, usize>) {
    let Some(moment) = &cue.moment else { return };
    let source = stage.source(call, moment.of.as_deref());
    let from = places.get(&source).copied().unwrap_or(0);
    let place = stage.journal.wait_for(&source, moment, from).await;
    places.insert(source, place);
}

async fn act(stage: &Stage, cue: &Cue, sipp: &mut Sipp) -> Result<()> {
    if cue.together {
        stage.together.wait().await;
    }
    match &cue.action {
        Action::Keys(keys) => sipp.command(&format!("Keys: {keys},{}", tone_ms(keys))).await,
        Action::Say(word) => sipp.command(&format!("Say: {word}")).await,
        Action::Acknowledge(answer) => spool::acknowledge(&stage.house.spool(), *answer),
        Action::Admin(arguments) => stage.house.admin(arguments).await,
        Action::Signal(name) => {
            let process = stage.process.get().context("the server has not started")?;
            stage.stopping.fetch_or(*name == Signal::Term, Ordering::Relaxed);
            server::signal(*process, name.name()).await
        }
        Action::Database(place) => stage.house.move_database(*place),
        Action::Look => Ok(()),
    }
}

/// SIPp's first digit begins after 400 ms of other packets and twice this. A single key is so pressed 600 ms after its
/// cue at the least, beyond the half second in which the confirmation takes a key for type-ahead that came late.
fn tone_ms(keys: &str) -> u32 {
    if keys.len() == 1 { 100 } else { 50 }
}

impl Stage {
    /// The Call-ID header field's value of a call. SIPp numbers its calls; each SIPp makes one.
    pub fn call_id(&self, call: &str) -> String {
        format!("1.{call}.{}@sipp.example", self.name)
    }

    /// The journal's name for a moment's source.
    fn source(&self, own: &Call, of: Option<&str>) -> String {
        match of {
            Some(fixed @ (SPOOL | SERVICE)) => fixed.to_owned(),
            name => self.call_id(name.unwrap_or(&own.name)),
        }
    }
}
