//! `sluice`: looks after a deployed platform, or after the one on this machine. See docs/cli.md.
//!
//! `args` says what can be asked, `commands` has a file for each verb, `place` finds the platform, and `platform` is what commands
//! use of it.

// A pipe's other end may be closed: what is printed goes through `output`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod change_set;
mod check;
mod commands;
mod confirm;
mod cursor;
mod dead_letters;
mod drift;
mod failure;
mod formats;
mod lag;
mod mappings;
mod output;
mod place;
mod platform;
mod progress;
mod ready;
mod sam;
mod schedules;
mod stack;
mod stage;
mod warehouse;

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};

use crate::{args::Cli, failure::Failure, progress::Progress};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error),
    };
    let json = cli.json;
    match commands::run(cli, &Progress::new(json)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::tell(&if json { failure.json() } else { failure.text() });
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version are answers; anything else is an error, in JSON where the line that cannot be read asks for it.
fn unparsed(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json");
    if !json || matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        error.exit();
    }
    let failure = Failure::command_line(&error.to_string());
    output::tell(&failure.json());
    ExitCode::from(failure.exit_code())
}
