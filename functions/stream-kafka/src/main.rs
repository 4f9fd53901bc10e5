use sluice_lambda::{MainResult, run, start};
use stream_kafka::{Config, Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    let config = start(Config::read)?;
    let deps = Deps::connect(config).await?;
    run(async |event, invocation| handle(event, invocation, &deps).await).await
}
