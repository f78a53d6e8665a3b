//! The `klikon` command.
#![forbid(unsafe_code)]

use clap::Parser;
use klikon::cli::Command;
use std::process::ExitCode;

fn main() -> ExitCode {
    Command::parse().run()
}
