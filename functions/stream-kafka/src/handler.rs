//! Translates the Kafka event into the streaming loop and its report back.

use std::time::Duration;

use chrono::Utc;
use sluice_core::Result;
use sluice_kafka::{BatchResponse, KafkaEvent};
use sluice_lambda::Invocation;
use sluice_pipeline::stream;

use crate::{Deps, answer::answer, metrics::report};

/// Kept for the answer: reporting the partitions that were not confirmed in time.
const RESERVE: Duration = Duration::from_secs(5);

/// Serves one event, whose text is megabytes long and goes as soon as it is read.
pub async fn serve(text: Box<str>, invocation: &Invocation, deps: &Deps) -> Result<BatchResponse> {
    let batches = KafkaEvent::parse(&text)?.into_partitions()?;
    drop(text);
    invocation.is_one_run();
    let run_id = &invocation.run_id;
    let deadline = Utc::now() + invocation.time_left(RESERVE);
    let done = deps.stream.process(&batches, &stream::Invocation { run_id: run_id.clone(), deadline }).await?;
    report(&batches, &done, &deps.lake_id, run_id);
    answer(done, deps.partial_batch_response)
}

#[cfg(test)]
mod tests;
