//! What was announced on the bus, sent again from its archive: for what a rule, a queue or a function has lost. What reads it takes
//! the same news twice, so that a replay too many changes nothing.

use std::time::Duration;

use aws_sdk_eventbridge::{
    Client,
    primitives::DateTime as Moment,
    types::{ReplayDestination, ReplayState, Rule},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use sluice_aws::classify;
use sluice_core::{Error, Kind};
use uuid::Uuid;

use crate::{
    commands::Context,
    failure::{Failure, Outcome},
    output,
};

/// How often a replay is looked at, and how often at most: it sends minute by minute of the time that it covers.
const POLL: Duration = Duration::from_secs(1);
const POLLS: usize = 900;

/// The rule whose news people have had.
const TO_PEOPLE: &str = "FailureRule";

pub(super) async fn run(context: &Context<'_>, (from, to): (DateTime<Utc>, DateTime<Utc>), dry_run: bool) -> Outcome {
    if from >= to {
        return Err(Failure::usage("the replayed time ends before it begins").hint("--to comes after --from"));
    }
    let platform = &context.platform;
    let (client, name) = (Client::new(&platform.place.aws), platform.stack.resource("BusArchive")?);
    let attempt = || format!("cannot replay the archive {name}");
    let archive = client.describe_archive().archive_name(name).send().await;
    let archive = archive.map_err(|error| classify(error, attempt()))?;
    let mut answer = json!({"archive": name, "from": from, "to": to, "state": "dry run"});
    if !dry_run {
        let replay = format!("sluice-{}", Uuid::now_v7().simple());
        let bus = archive.event_source_arn().unwrap_or_default();
        let listed = client.list_rules().event_bus_name(bus).send().await;
        let listed = listed.map_err(|error| classify(error, format!("cannot list the rules of {bus}")))?;
        let rules = of_work(listed.rules(), platform.stack.find(TO_PEOPLE).unwrap_or_default());
        let bus = ReplayDestination::builder().arn(bus).set_filter_arns(Some(rules)).build();
        let bus = bus.map_err(|error| Error::internal("an archive has no bus").because(error))?;
        let start = client.start_replay().replay_name(&replay).set_event_source_arn(archive.archive_arn);
        let start = start.event_start_time(Moment::from_secs(from.timestamp()));
        let start = start.event_end_time(Moment::from_secs(to.timestamp())).destination(bus);
        start.send().await.map_err(|error| classify(error, attempt()))?;
        context.progress.spin("sending again what was announced", ended(&client, &replay)).await?;
        answer["state"] = "completed".into();
    }
    output::print(context.json, &answer, |_| {
        let sent = if dry_run { "would be" } else { "is" };
        format!(
            "what {name} holds of {from:?} to {to:?} {sent} announced again; `sluice status` shows what comes of it"
        )
    })
}

/// The rules that an announcement goes to again: not those of EventBridge itself, which would archive it twice.
fn of_work(rules: &[Rule], to_people: &str) -> Vec<String> {
    let is_of_work = |rule: &&Rule| {
        let name = rule.name().unwrap_or_default();
        // CloudFormation calls a rule by its bus, too.
        rule.managed_by().is_none() && !name.is_empty() && to_people.rsplit('|').next() != Some(name)
    };
    rules.iter().filter(is_of_work).filter_map(|rule| rule.arn().map(str::to_owned)).collect()
}

async fn ended(client: &Client, replay: &str) -> Outcome {
    for _ in 0..POLLS {
        let found = client.describe_replay().replay_name(replay).send().await;
        let found = found.map_err(|error| classify(error, format!("cannot look at the replay {replay}")))?;
        match found.state() {
            Some(ReplayState::Completed) => return Ok(()),
            Some(ReplayState::Starting | ReplayState::Running) => tokio::time::sleep(POLL).await,
            state => {
                let state = state.map_or("unknown", ReplayState::as_str);
                let reason = found.state_reason().unwrap_or("no reason given");
                let error = Error::unavailable(format!("the replay {replay} is {state}: {reason}"));
                return Err(Failure::from(error)
                    .hint("mend what it names, then replay again: news that came twice is taken once"));
            }
        }
    }
    let error = Error::new(Kind::Timeout, format!("the replay {replay} is still going on after a quarter of an hour"));
    Err(Failure::from(error).hint(format!("`aws events describe-replay --replay-name {replay}` shows how far it is")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_not_told_again_and_nothing_is_archived_twice() {
        let rule = |name: &str, by: Option<&str>| {
            Rule::builder().name(name).arn(format!("arn:{name}")).set_managed_by(by.map(str::to_owned)).build()
        };
        let rules =
            [rule("loaded", None), rule("failure", None), rule("Events-Archive-b", Some("events.amazonaws.com"))];
        assert_eq!(of_work(&rules, "bus|failure"), ["arn:loaded"]);
        assert_eq!(of_work(&rules, ""), ["arn:loaded", "arn:failure"]);
    }
}
