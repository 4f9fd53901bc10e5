//! The limit of P3: a function that builds the SDK clients named in `COLD_CLIENTS`, separated by commas, and does nothing.

use anyhow::bail;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let sdk = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let wanted = std::env::var("COLD_CLIENTS")?;
    // Kept until the end, as a function keeps them.
    let mut clients: Vec<Box<dyn std::any::Any>> = Vec::new();
    for name in wanted.split(',') {
        clients.push(match name {
            "s3" => Box::new(aws_sdk_s3::Client::new(&sdk)),
            "sqs" => Box::new(aws_sdk_sqs::Client::new(&sdk)),
            "events" => Box::new(aws_sdk_eventbridge::Client::new(&sdk)),
            "secrets" => Box::new(aws_sdk_secretsmanager::Client::new(&sdk)),
            "http" => Box::new(reqwest::Client::new()),
            _ => bail!("COLD_CLIENTS names {name}; known are s3, sqs, events, secrets and http"),
        });
    }
    let nothing = async |_: LambdaEvent<Value>| Ok::<_, lambda_runtime::Error>(Value::Null);
    lambda_runtime::run(service_fn(nothing)).await.map_err(|error| anyhow::anyhow!(error))
}
