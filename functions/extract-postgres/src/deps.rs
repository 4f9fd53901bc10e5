//! The clients that an instance keeps between invocations. No connection is among them: the database has few, and between
//! two runs one would only lie idle.

use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue, sdk_config};
use sluice_core::{
    Result,
    port::{Bus, DelayedQueue, ObjectStore, SystemClock},
};
use sluice_pipeline::split::Split;
use sluice_postgres::PostgresConfig;

use crate::{Config, source::PostgresTable};

#[derive(Debug)]
pub struct Deps<L, B, Q, K> {
    pub store: L,
    pub bus: B,
    pub queue: Q,
    pub secrets: K,
    pub config: Config,
}

impl Deps<S3Lake, EventBus, SqsQueue, CachedSecrets> {
    pub async fn connect(config: Config) -> Result<Self> {
        let sdk = sdk_config().await;
        Ok(Deps {
            store: S3Lake::new(&sdk, &config.lake_bucket),
            bus: EventBus::new(&sdk, &config.bus_name),
            queue: SqsQueue::new(&sdk, &config.queue_url),
            secrets: CachedSecrets::new(&sdk),
            config,
        })
    }
}

impl<L: ObjectStore, B: Bus, Q: DelayedQueue, K> Deps<L, B, Q, K> {
    /// The table's source for one run.
    pub(crate) fn source(&self, database: PostgresConfig) -> PostgresTable<'_, L> {
        PostgresTable { store: &self.store, database, options: self.config.options }
    }

    /// The extract loop over these clients.
    pub(crate) fn split<'a, C: DelayedQueue>(&'a self, queue: &'a C) -> Split<'a, L, B, SystemClock, C> {
        let Deps { store, bus, config, .. } = self;
        Split { store, bus, clock: &SystemClock, queue, lake_id: &config.lake_id }
    }
}
