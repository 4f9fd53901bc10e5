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
            Box::pin(deps.warehouse.statements().keep_estimate()).await;
            return Ok(answer);
        }
        Event::Sweep(_) => Work::Sweep,
        Event::Retry(Retry { retry }) => Work::Retry(retry),
    };
    invocation.is_one_run();
    let ended = handle(&work, &deps.queue, invocation, deps).await;
    Box::pin(deps.warehouse.statements().keep_estimate()).await;
    ended.map(|()| SqsBatchResponse::default())
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
