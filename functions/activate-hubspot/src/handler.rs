//! Translates the queue's messages and people's requests into the activation loop and back.

use std::time::Duration;

use serde_json::Value;
use sluice_core::{
    Error, InChain, Result,
    functions::HUBSPOT,
    port::{DelayedQueue, SystemClock},
};
use sluice_hubspot::{Client, HubspotConfig};
use sluice_lambda::{Invocation, Message, each_message};
use sluice_pipeline::activate::{Activate, Activated, Policy, Request};
use tracing::info;

use crate::{
    Config, Deps, Portal,
    event::{self, Event},
};

/// Of HubSpot's 100 requests in ten seconds: the app that writes shares them with nobody.
const REQUESTS_PER_TEN_SECONDS: u32 = 95;

/// Kept of an invocation's time for the batches under way and the run's end.
const RESERVE: Duration = Duration::from_secs(60);

/// Serves one batch, or one request.
pub async fn serve(event: Event, invocation: &Invocation, deps: &Deps) -> Result<Value> {
    let answer = match event {
        Event::Batch(batch) => {
            let message = async |message: Message<'_>, invocation: &Invocation| {
                let Some(request) = event::parse(message.body, &deps.config.model)? else { return Ok(()) };
                activate(&request, &InChain::new(&deps.queue, message.hops), invocation, deps).await.map(drop)
            };
            serde_json::to_value(each_message(batch, &deps.config.lake_id, invocation, message).await)
        }
        Event::Request(request) => {
            invocation.is_one_run();
            serde_json::to_value(activate(&request, &deps.queue, invocation, deps).await?)
        }
    };
    answer.map_err(|error| Error::internal("cannot encode the answer").because(error))
}

/// Does what one request asks for.
async fn activate(
    request: &Request,
    queue: &impl DelayedQueue,
    invocation: &Invocation,
    deps: &Deps,
) -> Result<Activated> {
    let Config { lake_id, model, policy, .. } = &deps.config;
    let portal = Portal::new(&deps.secrets, &deps.config.secret, |credentials| {
        let mut account = HubspotConfig::new(&deps.config.url, credentials);
        account.version.clone_from(&deps.config.version);
        account.requests_per_ten_seconds = REQUESTS_PER_TEN_SECONDS;
        Client::new(deps.http.clone(), &account)
    });
    let left = invocation.time_left(Duration::ZERO);
    let tables = deps.warehouse.activations(lake_id, HUBSPOT, model, &invocation.run_id, left);
    let activate = Activate {
        destination_name: HUBSPOT,
        store: &deps.store,
        model: &tables,
        ledger: &tables,
        destination: &portal,
        bus: &deps.bus,
        queue,
        clock: &SystemClock,
        policy: Policy { time: invocation.time_left(RESERVE), ..policy.clone() },
    };
    let outcome = Box::pin(activate.handle(request, &invocation.run_id)).await;
    Box::pin(deps.warehouse.statements().keep_estimate()).await;
    let outcome = outcome?;
    let ended = matches!(outcome, Activated::Ended(_));
    info!(cause = request.cause, goes_on = request.goes_on, ended, "activated");
    Ok(outcome)
}
