//! Cold start and event loop of `extract-postgres`.

use extract_postgres::{
    config::Config,
    handler::{Deps, handle},
};
use sluice_aws::{CachedSecrets, EventBus, S3Lake};
use sluice_core::sources::Source;
use sluice_lambda::each_due;

#[tokio::main(flavor = "current_thread")]
async fn main() -> sluice_lambda::MainResult {
    let config = sluice_lambda::start(Config::read)?;
    let sdk = sluice_aws::sdk_config().await;
    let deps = Deps {
        store: S3Lake::new(&sdk, &config.lake_bucket),
        bus: EventBus::new(&sdk, &config.bus_name),
        secrets: CachedSecrets::new(&sdk),
        config,
    };
    // Boxed: one type with all layers of two SDK clients inside is more than the compiler lays out.
    sluice_lambda::run(async |event, invocation| {
        let is_ours = |source: &Source| matches!(source, Source::Postgres { .. });
        let run = async |request, invocation: &_| Box::pin(handle(request, invocation, &deps)).await;
        each_due(event, &deps.config.sources, is_ours, invocation, run).await
    })
    .await
}
