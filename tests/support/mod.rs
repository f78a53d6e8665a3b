//! Runs the cases of `sip-tests/`: a real server, real SIPp, a real ledger. `sip-tests/README.md` is the manual.

pub mod case;
pub mod journal;
pub mod ledger;
pub mod relay;
pub mod script;
pub mod server;
pub mod sipp;
pub mod spool;
pub mod wire;

use anyhow::{Context, Result, ensure};
use case::{Case, Transport};
use journal::{Journal, SERVICE, SPOOL};
use script::Stage;
use server::{House, Server};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use wire::Wire;

/// Ends a case that hangs. It decides nothing else: no case passes or fails by how long it took.
const SAFETY_NET: Duration = Duration::from_secs(180);

/// Runs one case over one transport; panics with everything that was seen when it fails.
pub fn run(name: &str, transport: Transport) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Err(error) =
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(play(name, transport)))
    {
        panic!("{error:#}");
    }
}

async fn play(name: &str, transport: Transport) -> Result<()> {
    let case = Case::read(name)?;
    let folder = tempfile::tempdir()?;
    let house = House::build(folder.path(), &case.settings)?;
    let meeting = case.calls.iter().filter(|call| call.cues.iter().any(|cue| cue.together)).count();
    let stage = Arc::new(Stage {
        name: name.to_owned(),
        transport,
        folder: folder.path().to_owned(),
        journal: Journal::new(),
        together: Barrier::new(meeting.max(1)),
        process: OnceLock::new(),
        stopping: AtomicBool::new(false),
        house,
        case,
    });
    let outcome = match tokio::time::timeout(SAFETY_NET, perform(&stage)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(anyhow::anyhow!("not over after {} s: something never came", SAFETY_NET.as_secs())),
    };
    outcome.map_err(|error| anyhow::anyhow!("{}\n{error:#}\n{}", stage.case.title, report(&stage)))
}

async fn perform(stage: &Arc<Stage>) -> Result<()> {
    let house = &stage.house;
    ledger::seed(house, &stage.case.seed).await?;
    let mut server = Server::start(house, &stage.journal).await?;
    let process = server.process()?;
    stage.process.get_or_init(|| process);
    let wire = Wire::follow(&house.trace_socket()).await?;
    let _watch = spool::watch(house.spool(), stage.journal.clone());
    let mut calls = JoinSet::new();
    for (index, call) in stage.case.calls.iter().enumerate() {
        calls.spawn(script::run(Arc::clone(stage), index, server.address(call, stage.transport)?));
    }
    while !calls.is_empty() {
        tokio::select! {
            Some(ended) = calls.join_next() => ended??,
            status = server.over(), if !server.has_ended() => {
                let status = status?;
                ensure!(
                    stage.stopping.load(Ordering::Relaxed) && status.success(),
                    "the server ended by itself with {status}"
                );
            }
        }
    }
    compare_steps(stage)?;
    for call in &stage.case.calls {
        wire.shows(&stage.call_id(&call.name)).await?;
    }
    ledger::settled(&stage.case.ledger, &stage.journal).await;
    server.stop(stage.stopping.load(Ordering::Relaxed)).await?;
    wire.was_all_by(stage.transport).await?;
    compare_counters(stage)?;
    ledger::compare(house, &stage.case).await
}

/// Every call's steps, in order, nothing more and nothing less.
fn compare_steps(stage: &Stage) -> Result<()> {
    let calls = &stage.case.calls;
    let mut expected: Vec<Vec<String>> = calls.iter().map(|call| call.steps.clone()).collect();
    let mut seen: Vec<Vec<String>> =
        calls.iter().map(|call| stage.journal.listed(&stage.call_id(&call.name))).collect();
    if stage.case.interchangeable {
        expected.sort();
        seen.sort();
    }
    ensure!(seen == expected, "the server's steps\nexpected: {expected:#?}\nseen: {seen:#?}");
    let strange: Vec<String> = stage
        .journal
        .steps()
        .into_iter()
        .filter(|step| step.source != SPOOL && step.source != SERVICE)
        .filter(|step| calls.iter().all(|call| stage.call_id(&call.name) != step.source))
        .map(|step| step.to_string())
        .collect();
    ensure!(strange.is_empty(), "steps of no call of this case: {strange:#?}");
    Ok(())
}

/// The counters that the case names.
fn compare_counters(stage: &Stage) -> Result<()> {
    let expected = &stage.case.counted;
    if expected.is_empty() {
        return Ok(());
    }
    let all = stage.house.counted()?;
    let seen = expected.keys().map(|name| (name.clone(), all.get(name).copied().unwrap_or(0))).collect();
    ensure!(expected == &seen, "counted\nexpected: {expected:#?}\nseen: {seen:#?}\nof: {all:#?}");
    Ok(())
}

/// Everything that was seen, for whoever mends it.
fn report(stage: &Stage) -> String {
    let steps: Vec<String> = stage.journal.steps().iter().map(ToString::to_string).collect();
    let traces: Vec<String> = stage.case.calls.iter().map(|call| sipp::trace(&stage.folder, call)).collect();
    format!("---- steps\n{}\n{}\n{}", steps.join("\n"), traces.join("\n"), stage.house.log())
}

/// The cases that run over a transport, by their folders' names.
pub fn cases_over(transport: Transport) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(case::cases())? {
        let path = entry?.path();
        if path.join("case.toml").exists() {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.context("a folder's name is not UTF-8")?;
            if Case::read(name)?.transports.holds(transport) {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}
