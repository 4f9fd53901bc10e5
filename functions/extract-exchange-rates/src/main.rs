use extract_exchange_rates::{Config, Deps, handle};
use sluice_core::sources::Source;
use sluice_lambda::{MainResult, each_due, run, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    let config = start(Config::read)?;
    let deps = Deps::connect(config).await?;
    // Boxed: one type with the layers of all clients inside is deeper than the compiler looks.
    run(async |event, invocation| {
        let is_ours = |source: &Source| matches!(source, Source::Currencies | Source::ExchangeRates { .. });
        let run = async |request, invocation: &_| Box::pin(handle(request, invocation, &deps)).await;
        each_due(event, &deps.config.sources, is_ours, &deps.store, invocation, run).await
    })
    .await
}
