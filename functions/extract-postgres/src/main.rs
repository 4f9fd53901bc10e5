//! Cold start and event loop of `extract-postgres`.

use extract_postgres::{
    config::Config,
    handler::{Deps, serve},
};
use sluice_aws::{CachedSecrets, DelayQueue, EventBus, S3Lake};

#[tokio::main(flavor = "current_thread")]
async fn main() -> sluice_lambda::MainResult {
    let config = sluice_lambda::start(Config::read)?;
    let sdk = sluice_aws::sdk_config().await;
    let deps = Deps {
        store: S3Lake::new(&sdk, &config.lake_bucket),
        bus: EventBus::new(&sdk, &config.bus_name),
        queue: DelayQueue::new(&sdk, &config.queue_url),
        secrets: CachedSecrets::new(&sdk),
        config,
    };
    sluice_lambda::run(async |event, invocation| serve(event, invocation, &deps).await).await
}
