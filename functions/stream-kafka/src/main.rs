use sluice_lambda::{MainResult, run_on_text, start};
use stream_kafka::{Config, Deps, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    let config = start(Config::read)?;
    let deps = Deps::connect(config).await?;
    run_on_text(async |text, invocation| serve(text, invocation, &deps).await).await
}
