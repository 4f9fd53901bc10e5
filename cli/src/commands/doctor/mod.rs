//! `sluice doctor`: looks at each part and says how to mend what is wrong, a line each.

mod arrived;
mod lost;
mod untaken;
mod user;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sluice_aws::{CachedSecrets, classify};
use sluice_core::{Commit, Error, Kind, extract, port::Secrets};
use sluice_pipeline::{
    log,
    runs::{self, LastRun},
};

use crate::{
    args::Target,
    failure::{Failure, Outcome},
    mappings::Mapping,
    output::{self, WIDTH, duration, shortened},
    platform::Platform,
    progress::Progress,
    schedules::{Schedule, Schedules},
    warehouse::Observe,
};

/// Queues for what failed every attempt: the stack's output, and what lies in there.
const DEAD_LETTERS: [(&str, &str); 4] = [
    ("ExtractDeadQueueUrl", "chunks of partitioned reads that failed every attempt"),
    ("LoadDeadQueueUrl", "commits that could not be loaded"),
    ("DispatchDeadQueueUrl", "news of loaded tables that did not reach dbt"),
    ("SpoolDeadQueueUrl", "messages with accepted events that did not reach Kafka"),
];

/// The queue of runs that failed every attempt. They stay for two weeks, whatever has come of the table since.
const FAILED_RUNS: (&str, &str) = ("FailedRunsQueueUrl", "scheduled runs that failed every attempt");

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

    /// On one machine no schedule may be switched on: the emulator's tells a run no time.
    fn by_hand(self, table: &str) -> Self {
        let is_paused = self.fix.as_ref().is_some_and(|fix| fix.starts_with("sluice resume"));
        if is_paused { Check { fix: Some(format!("sluice run {table} --wait")), ..self } } else { self }
    }

    /// The tables themselves say what fails now.
    fn only_a_warning(self) -> Self {
        match self.health {
            Health::Ok => self,
            Health::Warning | Health::Failed => Check { health: Health::Warning, ..self },
        }
    }

    /// What a check found, or that it could not look. What is not there or gives no answer is no matter of permissions.
    fn of(what: &str, found: Outcome<Check>, fix: &str) -> Self {
        found.unwrap_or_else(|failure| {
            let fix = match failure.kind() {
                Kind::Unavailable | Kind::Timeout => AWAY,
                Kind::NotFound | Kind::Config => failure.own_hint().unwrap_or(fix),
                _ => fix,
            };
            Check::failed(what, failure.message(), fix)
        })
    }
}

/// What helps where nothing answers: neither a secret nor a permission.
const AWAY: &str =
    "nothing answers there: on this machine start it with `make up`; of a stack, check address and network";

pub(super) async fn run(target: &Target, progress: &Progress, json: bool) -> Outcome {
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
        account(platform.stack.outputs.get("AccountStatus").map(String::as_str)),
    ];
    checks.extend(secrets(platform).await);
    let answered = warehouse(platform).await;
    let answers = answered.is_ok();
    checks.push(Check::of(
        "warehouse",
        answered,
        "check the secret snowflake-loader and the account in the stack's parameters",
    ));
    if answers {
        checks.extend(user::checks(platform).await);
        checks.extend(untaken::checks(platform).await);
    }
    for (output, what) in DEAD_LETTERS {
        let found = dead_letters(platform, output, what).await;
        checks.push(Check::of(output, found, "check sqs:GetQueueAttributes on the queue"));
    }
    let (output, what) = FAILED_RUNS;
    let found = dead_letters(platform, output, what).await.map(Check::only_a_warning);
    checks.push(Check::of(output, found, "check sqs:GetQueueAttributes on the queue"));
    checks.extend(lost::checks(platform).await);
    match tables(platform).await {
        Ok(tables) => checks.extend(tables),
        Err(failure) => {
            let fix = "check s3:GetObject on the lake and scheduler:GetSchedule";
            checks.push(Check::of("tables", Err(failure), fix));
        }
    }
    checks.extend(topics(platform).await);
    if answers {
        checks.push(Check::of("first rows", arrived::check(platform).await, "check the grants on the raw tables"));
    }
    checks
}

/// The event sources of the stream, where the stack has any.
async fn topics(platform: &Platform) -> Vec<Check> {
    let mappings = match Mapping::list(&platform.place.aws, &platform.stack).await {
        Ok(mappings) => mappings,
        Err(failure) => return vec![Check::of("event sources", Err(failure), "check lambda:GetEventSourceMapping")],
    };
    let check = |mapping: &Mapping| {
        let table = platform.place.sources.tables.iter().find(|table| mapping.serves(table));
        let what = table.map_or_else(|| "--all".to_owned(), |table| table.table.to_string());
        source(&mapping.name, mapping.enabled, mapping.problem.as_deref(), &what)
    };
    mappings.iter().map(check).collect()
}

/// `what` is what `sluice resume` takes for it.
fn source(name: &str, enabled: bool, problem: Option<&str>, what: &str) -> Check {
    match (enabled, problem) {
        (false, _) => Check::warning(name, "paused", format!("sluice resume {what}")),
        (true, Some(problem)) => {
            Check::failed(name, problem, "read why in the log of StreamKafka; the batch is delivered until it succeeds")
        }
        (true, None) => Check::ok(name, "polls"),
    }
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

/// What the last deployment has made of the warehouse's account.
fn account(status: Option<&str>) -> Check {
    match status {
        Some("provisioned") => Check::ok("account", "provisioned"),
        Some(status) if status.starts_with("provisioned") => {
            Check::warning("account", status, "`sluice warehouse plan` shows what is left, and apply asks about it")
        }
        Some(status) => Check::failed("account", status, "do what it says, then deploy again"),
        None => Check::warning("account", "the stack says nothing of it", "deploy this version of the template"),
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
    let loads = warehouse.loads().await?;
    if let Some(run) = warehouse.last_dbt_run().await?.filter(|run| run.status == "failed") {
        let fix = "its RunFailed event names the nodes; the files of the run are under dbt/artifacts/ in the lake";
        return Ok(Check::failed("warehouse", format!("answers; dbt run {} failed", run.number), fix));
    }
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
        let last_run = runs::last(&store, &table.table).await?;
        let name = table.table.to_string();
        let check = table_check(&name, &own, newest.as_ref(), last_run.as_ref(), Utc::now());
        checks.push(if platform.place.is_local { check.by_hand(&name) } else { check });
    }
    Ok(checks)
}

/// A table whose runs fail is told as such, however fresh its newest commit is, and one whose last run found nothing new
/// is as fresh as that run.
fn table_check(
    table: &str,
    schedules: &[&Schedule],
    newest: Option<&Commit>,
    last_run: Option<&LastRun>,
    now: DateTime<Utc>,
) -> Check {
    if let Some(runs::Failure { kind, reason, hint, runs, since }) = last_run.and_then(|run| run.failure.as_ref()) {
        let runs = if *runs == 1 { "the last run".to_owned() } else { format!("the last {runs} runs") };
        let detail = format!("{runs} failed, since {} ago: {kind}: {reason}", duration(now - *since));
        let mend = hint.clone().unwrap_or_else(|| usual_fix(kind).to_owned());
        return Check::failed(table, detail, format!("{mend}; then `sluice run {table}`"));
    }
    let quiet = last_run.filter(|run| run.outcome == Some(extract::Outcome::NothingNew));
    let age = newest.map(|commit| now - commit.committed_at);
    match quiet {
        Some(run) if age.is_some() => {
            let found = freshness(table, schedules, age.map(|age| age.min(now - run.ended_at)));
            let told = format!("{}; a run found nothing new {} ago", told(age), duration(now - run.ended_at));
            if found.health == Health::Ok { Check::ok(table, told) } else { found }
        }
        _ => freshness(table, schedules, age),
    }
}

/// What helps most often after a run that failed so.
fn usual_fix(kind: &str) -> &'static str {
    let is = |known: Kind| known.as_str() == kind;
    if is(Kind::Auth) {
        "check the source's secret and its user's grants"
    } else if is(Kind::SchemaMismatch) || is(Kind::InvalidData) {
        "bring platform/sources.yaml and the source together"
    } else if is(Kind::Config) || is(Kind::NotFound) {
        "correct what the message names"
    } else {
        "check that the source is there and answers; the function's log has the whole story"
    }
}

fn told(age: Option<TimeDelta>) -> String {
    age.map_or_else(|| "no commit yet".to_owned(), |age| format!("newest commit {} ago", duration(age)))
}

fn freshness(table: &str, schedules: &[&Schedule], age: Option<TimeDelta>) -> Check {
    let what = table.to_owned();
    let interval = schedules.iter().filter(|schedule| schedule.enabled).filter_map(|s| interval(&s.expression)).min();
    let told = told(age);
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
mod tests;
