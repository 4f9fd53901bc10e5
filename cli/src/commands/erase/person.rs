//! One person out of a topic: its archive and its dead letters.

use serde::Serialize;
use sluice_core::{Error, RunId, Table, TableId, port::SystemClock};
use sluice_pipeline::erase::topic::{self, Person, Plan};
use uuid::Uuid;

use crate::{
    args::EraseArgs,
    commands::Context,
    confirm,
    failure::{Failure, Outcome},
    formats,
    output::{self, WIDTH, shortened, thousands},
    platform::STREAMER,
};

/// What would be, or was, done.
#[derive(Debug, Serialize)]
struct Answer {
    table: TableId,
    /// `dry run`, `erased`, `nothing to erase`.
    outcome: &'static str,
    /// Objects that were looked through.
    read: usize,
    archives: usize,
    dead_letters: usize,
    /// Of the person, in the archive. One that lies in two objects counts twice.
    records: u64,
    /// Records and dead letters that cannot be read, or lack the column, and in which a value stands as a word. They go with
    /// `--unreadable`.
    unclear: u64,
    /// Records of others in which a value stands as well.
    mentions: u64,
    /// The object that says so.
    said_in: Option<String>,
    by: String,
    reason: String,
}

pub(super) async fn run(context: &Context<'_>, args: &EraseArgs, table: &Table) -> Outcome {
    let (Some(column), Some(file)) = (&args.column, &args.values) else {
        let failure = Failure::usage("a topic's table holds many people, and nothing says whose records are meant");
        return Err(failure.hint("--column names the column, --values a file with the person's values, one a line"));
    };
    let lines = std::fs::read_to_string(file)
        .map_err(|error| Error::config("cannot read the values").with("path", file.display()).because(error))?;
    let person = Person::new(table, column, &lines).map_err(|error| Failure::usage(error.to_string()))?;
    let person = &person.with_unclear(args.unreadable);
    let platform = &context.platform;
    let (store, settings) = (&platform.store()?, platform.environment(STREAMER).await?);
    let formats = &formats::of(&platform.place, table, &settings)?;
    let look = topic::plan(store, formats, table, person);
    let plan: Plan = context.progress.spin("reading the archive", look).await?;
    let by = platform.caller().await?;
    let mut answer = Answer {
        table: table.table.clone(),
        outcome: "dry run",
        read: plan.read,
        archives: plan.archives.len(),
        dead_letters: plan.dead_letters.len(),
        records: plan.records,
        unclear: plan.unclear,
        mentions: plan.mentions,
        said_in: None,
        by: by.clone(),
        reason: args.reason.clone(),
    };
    if answer.archives + answer.dead_letters == 0 {
        answer.outcome = "nothing to erase";
    } else if !args.dry_run {
        if !args.yes {
            let question =
                "write these objects again without the person, and erase the old ones in all their versions?";
            confirm::agreed("an erasure", &render(&answer, args.unreadable), question)?;
        }
        let run_id = RunId(Uuid::now_v7().to_string());
        let who_and_why = (by.as_str(), args.reason.as_str());
        let erasing = topic::erase(store, formats, &SystemClock, table, &run_id, person, &plan, who_and_why);
        answer.said_in = Some(context.progress.spin("erasing", erasing).await?);
        answer.outcome = "erased";
    }
    output::print(context.json, &answer, |answer| render(answer, args.unreadable))
}

fn render(answer: &Answer, with_unclear: bool) -> String {
    let Answer { table, outcome, .. } = answer;
    let count = |number: usize| thousands(number as u64);
    let mut lines = vec![
        format!("{table}: {outcome}"),
        format!("  looked at    {} objects", count(answer.read)),
        format!("  archive      {} objects with {} records", count(answer.archives), thousands(answer.records)),
        format!("  dead letters {}", count(answer.dead_letters)),
        shortened(&format!("  by           {}", answer.by), WIDTH),
        shortened(&format!("  reason       {}", answer.reason), WIDTH),
    ];
    if answer.unclear > 0 {
        let unclear = thousands(answer.unclear);
        lines.push(match with_unclear {
            true => format!("  unreadable   {unclear} of them, or without the column, in which a value stands"),
            false => format!(
                "  left         {unclear} unreadable, or without the column, in which a value stands: --unreadable"
            ),
        });
    }
    if answer.mentions > 0 {
        let mentions = thousands(answer.mentions);
        lines.push(format!("  left         {mentions} records of others in which a value stands as well"));
    }
    lines.extend(answer.said_in.iter().map(|key| format!("  said in      {key}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_of_a_person_is_counted_and_nobody_is_named() {
        let answer = Answer {
            table: "A.B.C".parse().expect("a table"),
            outcome: "dry run",
            read: 12_000,
            archives: 3,
            dead_letters: 1,
            records: 1_200,
            unclear: 1_000,
            mentions: 2,
            said_in: None,
            by: "arn:aws:iam::1:user/u".into(),
            reason: "x".repeat(300),
        };
        let text = render(&answer, false);
        assert!(text.starts_with("A.B.C: dry run\n  looked at    12,000 objects\n"), "{text}");
        assert!(text.contains("3 objects with 1,200 records") && text.contains("2 records of others"), "{text}");
        assert!(text.contains("1,000 unreadable") && !render(&answer, true).contains("--unreadable"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
