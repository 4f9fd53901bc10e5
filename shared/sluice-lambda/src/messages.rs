//! A batch of queue messages: each has its own fate, and its own place in a chain of messages.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use sluice_core::{Error, Hops, LakeId, Result, hops::ATTRIBUTE};
use tracing::{Instrument, error};

use crate::{Invocation, Metrics, Unit, hint};

/// How many messages of a batch are handled side by side; they wait for the warehouse, not for the processor.
const SIDE_BY_SIDE: usize = 4;

/// One message of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub body: &'a str,
    /// How far its chain has come: what is sent because of it is the next of the chain.
    pub hops: Hops,
}

impl<'a> Message<'a> {
    /// A message without the attribute comes from somebody else, and begins a chain.
    fn of(message: &'a SqsMessage, now: DateTime<Utc>) -> Self {
        let attribute =
            message.message_attributes.get(ATTRIBUTE).and_then(|attribute| attribute.string_value.as_deref());
        let hops = attribute.and_then(|text| text.parse().ok()).unwrap_or_else(|| Hops::none(now));
        Message { body: message.body.as_deref().unwrap_or_default(), hops }
    }
}

/// Handles every message, each as a run with an id of its own; one that fails takes no other with it. Returns the ones
/// to be redelivered.
pub async fn each_message(
    event: SqsEvent,
    lake: &LakeId,
    invocation: &Invocation,
    handle: impl AsyncFn(Message<'_>, &Invocation) -> Result<()>,
) -> SqsBatchResponse {
    let handle = &handle;
    let failed = stream::iter(event.records)
        .map(async |message: SqsMessage| {
            let invocation = invocation.another_run();
            serve(&message, lake, &invocation, handle).instrument(invocation.run_span()).await
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed;
    response
}

async fn serve(
    message: &SqsMessage,
    lake: &LakeId,
    invocation: &Invocation,
    handle: &impl AsyncFn(Message<'_>, &Invocation) -> Result<()>,
) -> Option<BatchItemFailure> {
    let now = Utc::now();
    let read = Message::of(message, now);
    let ended = read.hops.check(now);
    let (error, redelivered) = match ended {
        // Delivered again, it would turn on.
        Err(error) => {
            let hops = Metrics::new(&[("LakeId", &lake.0)]).property("run_id", invocation.run_id.0.as_str());
            hops.property("hops", read.hops.count).value(HOPS_EXHAUSTED, Unit::Count, 1).emit();
            (error, false)
        }
        Ok(()) => {
            let error = handle(read, invocation).await.err()?;
            // A kind alone never makes a message vanish: an answer that is garbage is InvalidData too, and the next one may
            // be whole.
            let redelivered = !error.is_final();
            (error, redelivered)
        }
    };
    tell(message, &error, redelivered);
    redelivered.then(|| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.message_id.clone().unwrap_or_default();
        failure
    })
}

/// The metric that the alarm on exhausted chains watches.
const HOPS_EXHAUSTED: &str = "HopsExhausted";

fn tell(message: &SqsMessage, error: &Error, redelivered: bool) {
    error!(
        message_id = message.message_id,
        error = error.chain(),
        error_kind = %error.kind(),
        redelivered,
        hint = hint(error),
        "a message failed"
    );
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use super::*;

    /// Serves a batch; the bodies that were handled, how far their chains had come, and the ids that are redelivered.
    fn served(messages: &[Value]) -> (Vec<(String, u32)>, Vec<String>) {
        let mut event = SqsEvent::default();
        event.records = messages.iter().map(|message| serde_json::from_value(message.clone()).expect("one")).collect();
        let (handled, runs) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let handle = async |message: Message<'_>, invocation: &Invocation| {
            handled.borrow_mut().push((message.body.to_owned(), message.hops.count));
            runs.borrow_mut().push(invocation.run_id.clone());
            match message.body {
                "away" => Err(Error::unavailable("the warehouse is away")),
                "broken" => Err(Error::invalid_data("the commit is truncated").as_final()),
                "garbled" => Err(Error::invalid_data("the answer's body is not JSON")),
                "taken" => Err(Error::conflict("another run has committed first").as_final()),
                "clash" => Err(Error::conflict("the server answers 409")),
                "deploy" => Err(Error::config("the plan is of a table that is none any more").as_final()),
                _ => Ok(()),
            }
        };
        let invocation = Invocation::new("request", Duration::from_secs(60));
        let lake = LakeId("l".into());
        let response = futures::executor::block_on(each_message(event, &lake, &invocation, handle));
        let mut runs = runs.into_inner();
        runs.dedup();
        assert_eq!(runs.len(), handled.borrow().len(), "each message is a run of its own");
        let ids = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        (handled.into_inner(), ids)
    }

    fn message(id: &str, body: &str) -> Value {
        json!({"messageId": id, "body": body})
    }

    fn hopped(id: &str, hops: Hops) -> Value {
        let count = json!({"stringValue": hops.to_string(), "dataType": "String"});
        json!({"messageId": id, "body": "ok", "messageAttributes": {ATTRIBUTE: count}})
    }

    #[test]
    fn only_messages_that_can_still_succeed_are_redelivered() {
        let (_, ids) = served(&[
            message("1", "ok"),
            message("2", "away"),
            message("3", "broken"),
            message("4", "garbled"),
            message("5", "taken"),
            message("6", "clash"),
            message("7", "deploy"),
        ]);
        assert_eq!(ids, ["2", "4", "6"]);
    }

    #[test]
    fn a_message_goes_on_with_its_chain_until_the_chain_has_come_too_far() {
        let now = Utc::now();
        let chain = |count, age| Hops { count, since: now - TimeDelta::seconds(age) };
        let (handled, ids) = served(&[
            message("1", "ok"),
            hopped("2", chain(2_000, 60_000)),
            hopped("3", chain(2_000, 60)),
            hopped("4", chain(1, 15 * 86_400)),
        ]);
        assert_eq!(handled, [("ok".to_owned(), 0), ("ok".to_owned(), 2_000)], "the last two are not handled");
        assert_eq!(ids, [""; 0], "and not delivered again");
    }

    #[test]
    fn the_alarm_of_the_template_watches_the_metric_that_is_written() {
        let template = include_str!("../../../template.yaml");
        assert!(template.contains(&format!("Metric: {HOPS_EXHAUSTED}, Statistic: Sum,")));
    }
}
