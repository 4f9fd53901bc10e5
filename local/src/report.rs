//! What the demo prints when all is well: rows by stage, the mart, totals, memory, and where to look next.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sluice_core::{Loader, sources::Source};
use sluice_pipeline::watch::{Outcome, State};
use sluice_watch::alerts::Incident;
use snowflake_emulator::Emulator;

use crate::{
    columns, idle, published,
    stack::Stack,
    topics,
    verify::{LEFT_OUT, SALES, Verified},
    world::World,
};

/// How many lines of the report are shown on the terminal.
const REPORTED: usize = 8;

/// No function's process may need more.
const MEMORY_LIMIT_KIB: u64 = 256 * 1024;

pub(crate) async fn print(stack: &Stack, world: &World, verified: &Verified) -> Result<()> {
    rows(stack, world).await?;
    dbt(stack).await?;
    mart(&stack.warehouse).await?;
    println!(
        "\n  {} customers, {} purchases, {} USD, {} GBP: equal to the oracle's, to the cent",
        verified.customers,
        verified.transactions,
        money(verified.usd_cents),
        money(verified.gbp_cents)
    );
    left_out(&stack.warehouse, verified).await?;
    memory(&stack.aws_url)?;
    let (page, published) = published::page(stack).await?;
    println!("\n  The report is {}", page.display());
    for line in published.lines().iter().take(REPORTED) {
        println!("    {line}");
    }
    let file = stack.folders().warehouse();
    println!("\n  The warehouse is {}", file.display());
    println!(
        "  Try: {} -c \"import duckdb; print(duckdb.connect('{}', read_only=True).sql('from {SALES} order by total_usd desc limit 5'))\"",
        stack.folders().tool("dbt", "python").display(),
        file.display()
    );
    Ok(())
}

/// The mart as the documentation names it.
const SALES_IN_FULL: &str = "ANALYTICS.MARTS.SALES";

/// Where everything is, and what to do there.
pub(crate) async fn addresses(stack: &Stack, state: &Path) -> Result<()> {
    let ports = stack.ports;
    let (page, _) = published::page(stack).await?;
    println!("\n  the platform is up; Ctrl-C stops it\n");
    for (what, port, note) in [
        ("Shop", ports.shop, "buys through collect-events"),
        ("collect-events", ports.events, "its function URL; /openapi.json describes it"),
        ("Control", ports.control, "POST /restart/kafka, /restart/poller, /restart/snowflake"),
        ("AWS", ports.aws, "stack sluice-local, region us-east-1, credentials test/test"),
        ("Snowflake", ports.snowflake, "emulator: SQL API, Snowpipe, Snowpipe Streaming"),
        ("dbt Cloud", ports.dbt, "emulator in front of dbt Core"),
        ("HubSpot", ports.hubspot, "emulator"),
        ("Open Exchange Rates", ports.rates, "emulator"),
    ] {
        println!("  {what:<20} http://127.0.0.1:{port:<6} {note}");
    }
    println!("  {:<20} {}", "PostgreSQL", stack.shop_url);
    let topics: Vec<&str> = topics::names(&stack.sources).collect();
    println!("  {:<20} {}, topics: {}", "Kafka", stack.bootstrap, topics.join(", "));
    println!("  {:<20} file://{}", "Report", page.display());
    let usual = state == Path::new(".sluice");
    let option = if usual { String::new() } else { format!(" --state {}", state.display()) };
    println!("\n  a change of platform/ is taken over by itself; in another terminal:");
    let question = format!("query \"select * from {SALES_IN_FULL} order by total_usd desc\" --limit 5");
    for command in
        ["status", "run products --wait", "rejects purchases", &question, "report --open", "doctor", "--help"]
    {
        println!("    tools/sluice{option} {command}");
    }
    Ok(())
}

/// How the round of watching ended, in three lines.
pub(crate) async fn watched(stack: &Stack, answer: &Value) -> Result<()> {
    let outcome = serde_json::from_value(answer.clone()).context("the watcher answered something else")?;
    let Outcome::Round(report) = outcome else { bail!("another round of watching is under way") };
    let checks = report.healthy + report.breached + report.missing + report.learning;
    println!(
        "\n  watch: {checks} checks: {} good, {} bad, {} without data, {} learning",
        report.healthy, report.breached, report.missing, report.learning
    );
    println!("  incidents: {}", open(&State::read(&stack.store).await?));
    println!("  tables: {} measured, {} postponed", report.measured, report.postponed);
    Ok(())
}

/// What is open, in one line: the worst of it in words.
fn open(state: &State) -> String {
    let mut open: Vec<&Incident> = state.board.incidents.values().filter(|incident| !incident.is_resolved()).collect();
    open.sort_by_key(|incident| (incident.severity, incident.opened_at));
    let Some(worst) = open.first() else { return "none open".to_owned() };
    let name = worst.object.name.rsplit('.').next().unwrap_or_default();
    let more = match open.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    format!("{} open, {name}: {}{more} (tools/sluice alerts)", open.len(), worst.breach.observed)
}

/// Rows of every raw table.
pub(crate) async fn counts(stack: &Stack) -> Result<Vec<(String, u64)>> {
    let mut counts = Vec::new();
    for table in &stack.sources.tables {
        let id = &table.table;
        let name = format!("\"{}__{}\".\"{}\"", id.database, id.schema, id.table);
        counts.push((id.to_string(), count(&stack.warehouse, &name).await?));
    }
    Ok(counts)
}

/// One line per raw table: what the source holds, and what became of it at each stage.
async fn rows(stack: &Stack, world: &World) -> Result<()> {
    println!("\n  {:<46} {:>9} {:>10} {:>9} {:>9}", "rows", "source", "committed", "loaded", "rejected");
    let committed = idle::committed(&stack.store, &stack.sources).await?;
    for (table, (_, loaded)) in stack.sources.tables.iter().zip(counts(stack).await?) {
        let id = &table.table;
        let line = committed.iter().find(|(name, _, _)| *name == id.to_string());
        let (committed, rejected) = match (line, &table.source) {
            (Some((_, rows, rejected)), _) => (rows.to_string(), *rejected),
            (None, Source::Kafka { topic, .. }) => ("-".to_owned(), idle::dead_letters(&stack.aws, topic).await?),
            (None, _) => ("-".to_owned(), 0),
        };
        let source = match (&table.loader, id.table.as_str()) {
            (Loader::Streaming, "PURCHASES") => world.data.purchases.len().to_string(),
            (_, "PRODUCTS") => world.data.products.len().to_string(),
            // Those that a merge has consumed are loaded as tombstones.
            (_, "CONTACTS") => world.data.contacts.len().to_string(),
            _ => "-".to_owned(),
        };
        println!("  {:<46} {source:>9} {committed:>10} {loaded:>9} {rejected:>9}", id.to_string());
    }
    println!("  (an extract reads its look-back window again: such rows are committed twice and loaded once)");
    Ok(())
}

async fn dbt(stack: &Stack) -> Result<()> {
    let runs = stack
        .warehouse
        .query("SELECT number, status, coalesce(nullif(selectors, ''), 'everything'), models, tests, round(seconds)::BIGINT \
                FROM ADMIN__OBSERVABILITY.DBT_RUNS ORDER BY number DESC LIMIT 3")
        .await?;
    println!();
    for run in runs.iter().rev() {
        let text = |i: usize| run.get(i).cloned().flatten().unwrap_or_default();
        println!(
            "  dbt run {}: {} ({}), {} models, {} tests, {} s",
            text(0),
            text(1),
            text(2),
            text(3),
            text(4),
            text(5)
        );
    }
    Ok(())
}

async fn mart(warehouse: &Emulator) -> Result<()> {
    let top = warehouse
        .query(&format!(
            "SELECT customer_id, concat_ws(' ', nullif(trim(first_name), ''), nullif(trim(last_name), '')), total_transactions, total_items, total_usd, total_gbp
             FROM {SALES} ORDER BY total_usd DESC, customer_id LIMIT 8"
        ))
        .await?;
    println!("\n  {:<10} {:<28} {:>9} {:>7} {:>16} {:>16}", "customer", "name", "purchases", "items", "USD", "GBP");
    for row in top {
        // A customer whose lines have no rate has no pounds.
        let text = |i: usize| row.get(i).cloned().flatten().unwrap_or_else(|| "NULL".to_owned());
        let name = columns::cell(&text(1), 28);
        println!("  {:<10} {name} {:>9} {:>7} {:>16} {:>16}", text(0), text(2), text(3), text(4), text(5));
    }
    Ok(())
}

/// What no total holds, and what is only under the unknown customer: a number that is right says what it is made of.
async fn left_out(warehouse: &Emulator, verified: &Verified) -> Result<()> {
    let sums =
        warehouse.query(&format!("SELECT reason, lines, usd FROM {LEFT_OUT} WHERE lines > 0 ORDER BY reason")).await?;
    let text = |row: &[Option<String>], i: usize| row.get(i).cloned().flatten().unwrap_or_else(|| "-".to_owned());
    let line = |row: &Vec<Option<String>>| [in_words(&text(row, 0)).to_owned(), text(row, 1), text(row, 2)];
    let mut lines: Vec<[String; 3]> = sums.iter().map(line).collect();
    if verified.repeated > 0 {
        let kind = "whose event id came before, in no total".to_owned();
        lines.push([kind, verified.repeated.to_string(), "-".to_owned()]);
    }
    for refused in &verified.refused {
        for (reason, count) in &refused.reasons {
            lines.push([format!("refused, of {}: {reason}", refused.source), count.to_string(), "-".to_owned()]);
        }
    }
    if lines.is_empty() {
        println!("  the totals leave nothing out: each line has a price, a rate, a customer and a product");
        return Ok(());
    }
    println!("\n  {:<68} {:>9} {:>16}", "what the totals leave out", "lines", "USD");
    for [kind, count, usd] in lines {
        println!("  {kind:<68} {count:>9} {usd:>16}");
    }
    Ok(())
}

/// A reason of the mart.
fn in_words(reason: &str) -> &str {
    match reason {
        "unpriced" => "without a price at that moment or of an unknown product, in no total",
        "unconverted" => "without a rate, in no total in GBP",
        "unknown customer" => "of an unknown customer, in the totals of -1",
        other => other,
    }
}

async fn count(warehouse: &Emulator, table: &str) -> Result<u64> {
    let rows = warehouse.query(&format!("SELECT count(*) FROM {table}")).await?;
    let text = rows.first().and_then(|row| row.first()).cloned().flatten().context("a count has no answer")?;
    Ok(text.parse()?)
}

/// Cents with thousands separated.
fn money(cents: i128) -> String {
    let whole = (cents / 100).to_string();
    let mut text = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text}.{:02}", cents % 100)
}

/// The peak resident memory of each function's process, by what the kernel says of processes that carry its name and ask
/// this platform's AWS: another checkout's functions are not its own. Fails when one is over the limit.
fn memory(aws_url: &str) -> Result<()> {
    let mut peaks: BTreeMap<String, u64> = BTreeMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let Ok(environment) = fs::read(process.path().join("environ")) else { continue };
        let Some(name) = function(&environment, aws_url) else { continue };
        let Some(peak) = peak(&process.path()) else { continue };
        let known = peaks.entry(name).or_default();
        *known = peak.max(*known);
    }
    if !peaks.is_empty() {
        let text: Vec<String> = peaks.iter().map(|(name, kib)| format!("{name} {} MiB", kib / 1024)).collect();
        println!("\n  peak memory: {}", text.join(", "));
    }
    let over = peaks.iter().find(|(_, kib)| **kib > MEMORY_LIMIT_KIB);
    over.map_or(Ok(()), |(name, kib)| bail!("{name} took {} MiB, more than a function may", kib / 1024))
}

/// The function that a process is, by its environment, if it is one of the platform at this address.
fn function(environment: &[u8], aws_url: &str) -> Option<String> {
    let value = |variable: &str| {
        let of = |entry: &[u8]| entry.strip_prefix(variable.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
        environment.split(|byte| *byte == 0).find_map(of)
    };
    let name = value("AWS_LAMBDA_FUNCTION_NAME")?;
    (value("AWS_ENDPOINT_URL")? == aws_url.as_bytes())
        .then(|| String::from_utf8_lossy(&name).trim_start_matches("sluice-local-").to_owned())
}

fn peak(process: &Path) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_function_of_this_platform_counts() {
        let environment =
            |url: &str| format!("A=b\0AWS_LAMBDA_FUNCTION_NAME=sluice-local-LoadCommits\0AWS_ENDPOINT_URL={url}\0");
        let of = |text: String| function(text.as_bytes(), "http://127.0.0.1:1");
        assert_eq!(of(environment("http://127.0.0.1:1")).as_deref(), Some("LoadCommits"));
        assert_eq!(of(environment("http://127.0.0.1:11")), None, "another checkout's");
        assert_eq!(of("AWS_ENDPOINT_URL=http://127.0.0.1:1\0".to_owned()), None);
    }

    #[test]
    fn every_reason_of_the_mart_is_said_in_words() {
        let model = include_str!("../../dbt/models/marts/sales/sales_left_out.sql");
        let reasons: Vec<&str> =
            model.lines().filter_map(|line| line.trim().strip_prefix('\'')?.strip_suffix("' as reason,")).collect();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        for reason in reasons {
            assert!(in_words(reason).contains("total"), "{reason} stands in the report as it is in the mart");
        }
    }
}
