//! `sluice completions`: a script by which a shell completes verbs and options.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;
use sluice_core::Error;

use crate::{args::Cli, failure::Outcome};

pub(super) fn run(shell: Shell) -> Outcome {
    let broken = |error: std::io::Error| Error::internal("cannot write the script").because(error);
    Ok(std::io::stdout().write_all(&script(shell)).map_err(broken)?)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_the_verbs_and_their_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).expect("text");
            for word in ["put-aside", "doctor", "dry-run", "sluice"] {
                assert!(script.contains(word), "{shell} does not complete {word}");
            }
        }
    }
}
