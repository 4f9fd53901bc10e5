//! `sluice erase`: takes out of the lake the files of a table that a later whole read has replaced, or one person's records
//! out of a topic's archive.

mod person;

use serde::Serialize;
use sluice_core::{Error, Kind, Loader, RunId, Sequence, TableId, port::SystemClock};
use sluice_pipeline::erase;
use uuid::Uuid;

use crate::{
    args::EraseArgs,
    commands::Context,
    confirm,
    failure::{Failure, Outcome},
    output::{self, WIDTH, shortened, thousands},
    warehouse::Observe,
};

/// What would be, or was, done.
#[derive(Debug, Serialize)]
struct Answer {
    table: TableId,
    /// `dry run`, `erased`, `nothing to erase`.
    outcome: &'static str,
    /// The commit that began the whole read; what was committed before it goes.
    read_whole: Sequence,
    objects: usize,
    rows: u64,
    bytes: u64,
    /// The commit that says so.
    sequence: Option<Sequence>,
    by: String,
    reason: String,
}

pub(super) async fn run(context: &Context<'_>, args: &EraseArgs) -> Outcome {
    let platform = &context.platform;
    let table = platform.table(&args.table)?;
    if table.loader == Loader::Streaming {
        return person::run(context, args, table).await;
    }
    if args.column.is_some() {
        let failure = Failure::usage("--column and --values are for a topic's table");
        return Err(failure.hint("without them: this table's files from before its newest whole read are deleted"));
    }
    let store = platform.store()?;
    let plan = context.progress.spin("reading the log", erase::plan(&store, table)).await.map_err(of_plan)?;
    let loads = platform.warehouse().await?.loads().await?;
    // One that has failed needs its files as well: it may be tried again.
    let loaded = loads.get(&table.table.to_string()).map_or(0, |loads| loads.loaded);
    if loaded < plan.newest.sequence.0 {
        let error = Error::new(Kind::Conflict, "commits of the table are not loaded, and may need their files");
        let hint = "`sluice status` shows what is pending or has failed, `sluice retry` loads what has failed";
        return Err(Failure::from(error.with("table", &table.table)).hint(hint));
    }
    let by = platform.caller().await?;
    let mut answer = Answer {
        table: table.table.clone(),
        outcome: "dry run",
        read_whole: plan.read_whole,
        objects: plan.objects.len(),
        rows: plan.rows,
        bytes: plan.bytes,
        sequence: None,
        by: by.clone(),
        reason: args.reason.clone(),
    };
    if plan.objects.is_empty() {
        answer.outcome = "nothing to erase";
    } else if !args.dry_run {
        if !args.yes {
            let question = format!("erase {} objects in all their versions?", thousands(answer.objects as u64));
            confirm::agreed("an erasure", &render(&answer), &question)?;
        }
        let (lake_id, run_id) = (platform.lake_id().await?, RunId(Uuid::now_v7().to_string()));
        let who_and_why = (by.as_str(), args.reason.as_str());
        let erasing = erase::erase(&store, &SystemClock, &lake_id, table, &run_id, &plan, who_and_why);
        answer.sequence = Some(context.progress.spin("erasing", erasing).await?);
        answer.outcome = "erased";
    }
    output::print(context.json, &answer, render)
}

/// A table that has no files to erase was a wrong thing to ask for; everything else went wrong on the way.
fn of_plan(error: Error) -> Failure {
    match error.kind() {
        Kind::Unsupported => {
            Failure::usage(error.to_string()).hint("docs/runbooks/erase-a-person.md says what holds a person")
        }
        _ => error.into(),
    }
}

fn render(answer: &Answer) -> String {
    let Answer { table, outcome, read_whole, .. } = answer;
    let mut lines = vec![
        format!("{table}: {outcome}"),
        format!("  read whole   from #{read_whole} on; what was committed before it goes, the commits stay"),
        format!(
            "  objects      {}: data files of {} rows, {} bytes, and rejects",
            thousands(answer.objects as u64),
            thousands(answer.rows),
            thousands(answer.bytes)
        ),
        shortened(&format!("  by           {}", answer.by), WIDTH),
        shortened(&format!("  reason       {}", answer.reason), WIDTH),
    ];
    lines.extend(answer.sequence.map(|sequence| format!("  said in      #{sequence}")));
    if answer.objects == 0 {
        lines.push(shortened("  first        sluice run TABLE --full-refresh --wait", WIDTH));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_of_an_erasure_shows_what_goes_and_why() {
        let mut answer = Answer {
            table: "A.B.C".parse().expect("a table"),
            outcome: "dry run",
            read_whole: Sequence(3),
            objects: 1_200,
            rows: 5_000,
            bytes: 70_000,
            sequence: None,
            by: "arn:aws:iam::1:user/u".into(),
            reason: "x".repeat(300),
        };
        let text = render(&answer);
        assert!(text.starts_with("A.B.C: dry run\n  read whole   from #3 on; "), "{text}");
        assert!(text.contains("1,200: data files of 5,000 rows, 70,000 bytes"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        (answer.objects, answer.outcome) = (0, "nothing to erase");
        assert!(render(&answer).contains("--full-refresh"), "what to do first");
    }
}
