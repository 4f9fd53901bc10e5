//! A trace as a person reads it.

use sluice_pipeline::why::{Found, Recomputed};

use super::answer::{Answer, Run};
use crate::output::{self, Side, WIDTH, shortened, thousands};

/// No cell is wider.
const CELL: usize = 24;

pub(super) fn text(answer: &Answer) -> String {
    let trace = &answer.trace;
    let conditions: Vec<String> =
        answer.conditions.iter().map(|(column, value)| format!("{column} = {value}")).collect();
    let value = trace.value.as_deref().unwrap_or("NULL");
    let mut lines = vec![format!("{}.{}: {value}", trace.table, trace.column)];
    lines.push(format!("  where {}", conditions.join(", ")));
    lines.extend(trace.formula.iter().map(|formula| format!("  = {formula}")));
    lines.extend(trace.recomputed.iter().map(again));
    let mut parts = vec![lines.iter().map(|line| shortened(line, WIDTH)).collect::<Vec<_>>().join("\n")];
    parts.extend(trace.steps.iter().skip(1).map(step));
    if !answer.runs.is_empty() {
        parts.push(format!("runs\n{}", runs(&answer.runs)));
    }
    parts.extend(answer.dbt.iter().map(|run| {
        let at = run.finished_at.map(|at| format!(" at {}", at.format("%F %T"))).unwrap_or_default();
        format!("newest dbt run: {} {}{at}", run.number, run.status)
    }));
    parts.extend(trace.unresolved.iter().map(|unresolved| shortened(&format!("not followed: {unresolved}"), WIDTH)));
    parts.join("\n\n")
}

fn again(recomputed: &Recomputed) -> String {
    let Recomputed { over, rows, value, is_same } = recomputed;
    let value = value.as_deref().unwrap_or("NULL");
    let verdict = if *is_same { "the same" } else { "NOT the same: rows have changed since the model was built" };
    format!("  worked out again over {} of {over}: {value}, {verdict}", count(*rows))
}

fn count(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{} rows", thousands(rows)) }
}

fn step(found: &Found) -> String {
    let Some(rows) = found.count else { return format!("{}: no link leads to its rows", found.table) };
    let mut lines = vec![format!("{}, {}", found.table, count(rows))];
    for formula in &found.formulas {
        let verdict = match formula.different {
            Some(0) => "as worked out again".to_owned(),
            Some(different) => format!("{} DIFFER", count(different)),
            None => "could not be worked out again here".to_owned(),
        };
        let text = formula.formula.as_deref().unwrap_or_default();
        lines.push(shortened(&format!("  {} {verdict}: {text}", formula.column), WIDTH));
    }
    if !found.rows.rows.is_empty() {
        lines.push(rows_of(found));
        if (found.rows.rows.len() as u64) < rows {
            lines.push(format!("  … --limit shows more of {}", count(rows)));
        }
    }
    lines.extend(found.offsets.iter().map(|offsets| {
        let (topic, partition, rows) = (&offsets.topic, offsets.partition, count(offsets.rows));
        format!("  {topic}/{partition}: {rows}, offsets {} to {}", offsets.first, offsets.last)
    }));
    if !found.commits.is_empty() {
        let numbers = output::ranges(found.commits.iter().map(|commit| commit.sequence));
        lines.push(shortened(&format!("  commits {numbers}"), WIDTH));
    }
    lines.join("\n")
}

/// As many columns as fit; the others are in the JSON.
fn rows_of(found: &Found) -> String {
    let cell = |cell: &Option<String>| shortened(cell.as_deref().unwrap_or("NULL"), CELL);
    let names = &found.rows.columns;
    let mut rows: Vec<Vec<String>> = found.rows.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain(names.get(at).map(|name| name.chars().count())).max().unwrap_or_default() + 2
    };
    let mut total = 0;
    let fitting = (0..names.len()).take_while(|at| {
        total += width(*at);
        total <= WIDTH
    });
    let fitting = fitting.count();
    rows.iter_mut().for_each(|row| row.truncate(fitting));
    let columns: Vec<(&str, Side)> = names.iter().take(fitting).map(|name| (name.as_str(), Side::Left)).collect();
    output::table(&columns, &rows).lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn runs(runs: &[Run]) -> String {
    let columns = [
        ("TABLE", Side::Left),
        ("COMMIT", Side::Right),
        ("ROWS", Side::Right),
        ("RUN", Side::Left),
        ("COMMITTED", Side::Left),
        ("LOAD", Side::Left),
    ];
    let row = |run: &Run| {
        vec![
            run.table.to_string(),
            format!("#{}", run.sequence),
            thousands(run.rows),
            shortened(&run.run_id, CELL),
            run.committed_at.map_or_else(String::new, |at| at.format("%F %T").to_string()),
            run.load.clone().unwrap_or_default(),
        ]
    };
    output::table(&columns, &runs.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use sluice_pipeline::why::{CommitFacts, Formula, Offsets, Rows, Trace};

    use super::*;

    fn found(table: &str) -> Found {
        let columns: Vec<String> = (0..12).map(|at| format!("A_LONG_COLUMN_{at}")).collect();
        let rows = vec![vec![Some("x".repeat(60)); 12]];
        Found {
            table: table.into(),
            count: Some(1_234),
            rows: Rows { columns, rows },
            formulas: vec![Formula { column: "LINE".into(), formula: Some("A * B".repeat(40)), different: Some(2) }],
            commits: vec![CommitFacts { sequence: 3, run_id: "r".into(), rows: 7 }],
            offsets: vec![Offsets { topic: "purchases".into(), partition: 1, first: 5, last: 9, rows: 4 }],
        }
    }

    #[test]
    fn a_trace_fits_the_terminal_and_says_what_differs() {
        let recomputed = Recomputed { over: "A.B.LINES".into(), rows: 2, value: Some("8.00".into()), is_same: false };
        let trace = Trace {
            table: "A.B.SALES".into(),
            column: "TOTAL".into(),
            value: Some("7.00".into()),
            formula: Some("SUM(LINES.AMOUNT)".into()),
            recomputed: Some(recomputed),
            steps: vec![found("A.B.SALES"), found("A.B.LINES"), Found { count: None, ..found("A.B.OTHER") }],
            unresolved: vec!["A.B.LINES: it is recursive".into()],
        };
        let run = Run {
            table: "A.B.C".parse().expect("a table"),
            sequence: 3,
            run_id: "r".repeat(90),
            rows: 7,
            committed_at: None,
            cursor_from: None,
            cursor_to: None,
            load: Some("loaded".into()),
            loaded_at: None,
        };
        let conditions = [("CUSTOMER_ID".to_owned(), "42".to_owned())].into();
        let text = text(&Answer { conditions, trace, runs: vec![run], dbt: None });
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH + 2), "{text}");
        for part in [
            "A.B.SALES.TOTAL: 7.00\n  where CUSTOMER_ID = 42\n  = SUM(LINES.AMOUNT)\n",
            "over 2 rows of A.B.LINES: 8.00, NOT the same",
            "A.B.LINES, 1,234 rows\n  LINE 2 rows DIFFER: A * B",
            "  … --limit shows more of 1,234 rows",
            "  purchases/1: 4 rows, offsets 5 to 9",
            "A.B.OTHER: no link leads to its rows",
            "not followed: A.B.LINES: it is recursive",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
