//! Translates the queue's messages into the load loop and back.

use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use sluice_core::{
    InChain, Result,
    port::{Bus, DelayedQueue, ObjectStore, Secrets, SystemClock},
};
use sluice_lambda::{Invocation, Message, each_message};
use sluice_pipeline::load::{Load, Work};

use crate::{
    Deps,
    event::{self, Event, Retry},
};

/// Kept of an invocation's time for announcing and answering.
const RESERVE: Duration = Duration::from_secs(5);

/// Serves one batch or one sweep. Each message has its own fate; see [`each_message`].
pub async fn serve(
    event: Event,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl DelayedQueue, impl Secrets>,
) -> Result<SqsBatchResponse> {
    let work = match event {
        Event::Batch(batch) => {
            let message = async |message: Message<'_>, invocation: &Invocation| {
                let queue = InChain::new(&deps.queue, message.hops);
                handle(&event::parse(message.body)?, &queue, invocation, deps).await
            };
            let answer = each_message(batch, &deps.config.lake_id, invocation, message).await;
            keep_estimate(invocation, deps).await;
            return Ok(answer);
        }
        Event::Sweep(_) => Work::Sweep,
        Event::Retry(Retry { retry }) => Work::Retry(retry),
    };
    invocation.is_one_run();
    let ended = handle(&work, &deps.queue, invocation, deps).await;
    match work {
        // Where nothing was loaded since the last one, Snowflake answers it without the warehouse, which an estimate would start.
        Work::Sweep => deps.warehouse.statements().forget_estimate(),
        _ => keep_estimate(invocation, deps).await,
    }
    ended.map(|()| SqsBatchResponse::default())
}

/// Only in time that the answer does not need: an estimate may take seconds.
async fn keep_estimate<L, B, Q>(invocation: &Invocation, deps: &Deps<L, B, Q, impl Secrets>) {
    if !invocation.time_left(RESERVE).is_zero() {
        Box::pin(deps.warehouse.statements().keep_estimate()).await;
    }
}

/// Does what one message asks for.
async fn handle(
    work: &Work,
    queue: &impl DelayedQueue,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl DelayedQueue, impl Secrets>,
) -> Result<()> {
    let load = Load {
        store: &deps.store,
        warehouse: &deps.warehouse.loads(&invocation.run_id, invocation.time_left(RESERVE)),
        bus: &deps.bus,
        queue,
        clock: &SystemClock,
        sources: &deps.config.sources,
        lake_id: &deps.config.lake_id,
        poll_policy: deps.config.poll_policy,
    };
    load.handle(work).await
}
