//! `klikon serve`: the service, until it is told to stop.

use crate::call::{CallEvent, Observer};
use crate::config::Settings;
use crate::server::Server;
use crate::units::clock::Clock;
use anyhow::Context;
use clap::Args;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
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

/// Serves until stopped.
pub fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<()> {
    super::start_logging(&settings.log);
    let observer = arguments.events.as_deref().map_or(Ok(Observer::default()), event_lines)?;
    super::runtime()?.block_on(async {
        let mut stop = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
        let drain_for = std::time::Duration::from_secs(settings.calls.drain_s);
        let server = Server::start(settings, observer, Clock::system()).await?;
        for address in server.addresses() {
            println!("listening on udp {address}");
        }
        std::io::stdout().flush()?;
        tokio::select! {
            _ = stop.recv() => {}
            _ = interrupt.recv() => {}
            () = server.finished() => anyhow::bail!("the service ended by itself; the log says why"),
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
    })
}

fn event_lines(path: &Path) -> anyhow::Result<Observer> {
    let out: Box<dyn Write + Send> = if path == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        Box::new(
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .with_context(|| format!("cannot write {}", path.display()))?,
        )
    };
    let out = Mutex::new(out);
    Ok(Observer::new(move |event: CallEvent| {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        let written =
            serde_json::to_string(&event).map(|line| writeln!(out, "{line}").and_then(|()| out.flush()));
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("an event line could not be written");
        }
    }))
}
