//! Translates the queue's messages into the dispatch loop and back.

use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use sluice_core::{
    InChain, Result,
    port::{DelayedQueue, SystemClock},
};
use sluice_lambda::{Invocation, Message as Received, each_message};
use sluice_pipeline::dispatch::{Dispatch, Message};
use tracing::info;

use crate::{
    Deps,
    event::{self, Event},
    jobs::Dbt,
};

/// Kept of an invocation's time for answering.
const RESERVE: Duration = Duration::from_secs(5);

/// Serves one batch or one sweep.
pub async fn serve(event: Event, invocation: &Invocation, deps: &Deps) -> Result<SqsBatchResponse> {
    match event {
        Event::Batch(batch) => {
            let message = async |message: Received<'_>, invocation: &Invocation| {
                let queue = InChain::new(&deps.queue, message.hops);
                handle(&event::parse(message.body)?, &queue, invocation, deps).await
            };
            Ok(each_message(batch, &deps.config.lake_id, invocation, message).await)
        }
        Event::Sweep(sweep) => {
            invocation.is_one_run();
            handle(&sweep.message(), &deps.queue, invocation, deps).await.map(|()| SqsBatchResponse::default())
        }
    }
}

/// Does what one message asks for.
async fn handle(message: &Message, queue: &impl DelayedQueue, invocation: &Invocation, deps: &Deps) -> Result<()> {
    let Deps { config, store, bus, secrets, http, warehouse, .. } = deps;
    let ledger = warehouse.ledger(&config.sources, &invocation.run_id, invocation.time_left(RESERVE));
    let jobs = Dbt::of(config, http, secrets, store, warehouse.statements());
    let (ledger, jobs, policy) = (&ledger, &jobs, config.policy);
    let dispatch = Dispatch { store, ledger, jobs, bus, queue, clock: &SystemClock, policy };
    // Each message of a batch has a run id of its own: with one for all, each would take another's claim for its own.
    let outcome = dispatch.handle(message, &invocation.run_id).await?;
    info!(asked = ?message, ?outcome, "dispatched");
    Ok(())
}
