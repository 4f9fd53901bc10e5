//! The verbs that bring a stage to an account, and those that look at one.

use std::path::PathBuf;

use clap::Args;

/// Which stage.
#[derive(Debug, Clone, Args)]
pub(crate) struct StageArgs {
    /// A parameter set of samconfig.toml: dev, staging or prod. It names stack, region, account and parameters.
    #[arg(long, value_name = "STAGE")]
    pub env: String,
    /// The file of the parameter sets [default: samconfig.toml of this checkout].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub stage: StageArgs,
    /// Do not ask, but for what would be lost.
    #[arg(long)]
    pub yes: bool,
    /// Take what `sam build` has left, instead of building.
    #[arg(long)]
    pub built: bool,
    /// Make again what somebody has deleted of the stack by hand, and set back what was changed; deploy nothing else.
    #[arg(long, conflicts_with_all = ["built", "plan"])]
    pub mend: bool,
    /// Show what would change; change nothing. As `sluice diff`.
    #[arg(long, conflicts_with_all = ["yes", "lose", "plan"])]
    pub dry_run: bool,
    /// Carry out the change set that `sluice diff --save` has kept, and no other.
    #[arg(long, value_name = "FILE", conflicts_with = "built")]
    pub plan: Option<PathBuf>,
    /// The role that CloudFormation changes the stack with [default: the caller].
    #[arg(long, value_name = "ARN", conflicts_with = "plan")]
    pub role: Option<String>,
    /// Do not ask about this resource, either: what it holds is lost for good. May be given again.
    #[arg(long, value_name = "RESOURCE")]
    pub lose: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub stage: StageArgs,
    /// Take what `sam build` has left, instead of building.
    #[arg(long)]
    pub built: bool,
    /// What `sluice deploy --mend` would change.
    #[arg(long, conflicts_with_all = ["built", "save"])]
    pub mend: bool,
    /// Keep the change set for `sluice deploy --plan`, and what was shown of it in this file.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// The role that CloudFormation is to change the stack with [default: the caller].
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,
    /// Put the zips below this name in the stack's folder of SAM's bucket [default: s3_prefix of the file].
    #[arg(long, value_name = "NAME")]
    pub prefix: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DestroyArgs {
    #[command(flatten)]
    pub stage: StageArgs,
    /// The stack's name, instead of typing it when asked.
    #[arg(long, value_name = "STACK")]
    pub confirm: Option<String>,
    /// Show what would go and what would stay; change nothing.
    #[arg(long, conflicts_with = "confirm")]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A stage of samconfig.toml, in the account that it is pinned to [default: the stack, or the platform on this machine].
    #[arg(long, value_name = "STAGE")]
    pub env: Option<String>,
    /// The file of the stages [default: samconfig.toml of this checkout].
    #[arg(long, value_name = "FILE", requires = "env")]
    pub config: Option<PathBuf>,
    /// Ask only this probe. May be given again.
    #[arg(long, value_name = "PROBE")]
    pub only: Vec<String>,
    /// Leave out what writes: the canary's commit, and an object that is put and deleted.
    #[arg(long)]
    pub read_only: bool,
    /// The canary: a table that is replaced whole [default: the first].
    #[arg(long)]
    pub table: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use crate::args::{Cli, Task};

    fn parse(line: &str) -> Result<Task, ErrorKind> {
        let line = std::iter::once("sluice").chain(line.split(' '));
        Cli::try_parse_from(line).map(|cli| cli.command).map_err(|error| error.kind())
    }

    #[test]
    fn a_stage_is_named_and_a_plan_stands_for_itself() {
        let Ok(Task::Deploy(args)) = parse("deploy --env dev --lose LoadQueue --yes") else { panic!("no deployment") };
        assert_eq!((&*args.stage.env, args.yes, args.lose), ("dev", true, vec!["LoadQueue".to_owned()]));
        for (line, kind) in [
            ("deploy", ErrorKind::MissingRequiredArgument),
            ("deploy --env dev --dry-run --yes", ErrorKind::ArgumentConflict),
            ("deploy --env dev --plan p.json --built", ErrorKind::ArgumentConflict),
            ("diff --save p.json", ErrorKind::MissingRequiredArgument),
            ("deploy --env dev --mend --plan p.json", ErrorKind::ArgumentConflict),
            ("destroy --env dev --dry-run --confirm sluice-dev", ErrorKind::ArgumentConflict),
        ] {
            assert_eq!(parse(line).expect_err(line), kind, "{line}");
        }
    }
}
