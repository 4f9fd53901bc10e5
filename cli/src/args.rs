//! The command line: what may be asked, and the help for it.

mod activate;
mod alerts;
mod costs;
mod rows;
mod stage;
mod topics;
mod warehouse;
mod why;

use std::path::PathBuf;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use activate::ActivateArgs;
pub(crate) use alerts::{AlertTask, AlertsArgs};
pub(crate) use costs::{By, CostsArgs};
pub(crate) use rows::{AsideArgs, LogsArgs, QueryArgs, RejectsArgs, ReportArgs, RowArgs};
pub(crate) use stage::{DeployArgs, DestroyArgs, DiffArgs, StageArgs, VerifyArgs};
pub(crate) use topics::{TopicTask, TopicsArgs};
pub(crate) use warehouse::{AccountTask, AllowedArgs, ApplyArgs, PlanArgs, WarehouseArgs};
pub(crate) use why::WhyArgs;

/// Over the options that each command has, behind its own.
const EVERYWHERE: &str = "Options of every command";

/// Looks after a Sluice platform: a deployed stack, or by default the one on this machine.
///
/// Exit codes: 0 done, 1 failed, 2 asked for something that makes no sense, 3 what was compared differs (prove, warehouse drift).
#[derive(Debug, Parser)]
#[command(name = "sluice", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub target: Target,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Task,
}

/// Which platform.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// A deployed CloudFormation stack; credentials and region come from the environment as usual. Without it, the
    /// platform that `make up` has started on this machine.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "NAME")]
    pub stack: Option<String>,
    /// The sources file that the stack was deployed with [default: platform/sources.yaml of this checkout].
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    pub sources: Option<PathBuf>,
    /// Where the platform on this machine keeps its state.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FOLDER", default_value = ".sluice")]
    pub state: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// How every table stands: newest commit, what is loaded and what is not, drift, streams, dbt.
    Status,
    /// Recent commits and what became of them, newest first.
    Runs(RunsArgs),
    /// Run the extract of one table now.
    Run(RunArgs),
    /// Fill days of a dated table (exchange rates), as far as the source's quota goes; call it again to go on.
    Backfill(BackfillArgs),
    /// Stop the schedules of a table, or of all; for a streaming table, its event source.
    Pause(SwitchArgs),
    /// Start them again.
    Resume(SwitchArgs),
    /// Make a table's rows from the lake again, compare them, and swap in what differs: a raw table's from its commits, a
    /// streaming table's of some time from the archive.
    Replay(ReplayArgs),
    /// Whether source, commits, ledger and raw table are equal, value by value, and where not, of which commits. Ends with 3
    /// where they are not.
    Prove(ProveArgs),
    /// Move a table's cursor to that of an earlier commit, by one more commit. Nothing is deleted.
    Reset(ResetArgs),
    /// Erase the lake's files of a table from before its newest read from the beginning, because a person must be forgotten.
    Erase(EraseArgs),
    /// Bring HubSpot's contacts to the published model, as far as they differ.
    Activate(ActivateArgs),
    /// Load a commit again that failed to load, send again what HubSpot did not take, or send back dead letters.
    Retry(RetryArgs),
    /// Check credentials, stack, secrets, warehouse, queues and freshness; say how to fix what is wrong.
    Doctor,
    /// What is wrong with the data, and who has it in hand.
    Alerts(AlertsArgs),
    /// What the platform costs, by run, model, user or part, with the remainder to the bill, and what is estimated yet.
    Costs(CostsArgs),
    /// What was refused of a table or a topic: how many rows by reason, and the newest of them.
    Rejects(RejectsArgs),
    /// What a function has logged.
    Logs(LogsArgs),
    /// Take the newest report, a page of what dbt has published, to this machine; say its single numbers.
    Report(ReportArgs),
    /// Ask the warehouse. It only reads.
    Query(QueryArgs),
    /// Where a number comes from: with --where a cell with its rows, prices, rates, offsets, commits and runs; without it the
    /// columns before and after.
    Why(WhyArgs),
    /// Leave a row of a raw table out of the models, now and after every replay or load. Nothing is deleted.
    PutAside(AsideArgs),
    /// Let a row count again that was put aside.
    TakeBack(AsideArgs),
    /// The warehouse's account as platform/warehouse.yaml says it: plan, apply, look for drift, import, explain a role; keys.
    Warehouse(WarehouseArgs),
    /// The Kafka topics as platform/sources.yaml says them, with their schemas in the registry: plan and apply.
    Topics(TopicsArgs),
    /// Bring a stage to its account by SAM: checks, the change set and the account's plan to agree to, the change; then
    /// schedules, once secrets, warehouse and dbt answer.
    Deploy(DeployArgs),
    /// What a deployment would change, in the stack and in the warehouse's account.
    Diff(DiffArgs),
    /// Delete a stage's stack. What holds data stays, and the next deployment takes it up.
    Destroy(DestroyArgs),
    /// Prove on an account what one machine cannot, row by row of the list; on one machine, ask the emulators.
    Verify(VerifyArgs),
    /// Print what makes a shell complete this command.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Only this table; the end of its name will do.
    #[arg(long)]
    pub table: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000), allow_negative_numbers = true)]
    pub limit: u16,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// DATABASE.SCHEMA.TABLE; the end of the name will do, in any case.
    pub table: String,
    /// Stay until the commit is loaded.
    #[arg(long)]
    pub wait: bool,
    /// Ignore the cursor and read everything again.
    #[arg(long)]
    pub full_refresh: bool,
    /// Read from here on, whatever the newest commit has seen: a value of the cursor column, or for dated tables a day.
    #[arg(long, value_name = "VALUE", conflicts_with = "full_refresh", allow_negative_numbers = true)]
    pub from: Option<String>,
    /// Say what a run would read; write nothing.
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    /// Run as if it were this time (RFC 3339) [default: now].
    #[arg(long, value_name = "TIME", value_parser = from_time)]
    pub time: Option<DateTime<Utc>>,
    /// With --wait: how long at most, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, requires = "wait", allow_negative_numbers = true)]
    pub timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BackfillArgs {
    /// A table with one set of rows per day.
    pub table: String,
    /// First day, YYYY-MM-DD.
    #[arg(long, value_name = "DATE", value_parser = day, allow_negative_numbers = true)]
    pub from: NaiveDate,
    /// Last day, YYYY-MM-DD.
    #[arg(long, value_name = "DATE", value_parser = day, allow_negative_numbers = true)]
    pub to: NaiveDate,
    /// Say which days are missing; fetch none.
    #[arg(long)]
    pub dry_run: bool,
    /// Run as if it were this time (RFC 3339) [default: now].
    #[arg(long, value_name = "TIME", value_parser = from_time)]
    pub time: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SwitchArgs {
    /// DATABASE.SCHEMA.TABLE; the end of the name will do.
    pub table: Option<String>,
    /// Every schedule of the stack, the sweeps too, and the stream.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A raw table that is loaded from commits; the end of its name will do.
    #[arg(long, required_unless_present_any = ["topic", "announcements"], conflicts_with_all = ["topic", "from", "to", "partition"])]
    pub table: Option<String>,
    /// The topic of a streaming table, as platform/sources.yaml names it.
    #[arg(long, conflicts_with = "announcements")]
    pub topic: Option<String>,
    /// What was announced on the bus, from its archive: for what a rule, a queue or a function has lost.
    #[arg(long, conflicts_with_all = ["table", "partition", "no_swap", "delete_unarchived", "yes"])]
    pub announcements: bool,
    /// Records from this time on: RFC 3339, or a date for the beginning of that day (UTC).
    #[arg(long, value_name = "TIME", value_parser = from_time, required_unless_present = "table", allow_negative_numbers = true)]
    pub from: Option<DateTime<Utc>>,
    /// Records before this time: RFC 3339, or a date for the end of that day (UTC).
    #[arg(long, value_name = "TIME", value_parser = to_time, required_unless_present = "table", allow_negative_numbers = true)]
    pub to: Option<DateTime<Utc>>,
    /// Only this partition.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub partition: Option<i32>,
    /// Only offsets from this one on.
    #[arg(long, value_name = "OFFSET", requires = "partition", allow_negative_numbers = true)]
    pub from_offset: Option<i64>,
    /// Only offsets up to this one.
    #[arg(long, value_name = "OFFSET", requires = "partition", allow_negative_numbers = true)]
    pub to_offset: Option<i64>,
    /// Say what there is to replay; write nothing.
    #[arg(long, conflicts_with_all = ["no_swap", "yes", "delete_unarchived"])]
    pub dry_run: bool,
    /// Compare, and leave the side table for a look.
    #[arg(long, conflicts_with_all = ["yes", "delete_unarchived"])]
    pub no_swap: bool,
    /// Also remove rows that the lake lacks; without this they end the replay.
    #[arg(long)]
    pub delete_unarchived: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// DATABASE.SCHEMA.TABLE; the end of the name will do.
    pub table: String,
}

#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    /// DATABASE.SCHEMA.TABLE; the end of the name will do.
    pub table: String,
    /// The commit whose cursor to take over; 0 is the time before the first.
    #[arg(long, value_name = "SEQUENCE", allow_negative_numbers = true)]
    pub to: u64,
    /// Why: kept in the commit with your name.
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub reason: String,
    /// Show what would change; change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// DATABASE.SCHEMA.TABLE; the end of the name will do.
    pub table: String,
    /// Why: kept in a commit with your name. Say the request's number, not the person.
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub reason: String,
    /// A topic's table: the column, personal by its contract, by which the person is known.
    #[arg(long, requires = "values")]
    pub column: Option<String>,
    /// A topic's table: a file with the person's values in that column, one a line. None is kept.
    #[arg(long, value_name = "FILE", requires = "column")]
    pub values: Option<PathBuf>,
    /// A topic's table: take records too that cannot be read, or lack the column, and in which a value stands as a word.
    #[arg(long, requires = "values")]
    pub unreadable: bool,
    /// Show what would be erased; erase nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// DATABASE.SCHEMA.TABLE; the end of the name will do. `hubspot` for what an activation could not send.
    #[arg(required_unless_present = "dead")]
    pub table: Option<String>,
    /// The commit that failed to load.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    pub sequence: Option<u64>,
    /// Send back what lies in a queue of dead letters: extract, load, dispatch, activate, spool, or runs.
    #[arg(long, value_name = "QUEUE", conflicts_with_all = ["table", "sequence"])]
    pub dead: Option<String>,
}

fn day(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|_| "a day is written 2026-01-31".to_owned())
}

fn from_time(text: &str) -> Result<DateTime<Utc>, String> {
    time(text, Some)
}

fn to_time(text: &str) -> Result<DateTime<Utc>, String> {
    time(text, |day| day.checked_add_days(Days::new(1)))
}

/// A time, or for a date the midnight that `of_day` picks.
fn time(text: &str, of_day: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Result<DateTime<Utc>, String> {
    if let Some(day) = text.parse().ok().and_then(of_day) {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let known = "a time is written 2026-01-31T12:00:00Z, a day 2026-01-31";
    DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).map_err(|_| known.to_owned())
}

fn not_blank(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("a reason is not blank".to_owned()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Cli, ErrorKind> {
        Cli::try_parse_from(std::iter::once("sluice").chain(line.split(' '))).map_err(|error| error.kind())
    }

    #[test]
    fn a_day_or_a_time_that_is_none_is_told_its_form() {
        for (line, form) in [
            ("backfill rates --from 01.02.2026 --to 2026-02-03", "a day is written 2026-01-31"),
            ("backfill rates --from 2026-02-01 --to tomorrow", "a day is written 2026-01-31"),
            ("run products --time noon", "a time is written 2026-01-31T12:00:00Z"),
            ("report --publish --time noon", "a time is written 2026-01-31T12:00:00Z"),
        ] {
            let error = Cli::try_parse_from(std::iter::once("sluice").chain(line.split(' '))).expect_err(line);
            assert!(error.to_string().contains(form), "{error}");
        }
    }

    #[test]
    fn the_command_line_is_well_made() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_commands_own_options_come_before_those_of_every_command() {
        let mut command = Cli::command();
        command.build();
        let run = command.find_subcommand_mut("run").expect("a verb").render_help().to_string();
        let at = |option: &str| run.find(option).unwrap_or_else(|| panic!("no {option} in {run}"));
        for own in ["--wait", "--from", "--timeout"] {
            assert!(at(own) < at(EVERYWHERE), "{run}");
        }
        for of_every in ["--stack", "--sources", "--state", "--json"] {
            assert!(at(of_every) > at(EVERYWHERE), "{run}");
        }
    }

    #[test]
    fn what_people_type_is_understood() {
        let cli = parse("run products --wait --stack sluice-dev --json").expect("a run");
        assert_eq!((cli.target.stack.as_deref(), cli.json), (Some("sluice-dev"), true));
        assert!(matches!(cli.command, Task::Run(RunArgs { wait: true, full_refresh: false, timeout: 900, .. })));
        let cli = parse("backfill rates --from 2026-01-01 --to 2026-01-31 --dry-run").expect("a backfill");
        assert!(matches!(cli.command, Task::Backfill(BackfillArgs { dry_run: true, .. })));
        let cli = parse("run products --from -5").expect("a cursor below 0");
        assert!(matches!(cli.command, Task::Run(RunArgs { from: Some(from), .. }) if from == "-5"));
        assert!(matches!(parse("pause --all").expect("a pause").command, Task::Pause(SwitchArgs { all: true, .. })));
        let cli = parse("--state .other reset products --to 0 --reason mistake").expect("a reset");
        assert_eq!(cli.target.state, PathBuf::from(".other"));
        assert!(matches!(cli.command, Task::Reset(ResetArgs { to: 0, yes: false, .. })));
        let erase = parse("erase contacts --reason 7 --dry-run").expect("an erasure").command;
        assert!(matches!(erase, Task::Erase(EraseArgs { dry_run: true, yes: false, .. })));
        let cli = parse("replay --topic purchases --from 2026-01-31 --to 2026-01-31 --yes").expect("a replay");
        let Task::Replay(args) = cli.command else { panic!("{cli:?}") };
        let times = [args.from, args.to].map(|at| at.expect("a time").to_rfc3339());
        assert_eq!(times, ["2026-01-31T00:00:00+00:00", "2026-02-01T00:00:00+00:00"], "a date is its whole day");
        let cli = parse("replay --topic p --from 2026-01-31T12:00:00+01:00 --to 2026-01-31T12:00:00Z --dry-run");
        let Task::Replay(args) = cli.expect("a replay").command else { panic!("no replay") };
        assert_eq!(args.to.zip(args.from).map(|(to, from)| to - from), Some(chrono::TimeDelta::hours(1)));
        let cli = parse("replay --table products --no-swap").expect("a replay");
        assert!(matches!(cli.command, Task::Replay(ReplayArgs { table: Some(_), no_swap: true, from: None, .. })));
        assert!(matches!(parse("prove products").expect("a proof").command, Task::Prove(_)));
        let Task::Run(args) = parse("run products --from -5").expect("a run").command else { panic!("no run") };
        assert_eq!(args.from.as_deref(), Some("-5"), "a cursor may be negative");
        assert!(matches!(parse("runs --limit 3").expect("runs").command, Task::Runs(RunsArgs { limit: 3, .. })));
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_called() {
        for (line, kind) in [
            ("pause", ErrorKind::MissingRequiredArgument),
            ("pause products --all", ErrorKind::ArgumentConflict),
            ("run products --wait --dry-run", ErrorKind::ArgumentConflict),
            ("run products --from 7 --full-refresh", ErrorKind::ArgumentConflict),
            ("run products --timeout 5", ErrorKind::MissingRequiredArgument),
            ("reset products --to 1", ErrorKind::MissingRequiredArgument),
            ("erase contacts", ErrorKind::MissingRequiredArgument),
            ("erase purchases --reason 7 --column customer_email", ErrorKind::MissingRequiredArgument),
            ("reset products --to -1 --reason x", ErrorKind::ValueValidation),
            ("backfill rates --from -5 --to 2026-01-02", ErrorKind::ValueValidation),
            ("retry products --sequence -5", ErrorKind::ValueValidation),
            ("runs --limit -5", ErrorKind::ValueValidation),
            ("replay --topic p --from 2026-01-31", ErrorKind::MissingRequiredArgument),
            ("replay", ErrorKind::MissingRequiredArgument),
            ("replay --table t --topic p", ErrorKind::ArgumentConflict),
            ("replay --table t --from 2026-01-31", ErrorKind::ArgumentConflict),
            ("replay --topic p --from yesterday --to 2026-01-31", ErrorKind::ValueValidation),
            ("replay --topic p --from 2026-01-31 --to 2026-01-31 --to-offset 7", ErrorKind::MissingRequiredArgument),
            ("replay --topic p --from 2026-01-31 --to 2026-01-31 --dry-run --yes", ErrorKind::ArgumentConflict),
            ("retry products --sequence 0", ErrorKind::ValueValidation),
            ("retry products --dead load", ErrorKind::ArgumentConflict),
            ("retry", ErrorKind::MissingRequiredArgument),
            ("runs --limit 0", ErrorKind::ValueValidation),
            ("backfill rates --from 2026-13-01 --to 2026-01-02", ErrorKind::ValueValidation),
            ("alerts mute 0a1b2c3d", ErrorKind::MissingRequiredArgument),
            ("alerts mute 0a1b2c3d --until later", ErrorKind::ValueValidation),
            ("costs --by month", ErrorKind::InvalidValue),
            ("costs --days 0", ErrorKind::ValueValidation),
            ("levitate", ErrorKind::InvalidSubcommand),
        ] {
            assert_eq!(parse(line).expect_err(line), kind, "{line}");
        }
        let blank = Cli::try_parse_from(["sluice", "reset", "products", "--to", "1", "--reason", " "]);
        assert_eq!(blank.expect_err("a blank reason").kind(), ErrorKind::ValueValidation);
    }
}
