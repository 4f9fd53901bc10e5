//! `sluice doctor`: looks at each part and says how to mend what is wrong, a line each.

mod arrived;
mod lost;
mod untaken;
mod user;

use chrono::{DateTime, TimeDelta, Utc};
use sluice_aws::classify;
use sluice_core::{Commit, Error, Kind, extract};
use sluice_pipeline::{
    log,
    runs::{self, LastRun},
};

use crate::{
    args::Target,
    check::{self, Check, Health},
    dead_letters::{self, Back, DeadLetters},
    drift,
    failure::{Failure, Outcome},
    mappings::Mapping,
    output::{self, duration},
    platform::Platform,
    progress::Progress,
    ready,
    schedules::{Schedule, Schedules},
};

pub(super) async fn run(target: &Target, progress: &Progress, json: bool) -> Outcome {
    let platform = progress.spin("looking at the stack", Platform::open(target)).await?;
    let checks = progress.spin("looking at each part", examine(&platform)).await;
    let failed = checks.iter().filter(|check| check.health == Health::Failed).count();
    output::print(json, &checks, |checks| check::render(checks))?;
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::from(Error::unavailable(format!("{failed} of {} checks have failed", checks.len())))
        .hint("each line above names its fix"))
}

async fn examine(platform: &Platform) -> Vec<Check> {
    let compared = drift::check(&platform.place.aws, &platform.stack.name);
    let (compared, others) = futures::join!(compared, parts(platform));
    let mut checks = vec![
        Check::of("credentials", credentials(platform).await, "log in again, or set AWS_PROFILE"),
        stack(&platform.stack.status),
        compared,
    ];
    checks.extend(others);
    checks
}

/// Each part by itself.
async fn parts(platform: &Platform) -> Vec<Check> {
    let mut checks = Vec::new();
    let ready = ready::look(platform).await;
    let answers = ready.warehouse;
    checks.extend(ready.checks);
    if answers {
        checks.extend(user::checks(platform).await);
        checks.extend(untaken::checks(platform).await);
    }
    for letters in dead_letters::ALL {
        if let Some(url) = platform.stack.find(letters.logical) {
            let name = url.rsplit('/').next().unwrap_or(url);
            checks.push(letters_check(
                letters,
                name,
                letters.count(platform).await.map(|(there, in_hand)| there + in_hand),
            ));
        }
    }
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

fn letters_check(letters: &DeadLetters, name: &str, found: Outcome<u64>) -> Check {
    let check = |count: u64| {
        if count == 0 {
            return Check::ok(name, "empty");
        }
        let fix = match letters.back {
            Back::ToPeople => "read the messages: they are the news; docs/runbooks/news-is-lost.md".to_owned(),
            Back::Invoked => {
                "the function's log or the message says why: fix it, then `sluice retry --dead runs`".to_owned()
            }
            Back::To(_) => {
                format!("read why in the function's log, fix it, then `sluice retry --dead {}`", letters.name)
            }
        };
        let check = Check::failed(name, format!("{count} {}", letters.what), fix);
        // They stay for two weeks, whatever has come of the table since; the tables themselves say what fails now.
        if letters.back == Back::Invoked { check.only_a_warning() } else { check }
    };
    Check::of(name, found.map(check), "check sqs:GetQueueAttributes on the queue")
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
        let check = match own.is_empty() && table.schedule.is_some() {
            true => Check::failed(name.clone(), "nothing runs it: its function's schedule was deleted", drift::MEND),
            false => table_check(&name, &own, newest.as_ref(), last_run.as_ref(), Utc::now()),
        };
        checks.push(if platform.place.is_local { by_hand(check, &name) } else { check });
    }
    Ok(checks)
}

/// On one machine no schedule may be switched on: the emulator's tells a run no time.
fn by_hand(check: Check, table: &str) -> Check {
    let is_paused = check.fix.as_ref().is_some_and(|fix| fix.starts_with("sluice resume"));
    if is_paused { Check { fix: Some(format!("sluice run {table} --wait")), ..check } } else { check }
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
        // A run that finds nothing new makes a commit only after twelve hours, so an old one may only mean a quiet source.
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

#[cfg(test)]
mod tests;
