//! Translates Lambda's events: a request goes to the collector, a batch of the outbox goes to Kafka.

use std::time::Instant;

use chrono::Utc;
use sluice_core::{
    Result,
    port::{DelayedQueue, Secrets},
};
use sluice_lambda::Invocation;

use crate::{
    collector::Collector,
    delivery::EventProducer,
    draining::drain,
    event::{Answer, Event},
};

/// Serves one event.
pub async fn serve<K: EventProducer, Q: DelayedQueue, S: Secrets>(
    event: Event,
    invocation: &Invocation,
    deps: &Collector<K, Q, S>,
) -> Result<Answer> {
    match event {
        Event::Http(mut request) => {
            if request.request_context.request_id.is_empty() {
                request.request_context.request_id = invocation.request_id.clone();
            }
            let (response, counts) = deps.answer(&request, Utc::now(), Instant::now()).await;
            if let Some(counts) = counts {
                counts.metrics(&deps.lake_id, &request.request_context.request_id).emit();
            }
            Ok(Answer::Http(response))
        }
        Event::Outbox(batch) => Ok(Answer::Outbox(drain(batch, deps).await)),
    }
}
