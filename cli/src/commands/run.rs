//! `sluice run`: one extract of one table, now, and if asked its load.

mod plan;

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sluice_core::{Change, Disposition, Error, Kind, Sequence, Table, TableId, sources::Source, time};
use tokio::time::Instant;

use crate::{
    args::RunArgs,
    commands::Context,
    cursor,
    failure::{Failure, Outcome},
    output::{self, WIDTH, shortened, thousands},
    platform::extractor,
    warehouse::{Observe, Warehouse},
};

/// The ledger is asked again after a time between these. On one machine nothing answers while dbt runs, which it begins to
/// do soon after the load.
const LOOKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// What came of it.
#[derive(Debug, Serialize)]
struct Answer {
    table: TableId,
    /// The function's own summary.
    extract: Value,
    /// With `--wait`, when a commit was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
}

#[derive(Debug, Serialize)]
pub(super) struct Load {
    status: String,
    rows: u64,
    /// What the ledger says besides: rows that were merged away.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) seconds: f64,
}

pub(super) async fn run(context: &Context<'_>, args: &RunArgs) -> Outcome {
    let platform = &context.platform;
    let table = platform.table(&args.table)?;
    let function = extractor(table).ok_or_else(|| {
        Failure::usage(format!("{} streams; nothing has to be run", table.table)).hint("`sluice status` shows its lag")
    })?;
    let event = request(table, args, args.time.unwrap_or_else(Utc::now))?;
    let text = format!("{function} is at {}", table.table);
    let extract = context.progress.spin(text, platform.invoke(function, &event)).await?;
    // Of a read in parts it is the sequence that the last part will commit.
    let awaited = extract["sequence"].as_u64().map(Sequence);
    let load = match awaited.filter(|_| args.wait) {
        None => None,
        Some(sequence) => {
            let warehouse = platform.warehouse().await?;
            let text = format!("waiting until {} #{sequence} is loaded", table.table);
            let limit = Duration::from_secs(args.timeout);
            Some(context.progress.spin(text, loaded(&warehouse, &table.table, sequence, limit)).await?)
        }
    };
    output::print(context.json, &Answer { table: table.table.clone(), extract, load }, render)
}

/// The extract's event. Options that were not given are left out.
pub(super) fn request(table: &Table, args: &RunArgs, time: DateTime<Utc>) -> Outcome<Value> {
    let mut event = json!({"time": time, "table": table.table});
    if args.full_refresh {
        event["full_refresh"] = true.into();
    }
    if args.dry_run {
        event["dry_run"] = true.into();
    }
    match (&args.from, &table.source) {
        (None, _) => {}
        (Some(day), Source::ExchangeRates { .. }) => {
            let day: NaiveDate = day.parse().map_err(|_| {
                Failure::usage(format!("'{day}' is no day")).hint("this table has a row per day: --from YYYY-MM-DD")
            })?;
            event["from"] = json!(day);
        }
        (Some(_), source) if *source == Source::Currencies || table.disposition == Disposition::Replace => {
            return Err(Failure::usage("this table is read whole each time, so --from means nothing"));
        }
        (Some(value), Source::Postgres { .. }) if value.parse::<i64>().is_err() => {
            let hint = "the cursor of this table is a whole number: --from 17";
            return Err(Failure::usage(format!("'{value}' is no whole number")).hint(hint));
        }
        (Some(value), _) => event["from_cursor"] = json!(value),
    }
    Ok(event)
}

/// Asks the ledger until the commit has come to an end.
pub(super) async fn loaded(
    warehouse: &Warehouse,
    table: &TableId,
    sequence: Sequence,
    limit: Duration,
) -> Outcome<Load> {
    let start = Instant::now();
    loop {
        if let Some(entry) = warehouse.entry(table, sequence).await? {
            match entry.status.as_str() {
                "loaded" => {
                    let seconds = start.elapsed().as_secs_f64();
                    return Ok(Load { status: entry.status, rows: entry.rows, reason: entry.reason, seconds });
                }
                "failed" => {
                    let reason = entry.reason.unwrap_or_else(|| "no reason kept".into());
                    return Err(Failure::from(
                        Error::invalid_data(format!("the load failed: {reason}"))
                            .with("table", table)
                            .with("sequence", sequence),
                    )
                    .hint(format!("fix it, then `sluice retry {table} --sequence {sequence}`")));
                }
                _ => {}
            }
        }
        if start.elapsed() > limit {
            return Err(Failure::from(
                Error::new(Kind::Timeout, "the commit is not yet loaded")
                    .with("table", table)
                    .with("sequence", sequence),
            )
            .hint("`sluice status` goes on looking; `sluice doctor` shows dead letters"));
        }
        tokio::time::sleep(time::until_next_look(start.elapsed(), LOOKS.0, LOOKS.1)).await;
    }
}

fn render(answer: &Answer) -> String {
    let extract = &answer.extract;
    let count = |name: &str| thousands(extract[name].as_u64().unwrap_or_default());
    let mut lines = vec![match extract["outcome"].as_str() {
        Some("committed") => format!(
            "{} #{}: {} rows in {} files committed, {} rejected",
            answer.table,
            extract["sequence"],
            count("rows"),
            extract["files"],
            count("rejected")
        ),
        Some("in_parts") => format!(
            "{} #{}: it is read in parts, {} of {} are done; the last one commits it",
            answer.table, extract["sequence"], extract["parts"]["done"], extract["parts"]["of"]
        ),
        Some("nothing_new") => format!("{}: nothing new in the source", answer.table),
        Some("dry_run") => {
            let (plan, drift) = (plan::in_words(&extract["plan"]), drift(&extract["drift"]));
            format!("{}: a run would read {plan}{drift}{}", answer.table, under_way(&extract["parts"]))
        }
        other => format!("{}: {}", answer.table, other.unwrap_or("no outcome told")),
    }];
    if !extract["cursor_to"].is_null() {
        lines.push(shortened(&format!("  cursor  {}", cursor::in_words(&extract["cursor_to"])), WIDTH));
    }
    if let Some(load) = &answer.load {
        lines.push(format!("  {}  {} rows after {:.1} s", load.status, thousands(load.rows), load.seconds));
        lines.extend(load.reason.iter().map(|reason| shortened(&format!("  {}  {reason}", load.status), WIDTH)));
    }
    lines.join("\n")
}

/// How the source differs from its contract, and what a run would do about it: a line for each change.
fn drift(changes: &Value) -> String {
    let line = |change: &Value| {
        let action = change["action"].as_str().unwrap_or_default();
        let change: Change = serde_json::from_value(change.clone()).ok()?;
        Some(format!("\n{}", shortened(&format!("  drift   {change}: {action}"), WIDTH)))
    };
    changes.as_array().into_iter().flatten().filter_map(line).collect()
}

/// Of a dry run that finds a read in parts under way: no run would begin to read what it has counted.
fn under_way(parts: &Value) -> String {
    if parts.is_null() {
        return String::new();
    }
    let (done, of) = (&parts["done"], &parts["of"]);
    format!("\n  parts   {done} of {of} are done of a read under way; until it ends, a run begins no other")
}

#[cfg(test)]
mod tests {
    use sluice_core::Sources;

    use super::*;

    fn args() -> RunArgs {
        RunArgs {
            table: String::new(),
            wait: false,
            full_refresh: false,
            from: None,
            dry_run: false,
            time: None,
            timeout: 1,
        }
    }

    fn event(table: &str, args: &RunArgs) -> Outcome<Value> {
        let sources = Sources::parse(include_str!("../../../platform/sources.yaml")).expect("valid sources");
        let table = sources.table(&table.parse().expect("a name")).expect("a table");
        request(table, args, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_event_holds_what_was_asked_and_nothing_else() {
        let products = "DLT.APPLICATION_DATA.PRODUCTS";
        let plain = event(products, &args()).expect("an event");
        assert_eq!(plain, json!({"time": "1970-01-01T00:00:00Z", "table": products}));
        let from = RunArgs { from: Some("17".into()), dry_run: true, ..args() };
        let from = event(products, &from).expect("an event");
        assert_eq!((&from["from_cursor"], &from["dry_run"]), (&json!("17"), &json!(true)));
        let rates = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
        let day = RunArgs { from: Some("2026-01-02".into()), ..args() };
        assert_eq!(event(rates, &day).expect("an event")["from"], "2026-01-02");
        let no_day = RunArgs { from: Some("17".into()), ..args() };
        assert_eq!(event(rates, &no_day).expect_err("no day").exit_code(), 2);
        let negative = RunArgs { from: Some("-5".into()), ..args() };
        assert_eq!(event(products, &negative).expect("an event")["from_cursor"], "-5");
        let no_day_either = event(rates, &negative).expect_err("no day").text();
        assert!(no_day_either.contains("'-5' is no day"), "{no_day_either}");
        let no_number = RunArgs { from: Some("x".into()), ..args() };
        assert_eq!(event(products, &no_number).expect_err("no number").exit_code(), 2);
        assert_eq!(event("DLT.OPEN_EXCHANGE_RATES.CURRENCIES", &day).expect_err("no cursor").exit_code(), 2);
        let sources = Sources::parse(include_str!("../../../platform/sources.yaml")).expect("valid sources");
        let replaced = Table { disposition: Disposition::Replace, ..sources.tables[0].clone() };
        let from = RunArgs { from: Some("17".into()), ..args() };
        assert_eq!(request(&replaced, &from, DateTime::UNIX_EPOCH).expect_err("read whole").exit_code(), 2);
    }

    #[test]
    fn each_outcome_has_its_line() {
        let text = |extract: Value| render(&Answer { table: "A.B.C".parse().expect("a table"), extract, load: None });
        let committed = json!({"outcome": "committed", "sequence": 4, "rows": 1234, "files": 1, "rejected": 2,
            "cursor_to": {"audit_id": 9}});
        assert_eq!(
            text(committed),
            "A.B.C #4: 1,234 rows in 1 files committed, 2 rejected\n  cursor  {\"audit_id\":9}"
        );
        let in_parts = json!({"outcome": "in_parts", "sequence": 5, "parts": {"done": 3, "of": 8}});
        assert_eq!(text(in_parts), "A.B.C #5: it is read in parts, 3 of 8 are done; the last one commits it");
        assert_eq!(text(json!({"outcome": "nothing_new"})), "A.B.C: nothing new in the source");
        let load = Load { status: "loaded".into(), rows: 4, reason: Some("rows merged away: 2".into()), seconds: 1.0 };
        let extract = json!({"outcome": "nothing_new"});
        let answer = Answer { table: "A.B.C".parse().expect("a table"), extract, load: Some(load) };
        assert!(render(&answer).ends_with("  loaded  4 rows after 1.0 s\n  loaded  rows merged away: 2"));
        let dry = json!({"outcome": "dry_run", "plan": {"rows": 7, "facts": {"from": 3}}});
        assert_eq!(text(dry), "A.B.C: a run would read 7 rows\n  from    3");
        let partitioned = json!({"outcome": "dry_run", "plan": {"rows": 7}, "parts": {"done": 3, "of": 8}});
        assert_eq!(
            text(partitioned),
            "A.B.C: a run would read 7 rows\n  parts   3 of 8 are done of a read under way; \
             until it ends, a run begins no other"
        );
        let drifted = json!({"outcome": "dry_run", "plan": {"rows": 7}, "drift": [
            {"kind": "new", "column": "stock", "to": "integer", "action": "evolved"},
            {"kind": "dropped", "column": "name", "from": "text", "action": "nulled"}]});
        assert_eq!(
            text(drifted),
            "A.B.C: a run would read 7 rows\n  drift   'stock' is new (integer): evolved\n  drift   'name' is gone (text): nulled"
        );
    }
}
