//! Asking before something is written.

use std::io::{IsTerminal, Write};

use sluice_core::{Error, Result};

use crate::failure::{Failure, Outcome};

/// Ends what would ask and has nobody to ask. `what` is what asks, as in "a reset".
pub(crate) fn somebody_is_there(what: &str) -> Outcome {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(format!("{what} asks before it writes, and there is no terminal to ask at")).hint("say --yes"))
}

/// Shows what would be done and asks whether to do it.
pub(crate) fn confirm(plan: &str, question: &str) -> Result<bool> {
    eprintln!("{plan}\n");
    eprint!("{question} [y/N] ");
    let broken = |error: std::io::Error| Error::internal("cannot talk to the terminal").because(error);
    std::io::stderr().flush().map_err(broken)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(broken)?;
    Ok(["y", "Y", "yes"].contains(&line.trim()))
}

pub(crate) fn declined() -> Failure {
    Failure::usage("not confirmed; nothing was written")
}
