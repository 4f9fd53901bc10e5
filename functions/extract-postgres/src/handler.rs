//! One event: find the table, read what is new or a part of it, commit.

use sluice_core::{
    Hops, InChain, Result,
    extract::{ExtractRequest, ExtractSummary},
    functions::EXTRACT_POSTGRES,
    port::{Bus, DelayedQueue, ObjectStore, Secrets},
    sources::Source,
    split::SplitMessage,
    with_secret,
};
use sluice_lambda::{Invocation, Message, each_due, each_message};
use sluice_pipeline::split::Outcome;
use sluice_postgres::PostgresConfig;

use crate::{
    Deps,
    event::{self, Answer, Event},
};

/// Serves one event: a run, the runs that are due, or chunks of partitioned reads, each with its own fate.
pub async fn serve(
    event: Event,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl DelayedQueue, impl Secrets>,
) -> Result<Answer> {
    match event {
        Event::Batch(batch) => {
            let message = async |message: Message<'_>, invocation: &Invocation| {
                part(&event::parse(message.body)?, message.hops, invocation, deps).await.map(drop)
            };
            Ok(Answer::Batch(each_message(batch, &deps.config.lake_id, invocation, message).await))
        }
        Event::Extract(event) => {
            let is_ours = |source: &Source| source.is_of(&EXTRACT_POSTGRES);
            let run = async |request, invocation: &_| handle(request, invocation, deps).await;
            each_due(event, &deps.config.sources, is_ours, &deps.store, invocation, run).await.map(Answer::Extract)
        }
    }
}

/// Runs one extract of one table.
pub async fn handle(
    request: ExtractRequest,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl DelayedQueue, impl Secrets>,
) -> Result<ExtractSummary> {
    let table = deps.config.sources.table(&request.table)?;
    with_secret(&deps.secrets, &deps.config.secret, async |database: PostgresConfig| {
        let mut source = deps.source(database);
        deps.split(&deps.queue).run(&mut source, table, &invocation.run_id, &request).await
    })
    .await
}

/// Serves one message about a partitioned read.
pub async fn part(
    message: &SplitMessage,
    hops: Hops,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl DelayedQueue, impl Secrets>,
) -> Result<Outcome> {
    let table = deps.config.sources.table(&message.table)?;
    let outcome = with_secret(&deps.secrets, &deps.config.secret, async |database: PostgresConfig| {
        let mut source = deps.source(database);
        let queue = InChain::new(&deps.queue, hops);
        deps.split(&queue).handle(&mut source, table, message, &invocation.run_id).await
    })
    .await?;
    tracing::info!(table = %message.table, plan = message.number, part = message.part, ?outcome, "served");
    Ok(outcome)
}
