//! `sluice backfill`: days of a dated table, chunk by chunk, within what the source allows.
//!
//! The function itself knows which days are missing and keeps what is done in the commit's cursor, so this loop holds no
//! state: interrupted at any moment and called again, it goes on with what is missing then. Days are fetched newest
//! first, as the function does, and no more of them in one call than a day's share, which the function itself counts over
//! all runs of the day: what is left of the month's quota belongs to the schedules.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use serde::Serialize;
use serde_json::{Value, json};
use sluice_core::{
    Kind, TableId,
    port::{Clock, SystemClock},
    sources::Source,
};
use sluice_pipeline::log;

use crate::{
    args::BackfillArgs,
    commands::Context,
    failure::{Failure, Outcome},
    output,
    platform::extractor,
};

/// Days asked of one invocation: few enough that the bar moves and little is repeated after an interruption.
const CHUNK: usize = 10;
/// The share of a function that does not say.
const USUAL_SHARE: u64 = 35;

#[derive(Debug, Serialize)]
struct Answer {
    table: TableId,
    from: NaiveDate,
    to: NaiveDate,
    days: usize,
    /// Days that this call has fetched.
    fetched: usize,
    /// Days that are still missing.
    missing: Vec<NaiveDate>,
    /// Why it stopped before every missing day was asked for.
    stopped_by: Option<String>,
    dry_run: bool,
}

pub(super) async fn run(context: &Context<'_>, args: &BackfillArgs) -> Outcome {
    let platform = &context.platform;
    let table = platform.table(&args.table)?;
    let (Source::ExchangeRates { first_date, .. }, Some(function)) = (&table.source, extractor(table)) else {
        return Err(Failure::usage(format!("{} has no rows per day", table.table))
            .hint("`sluice run TABLE --from VALUE` reads again from a cursor's value"));
    };
    let now = args.time.unwrap_or_else(|| SystemClock.now());
    let wanted = days(args.from.max(*first_date), args.to.min(now.date_naive() - Days::new(1)));
    if args.from > args.to || wanted.is_empty() {
        return Err(Failure::usage("there is no finished day in that range")
            .hint(format!("the table begins on {first_date} and a day is final when it has ended (UTC)")));
    }
    let store = platform.store()?;
    let look = async || -> Outcome<Vec<NaiveDate>> {
        let newest = log::newest_commit(&store, &table.table).await?;
        let cursor = newest.and_then(|commit| commit.cursor_to).map_or(Value::Null, |cursor| cursor.0);
        Ok(missing(&wanted, &cursor))
    };
    let at_first = look().await?;
    let mut answer = Answer {
        table: table.table.clone(),
        from: args.from,
        to: args.to,
        days: wanted.len(),
        fetched: 0,
        missing: at_first.clone(),
        stopped_by: None,
        dry_run: args.dry_run,
    };
    if args.dry_run || at_first.is_empty() {
        return output::print(context.json, &answer, render);
    }
    let settings = platform.environment(function).await?;
    let share = settings.iter().find(|(name, _)| name.ends_with("DAILY_SHARE")).and_then(|(_, n)| n.parse().ok());
    let mut share: u64 = share.unwrap_or(USUAL_SHARE);
    let mut in_vain: BTreeSet<NaiveDate> = BTreeSet::new();
    let bar = context.progress.bar(wanted.len() as u64, "days");
    loop {
        bar.set_position((wanted.len() - answer.missing.len()) as u64);
        let open: Vec<NaiveDate> = answer.missing.iter().copied().filter(|day| !in_vain.contains(day)).collect();
        if open.is_empty() {
            break;
        }
        let Some(chunk) = next_chunk(&open, share) else {
            answer.stopped_by = Some("the share that one call may spend is used up".into());
            break;
        };
        bar.set_message(format!("{} to {}", chunk.0, chunk.1));
        let event = json!({"time": now, "table": table.table, "from": chunk.0, "to": chunk.1});
        let invoked = platform.invoke(function, &event).await;
        let missing = look().await?;
        let asked = answer.missing.iter().filter(|day| (chunk.0..=chunk.1).contains(day)).count();
        share = share.saturating_sub(asked as u64);
        answer.missing = missing;
        answer.fetched = at_first.len() - answer.missing.len();
        match invoked {
            Err(failure) if failure.kind() == Kind::RateLimited => answer.stopped_by = Some(failure.message()),
            Err(failure) => return Err(failure.hint("the days so far are kept; call again to go on")),
            Ok(summary) => answer.stopped_by = stopped_by(&summary["facts"]),
        }
        if answer.stopped_by.is_some() {
            break;
        }
        in_vain.extend(answer.missing.iter().filter(|day| (chunk.0..=chunk.1).contains(day)));
    }
    bar.finish_and_clear();
    output::print(context.json, &answer, render)
}

/// Why the function's own run ended before it had asked for all of its days. Days that it asked for without an answer end
/// nothing: other ones may arrive.
fn stopped_by(facts: &Value) -> Option<String> {
    let why = facts["stopped_by"].as_str()?;
    Some(match facts["requests_left_to_make"].as_u64().filter(|left| *left > 0) {
        Some(left) => format!("the run ended early by {why}, with {left} requests left"),
        None => format!("the run ended early by {why}"),
    })
}

fn days(first: NaiveDate, last: NaiveDate) -> Vec<NaiveDate> {
    first.iter_days().take_while(|day| *day <= last).collect()
}

/// The wanted days that the cursor does not list as done. A cursor of another form says nothing is done: the function
/// then decides, and fetches no day twice.
fn missing(wanted: &[NaiveDate], cursor: &Value) -> Vec<NaiveDate> {
    let range = |range: &Value| -> Option<(NaiveDate, NaiveDate)> {
        Some((range.get(0)?.as_str()?.parse().ok()?, range.get(1)?.as_str()?.parse().ok()?))
    };
    let ranges = cursor["done"].as_array().map(Vec::as_slice).unwrap_or_default();
    let done: BTreeSet<NaiveDate> =
        ranges.iter().filter_map(range).flat_map(|(first, last)| days(first, last)).collect();
    wanted.iter().copied().filter(|day| !done.contains(day)).collect()
}

/// First and last day of what to ask next: the newest missing days, as many as exceed neither the chunk nor the share
/// exceeded. `None` when the share is used up.
fn next_chunk(missing: &[NaiveDate], share: u64) -> Option<(NaiveDate, NaiveDate)> {
    let size = CHUNK.min(usize::try_from(share).unwrap_or(CHUNK)).min(missing.len());
    let newest = &missing[missing.len() - size..];
    Some((*newest.first()?, *newest.last()?))
}

fn render(answer: &Answer) -> String {
    let done = answer.days - answer.missing.len();
    let mut lines = vec![format!("{}: {done} of {} days are there", answer.table, answer.days)];
    if answer.fetched > 0 {
        lines.push(format!("  fetched  {} days now", answer.fetched));
    }
    if let (Some(first), Some(last)) = (answer.missing.first(), answer.missing.last()) {
        lines.push(format!("  missing  {} days between {first} and {last}", answer.missing.len()));
    }
    if let Some(why) = &answer.stopped_by {
        lines.push(output::shortened(&format!("  stopped  {why}"), output::WIDTH));
        lines.push("  call again, tomorrow if the quota is used up: it goes on with what is missing".to_owned());
    } else if !answer.dry_run && !answer.missing.is_empty() {
        lines.push("  the source has nothing for them".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn what_is_missing_is_what_the_cursor_does_not_list() {
        let wanted = days(day("2026-01-01"), day("2026-01-06"));
        let cursor = json!({"base": "USD", "done": [["2025-12-30", "2026-01-02"], ["2026-01-04", "2026-01-04"]]});
        assert_eq!(missing(&wanted, &cursor), ["2026-01-03", "2026-01-05", "2026-01-06"].map(day));
        assert_eq!(missing(&wanted, &Value::Null), wanted);
        assert_eq!(missing(&wanted, &json!({"done": "everything"})), wanted);
    }

    #[test]
    fn a_run_that_stopped_early_says_why() {
        assert_eq!(stopped_by(&json!({"requests_left_to_make": 0})), None);
        let share = json!({"requests_left_to_make": 4, "stopped_by": "the day's share"});
        assert!(stopped_by(&share).is_some_and(|why| why.contains("share") && why.contains("4 requests")));
        assert!(stopped_by(&json!({"stopped_by": "Unavailable"})).is_some_and(|why| why.contains("Unavailable")));
        let one_bad_day = json!({"requests_left_to_make": 1, "days_unanswered": 1});
        assert_eq!(stopped_by(&one_bad_day), None, "the next days are asked for");
        assert_eq!(stopped_by(&Value::Null), None);
    }

    #[test]
    fn a_chunk_is_the_newest_missing_days_within_the_share() {
        let missing = days(day("2026-01-01"), day("2026-01-31"));
        assert_eq!(next_chunk(&missing, 35), Some((day("2026-01-22"), day("2026-01-31"))));
        assert_eq!(next_chunk(&missing, 3), Some((day("2026-01-29"), day("2026-01-31"))));
        assert_eq!(next_chunk(&missing, 0), None);
        assert_eq!(next_chunk(&missing[..1], 35), Some((day("2026-01-01"), day("2026-01-01"))));
    }

    #[test]
    fn the_answer_says_what_is_left_and_how_to_go_on() {
        let text = render(&Answer {
            table: "A.B.C".parse().expect("a table"),
            from: day("2026-01-01"),
            to: day("2026-01-31"),
            days: 31,
            fetched: 10,
            missing: days(day("2026-01-01"), day("2026-01-05")),
            stopped_by: Some("the month's quota of requests is used up".into()),
            dry_run: false,
        });
        assert!(text.contains("26 of 31 days") && text.contains("5 days between 2026-01-01 and 2026-01-05"), "{text}");
        assert!(text.contains("call again"), "{text}");
    }
}
