//! Translates Lambda's events: a request goes to the collector, a batch of the spool goes to Kafka.

use std::{cell::RefCell, time::Instant};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::Utc;
use futures::{StreamExt, stream};
use sluice_aws::{CachedSecrets, DelayQueue, FreshSecrets};
use sluice_core::{
    Result,
    port::{Later, Secrets},
};
use sluice_kafka::Cluster;
use sluice_lambda::{Invocation, hint};
use tracing::error;

use crate::{
    Config,
    auth::Guard,
    collector::Collector,
    delivery::{Delivery, Log},
    event::{Answer, Event},
    openapi,
    rate::Bucket,
    spool::{self, Spooled},
};

/// So many messages of the spool are on their way to Kafka at once.
const SIDE_BY_SIDE: usize = 4;

/// What the function holds between invocations.
pub type Deps = Collector<Cluster<CachedSecrets>, DelayQueue, FreshSecrets>;

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets are fetched and Kafka is connected on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let cluster = Cluster::new(config.kafka, CachedSecrets::new(&aws), config.kafka_patience);
        Ok(Collector {
            lake_id: config.lake_id,
            document: openapi::document(&config.catalogue, config.limits)?,
            catalogue: config.catalogue,
            origins: config.origins,
            limits: config.limits,
            bucket: RefCell::new(Bucket::new(config.rate, config.burst, Instant::now())),
            guard: Guard::new(FreshSecrets::new(&aws), config.secret),
            delivery: Delivery::new(
                cluster,
                DelayQueue::new(&aws, config.spool_url),
                DelayQueue::new(&aws, config.spool_dead_url),
            ),
        })
    }
}

/// Serves one event.
pub async fn handle<K: Log, Q: Later, S: Secrets>(
    event: Event,
    invocation: &Invocation,
    deps: &Collector<K, Q, S>,
) -> Result<Answer> {
    match event {
        Event::Http(mut request) => {
            if request.request_context.request_id.is_empty() {
                request.request_context.request_id = invocation.request_id.clone();
            }
            let (response, figures) = deps.answer(&request, Utc::now(), Instant::now()).await;
            if let Some(figures) = figures {
                figures.metrics(&deps.lake_id, &request.request_context.request_id).emit();
            }
            Ok(Answer::Http(response))
        }
        Event::Spool(batch) => Ok(Answer::Spool(drain(batch, deps).await)),
    }
}

/// Sends a message of the spool to Kafka, or to the dead letters if no topic takes its events: waiting would change
/// nothing and hold up others.
async fn send<K: Log, Q: Later, S: Secrets>(id: &str, body: &str, deps: &Collector<K, Q, S>) -> Result<()> {
    let spooled = Spooled::parse(body)?;
    match deps.catalogue.get(&spooled.topic) {
        Ok(topic) => deps.delivery.drain(&topic.name, spooled.into_records(topic)).await,
        Err(missing) => {
            let (topic, events) = (spooled.topic.clone(), spooled.events.len());
            deps.delivery.bury(&spool::encode(&spooled)?).await?;
            error!(
                message_id = id,
                topic,
                events,
                ?missing,
                hint = "give the topic its entry and its schema again, deploy, then send the dead letters back",
                "accepted events wait among the dead letters of the spool: no topic takes them"
            );
            Ok(())
        }
    }
}

/// Whatever fails stays in the queue and ends among the dead letters at last, to be looked at and sent back: the events
/// were accepted, so no kind of error may acknowledge them.
async fn drain<K: Log, Q: Later, S: Secrets>(batch: SqsEvent, deps: &Collector<K, Q, S>) -> SqsBatchResponse {
    let failed = stream::iter(batch.records)
        .map(async |message: SqsMessage| {
            let id = message.message_id.unwrap_or_default();
            let sent = send(&id, message.body.as_deref().unwrap_or_default(), deps);
            let error = Box::pin(sent).await.err()?;
            error!(
                message_id = id, error = error.chain(), error_kind = %error.kind(), hint = hint(&error),
                "a message of the spool stays there"
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
