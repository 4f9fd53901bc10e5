//! What the platform cannot serve as it is, and says so: topics without a schema, accepted events without a topic.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use sluice_core::{Sources, functions::COLLECT_EVENTS};

use crate::{invoke::Functions, machine::deploy::STACK, stack::Stack};

/// A message that was looked at is invisible for this long, so that the next look sees it again.
const LOOK_SECONDS: i32 = 2;

/// A message of the outbox, as far as it matters here.
#[derive(Deserialize)]
struct OutboxMessage {
    topic: String,
    events: Vec<Value>,
}

/// A message among the outbox's dead letters.
struct Dead {
    body: String,
    handle: String,
}

/// Where to look.
pub(crate) struct Unserved<'a> {
    sqs: aws_sdk_sqs::Client,
    sources: &'a Sources,
    functions: &'a Functions,
}

impl<'a> Unserved<'a> {
    pub(crate) fn of(stack: &'a Stack) -> Self {
        Unserved { sqs: aws_sdk_sqs::Client::new(&stack.aws), sources: &stack.sources, functions: &stack.functions }
    }

    /// Sends dead letters of the outbox back whose topic takes events again.
    pub(crate) async fn send_back(&self) -> Result<()> {
        let sqs = &self.sqs;
        let (dead, outbox) = (queue(sqs, "spool-dead").await?, queue(sqs, "spool").await?);
        let closed: BTreeSet<String> = self.closed_topics().await?.into_iter().collect();
        for Dead { body, handle } in look(sqs, &dead).await? {
            let topic = serde_json::from_str::<OutboxMessage>(&body).map(|message| message.topic).unwrap_or_default();
            if self.sources.topic(&topic).is_ok() && !closed.contains(&topic) {
                let sent = sqs.send_message().queue_url(&outbox).message_body(body).send().await;
                sent.context("cannot send to the outbox")?;
                let deleted = sqs.delete_message().queue_url(&dead).receipt_handle(handle).send().await;
                deleted.context("cannot delete what was sent back to the outbox")?;
            }
        }
        Ok(())
    }

    /// Which topics take no events, and which accepted events wait for a topic: a line each.
    pub(crate) async fn problems(&self) -> Result<Vec<String>> {
        let closed = |topic: String| {
            format!(
                "collect-events takes no events of the topic '{topic}': platform/schemas/{topic}.json is missing or cannot be \
                 used; ministack.log has the reason"
            )
        };
        let mut problems: Vec<String> = self.closed_topics().await?.into_iter().map(closed).collect();
        let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
        for Dead { body, .. } in look(&self.sqs, &queue(&self.sqs, "spool-dead").await?).await? {
            match serde_json::from_str::<OutboxMessage>(&body) {
                Ok(message) => *waiting.entry(message.topic).or_default() += message.events.len(),
                Err(_) => problems.push(format!("a message in {STACK}-spool-dead cannot be read")),
            }
        }
        problems.extend(waiting.into_iter().map(|(topic, events)| {
            format!(
                "{events} accepted events of the topic '{topic}' wait in {STACK}-spool-dead: no table takes it; with its entry \
                 and schema back they go their way at the next start"
            )
        }));
        Ok(problems)
    }

    /// The topics that collect-events knows and cannot serve.
    async fn closed_topics(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Health {
            topics_unavailable: Vec<String>,
        }
        let event: Value = serde_json::from_str(include_str!("../../events/collect-events/health.json"))?;
        let answer = self.functions.invoke(&COLLECT_EVENTS, &event).await?;
        let body = answer["body"].as_str().with_context(|| format!("collect-events answered {answer}"))?;
        Ok(serde_json::from_str::<Health>(body)?.topics_unavailable)
    }
}

async fn queue(sqs: &aws_sdk_sqs::Client, name: &str) -> Result<String> {
    let name = format!("{STACK}-{name}");
    let found = sqs.get_queue_url().queue_name(&name).send().await.with_context(|| format!("no queue {name}"))?;
    found.queue_url.with_context(|| format!("the queue {name} has no address"))
}

/// Every message of a queue that nobody else reads; each comes back after a moment.
async fn look(sqs: &aws_sdk_sqs::Client, url: &str) -> Result<Vec<Dead>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    loop {
        let receive = sqs.receive_message().queue_url(url).max_number_of_messages(10).visibility_timeout(LOOK_SECONDS);
        let answer = receive.send().await.with_context(|| format!("cannot look into {url}"))?;
        let before = found.len();
        for message in answer.messages.unwrap_or_default() {
            if seen.insert(message.message_id.unwrap_or_default()) {
                let (body, handle) = (message.body.unwrap_or_default(), message.receipt_handle.unwrap_or_default());
                found.push(Dead { body, handle });
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests;
