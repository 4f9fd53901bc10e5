//! Deploys the template as on AWS: `sam build`, `sam deploy`, then the secrets' values.

use std::{fs, path::Path, time::SystemTime};

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_sdk_s3::error::ProvideErrorMetadata;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{
    processes,
    services::REGION,
    state::{Folders, Ports},
};

pub const STACK: &str = "sluice-local";

/// Deploys unless the same template, settings and binaries are deployed already. Returns whether it did.
pub async fn deploy(folders: &Folders, aws: &SdkConfig, ports: &Ports) -> Result<bool> {
    let parameters = parameters(folders, ports)?;
    let fingerprint = fingerprint(folders, &parameters)?;
    let kept = folders.state("deployed");
    let there = fs::read_to_string(&kept).is_ok_and(|text| text == fingerprint) && is_there(aws).await;
    if there {
        return Ok(false);
    }
    bucket(aws, &format!("{STACK}-artifacts")).await?;
    let sam = |arguments: &[&str]| {
        let mut command = Command::new(folders.tool("sam", "sam"));
        command.args(arguments).current_dir(&folders.root);
        command
            .env("SAM_CLI_TELEMETRY", "0")
            .env("SAM_CLI_POLL_DELAY", "0.1")
            .env("SLUICE_PREBUILT", "1")
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", ports.aws))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", REGION);
        command
    };
    processes::run("sam-build", sam(&["build", "--config-env", "local"]), folders).await?;
    let mut command = sam(&["deploy", "--config-env", "local", "--no-progressbar", "--parameter-overrides"]);
    command.args(&parameters);
    processes::run("sam-deploy", command, folders).await?;
    fs::write(&kept, fingerprint)?;
    Ok(true)
}

/// The parameters of the set `local`, and where this machine's parts are.
fn parameters(folders: &Folders, ports: &Ports) -> Result<Vec<String>> {
    let text = fs::read_to_string(folders.root.join("samconfig.toml")).context("cannot read samconfig.toml")?;
    let config: toml::Table = toml::from_str(&text).context("samconfig.toml does not parse")?;
    let overrides = config["local"]["deploy"]["parameters"]["parameter_overrides"].as_array();
    let mut parameters: Vec<String> = overrides
        .context("samconfig.toml has no local set")?
        .iter()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    parameters.push(format!("SnowflakeUrl={}", url(ports.snowflake)));
    parameters.push(format!("DbtUrl={}", url(ports.dbt)));
    parameters.push(format!("HubspotUrl={}", url(ports.hubspot)));
    parameters.push(format!("OpenExchangeRatesUrl={}/api", url(ports.rates)));
    parameters.push(format!("KafkaBootstrap=127.0.0.1:{}", ports.kafka));
    parameters.push(format!("CollectAllowedOrigins={}", url(ports.shop)));
    Ok(parameters)
}

/// Changes whenever a deployment would: template, settings, parameters, binaries.
fn fingerprint(folders: &Folders, parameters: &[String]) -> Result<String> {
    let mut hash = Sha256::new();
    for name in [
        "template.yaml",
        "samconfig.toml",
        "platform/sources.yaml",
        "platform/schemas/purchases.json",
        "platform/Makefile",
    ] {
        hash.update(fs::read(folders.root.join(name)).with_context(|| format!("cannot read {name}"))?);
    }
    for parameter in parameters {
        hash.update(parameter);
    }
    let binaries = folders.root.join("target/x86_64-unknown-linux-gnu/release");
    for function in fs::read_dir(folders.root.join("functions"))? {
        hash.update(changed(&binaries.join(function?.file_name()))?);
    }
    Ok(hex::encode(hash.finalize()))
}

/// A binary's size and time of change stand for its content: cargo writes it only when it differs.
fn changed(binary: &Path) -> Result<String> {
    let metadata = fs::metadata(binary).with_context(|| format!("no {}; run make build", binary.display()))?;
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(format!("{}:{}:{}", binary.display(), metadata.len(), modified.as_nanos()))
}

async fn is_there(aws: &SdkConfig) -> bool {
    let lambda = aws_sdk_lambda::Client::new(aws);
    lambda.get_function().function_name(format!("{STACK}-LoadCommits")).send().await.is_ok()
}

async fn bucket(aws: &SdkConfig, name: &str) -> Result<()> {
    let config = aws_sdk_s3::config::Builder::from(aws).force_path_style(true).build();
    match aws_sdk_s3::Client::from_conf(config).create_bucket().bucket(name).send().await {
        Err(error) if error.code() != Some("BucketAlreadyOwnedByYou") => {
            Err(error).with_context(|| format!("cannot create the bucket {name}"))
        }
        _ => Ok(()),
    }
}

/// Gives a secret of the stack its value, as an operator does once on AWS.
pub async fn secret(aws: &SdkConfig, name: &str, value: &serde_json::Value) -> Result<()> {
    let name = format!("{STACK}/{name}");
    let client = aws_sdk_secretsmanager::Client::new(aws);
    let put = client.put_secret_value().secret_id(&name).secret_string(value.to_string());
    put.send().await.with_context(|| format!("cannot set the secret {name}")).map(drop)
}
