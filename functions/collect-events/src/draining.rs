//! What waits in the outbox goes to Kafka.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use sluice_core::{
    Result,
    port::{DelayedQueue, Secrets},
};
use sluice_lambda::hint;
use tracing::error;

use crate::{
    collector::Collector,
    delivery::EventProducer,
    outbox::{self, OutboxMessage},
};

/// How many messages of the outbox are on their way to Kafka at once.
const SIDE_BY_SIDE: usize = 4;

/// Whatever fails stays in the queue and ends among the dead letters at last, to be looked at and sent back: the events
/// were accepted, so no kind of error may acknowledge them.
pub(crate) async fn drain<K: EventProducer, Q: DelayedQueue, S: Secrets>(
    batch: SqsEvent,
    deps: &Collector<K, Q, S>,
) -> SqsBatchResponse {
    let failed = stream::iter(batch.records)
        .map(async |message: SqsMessage| {
            let id = message.message_id.unwrap_or_default();
            let sent = send(&id, message.body.as_deref().unwrap_or_default(), deps);
            let error = sent.await.err()?;
            error!(
                message_id = id, error = error.chain(), error_kind = %error.kind(), hint = hint(&error),
                "a message of the outbox stays there"
            );
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            Some(failure)
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed;
    response
}

/// Sends a message of the outbox to Kafka, or to the dead letters if no topic takes its events: waiting would change
/// nothing and hold up others.
async fn send<K: EventProducer, Q: DelayedQueue, S: Secrets>(
    id: &str,
    body: &str,
    deps: &Collector<K, Q, S>,
) -> Result<()> {
    let message = OutboxMessage::parse(body)?;
    match deps.catalogue.get(&message.topic) {
        Ok(topic) => deps.delivery.drain(&topic.name, message.into_records(topic)).await,
        Err(missing) => {
            let (topic, events) = (message.topic.clone(), message.events.len());
            deps.delivery.bury(&outbox::encode(&message)?).await?;
            error!(
                message_id = id,
                topic,
                events,
                ?missing,
                hint = "give the topic its entry and its schema again, deploy, then send the dead letters back",
                "accepted events wait among the dead letters of the outbox: no topic takes them"
            );
            Ok(())
        }
    }
}
