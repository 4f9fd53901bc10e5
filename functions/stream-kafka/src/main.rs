use sluice_kafka::KafkaEvent;
use sluice_lambda::{MainResult, run_on_text, start};
use stream_kafka::{Config, Deps, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    let config = start(Config::read)?;
    let deps = Deps::connect(config).await?;
    run_on_text(async |text, invocation| {
        let event = KafkaEvent::parse(&text)?;
        drop(text);
        invocation.is_one_run();
        serve(event, invocation, &deps).await
    })
    .await
}
