//! `klikon serve`: the service, until it is told to stop.

use super::clean::escaped_json;
use crate::call::{Account, CallEvent, Observer, ServiceEvent};
use crate::config::Settings;
use crate::server::Server;
use crate::units::clock::Clock;
use anyhow::Context;
use clap::Args;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Run the service.
///
/// It says `listening on udp ADDRESS:PORT` on standard output once calls can come. SIGTERM or Ctrl-C drains it: new
/// calls are answered 503, calls under way go on until `calls.drain_s`; a second signal ends them with goodbye.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  klikon serve\n  klikon serve --config /etc/klikon/klikon.toml\n  klikon serve --events - | jq -c 'select(.event==\"booking\")'"
)]
pub struct Arguments {
    /// Write each step of each call as one JSON object a line, numbers masked; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

/// Event lines that wait for a slow reader; further ones are counted and lost, since no call may wait for them.
const LINES_WAITING: usize = 8192;
/// At the end, how long the last lines may take.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Serves until stopped.
pub fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<()> {
    super::start_logging(&settings.log);
    let (observer, written) = match arguments.events.as_deref() {
        Some(path) => {
            let (observer, written) = event_lines(open(path)?)?;
            (observer, Some(written))
        }
        None => (Observer::default(), None),
    };
    let runtime = super::runtime()?;
    let outcome = runtime.block_on(serve(settings, observer));
    // Its tasks hold the observer: with them gone, the lines come to their end.
    drop(runtime);
    if let Some(written) = written
        && written.recv_timeout(LAST_LINES) == Err(RecvTimeoutError::Timeout)
    {
        eprintln!("klikon: the reader of the event lines is too slow; the last ones are lost");
    }
    outcome
}

async fn serve(settings: Settings, observer: Observer) -> anyhow::Result<()> {
    let mut stop = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
    let drain_for = Duration::from_secs(settings.calls.drain_s);
    let server = Server::start(settings, observer, Clock::system()).await?;
    for listen in server.listening() {
        println!("listening on {listen}");
    }
    std::io::stdout().flush()?;
    server.attend_trunks().await;
    // SIGHUP reads the certificates again.
    let (tls, mut hang_up) = (server.tls(), signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?);
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            if let Some(tls) = &tls {
                tls.reload(true);
            }
        }
    });
    tokio::select! {
        _ = stop.recv() => {}
        _ = interrupt.recv() => {}
        () = server.finished() => anyhow::bail!("the service ended by itself; the log says why"),
    }
    // Before the drain: without calls the SIP side ends with it, and gives no account any more.
    if let Some(account) = server.account().await {
        tracing::info!(counted = %counted(&account), "the SIP side, until the stop");
    }
    if let Some(captured) = server.captured() {
        tracing::info!(?captured, "capture, until the stop");
    }
    if let Some(recorded) = server.recorded() {
        tracing::info!(?recorded, "recordings, until the stop");
    }
    let calls = server.drain().await;
    eprintln!(
        "klikon: stopping; {calls} calls under way, for {} s at most; signal again to end them",
        drain_for.as_secs()
    );
    let drained = tokio::select! {
        () = server.finished() => true,
        () = tokio::time::sleep(drain_for) => false,
        _ = stop.recv() => false,
        _ = interrupt.recv() => false,
    };
    if !drained {
        server.end_calls().await;
    }
    server.stop().await;
    Ok(())
}

/// What was counted at all, as `name=count` with spaces between.
fn counted(account: &Account) -> String {
    let counted = account.counters.iter().filter(|(_, count)| *count > 0);
    counted.map(|(name, count)| format!("{name}={count}")).collect::<Vec<_>>().join(" ")
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdout()));
    }
    let file = File::options().create(true).append(true).open(path);
    Ok(Box::new(file.with_context(|| format!("cannot write {}", path.display()))?))
}

/// What a line is about.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Line {
    Call(CallEvent),
    Service(ServiceEvent),
}

/// An observer whose lines a thread of its own writes, so that a reader who stands still stops no call. The receiver
/// is disconnected when the last line is written.
fn event_lines(mut out: Box<dyn Write + Send>) -> anyhow::Result<(Observer, Receiver<()>)> {
    let (events, waiting) = sync_channel::<Line>(LINES_WAITING);
    let (writing, written) = sync_channel(1);
    let write = move || {
        let _writing: SyncSender<()> = writing;
        for event in waiting {
            let line = serde_json::to_string(&event).unwrap_or_default();
            let line = escaped_json(&line);
            if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
                tracing::warn!(%error, "an event line could not be written");
            }
        }
    };
    std::thread::Builder::new().name("events".to_owned()).spawn(write).context("cannot start a thread")?;
    let lost = Arc::new(AtomicU64::new(0));
    let write = move |line| {
        if events.try_send(line).is_err() {
            let lost = lost.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(lost, "the reader of the event lines is too slow; a line is lost");
        }
    };
    let write_service = write.clone();
    let observer = Observer::new(move |event| write(Line::Call(event)))
        .with_service(move |event| write_service(Line::Service(event)));
    Ok((observer, written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Step;
    use crate::units::CallId;
    use std::sync::mpsc::channel;

    /// A reader who stands still until he is told to read.
    struct Stuck {
        go_on: Receiver<()>,
        lines: std::sync::mpsc::Sender<Vec<u8>>,
    }

    impl Write for Stuck {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            // Disconnected: he reads all there is.
            let _ = self.go_on.recv();
            self.lines.send(octets.to_vec()).map_err(std::io::Error::other)?;
            Ok(octets.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_stands_still_stops_no_call() {
        let (go_on, told) = channel();
        let (lines, read) = channel();
        let (observer, written) = event_lines(Box::new(Stuck { go_on: told, lines })).unwrap();
        let at = Clock::system().wall();
        let event = || CallEvent {
            at,
            call: CallId::new(at, [1; 10]),
            sip_call_id: "a@b".to_owned(),
            step: Step::Refused { status: 404 },
        };
        for _ in 0..LINES_WAITING + 1000 {
            observer.tell(event);
        }
        assert_eq!(written.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
        drop((go_on, observer));
        assert!(written.recv().is_err(), "written to the end");
        let text = String::from_utf8(read.iter().flatten().collect()).unwrap();
        // The one he held in his hand besides those that waited.
        let count = text.lines().count();
        assert!((LINES_WAITING..=LINES_WAITING + 1).contains(&count), "{count}");
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&first["event"], &first["status"]), (&"refused".into(), &404.into()));
    }
}
