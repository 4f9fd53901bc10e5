//! `sluice doctor`: looks at each part and says how to mend what is wrong, a line each.

use chrono::{TimeDelta, Utc};
use serde::Serialize;
use sluice_aws::{CachedSecrets, classify};
use sluice_core::{Error, port::Secrets};
use sluice_pipeline::log;

use crate::{
    args::Target,
    commands::ledger,
    failure::{Failure, Outcome},
    output::{self, WIDTH, duration, shortened},
    platform::Platform,
    progress::Progress,
    schedules::{Schedule, Schedules},
};

/// Queues for what failed every attempt: the stack's output, and what lies in there.
const DEAD_LETTERS: [(&str, &str); 4] = [
    ("ExtractDeadQueueUrl", "parts of divided reads that failed every attempt"),
    ("LoadDeadQueueUrl", "commits that could not be loaded"),
    ("DispatchDeadQueueUrl", "news of loaded tables that did not reach dbt"),
    ("FailedRunsQueueUrl", "scheduled runs that failed every attempt"),
];

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    /// Worth a look; the platform works.
    Warning,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    what: String,
    health: Health,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn ok(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Check { what: what.into(), health: Health::Ok, detail: detail.into(), fix: None }
    }

    fn warning(what: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Check { what: what.into(), health: Health::Warning, detail: detail.into(), fix: Some(fix.into()) }
    }

    fn failed(what: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Check { what: what.into(), health: Health::Failed, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// What a check found, or that it could not look.
    fn of(what: &str, found: Outcome<Check>, fix: &str) -> Self {
        found.unwrap_or_else(|failure| Check::failed(what, failure.message(), fix))
    }
}

pub async fn run(target: &Target, progress: &Progress, json: bool) -> Outcome {
    let platform = progress.spin("looking at the stack", Platform::open(target)).await?;
    let checks = progress.spin("looking at each part", examine(&platform)).await;
    let failed = checks.iter().filter(|check| check.health == Health::Failed).count();
    output::print(json, &checks, |checks| render(checks))?;
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::from(Error::unavailable(format!("{failed} of {} checks have failed", checks.len())))
        .hint("each line above names its fix"))
}

async fn examine(platform: &Platform) -> Vec<Check> {
    let mut checks = vec![
        Check::of("credentials", credentials(platform).await, "log in again, or set AWS_PROFILE"),
        stack(&platform.stack.status),
    ];
    checks.extend(secrets(platform).await);
    checks.push(Check::of(
        "warehouse",
        warehouse(platform).await,
        "check the secret snowflake-loader and the account in the stack's parameters",
    ));
    for (output, what) in DEAD_LETTERS {
        checks.push(Check::of(output, dead_letters(platform, output, what).await, "may you read the queue?"));
    }
    match tables(platform).await {
        Ok(tables) => checks.extend(tables),
        Err(failure) => {
            checks.push(Check::failed("tables", failure.message(), "may you read the lake and the schedules?"))
        }
    }
    checks
}

async fn credentials(platform: &Platform) -> Outcome<Check> {
    let identity = aws_sdk_sts::Client::new(&platform.place.aws).get_caller_identity().send().await;
    let identity = identity.map_err(|error| classify(error, "cannot ask who is calling".into()))?;
    Ok(Check::ok("credentials", identity.arn().unwrap_or("somebody")))
}

fn stack(status: &str) -> Check {
    match status {
        status if status.ends_with("_IN_PROGRESS") => Check::warning("stack", status, "wait for the deployment to end"),
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => Check::ok("stack", status),
        "UPDATE_ROLLBACK_COMPLETE" => {
            Check::warning("stack", status, "the last deployment was rolled back; its events in CloudFormation say why")
        }
        status => Check::failed("stack", status, "look at the stack's events in CloudFormation, then deploy again"),
    }
}

/// Each secret can be read and holds a JSON object. What it holds is looked at no further.
async fn secrets(platform: &Platform) -> Vec<Check> {
    let store = CachedSecrets::new(&platform.place.aws);
    let mut checks = Vec::new();
    for resource in platform.stack.of_type("AWS::SecretsManager::Secret") {
        let what = format!("secret {}", resource.logical);
        let fix = "put its JSON in (docs/deploy.md says which)";
        checks.push(match store.get(&resource.physical).await {
            Err(error) => Check::failed(what, error.to_string(), "put its value in, or ask for leave to read it"),
            Ok(secret) => match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(secret.expose()) {
                Ok(fields) if !fields.is_empty() => Check::ok(what, "readable"),
                // What a cluster without credentials has, and nothing else.
                Ok(_) => Check::warning(what, "an empty object: right only for a cluster that asks for nothing", fix),
                Err(_) => Check::failed(what, "its value is no JSON object with fields", fix),
            },
        });
    }
    checks
}

async fn warehouse(platform: &Platform) -> Outcome<Check> {
    let warehouse = platform.warehouse().await?;
    let loads = ledger::loads(&warehouse).await?;
    let failed: u64 = loads.values().map(|loads| loads.failed).sum();
    let detail = format!("answers; {} commits loaded", loads.values().map(|loads| loads.loaded).sum::<u64>());
    Ok(match failed {
        0 => Check::ok("warehouse", detail),
        _ => Check::warning(
            "warehouse",
            format!("{detail}, {failed} failed"),
            "`sluice status` says why; then `sluice retry`",
        ),
    })
}

async fn dead_letters(platform: &Platform, output: &str, what: &str) -> Outcome<Check> {
    use aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
    let url = platform.stack.output(output)?;
    let client = aws_sdk_sqs::Client::new(&platform.place.aws);
    let asked = client.get_queue_attributes().queue_url(url).attribute_names(ApproximateNumberOfMessages).send().await;
    let found = asked.map_err(|error| classify(error, format!("cannot look at the queue {url}")))?;
    let depth = found.attributes().and_then(|all| all.get(&ApproximateNumberOfMessages)).cloned().unwrap_or_default();
    let name = url.rsplit('/').next().unwrap_or(url);
    Ok(match depth.as_str() {
        "0" => Check::ok(name, "empty"),
        _ => Check::failed(
            name,
            format!("{depth} {what}"),
            "read why in the function's log, mend it, then redrive the queue (SQS: start redrive)",
        ),
    })
}

/// Whether each table is as fresh as its schedules say.
async fn tables(platform: &Platform) -> Outcome<Vec<Check>> {
    let schedules = Schedules::of(&platform.place.aws, &platform.stack, &platform.place.sources)?.list().await?;
    let store = platform.store()?;
    let mut checks = Vec::new();
    for table in platform.place.sources.tables.iter().filter(|table| crate::platform::extractor(table).is_some()) {
        let own: Vec<&Schedule> = schedules.iter().filter(|s| s.table.as_ref() == Some(&table.table)).collect();
        let newest = log::newest_commit(&store, &table.table).await?;
        let age = newest.map(|commit| Utc::now() - commit.committed_at);
        checks.push(freshness(&table.table.to_string(), &own, age));
    }
    Ok(checks)
}

fn freshness(table: &str, schedules: &[&Schedule], age: Option<TimeDelta>) -> Check {
    let what = table.to_owned();
    let interval = schedules.iter().filter(|schedule| schedule.enabled).filter_map(|s| interval(&s.expression)).min();
    let told = age.map_or_else(|| "no commit yet".to_owned(), |age| format!("newest commit {} ago", duration(age)));
    match (interval, age) {
        (None, _) if schedules.is_empty() => Check::warning(
            what,
            format!("{told}; no schedule"),
            "give it a `schedule` in platform/sources.yaml and deploy",
        ),
        (None, _) if schedules.iter().all(|schedule| schedule.is_off_for_all) => {
            Check::warning(what, format!("{told}; paused with all of its function's tables"), "sluice resume --all")
        }
        (None, _) => Check::warning(what, format!("{told}; paused"), format!("sluice resume {table}")),
        (Some(_), None) => Check::warning(what, told, format!("sluice run {table} --wait")),
        // A run that finds nothing new makes no commit, so an old commit may only mean a quiet source.
        (Some(interval), Some(age)) if age > interval * 2 + TimeDelta::hours(1) => Check::warning(
            what,
            format!("{told}, though it runs every {}", duration(interval)),
            format!("`sluice run {table}` shows whether the source is quiet or the run fails"),
        ),
        _ => Check::ok(what, told),
    }
}

/// The longest that lies between two runs of a schedule.
fn interval(expression: &str) -> Option<TimeDelta> {
    if let Some(rate) = expression.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')) {
        let (number, unit) = rate.split_once(' ')?;
        let number: i64 = number.parse().ok()?;
        return match unit.trim_end_matches('s') {
            "minute" => TimeDelta::try_minutes(number),
            "hour" => TimeDelta::try_hours(number),
            "day" => TimeDelta::try_days(number),
            _ => None,
        };
    }
    let fields: Vec<&str> = expression.strip_prefix("cron(")?.strip_suffix(')')?.split_whitespace().collect();
    let [_, hour, day, _, weekday, ..] = fields[..] else { return None };
    let any = |field: &str| matches!(field, "*" | "?");
    match (any(hour), any(day), any(weekday)) {
        (_, false, _) => TimeDelta::try_days(31),
        (_, true, false) => TimeDelta::try_days(7),
        (false, true, true) => TimeDelta::try_days(1),
        (true, true, true) => TimeDelta::try_hours(1),
    }
}

fn render(checks: &[Check]) -> String {
    let mut lines = Vec::new();
    for check in checks {
        let mark = match check.health {
            Health::Ok => "✓",
            Health::Warning => "!",
            Health::Failed => "✗",
        };
        lines.push(shortened(&format!("{mark} {}: {}", check.what, check.detail), WIDTH));
        if let Some(fix) = &check.fix {
            lines.push(shortened(&format!("    fix: {fix}"), WIDTH));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_runs_follows_from_the_expression() {
        for (expression, hours) in [
            ("rate(1 hour)", Some(1)),
            ("rate(2 days)", Some(48)),
            ("rate(60 minutes)", Some(1)),
            ("cron(0 1 ? * MON *)", Some(168)),
            ("cron(15 0 * * ? *)", Some(24)),
            ("cron(0 * * * ? *)", Some(1)),
            ("cron(0 0 1 * ? *)", Some(744)),
            ("at(2026-01-01T00:00:00)", None),
            ("rate(x)", None),
        ] {
            assert_eq!(interval(expression), hours.map(TimeDelta::hours), "{expression}");
        }
    }

    #[test]
    fn a_table_is_stale_only_against_its_own_schedule() {
        let schedule = |expression: &str, enabled| Schedule {
            name: "s".into(),
            table: None,
            expression: expression.into(),
            enabled,
            shared: false,
            is_off_for_all: false,
        };
        let (hourly, weekly) = (schedule("rate(1 hour)", true), schedule("cron(0 1 ? * MON *)", true));
        let off = schedule("rate(1 hour)", false);
        let health =
            |schedules: &[&Schedule], hours: i64| freshness("T", schedules, Some(TimeDelta::hours(hours))).health;
        assert_eq!(health(&[&hourly], 2), Health::Ok);
        assert_eq!(health(&[&hourly], 4), Health::Warning);
        assert_eq!(health(&[&weekly], 200), Health::Ok);
        assert_eq!(health(&[&weekly, &hourly], 200), Health::Warning);
        let fix = |schedule: &Schedule| freshness("T", &[schedule], None).fix;
        assert_eq!(fix(&off).as_deref(), Some("sluice resume T"));
        assert_eq!(
            fix(&Schedule { shared: true, is_off_for_all: true, ..off }).as_deref(),
            Some("sluice resume --all")
        );
        assert!(freshness("T", &[], None).detail.contains("no schedule"));
    }

    #[test]
    fn what_is_wrong_has_a_fix_beside_it() {
        assert_eq!(stack("UPDATE_COMPLETE").health, Health::Ok);
        assert_eq!(stack("ROLLBACK_COMPLETE").health, Health::Failed);
        assert_eq!(stack("UPDATE_IN_PROGRESS").health, Health::Warning);
        let text = render(&[Check::ok("a", "fine"), Check::failed("b", "x".repeat(200), "mend it")]);
        assert!(text.starts_with("✓ a: fine\n✗ b: x") && text.ends_with("    fix: mend it"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }
}
