//! The platform itself: how dbt's runs ended, how each table stands, how far views reach, what failed and what it cost.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sluice_core::{Loader, Result, Sources, Table, port::ObjectStore};
use sluice_pipeline::{
    dispatch::EndStatus,
    log,
    observe::{Observe, TableLoads},
    runs as extracts,
};

use super::{
    questions::Questions,
    reach::Reach,
    runs::Runs,
    tile::{Cell, Column, Drawn, DrawnSeries, Entry, Note, Section, Shown, Source, Tile},
};
use crate::files::Files;

pub(super) async fn section(
    questions: &Questions<'_, impl Observe>,
    store: &impl ObjectStore,
    sources: &Sources,
    runs: &Runs,
    files: &Files,
    reach: &BTreeMap<String, Reach>,
    today: NaiveDate,
) -> Result<Section> {
    let numbers = [
        number("dbt-runs", "dbt runs that succeeded", "Of the last ones that ended.", Cell::of(succeeded(runs))),
        number(
            "rows-built",
            "Rows built",
            "By the newest run, as far as the warehouse tells.",
            runs.published()
                .map_or_else(Cell::none, |end| told(end.report.rows).map_or_else(|| Cell::of("not told"), Cell::count)),
        ),
        number(
            "credits",
            "Credits",
            "Of the warehouse, for dbt's own time in the runs below.",
            Cell::of(format!("{:.3}", credits(runs))),
        ),
        number(
            "failed-checks",
            "Checks that failed or warned",
            "In the newest run.",
            Cell::count(checks(runs).len() as u64),
        ),
    ];
    let tables = tables_tile(questions, store, sources).await?;
    let about = "What the platform says of itself. A commit is what an extract has read; it waits until the warehouse has loaded it. \
                 Streams have no commits: the command sluice status tells their lag.";
    let about = Entry::Text { title: "About these numbers".to_owned(), content: about.to_owned(), width: 36 };
    let row = |tiles: Vec<Tile>| tiles.into_iter().map(|tile| Entry::Tile(Box::new(tile))).collect();
    let last = vec![freshness_tile(files, reach, today), checks_tile(runs)];
    let rows = vec![vec![about], row(numbers.into()), row(vec![runs_tile(runs)]), row(vec![tables]), row(last)];
    Ok(Section { slug: "platform".to_owned(), name: "Platform".to_owned(), rows })
}

fn tile(slug: &str, title: &str, description: &str, width: u8, source: &str) -> Tile {
    Tile {
        id: format!("platform/{slug}"),
        title: title.to_owned(),
        description: Some(description.to_owned()),
        width,
        shown: Shown::Table,
        columns: Vec::new(),
        rows: Vec::new(),
        source: Source::Lake(source.to_owned()),
        day: None,
        notes: Vec::new(),
    }
}

fn number(slug: &str, title: &str, description: &str, value: Cell) -> Tile {
    Tile {
        shown: Shown::Number { column: 0, label: None },
        columns: vec![Column::number(title)],
        rows: vec![vec![value]],
        ..tile(slug, title, description, 9, RUNS)
    }
}

/// Where runs of dbt are kept.
const RUNS: &str = "dbt/ended/ in the lake";

fn succeeded(runs: &Runs) -> String {
    let good = runs.ended.iter().filter(|end| end.status == EndStatus::Succeeded).count();
    format!("{good} of {}", runs.ended.len())
}

fn credits(runs: &Runs) -> f64 {
    runs.ended.iter().map(|end| end.report.credits).sum()
}

fn runs_tile(runs: &Runs) -> Tile {
    let columns = vec![
        Column::text("Run"),
        Column::text("Status"),
        Column::text("Ended (UTC)"),
        Column::number("Seconds"),
        Column::number("Models"),
        Column::number("Tests"),
        Column::number("Rows"),
        Column::number("Credits"),
    ];
    // The oldest first, as time goes on a chart.
    let rows = runs.ended.iter().rev().map(|end| {
        let report = &end.report;
        vec![
            Cell::of(end.number),
            Cell::of(end.status.as_str()),
            Cell::of(minute(end.ended_at)),
            Cell::of(format!("{:.1}", report.seconds)),
            Cell::count(report.models),
            Cell::count(report.tests),
            told(report.rows).map_or_else(Cell::none, Cell::count),
            Cell::of(format!("{:.3}", report.credits)),
        ]
    });
    let drawn = DrawnSeries { column: 3, name: "Seconds".to_owned(), line: false, color: None, stack: None };
    let chart = Drawn::Cartesian {
        x: 0,
        series: vec![drawn],
        flipped: false,
        pivot: None,
        y: Some("Seconds".to_owned()),
        format: None,
    };
    let failed = runs.ended.iter().filter(|end| end.status == EndStatus::Failed).map(|end| {
        let nodes: Vec<&str> = end.report.failures.iter().map(|failure| failure.node.as_str()).collect();
        let what = if nodes.is_empty() { "dbt did not say where".to_owned() } else { nodes.join(", ") };
        Note::warning(format!("Run {} failed: {what}.", end.number))
    });
    Tile {
        shown: Shown::Chart(chart),
        columns,
        rows: rows.collect(),
        notes: failed.collect(),
        ..tile(
            "runs",
            "Runs of dbt",
            "The last ones that ended: how long dbt worked, what it built, and what that cost.",
            36,
            RUNS,
        )
    }
}

async fn tables_tile(
    questions: &Questions<'_, impl Observe>,
    store: &impl ObjectStore,
    sources: &Sources,
) -> Result<Tile> {
    let mut shown = Tile {
        columns: vec![
            Column::text("Table"),
            Column::text("Last extract (UTC)"),
            Column::text("It ended"),
            Column::number("Commits"),
            Column::number("Rows of the newest"),
            Column::number("Refused rows of it"),
            Column::number("Commits that wait"),
            Column::number("Commits that failed"),
        ],
        ..tile(
            "tables",
            "Tables",
            "How the last extract of each table ended, and what of its commits the warehouse has.",
            36,
            "runs/ and raw/ in the lake, ADMIN.OBSERVABILITY.LOADS in the warehouse",
        )
    };
    let loads = match questions.loads().await? {
        Ok(loads) => Some(loads),
        Err(why) => {
            shown.notes.push(Note::warning(format!("What the warehouse has loaded is left out: {why}.")));
            None
        }
    };
    for table in sources.tables.iter().filter(|table| table.loader != Loader::Streaming) {
        let id = table.table.to_string();
        let row =
            table_row(store, table, loads.as_ref().map(|loads| loads.get(&id).cloned().unwrap_or_default())).await?;
        shown.notes.extend(row.note);
        shown.rows.push(row.cells);
    }
    let streams: Vec<String> = sources
        .tables
        .iter()
        .filter(|table| table.loader == Loader::Streaming)
        .map(|table| table.table.to_string())
        .collect();
    if !streams.is_empty() {
        shown.notes.push(Note::plain(format!("Left out, because streams have no commits: {}.", streams.join(", "))));
    }
    Ok(shown)
}

struct Row {
    cells: Vec<Cell>,
    note: Option<Note>,
}

async fn table_row(store: &impl ObjectStore, table: &Table, loads: Option<TableLoads>) -> Result<Row> {
    let name = &table.table;
    let last = extracts::last(store, name).await?;
    let commit = log::newest_commit(store, name).await?;
    let newest = commit.as_ref().map_or(0, |commit| commit.sequence.0);
    let waiting = loads.as_ref().map(|loads| newest.saturating_sub(loads.loaded + loads.failed));
    let failed = loads.as_ref().map(|loads| loads.failed);
    let ended = match &last {
        None => "never".to_owned(),
        Some(run) => match (&run.outcome, &run.failure) {
            (Some(outcome), None) => outcome.as_str().replace('_', " "),
            (_, Some(failure)) => format!("failed ({}), {} in a row", failure.kind, failure.runs),
            (None, None) => "unknown".to_owned(),
        },
    };
    let note = match (last.as_ref().and_then(|run| run.failure.as_ref()), waiting, failed) {
        (Some(failure), _, _) => Some(format!("Extracts of {name} fail since {} UTC.", minute(failure.since))),
        (None, _, Some(1..)) => Some(format!("Commits of {name} did not load; `sluice doctor` says why.")),
        (None, Some(1..), _) => Some(format!("Commits of {name} wait for the warehouse.")),
        _ => None,
    };
    let count = |number: Option<u64>| number.map_or_else(Cell::none, Cell::count);
    let cells = vec![
        Cell::of(name),
        Cell::maybe(last.as_ref().map(|run| minute(run.ended_at))),
        Cell::of(ended),
        Cell::count(newest),
        count(commit.as_ref().map(|commit| commit.files.iter().map(|file| file.rows).sum())),
        count(commit.as_ref().map(|commit| commit.rejected.as_ref().map_or(0, |rejected| rejected.rows))),
        count(waiting),
        count(failed),
    ];
    Ok(Row { cells, note: note.map(Note::warning) })
}

fn freshness_tile(files: &Files, reach: &BTreeMap<String, Reach>, today: NaiveDate) -> Tile {
    let mut shown = Tile {
        columns: vec![
            Column::text("View"),
            Column::text("Newest day"),
            Column::number("Days before this page"),
            Column::text("Judged"),
        ],
        ..tile(
            "freshness",
            "Freshness",
            "How far the data of each view reaches that has days.",
            18,
            "the newest day of each view, asked of the warehouse",
        )
    };
    for (name, reach) in reach {
        let label = files.tables.get(name).map_or(name.as_str(), |table| table.label.as_str());
        let judged = match reach.newest {
            None => "unknown",
            Some(_) if reach.is_stale(today) => "stale",
            Some(_) => "fresh",
        };
        shown.rows.push(vec![
            Cell::of(label),
            Cell::maybe(reach.newest),
            Cell::maybe(reach.days_behind(today)),
            Cell::of(judged),
        ]);
        if judged != "fresh" {
            shown.notes.push(Note::warning(format!("{label} is {judged}.")));
        }
    }
    shown
}

/// What did not simply pass in the newest run: names and statuses, and never messages, which may quote a row.
fn checks(runs: &Runs) -> Vec<(&str, &str)> {
    let Some(newest) = runs.ended.first() else { return Vec::new() };
    let nodes = newest.report.nodes.iter().map(|node| (node.node.as_str(), node.status.as_str()));
    nodes.filter(|(_, status)| matches!(*status, "warn" | "fail" | "error" | "runtime error" | "skipped")).collect()
}

fn checks_tile(runs: &Runs) -> Tile {
    let found = checks(runs);
    let mut shown = Tile {
        columns: vec![Column::text("Check"), Column::text("Ended with")],
        rows: found.iter().map(|(node, status)| vec![Cell::of(node), Cell::of(status)]).collect(),
        ..tile(
            "checks",
            "Checks that failed or warned",
            "Of the newest run; rows that failed a test are in TEST_FAILURES.",
            18,
            RUNS,
        )
    };
    if found.is_empty() {
        shown.notes.push(Note::plain("None: every check of the newest run passed."));
    }
    shown
}

/// Some warehouses tell dbt of no rows at all, which is not that there were none.
fn told(rows: u64) -> Option<u64> {
    (rows > 0).then_some(rows)
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}
