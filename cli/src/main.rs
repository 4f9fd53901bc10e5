//! `sluice`: looks after a deployed platform, or after the one on this machine. See docs/cli.md.

// A command's future holds those of every adapter that it uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod args;
mod channels;
mod commands;
mod confirm;
mod failure;
mod formats;
mod lag;
mod mappings;
mod output;
mod place;
mod platform;
mod progress;
mod schedules;
mod signed;
mod stack;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, progress::Progress};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    match commands::run(cli, &Progress::new(json)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", if json { failure.json() } else { failure.text() });
            ExitCode::from(failure.exit_code())
        }
    }
}
