//! The verb that sends a published model back to where people work.

use clap::Args;

use super::not_blank;

#[derive(Debug, Args)]
pub(crate) struct ActivateArgs {
    /// Show what would change; send nothing.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask, however much it is.
    #[arg(long)]
    pub yes: bool,
    /// Stop all activations, also a run under way, and why.
    #[arg(long, value_name = "TEXT", value_parser = not_blank, conflicts_with_all = ["dry_run", "yes", "go_on"])]
    pub stop: Option<String>,
    /// Let activations send again.
    #[arg(long, conflicts_with_all = ["dry_run", "yes"])]
    pub go_on: bool,
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::*;
    use crate::args::{Cli, Task};

    fn parse(line: &str) -> Result<Task, ErrorKind> {
        let line = std::iter::once("sluice").chain(line.split(' '));
        Cli::try_parse_from(line).map(|cli| cli.command).map_err(|error| error.kind())
    }

    #[test]
    fn an_activation_is_looked_at_sent_or_stopped() {
        assert!(matches!(parse("activate --dry-run"), Ok(Task::Activate(ActivateArgs { dry_run: true, .. }))));
        let Ok(Task::Activate(stop)) = parse("activate --stop wrong") else { panic!("a stop") };
        assert_eq!((stop.stop.as_deref(), stop.go_on), (Some("wrong"), false));
        for line in ["activate --dry-run --yes", "activate --stop x --go-on", "activate --go-on --yes"] {
            assert_eq!(parse(line).expect_err(line), ErrorKind::ArgumentConflict, "{line}");
        }
    }
}
