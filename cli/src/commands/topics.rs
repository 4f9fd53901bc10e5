//! `sluice topics`: topics as code. What lies between entries and cluster, and how it is made, is the library's; this finds
//! the cluster, asks and prints.

mod reach;

use std::collections::BTreeSet;

use serde::Serialize;
use sluice_aws::{CachedSecrets, SdkConfig};
use sluice_core::{
    Error, Kind, Result, Secret,
    port::{Secrets, SystemClock},
    with_secret,
};
use sluice_kafka::{
    Admin, Credentials, Iam, Registry,
    topics::{self, Change, Place as Cluster, Plan, Topic},
};

use crate::{
    args::{Target, TopicTask, TopicsArgs},
    confirm,
    failure::{Failure, Outcome},
    output, place,
    platform::Platform,
    progress::Progress,
};
use reach::Reach;

pub(super) async fn run(target: &Target, args: &TopicsArgs, progress: &Progress, json: bool) -> Outcome {
    let (reach, aws, sources, schemas) = match &args.bootstrap {
        // Topics come before the stack whose event sources read them.
        Some(bootstrap) => {
            let (sources, schemas) = place::files(target)?;
            let reach = Reach::named(bootstrap, args);
            let aws = if reach.needs_account() { Some(place::deployed(None).await?) } else { None };
            (reach, aws, sources, schemas)
        }
        None => {
            let platform = progress.spin("looking at the stack", Platform::open(target)).await?;
            let reach = Reach::of(&platform.stack, &platform.place.aws, platform.place.kafka.as_deref(), args).await?;
            (reach, Some(platform.place.aws), platform.place.sources, platform.place.schemas)
        }
    };
    let topics = topics::of(&sources, Some(&schemas))?;
    let mut cluster = progress.spin("asking the brokers", connect(&reach, aws.as_ref())).await?;
    match &args.task {
        TopicTask::Plan => {
            let plan = progress.spin("reading the topics", cluster.plan(&topics)).await?;
            output::print(json, &plan, Plan::to_text)
        }
        TopicTask::Apply { yes, lose } => {
            let plan = progress.spin("reading the topics", cluster.plan(&topics)).await?;
            let may_lose = confirmed(&plan, *yes, lose, &reach.kafka.bootstrap)?;
            // Brokers end a connection that has waited for an answer longer than its login is good for.
            cluster = connect(&reach, aws.as_ref()).await?;
            apply(&mut cluster, &topics, &may_lose, progress, json).await
        }
    }
}

/// The secrets of the account, where one is needed.
struct Held(Option<CachedSecrets>);

impl Secrets for Held {
    async fn get(&self, name: &str) -> Result<Secret> {
        let lacking = || Error::config("a secret is named, and no account to read it from").with("secret", name);
        self.0.as_ref().ok_or_else(lacking)?.get(name).await
    }

    fn forget(&self, name: &str) {
        if let Some(secrets) = &self.0 {
            secrets.forget(name);
        }
    }
}

type Connected = Cluster<Held, SystemClock>;

async fn connect(reach: &Reach, aws: Option<&SdkConfig>) -> Outcome<Connected> {
    let secrets = Held(aws.map(CachedSecrets::new));
    let iam = aws.map(|aws| Iam::new(aws.credentials_provider(), aws.region().map(ToString::to_string)));
    let connect = async |credentials: Credentials| {
        Admin::connect(&reach.kafka, &Credentials { iam: iam.clone(), ..credentials }).await
    };
    let cluster = match &reach.kafka.secret {
        None => connect(Credentials::default()).await?,
        Some(name) => with_secret(&secrets, name, connect).await?,
    };
    let http = sluice_http::Client::new()?;
    Ok(Cluster { cluster, registry: reach.registry.clone().map(|config| Registry::new(config, http, secrets)) })
}

/// Asks whether to go on. What comes back are the topics of which records may be lost.
fn confirmed(plan: &Plan, yes: bool, lose: &[String], title: &str) -> Outcome<BTreeSet<String>> {
    if !plan.changes.is_empty() && !yes {
        let question = format!("make {} changes at {title}?", plan.changes.len());
        confirm::agreed("an apply", plan.to_text().trim_end(), &question)?;
    }
    let losses = || plan.changes.iter().filter_map(|change| Some((change.topic.as_str(), change.loses.as_deref()?)));
    confirm::losses_agreed(losses(), lose)?;
    Ok(losses().map(|(topic, _)| topic.to_owned()).collect())
}

#[derive(Serialize)]
struct Answer {
    done: Vec<Change>,
    /// Empty where the apply ended before it could be seen.
    left: Plan,
}

async fn apply(
    cluster: &mut Connected,
    topics: &[Topic],
    may_lose: &BTreeSet<String>,
    progress: &Progress,
    json: bool,
) -> Outcome {
    let (done, left) = progress.spin("changing topics", cluster.apply(topics, may_lose)).await;
    let left = match left {
        Ok(left) => left,
        Err(error) => {
            output::print(json, &Answer { done, left: Plan::default() }, |answer| told(&answer.done))?;
            return Err(error.into());
        }
    };
    let is_done = left.is_empty();
    output::print(json, &Answer { done, left }, render)?;
    if is_done {
        return Ok(());
    }
    let error = Error::new(Kind::Conflict, "the topics are not as platform/sources.yaml says");
    Err(Failure::from(error).hint("`sluice topics plan` says what is left and what to do about it"))
}

fn told(done: &[Change]) -> String {
    done.iter().map(|change| format!("done: {}\n", change.to_text())).collect()
}

fn render(answer: &Answer) -> String {
    let mut text = told(&answer.done);
    text.push_str(&answer.left.to_text());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apply_says_what_was_done_and_what_is_left() {
        let what = topics::What::Grow { from: 3, to: 6 };
        let done = vec![Change { topic: "clicks".into(), what, loses: None }];
        let text = render(&Answer { done, left: Plan::default() });
        assert_eq!(
            text,
            "done: ~ topic clicks: partitions 3 -> 6; from then on keys lie in other partitions than before\nThe topics are as \
             platform/sources.yaml says.\n"
        );
    }

    #[test]
    fn a_loss_that_was_named_is_not_asked_about() {
        let loses = Some("records older than 24 hours".to_owned());
        let change = |topic: &str, loses| {
            let what = topics::What::Set { from: Default::default(), to: Default::default() };
            Change { topic: topic.to_owned(), what, loses }
        };
        let plan = Plan { changes: vec![change("a", loses), change("b", None)], ..Plan::default() };
        let may_lose = confirmed(&plan, true, &["a".to_owned()], "b:1").expect("confirmed");
        assert_eq!(may_lose, BTreeSet::from(["a".to_owned()]));
    }
}
