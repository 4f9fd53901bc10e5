use collect_events::{Config, Deps, serve};
use sluice_lambda::{MainResult, run, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    let config = start(Config::read)?;
    let deps = Deps::connect(config).await?;
    run(async |event, invocation| serve(event, invocation, &deps).await).await
}
