//! `sluice completions`: a script by which a shell completes verbs and options.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{args::Cli, failure::Outcome, output};

pub(super) fn run(shell: Shell) -> Outcome {
    output::write(&String::from_utf8_lossy(&script(shell))).map(drop)
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
