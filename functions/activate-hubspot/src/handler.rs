//! Translates the queue's messages and people's wishes into the activation loop and back.

use std::time::Duration;

use serde_json::Value;
use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue};
use sluice_core::{
    Error, InChain, Result,
    functions::HUBSPOT,
    port::{DelayedQueue, SystemClock},
    with_secret,
};
use sluice_hubspot::{Client, Credentials, HubspotConfig};
use sluice_lambda::{Invocation, Message, each_message};
use sluice_pipeline::activate::{Activate, Activated, Policy, Wish};
use tracing::info;

use crate::{
    Config, Portal,
    config::Warehouse,
    event::{self, Event},
};

/// Of HubSpot's 100 requests in ten seconds: the app that writes shares them with nobody.
const REQUESTS_PER_TEN_SECONDS: u32 = 95;

/// Kept of an invocation's time for the batches under way and the run's end.
const RESERVE: Duration = Duration::from_secs(60);

/// What the function holds between invocations.
pub struct Deps {
    pub config: Config,
    pub store: S3Lake,
    pub bus: EventBus,
    pub queue: SqsQueue,
    pub secrets: CachedSecrets,
    pub http: sluice_http::Client,
    pub warehouse: Warehouse,
}

/// Serves one batch, or one wish.
pub async fn serve(event: Event, invocation: &Invocation, deps: &Deps) -> Result<Value> {
    let answer = match event {
        Event::Batch(batch) => {
            let message = async |message: Message<'_>, invocation: &Invocation| {
                let Some(wish) = event::parse(message.body, &deps.config.model)? else { return Ok(()) };
                deps.activate(&wish, &InChain::new(&deps.queue, message.hops), invocation).await.map(drop)
            };
            serde_json::to_value(each_message(batch, &deps.config.lake_id, invocation, message).await)
        }
        Event::Wish(wish) => {
            invocation.is_one_run();
            serde_json::to_value(deps.activate(&wish, &deps.queue, invocation).await?)
        }
    };
    answer.map_err(|error| Error::internal("cannot encode the answer").because(error))
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            bus: EventBus::new(&aws, &config.bus_name),
            queue: SqsQueue::new(&aws, &config.queue_url),
            secrets: CachedSecrets::new(&aws),
            warehouse: Warehouse::connect(config.warehouse.clone(), CachedSecrets::new(&aws), http.clone()),
            http,
            config,
        })
    }

    async fn activate(&self, wish: &Wish, queue: &impl DelayedQueue, invocation: &Invocation) -> Result<Activated> {
        let Config { lake_id, model, policy, .. } = &self.config;
        let portal = with_secret(&self.secrets, &self.config.secret, async |credentials: Credentials| {
            let mut account = HubspotConfig::new(&self.config.url, credentials);
            account.version.clone_from(&self.config.version);
            account.requests_per_ten_seconds = REQUESTS_PER_TEN_SECONDS;
            Portal::connect(Client::new(self.http.clone(), &account)).await
        })
        .await?;
        let left = invocation.time_left(Duration::ZERO);
        let tables = self.warehouse.activations(lake_id, HUBSPOT, model, &invocation.run_id, left);
        let activate = Activate {
            destination_name: HUBSPOT,
            store: &self.store,
            model: &tables,
            ledger: &tables,
            destination: &portal,
            bus: &self.bus,
            later: queue,
            clock: &SystemClock,
            policy: Policy { time: invocation.time_left(RESERVE), ..policy.clone() },
        };
        let outcome = Box::pin(activate.handle(wish, &invocation.run_id)).await?;
        info!(cause = wish.cause, deferred = outcome == Activated::Deferred, "activated");
        Ok(outcome)
    }
}
