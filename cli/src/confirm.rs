//! Asking before something is written.

use std::io::{IsTerminal, Write};

use sluice_core::{Error, Result};

use crate::failure::{Failure, Outcome};

/// What a process ends with that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Ends what would ask and has nobody to ask. `what` is what asks, as in "a reset".
pub(crate) fn somebody_is_there(what: &str) -> Outcome {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(format!("{what} asks before it writes, and there is no terminal to ask at")).hint("say --yes"))
}

/// Shows what would be done and asks whether to do it.
pub(crate) fn confirm(plan: &str, question: &str) -> Result<bool> {
    Ok(["y", "Y", "yes"].contains(&answer(&format!("{plan}\n\n{question} [y/N] "))?.as_str()))
}

/// Ends what would do this unless somebody says yes. `what` is what asks, as in "a reset".
pub(crate) fn agreed(what: &str, plan: &str, question: &str) -> Outcome {
    somebody_is_there(what)?;
    if confirm(plan, question)? { Ok(()) } else { Err(declined()) }
}

/// Ends what would lose something, unless each loss is in `named` or agreed to. A loss is of what, and which.
pub(crate) fn losses_agreed<'l>(losses: impl Iterator<Item = (&'l str, &'l str)>, named: &[String]) -> Outcome {
    for (what, loses) in losses {
        if !named.iter().any(|name| name == what) && !confirm_loss(what, loses)? {
            return Err(declined());
        }
    }
    Ok(())
}

/// Asks for the name of what would lose something, so that no habit of answering yes loses it.
fn confirm_loss(what: &str, loses: &str) -> Outcome<bool> {
    if !std::io::stdin().is_terminal() {
        let text = format!("{what} would lose {loses} for good, and there is no terminal to ask at");
        return Err(Failure::usage(text).hint(format!("say --lose '{what}' where that is meant")));
    }
    let name = named(what);
    Ok(answer(&format!("{what} loses {loses} for good; type {name} to go on: "))? == name)
}

/// The name after the words of its kind, which are in lower case: `storage integration "My lake"`.
fn named(what: &str) -> &str {
    let begins = |c: char| !c.is_ascii_lowercase() && c != ' ';
    what.find(begins).map_or(what, |at| &what[at..])
}

/// Shows what goes and asks for its name.
pub(crate) fn confirm_name(shown: &str, name: &str) -> Outcome<bool> {
    if !std::io::stdin().is_terminal() {
        let text = format!("{name} would go, and there is no terminal to ask at");
        return Err(Failure::usage(text).hint(format!("say --confirm {name} where that is meant")));
    }
    Ok(answer(&format!("{shown}\n\ntype {name} to go on: "))? == name)
}

/// Asks beside what else goes on, so that Ctrl-C declines, and what was made for the question can be taken back.
pub(crate) async fn or_interrupted(ask: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let (answer, answered) = tokio::sync::oneshot::channel();
    // A thread of its own: the end of the process does not wait for it.
    std::thread::spawn(move || answer.send(ask()));
    tokio::select! {
        outcome = answered => {
            tokio::spawn(async {
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(INTERRUPTED);
                }
            });
            outcome.unwrap_or_else(|_| Err(declined()))
        }
        _ = tokio::signal::ctrl_c() => Err(declined()),
    }
}

fn answer(question: &str) -> Result<String> {
    let broken = |error: std::io::Error| Error::internal("cannot talk to the terminal").because(error);
    let mut terminal = std::io::stderr().lock();
    terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()).map_err(broken)?;
    // What ends at Ctrl-C meanwhile says so there.
    drop(terminal);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(broken)?;
    Ok(line.trim().to_owned())
}

pub(crate) fn declined() -> Failure {
    Failure::usage("not confirmed; nothing was written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_of_what_would_be_lost_is_asked_for() {
        for (what, name) in [
            ("database OLD", "OLD"),
            ("database \"My DB\"", "\"My DB\""),
            ("storage integration SLUICE_LAKE", "SLUICE_LAKE"),
            ("pipe A.\"b c\".D", "A.\"b c\".D"),
            ("user _X", "_X"),
        ] {
            assert_eq!(named(what), name);
        }
    }
}
