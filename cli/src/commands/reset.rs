//! `sluice reset`: one more commit that takes over an earlier cursor, with who and why.

use serde::Serialize;
use sluice_core::{
    Disposition, Error, Kind, Reset, RunId, Sequence, Table, TableId, port::SystemClock, sources::Source,
};
use sluice_pipeline::reset;
use uuid::Uuid;

use crate::{
    args::ResetArgs,
    commands::Context,
    confirm, cursor,
    failure::{Failure, Outcome},
    output::{self, WIDTH, shortened},
};

/// What would be, or was, done.
#[derive(Debug, Serialize)]
struct Answer {
    table: TableId,
    to: Sequence,
    /// `dry run`, `done`, `nothing to change`.
    outcome: &'static str,
    /// The commit that was written.
    sequence: Option<Sequence>,
    by: String,
    reason: String,
    cursor_now: serde_json::Value,
    cursor_then: serde_json::Value,
    effect: &'static str,
}

pub(super) async fn run(context: &Context<'_>, args: &ResetArgs) -> Outcome {
    let platform = &context.platform;
    let table = platform.table(&args.table)?;
    let store = platform.store()?;
    let to = Sequence(args.to);
    let plan = context.progress.spin("reading the log", reset::plan(&store, table, to)).await;
    let plan = plan.map_err(|error| of_plan(table, error))?;
    let by = platform.caller().await?;
    let cursor =
        |cursor: &Option<sluice_core::Cursor>| cursor.as_ref().map_or(serde_json::Value::Null, |c| c.0.clone());
    let mut answer = Answer {
        table: table.table.clone(),
        to,
        outcome: "dry run",
        sequence: None,
        by: by.clone(),
        reason: args.reason.clone(),
        cursor_now: cursor(&plan.newest.cursor_to),
        cursor_then: cursor(&plan.cursor_then),
        effect: effect(table),
    };
    if plan.is_there() {
        answer.outcome = "nothing to change";
    } else if !args.dry_run {
        if !args.yes {
            let question = format!("write commit {} of {}?", plan.newest.sequence.next(), answer.table);
            confirm::agreed("a reset", &render(&answer), &question)?;
        }
        let (lake_id, run_id) = (platform.lake_id().await?, RunId(Uuid::now_v7().to_string()));
        let reset = Reset { to, by, reason: args.reason.clone(), erased_before: None };
        let writing = reset::commit(&store, &SystemClock, &lake_id, table, &run_id, &plan, &reset);
        answer.sequence = Some(context.progress.spin("writing the commit", writing).await?.sequence);
        answer.outcome = "done";
    }
    output::print(context.json, &answer, render)
}

/// A table that cannot be reset was a wrong thing to ask for; everything else went wrong on the way.
fn of_plan(table: &Table, error: Error) -> Failure {
    let name = &table.table;
    let hint = match &table.source {
        Source::Kafka { topic, .. } => format!("`sluice replay --topic {topic}` makes its rows again from the archive"),
        _ => format!("`sluice run {name}` reads it again as it is"),
    };
    match error.kind() {
        Kind::Unsupported => Failure::usage(error.to_string()).hint(hint),
        _ => error.into(),
    }
}

/// What reading the same rows again means for the table.
fn effect(table: &Table) -> &'static str {
    match (table.disposition, table.version_column.is_some()) {
        (Disposition::Merge, true) => "rows read again are merged by key: a newer version wins, none stands twice",
        (Disposition::Merge, false) => "rows read again are merged by key: one that is there stays as it is",
        (Disposition::Append, _) => "rows read again are appended again; staging keeps the newest load of each key",
        (Disposition::Replace, _) => "the table is replaced whole by each run",
    }
}

fn render(answer: &Answer) -> String {
    let cursor = |name: &str, cursor: &serde_json::Value| {
        shortened(&format!("  cursor {name:<5} {}", cursor::in_words(cursor)), WIDTH)
    };
    let title = match answer.sequence {
        Some(sequence) => format!("{} #{sequence}: reset to #{}", answer.table, answer.to),
        None => format!("{}: reset to #{} ({})", answer.table, answer.to, answer.outcome),
    };
    [
        title,
        cursor("now", &answer.cursor_now),
        cursor("then", &answer.cursor_then),
        shortened(&format!("  by           {}", answer.by), WIDTH),
        shortened(&format!("  reason       {}", answer.reason), WIDTH),
        shortened(&format!("  effect       {}", answer.effect), WIDTH),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_shows_both_cursors_and_what_reading_again_means() {
        let text = render(&Answer {
            table: "A.B.C".parse().expect("a table"),
            to: Sequence(0),
            outcome: "dry run",
            sequence: None,
            by: "arn:aws:iam::1:user/u".into(),
            reason: "x".repeat(300),
            cursor_now: serde_json::json!({"audit_id": 7}),
            cursor_then: serde_json::Value::Null,
            effect: "rows",
        });
        assert!(text.starts_with("A.B.C: reset to #0 (dry run)\n  cursor now   {\"audit_id\":7}\n"), "{text}");
        assert!(text.contains("cursor then  none: from the beginning"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
    #[test]
    fn what_cannot_be_reset_is_told_what_helps_instead() {
        let sources =
            sluice_core::Sources::parse(include_str!("../../../platform/sources.yaml")).expect("valid sources");
        let hint = |name: &str| {
            let table = sources.tables.iter().find(|table| table.table.table == name).expect("a table");
            of_plan(table, Error::unsupported("no cursor")).own_hint().unwrap_or_default().to_owned()
        };
        assert_eq!(hint("PURCHASES"), "`sluice replay --topic purchases` makes its rows again from the archive");
        assert_eq!(hint("CURRENCIES"), "`sluice run DLT.OPEN_EXCHANGE_RATES.CURRENCIES` reads it again as it is");
    }
}
