//! A raw table from its commits.

use std::cell::RefCell;

use indicatif::ProgressBar;
use sluice_aws::EventBus;
use sluice_core::{Error, Loader, Result, RunId};
use sluice_pipeline::rebuild::{Mode, Operator, Outcome as End, Rebuild, Report, Request, Step};
use uuid::Uuid;

use crate::{
    args::ReplayArgs,
    commands::Context,
    confirm,
    failure::{Failure, Outcome},
    output::{self, Side, WIDTH, shortened, thousands},
    platform::LOADER,
    progress::Progress,
    warehouse::RebuildTable,
};

/// More commits that differ are not listed; JSON has them all.
const MOST_LISTED: usize = 20;

pub(super) async fn run(context: &Context<'_>, args: &ReplayArgs, name: &str, mode: Mode) -> Outcome {
    let platform = &context.platform;
    let table = platform.table(name)?;
    if table.loader == Loader::Streaming {
        return Err(Failure::usage(format!("{} is made of records, not of commits", table.table))
            .hint("say its topic and a time: --topic TOPIC --from TIME --to TIME"));
    }
    let settings = platform.environment(LOADER).await?;
    let bus = settings.get("SLUICE_BUS_NAME").filter(|name| !name.is_empty());
    let bus = bus.ok_or_else(|| Error::not_found(format!("{LOADER} has no SLUICE_BUS_NAME; deploy it again")))?;
    let id = &Uuid::now_v7().simple().to_string().to_uppercase();
    let run_id = &RunId(format!("replay-{id}"));
    let (observer, by) = (&platform.warehouse().await?, &platform.caller().await?);
    let terminal = Person::new(context.progress, args.yes);
    let replay = Rebuild {
        store: &platform.store()?,
        warehouse: &RebuildTable::new(observer, table, id, by),
        bus: &EventBus::new(&platform.place.aws, bus),
        operator: &terminal,
        request: Request { table, lake_id: &observer.lake_id, run_id, mode },
    };
    let (report, ended) = Box::pin(replay.run()).await;
    Box::pin(observer.keep_estimate()).await;
    terminal.clear();
    if report.outcome.is_some() {
        output::print(context.json, &report, text)?;
    }
    ended?;
    if report.outcome == Some(End::Declined) { Err(confirm::declined()) } else { Ok(()) }
}

/// The person at the terminal: what is under way, and whether to go on.
pub(in crate::commands) struct Person<'a> {
    progress: &'a Progress,
    /// Whether it was confirmed before anything was known.
    yes: bool,
    bar: RefCell<ProgressBar>,
}

impl<'a> Person<'a> {
    pub(in crate::commands) fn new(progress: &'a Progress, yes: bool) -> Self {
        Person { progress, yes, bar: RefCell::new(ProgressBar::hidden()) }
    }

    pub(in crate::commands) fn clear(&self) {
        self.bar.borrow().finish_and_clear();
    }
}

impl Operator for Person<'_> {
    fn begins(&self, step: Step) {
        self.clear();
        let text = match step {
            Step::Reading => "reading log and ledger",
            Step::Filling { commits } => {
                self.bar.replace(self.progress.bar(commits as u64, "commits"));
                return;
            }
            Step::Comparing => "comparing",
            Step::Swapping => "swapping rows in",
            Step::Announcing => "announcing",
            Step::Dropping => "dropping what was made for it",
        };
        self.bar.replace(self.progress.spinner(text));
    }

    fn has_added(&self) {
        self.bar.borrow().inc(1);
    }

    fn confirms(&self, report: &Report) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        self.clear();
        confirm::confirm(&text(report), &format!("change {} rows of {}?", report.changes(), report.table))
    }
}

fn text(report: &Report) -> String {
    let Report { table, commits, rows, .. } = report;
    let mut parts = vec![format!("{table} from {} rows of {commits} commits", thousands(*rows))];
    if let Some(first) = report.erased_before {
        parts.push(format!("commits before #{first} were erased; what the table has of them is left alone"));
    }
    if !report.unloaded.is_empty() {
        let unloaded = output::ranges(report.unloaded.iter().map(|sequence| sequence.0));
        parts.push(shortened(&format!("not loaded, and left alone: {unloaded}"), WIDTH));
    }
    if !report.differing.is_empty() {
        parts.push(differing(report));
    }
    parts.push(sentence(report));
    parts.join("\n\n")
}

fn differing(report: &Report) -> String {
    let columns = ["COMMIT", "LAKE", "TABLE", "+LAKE", "+TABLE", "DIFFER", "TWICE"].map(|name| (name, Side::Right));
    let columns: Vec<_> = columns.into_iter().chain([("COLUMNS", Side::Left)]).collect();
    let rows: Vec<Vec<String>> = report
        .differing
        .iter()
        .take(MOST_LISTED)
        .map(|(commit, rows)| {
            let commit = if *commit == 0 { "none".to_owned() } else { format!("#{commit}") };
            let counts = [rows.built, rows.held, rows.only_built, rows.only_held, rows.differing, rows.twice];
            let counts = counts.map(thousands);
            std::iter::once(commit).chain(counts).chain([rows.columns.join(", ")]).collect()
        })
        .collect();
    let more = report.differing.len().saturating_sub(MOST_LISTED);
    let more = if more > 0 { format!("\nand {more} more commits; --json has them all") } else { String::new() };
    output::table(&columns, &rows) + &more
}

fn sentence(report: &Report) -> String {
    let changes = thousands(report.changes());
    match (report.outcome, &report.side_table) {
        (Some(End::NothingArchived), _) => "no commit of the table is loaded".to_owned(),
        (Some(End::DryRun), _) => "dry run: nothing was written".to_owned(),
        (Some(End::NothingToChange), _) => "the table is what its commits make".to_owned(),
        (Some(End::Refused | End::Declined), _) => "nothing was changed".to_owned(),
        (Some(End::Compared), Some(side)) => format!("{changes} rows differ; the lake's rows are left in\n{side}"),
        (Some(End::Replayed), _) => format!("{changes} rows changed; the table is what its commits make"),
        (None | Some(End::Compared), _) => format!("{changes} rows would change"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sluice_core::Sequence;
    use sluice_pipeline::rebuild::Rows;

    use super::*;

    #[test]
    fn a_report_names_commits_and_columns_and_fits_the_terminal() {
        let rows = Rows {
            built: 1_234_567,
            held: 1_234_566,
            only_built: 1,
            differing: 2,
            columns: vec!["PRICE_USD".into(), "A_VERY_LONG_NAME_OF_A_COLUMN_THAT_DOES_NOT_FIT_ANY_MORE".into()],
            ..Rows::default()
        };
        let none = Rows { held: 3, only_held: 3, ..Rows::default() };
        let mut report = Report {
            table: "A.B.C".parse().expect("a table"),
            outcome: None,
            side_table: None,
            commits: 3,
            rows: 1_234_567,
            unloaded: [7, 8, 9, 11].map(Sequence).to_vec(),
            erased_before: Some(Sequence(4)),
            differing: BTreeMap::from([(0, none), (12, rows)]),
            columns: Vec::new(),
            held: Some(1_234_569),
        };
        let told = text(&report);
        for part in [
            "A.B.C from 1,234,567 rows of 3 commits",
            "before #4 were erased",
            "left alone: #7-#9, #11",
            "  none          0          3      0       3       0      0",
            "#12  1,234,567  1,234,566      1       0       2      0  PRICE_USD, A_VERY_LONG",
            "6 rows would change",
        ] {
            assert!(told.contains(part), "{part} in\n{told}");
        }
        assert!(told.lines().all(|line| line.chars().count() <= WIDTH), "{told}");
        for (outcome, part) in [
            (End::NothingArchived, "no commit"),
            (End::DryRun, "nothing was written"),
            (End::NothingToChange, "what its commits make"),
            (End::Refused, "nothing was changed"),
            (End::Replayed, "6 rows changed"),
        ] {
            report.outcome = Some(outcome);
            assert!(text(&report).contains(part), "{outcome:?}");
        }
    }
}
