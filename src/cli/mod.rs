//! The command line: one file a subcommand.

mod actor;
pub mod admin;
mod bill;
mod call;
mod calls;
mod clean;
mod demo;
pub mod flow;
pub mod ledger;
mod load;
pub mod prompts;
mod recording;
mod serve;
mod trace;

use crate::config::Settings;
use crate::store;
use crate::units::clock::Clock;
use anyhow::Context;
use clap::{Parser, Subcommand};
use clean::CleanWriter;
use jiff::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// The service behind short code 130: answers calls over SIP, plays prompts, collects keys, and books discounted
/// package activations into a billing ledger.
#[derive(Debug, Parser)]
#[command(name = "klikon", version, max_term_width = 110)]
pub struct Command {
    /// Settings file of `serve`, `call`, `calls`, `admin` and `ledger`; without it `klikon.toml` of this folder, and without
    /// that the defaults. `demo` takes its database, and without it has one of its own.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run the service for softphones, SIPp, a PBX or a core network.
    Serve(serve::Arguments),
    /// Show the whole thing on this machine: a service, a caller, a booked activation, a WAV of what was heard.
    Demo(demo::Arguments),
    /// Phone a SIP address, key digits, and say what was heard and when.
    Call(Box<call::Arguments>),
    /// Show the SIP of calls, from the memory of the service that runs or as it passes.
    Trace(trace::Arguments),
    /// The records of calls, as the database keeps them.
    Calls(calls::Arguments),
    /// What callers heard and pressed: list, show, export, begin and end recordings.
    Recording(recording::Arguments),
    /// Groups, members, leaders, packages and terms.
    Admin(admin::AdminArguments),
    /// Print, audit and bill the ledger.
    Ledger(ledger::LedgerArguments),
    /// Close months, and write their bills for the operator's billing system.
    Bill(bill::BillArguments),
    /// What the ledger and those it speaks with do not agree on.
    Reconcile(bill::ReconcileArguments),
    /// Make and check the recorded prompts.
    Prompts(prompts::PromptsArguments),
    /// Check call flows, and walk through them without a telephone.
    Flow(flow::FlowArguments),
}

impl Command {
    /// Runs the subcommand; an error is printed with its causes.
    pub fn run(self) -> ExitCode {
        let outcome = match self.what {
            What::Serve(arguments) => {
                self::settings(self.config.as_deref()).and_then(|settings| serve::run(arguments, settings))
            }
            What::Demo(arguments) => {
                let config = self.config.as_deref();
                let database = config.map(|config| Settings::load(config).map(|settings| settings.database));
                database.transpose().map_err(Into::into).and_then(|database| demo::run(arguments, database))
            }
            What::Call(arguments) => {
                self::settings(self.config.as_deref()).and_then(|settings| call::run(*arguments, &settings))
            }
            What::Trace(arguments) => {
                self::settings(self.config.as_deref()).and_then(|settings| trace::run(&arguments, &settings))
            }
            What::Calls(arguments) => self::settings(self.config.as_deref()).and_then(|settings| {
                runtime()?.block_on(calls::run(&arguments, &settings, &mut std::io::stdout()))
            }),
            What::Recording(arguments) => self::settings(self.config.as_deref())
                .and_then(|settings| recording::run(&arguments, &settings)),
            What::Admin(arguments) => on_database(self.config.as_deref(), async |database, now, out| {
                admin::run(arguments, database, now, out).await
            }),
            What::Ledger(arguments) => on_database(self.config.as_deref(), async |database, now, out| {
                ledger::run(arguments, database, now, out).await
            }),
            What::Bill(arguments) => on_database(self.config.as_deref(), async |database, now, out| {
                bill::run(arguments, database, now, out).await
            }),
            What::Reconcile(arguments) => on_database(self.config.as_deref(), async |database, now, out| {
                bill::reconcile(&arguments, database, now, out).await
            }),
            What::Prompts(arguments) => prompts::run(arguments),
            What::Flow(arguments) => flow::run(arguments),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("klikon: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

/// The settings of `--config`, else of `klikon.toml` here, else the defaults.
fn settings(given: Option<&Path>) -> anyhow::Result<Settings> {
    let here = Path::new("klikon.toml");
    match given {
        Some(path) => Ok(Settings::load(path)?),
        None if here.exists() => Ok(Settings::load(here)?),
        None => Ok(Settings::default()),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Runs a command on the settings' database; what it prints goes to standard output.
fn on_database(
    config: Option<&Path>,
    work: impl AsyncFnOnce(&store::Settings, Timestamp, &mut (dyn Write + Send)) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let settings = settings(config)?;
    runtime()?.block_on(work(&settings.database, Clock::system().wall(), &mut std::io::stdout()))
}

/// Log lines go to standard error; standard output belongs to what the command says.
fn start_logging(log: &crate::config::Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    // Colours are control characters too, and log lines mostly go to a journal.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    // A second call in one process, as tests make, changes nothing.
    let _ = match log.format {
        crate::config::LogFormat::Text => {
            lines.with_writer(|| CleanWriter::text(std::io::stderr())).try_init()
        }
        crate::config::LogFormat::Json => {
            lines.with_writer(|| CleanWriter::json(std::io::stderr())).json().try_init()
        }
    };
}
