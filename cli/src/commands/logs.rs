//! `sluice logs`: what a function has written, from CloudWatch Logs.

mod line;

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use line::Line;
use serde::Deserialize;
use serde_json::json;
use sluice_aws::signed;
use sluice_core::{Error, Kind};

use crate::{
    args::LogsArgs,
    commands::Context,
    failure::{Failure, Outcome},
    output,
    platform::Platform,
    stack::Stack,
};

const FILTER_LOG_EVENTS: signed::Operation = signed::Operation {
    endpoint: "logs",
    service: "logs",
    target: "Logs_20140328.FilterLogEvents",
    content_type: "application/x-amz-json-1.1",
};

/// How often CloudWatch is asked for new lines.
const LOOK: Duration = Duration::from_secs(2);

/// How much later than its own time a line may be listed.
const LATE: i64 = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    events: Vec<Event>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    /// CloudWatch's own; the emulator of one machine has none.
    event_id: Option<String>,
    #[serde(default)]
    log_stream_name: String,
    timestamp: i64,
    message: String,
}

impl Event {
    /// What tells it from every other.
    fn identity(&self) -> String {
        let Event { event_id, log_stream_name, timestamp, message } = self;
        event_id.clone().unwrap_or_else(|| format!("{log_stream_name} {timestamp} {message}"))
    }
}

pub(super) async fn run(context: &Context<'_>, args: &LogsArgs) -> Outcome {
    let platform = &context.platform;
    let function = function(&platform.stack, &args.function)?;
    let mut log = Log {
        platform,
        group: format!("/aws/lambda/{function}"),
        run: args.run.as_deref(),
        from: args.since.timestamp_millis(),
        seen: HashSet::new(),
        // Who follows sees all that comes.
        left: if args.follow { u32::MAX } else { args.limit },
        json: context.json,
    };
    let mut is_read = log.show().await?;
    let found = !log.seen.is_empty();
    while is_read && args.follow {
        tokio::time::sleep(LOOK).await;
        is_read = log.show().await?;
    }
    if log.left == 0 {
        let limit = args.limit;
        output::tell(&format!("only the first {limit} lines are shown; --limit shows more, --since begins later"));
    } else if !found && !context.json {
        let run = args.run.as_ref().map_or_else(String::new, |run| format!(" of run {run}"));
        let since = args.since.format("%Y-%m-%d %H:%M:%S UTC");
        output::write(&format!("no line{run} since {since}; --since begins earlier\n"))?;
    }
    Ok(())
}

/// The name of the function that is meant, in any spelling.
fn function<'a>(stack: &'a Stack, named: &str) -> Outcome<&'a str> {
    let plain = |name: &str| name.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_lowercase();
    let functions: Vec<_> = stack.of_type("AWS::Lambda::Function").collect();
    let is_it =
        |resource: &&&crate::stack::Resource| plain(&resource.logical) == plain(named) || resource.physical == named;
    if let Some(found) = functions.iter().find(is_it) {
        return Ok(&found.physical);
    }
    let mut names: Vec<&str> = functions.iter().map(|resource| resource.logical.as_str()).collect();
    names.sort_unstable();
    Err(Failure::usage(format!("the stack has no function '{named}'")).hint(format!("it has {}", names.join(", "))))
}

/// A log group as far as it was read.
struct Log<'a> {
    platform: &'a Platform,
    group: String,
    run: Option<&'a str>,
    /// Milliseconds.
    from: i64,
    /// Events that were shown: the same time is asked for again, because lines come late.
    seen: HashSet<String>,
    left: u32,
    json: bool,
}

impl Log<'_> {
    /// Shows what is new. Whether anybody still reads.
    async fn show(&mut self) -> Outcome<bool> {
        let mut token: Option<String> = None;
        let mut newest = self.from;
        loop {
            let page = self.page(token.as_deref()).await?;
            for event in page.events {
                newest = newest.max(event.timestamp - LATE);
                let is_of_run = self.run.is_none_or(|run| event.message.contains(run));
                if is_of_run && self.left > 0 && self.seen.insert(event.identity()) {
                    self.left -= 1;
                    let at = DateTime::from_timestamp_millis(event.timestamp).unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
                    let line = Line::read(at, &event.message);
                    if !output::write(&(if self.json { line.json() } else { line.text() } + "\n"))? {
                        return Ok(false);
                    }
                }
            }
            token = page.next_token.filter(|next| token.as_ref() != Some(next));
            if token.is_none() || self.left == 0 {
                self.from = newest;
                return Ok(true);
            }
        }
    }

    async fn page(&self, token: Option<&str>) -> Outcome<Page> {
        let mut input = json!({"logGroupName": self.group, "startTime": self.from});
        if let Some(run) = self.run {
            // In quotes a pattern is the text itself.
            input["filterPattern"] = format!("\"{run}\"").into();
        }
        if let Some(token) = token {
            input["nextToken"] = token.into();
        }
        let asked = signed::call(&self.platform.place.aws, &FILTER_LOG_EVENTS, &input).await;
        asked.map_err(|error: Error| {
            if error.chain().contains("ResourceNotFoundException") {
                return Failure::from(
                    Error::new(Kind::NotFound, "the function has not logged yet").with("group", &self.group),
                )
                .hint("a function logs when it runs: `sluice run TABLE`");
            }
            error.into()
        })
    }
}

/// The messages of a function's log since a time that match a pattern of CloudWatch, those of one page.
pub(super) async fn matching(
    platform: &Platform,
    function: &str,
    pattern: &str,
    since: DateTime<Utc>,
) -> Outcome<Vec<String>> {
    let group = format!("/aws/lambda/{function}");
    let input = json!({"logGroupName": group, "startTime": since.timestamp_millis(), "filterPattern": pattern});
    match signed::call::<Page>(&platform.place.aws, &FILTER_LOG_EVENTS, &input).await {
        Ok(page) => Ok(page.events.into_iter().map(|event| event.message).collect()),
        // A function that never ran has no group.
        Err(error) if error.chain().contains("ResourceNotFoundException") => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Resource;

    #[test]
    fn a_function_is_found_by_any_spelling_and_an_unknown_one_lists_all() {
        let resource = |logical: &str, resource_type: &str| Resource {
            logical: logical.into(),
            physical: format!("s-{logical}"),
            resource_type: resource_type.into(),
        };
        let resources = vec![
            resource("LoadCommits", "AWS::Lambda::Function"),
            resource("ExtractPostgres", "AWS::Lambda::Function"),
            resource("Lake", "AWS::S3::Bucket"),
        ];
        let stack = Stack { name: "s".into(), resources, ..Stack::default() };
        for named in ["ExtractPostgres", "extract-postgres", "extractpostgres", "s-ExtractPostgres"] {
            assert_eq!(function(&stack, named).expect(named), "s-ExtractPostgres");
        }
        let unknown = function(&stack, "lake").expect_err("no function");
        assert!(unknown.text().contains("it has ExtractPostgres, LoadCommits"), "{}", unknown.text());
        assert_eq!(unknown.exit_code(), 2);
    }
}
