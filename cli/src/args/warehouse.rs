//! The verb about the warehouse's account.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct WarehouseArgs {
    /// What the account is to be [default: warehouse.yaml beside the sources file].
    #[arg(long, global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which of the file's environments [default: the stack's Stage].
    #[arg(long, global = true, value_name = "NAME")]
    pub environment: Option<String>,
    #[command(subcommand)]
    pub task: AccountTask,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountTask {
    /// What lies between the file and the account. It only reads.
    Plan(PlanArgs),
    /// Make the account what the file says. What the file does not name is left as it is, but for grants between what it names.
    Apply(ApplyArgs),
    /// Whether the account is as the file says; ends with 3 where it is not, and with 1 where that cannot be seen.
    Drift,
    /// Write the file of the account that is there, to standard output.
    Import {
        /// The account is of the Enterprise edition or above.
        #[arg(long)]
        enterprise: bool,
    },
    /// Print what makes the account's first user and fills its secret, before there is a stack. Its private key goes into a file.
    Bootstrap {
        /// Where the secret's value is written until the printed command has put it.
        #[arg(long, value_name = "FILE", default_value = "snowflake-provisioner.json")]
        out: PathBuf,
    },
    /// Give a service a new key: into its user's free slot, proven by a login from this machine, into its secret; then the old one is
    /// taken out. What was interrupted goes on when it is called again.
    Rotate {
        /// The user [default: that of the functions].
        user: Option<String>,
        /// Its secret [default: the stack's of that service]. A service outside of the platform needs one.
        #[arg(long, value_name = "NAME")]
        secret: Option<String>,
    },
    /// What a role can do and through which roles, who has it, and what it holds without a way to it.
    Explain {
        /// A role, or DATABASE.ROLE.
        role: String,
    },
}

/// What a plan never does by itself.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AllowedArgs {
    /// Drop this, which the file does not name; as the plan calls it, such as 'warehouse OLD'. May be given again.
    #[arg(long, value_name = "WHAT")]
    pub drop: Vec<String>,
    /// Replace this, such as 'pipe A.B.C'; what it holds is lost. May be given again.
    #[arg(long, value_name = "WHAT")]
    pub replace: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub allowed: AllowedArgs,
    /// Print the statements instead, in their order, with the role that sends each.
    #[arg(long, conflicts_with = "json")]
    pub sql: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub allowed: AllowedArgs,
    /// Do not ask, but for what would be lost.
    #[arg(long)]
    pub yes: bool,
    /// Do not ask about this, either: what it holds is lost for good. May be given again.
    #[arg(long, value_name = "WHAT")]
    pub lose: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::*;
    use crate::args::{Cli, Task};

    fn parse(line: &[&str]) -> Result<WarehouseArgs, ErrorKind> {
        let line = ["sluice", "warehouse"].iter().chain(line);
        match Cli::try_parse_from(line).map_err(|error| error.kind())?.command {
            Task::Warehouse(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_may_be_lost_is_named_twice() {
        let args = parse(&["apply", "--drop", "database OLD", "--lose", "database OLD", "--environment", "dev"]);
        let WarehouseArgs { environment, task: AccountTask::Apply(apply), .. } = args.expect("an apply") else {
            panic!("no apply")
        };
        assert_eq!((environment.as_deref(), apply.yes), (Some("dev"), false));
        assert_eq!(
            (apply.allowed.drop, apply.lose),
            (vec!["database OLD".to_owned()], vec!["database OLD".to_owned()])
        );
        assert_eq!(parse(&["plan", "--sql", "--json"]).expect_err("both"), ErrorKind::ArgumentConflict);
        assert_eq!(parse(&["explain"]).expect_err("no role"), ErrorKind::MissingRequiredArgument);
    }
}
