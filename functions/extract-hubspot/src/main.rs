use extract_hubspot::{Config, Deps, handle};
use sluice_lambda::{MainResult, run, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    let config = start(Config::read)?;
    let deps = Deps::connect(config).await?;
    // Boxed: one type with the layers of all clients inside is deeper than the compiler looks.
    run(async |request, invocation| Box::pin(handle(request, invocation, &deps)).await).await
}
