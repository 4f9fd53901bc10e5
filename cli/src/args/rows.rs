//! The verbs about rows and lines: what was refused, what a function wrote, what the warehouse holds, what must not count.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::{from_time, not_blank};

#[derive(Debug, Args)]
pub(crate) struct RejectsArgs {
    /// A table, by the end of its name; a topic; or `hubspot`, for what an activation could not send.
    pub name: String,
    /// From this time on: RFC 3339, or a date (UTC) [default: a week ago].
    #[arg(long, value_name = "TIME", value_parser = from_time)]
    pub since: Option<DateTime<Utc>>,
    /// How many rows to show, the newest first; all are counted.
    #[arg(long, value_name = "ROWS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub limit: u16,
    /// Show personal data, which is masked otherwise.
    #[arg(long)]
    pub show_pii: bool,
    /// Go on showing what is refused from now on, or with --since from then on, until Ctrl-C.
    #[arg(long)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// A function of the stack: ExtractPostgres, extract-postgres.
    pub function: String,
    /// Only lines of this run: the run_id of a commit, a row or another line.
    #[arg(long, value_name = "ID", value_parser = run_id)]
    pub run: Option<String>,
    /// From then on: a time (RFC 3339), a date (UTC), or how long ago: 30s, 15m, 2h, 3d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = since)]
    pub since: DateTime<Utc>,
    /// How many lines at most, the oldest first.
    #[arg(long, value_name = "LINES", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Go on with new lines until Ctrl-C.
    #[arg(long)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Open the page in a browser.
    #[arg(long)]
    pub open: bool,
    /// Make a report of what is published now, before it is taken.
    #[arg(long)]
    pub publish: bool,
    /// With --publish: as if it were made at this time (RFC 3339) [default: now].
    #[arg(long, value_name = "TIME", requires = "publish", value_parser = from_time)]
    pub time: Option<DateTime<Utc>>,
    /// The folder for the page and the rows behind its tiles [default: sluice-report].
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// SELECT, WITH, SHOW, DESCRIBE or EXPLAIN, in quotes; `-` reads it from standard input. Names in full: ANALYTICS.MARTS.SALES.
    pub statement: String,
    /// Print comma-separated values, quoted as in RFC 4180: NULL is nothing, an empty text is "".
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// No more rows than this are read.
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
    /// Ask as this role of the warehouse, which the platform's user must have [default: the platform's role].
    #[arg(long, value_name = "NAME")]
    pub role: Option<String>,
}

/// A row of a raw table.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct RowArgs {
    /// Its key; of several columns their values in the order of `key` in sources.yaml, joined by `/`.
    #[arg(long, value_name = "VALUE", conflicts_with = "offset", allow_hyphen_values = true)]
    pub key: Option<String>,
    /// Its offset in the topic.
    #[arg(long, value_name = "OFFSET", requires = "partition")]
    pub offset: Option<i64>,
    /// The partition of the offset.
    #[arg(long, value_name = "NUMBER", requires = "offset")]
    pub partition: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct AsideArgs {
    /// DATABASE.SCHEMA.TABLE; the end of the name will do.
    pub table: String,
    #[command(flatten)]
    pub row: RowArgs,
    /// Why: kept with your name.
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub reason: String,
    /// Show what would change; change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// A run's id goes into a pattern of CloudWatch: nothing in it may end one.
fn run_id(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c);
    if !text.is_empty() && text.chars().all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("this is no run's id".to_owned())
    }
}

fn since(text: &str) -> Result<DateTime<Utc>, String> {
    let known = "say a time (2026-01-31T12:00:00Z), a date, or how long ago: 30s, 15m, 2h, 3d";
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let ago = TimeDelta::try_seconds(i64::from(number.parse::<u32>().ok()?) * seconds)?;
        Utc::now().checked_sub_signed(ago)
    };
    ago().map_or_else(|| from_time(text).map_err(|_| known.to_owned()), Ok)
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
    fn a_row_is_named_by_its_key_or_by_its_place() {
        let Ok(Task::PutAside(by_key)) = parse("put-aside purchases --key e-1 --reason wrong") else { panic!("a row") };
        assert_eq!(by_key.row.key.as_deref(), Some("e-1"));
        let Ok(Task::TakeBack(negative)) = parse("take-back products --key -7 --reason wrong") else { panic!("a row") };
        assert_eq!(negative.row.key.as_deref(), Some("-7"));
        let place = "put-aside purchases --partition 1 --offset 7 --reason wrong --dry-run";
        let Ok(Task::PutAside(by_place)) = parse(place) else { panic!("a row") };
        assert_eq!((by_place.row.partition, by_place.row.offset, by_place.dry_run), (Some(1), Some(7), true));
        for (line, kind) in [
            ("put-aside purchases --reason wrong", ErrorKind::MissingRequiredArgument),
            ("put-aside purchases --key 1", ErrorKind::MissingRequiredArgument),
            ("put-aside purchases --offset 7 --reason wrong", ErrorKind::MissingRequiredArgument),
            ("put-aside purchases --partition 7 --reason wrong", ErrorKind::MissingRequiredArgument),
            ("put-aside purchases --key 1 --partition 1 --offset 7 --reason wrong", ErrorKind::ArgumentConflict),
        ] {
            assert_eq!(parse(line).expect_err(line), kind, "{line}");
        }
    }

    #[test]
    fn what_people_ask_to_see_is_understood() {
        assert!(matches!(
            parse("rejects products --limit 0 --follow"),
            Ok(Task::Rejects(RejectsArgs { limit: 0, follow: true, .. }))
        ));
        assert!(matches!(parse("query SELECT --csv"), Ok(Task::Query(QueryArgs { csv: true, limit: 1000, .. }))));
        assert_eq!(parse("query SELECT --csv --json").expect_err("both"), ErrorKind::ArgumentConflict);
        assert_eq!(parse("logs x --run a\"b").expect_err("no id"), ErrorKind::ValueValidation);
        assert_eq!(parse("completions tcsh").expect_err("no shell"), ErrorKind::InvalidValue);
    }

    #[test]
    fn a_time_is_said_as_such_or_as_how_long_ago() {
        let Ok(Task::Logs(logs)) = parse("logs extract-postgres --since 15m") else { panic!("logs") };
        let ago = Utc::now() - logs.since;
        assert!((TimeDelta::minutes(15)..TimeDelta::minutes(16)).contains(&ago), "{ago}");
        assert_eq!(since("2026-01-31").expect("a date").to_rfc3339(), "2026-01-31T00:00:00+00:00");
        for bad in ["", "m", "-1h", "1w", "99999999999d", "ä"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
