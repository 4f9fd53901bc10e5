//! `sam build` and `sam deploy` of the real template, and the values of its secrets.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail};
use aws_sdk_s3::error::ProvideErrorMetadata;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    ministack::{ACCOUNT, Ministack, REGION},
    processes::{bare_command, run},
    state::{Layout, write_whole},
};

/// The stack's name; everything in the template is named after it.
pub const STACK: &str = "sluice-local";
/// The stage of samconfig.toml.
const STAGE: &str = "local";
const ARTIFACTS: &str = "sluice-local-artifacts";

/// The functions: the template's logical id and the package whose binary it is.
pub const FUNCTIONS: [(&str, &str); 6] = [
    ("ExtractPostgres", "extract-postgres"),
    ("ExtractExchangeRates", "extract-exchange-rates"),
    ("ExtractHubspot", "extract-hubspot"),
    ("StreamKafka", "stream-kafka"),
    ("LoadCommits", "load-commits"),
    ("DispatchDbt", "dispatch-dbt"),
];

pub fn function_name(logical_id: &str) -> String {
    format!("{STACK}-{logical_id}")
}

pub fn lake_bucket() -> String {
    format!("{STACK}-lake-{ACCOUNT}")
}

/// What a deployment did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployed {
    /// The stack is there and made of the same template, settings, binaries and parameters.
    Unchanged,
    Done {
        build: Duration,
        deploy: Duration,
    },
}

/// Deploys the template unless nothing has changed since the last time.
///
/// `parameters` come on top of the stage's set in samconfig.toml. The binaries must have been built. Hands ministack
/// back, which is started again after a deployment so that a crash cannot lose it.
pub async fn deploy(
    layout: &Layout,
    ministack: Ministack,
    parameters: &[(&str, String)],
    secrets: &[(&str, Value)],
) -> Result<(Ministack, Deployed)> {
    let parameters = merged(layout, parameters)?;
    let fingerprint = fingerprint(layout, &ministack.url(), &parameters)?;
    let record = layout.state("deployed");
    if fs::read_to_string(&record).is_ok_and(|last| last == fingerprint) && is_there(&ministack).await? {
        put_secrets(&ministack, secrets).await?;
        return Ok((ministack, Deployed::Unchanged));
    }
    let started = Instant::now();
    build(layout).await?;
    let build = started.elapsed();
    make_artifacts_bucket(&ministack).await?;
    remove_bucket_without_stack(&ministack).await?;
    deploy_stack(layout, &ministack, &parameters).await?;
    put_secrets(&ministack, secrets).await?;
    let ministack = ministack.save().await?;
    write_whole(&record, fingerprint.as_bytes())?;
    Ok((ministack, Deployed::Done { build, deploy: started.elapsed() - build }))
}

async fn build(layout: &Layout) -> Result<()> {
    let mut command = bare_command(layout.tool("sam", "sam")?);
    command.args(["build", "--config-env", STAGE]).current_dir(layout.root());
    command.envs([("SAM_CLI_TELEMETRY", "0"), ("AWS_DEFAULT_REGION", REGION)]);
    // Cargo was run just before us, for everything at once.
    command.env("SLUICE_PREBUILT", "1");
    run(layout, "sam-build", command).await
}

async fn deploy_stack(layout: &Layout, ministack: &Ministack, parameters: &BTreeMap<String, String>) -> Result<()> {
    let mut command = bare_command(layout.tool("sam", "sam")?);
    command.args(["deploy", "--config-env", STAGE, "--no-progressbar", "--parameter-overrides"]);
    command.args(parameters.iter().map(|(name, value)| format!("{name}={value}")));
    command.current_dir(layout.root()).envs(ministack.environment());
    // The command line asks how far it is this often; on one machine nobody throttles it.
    command.envs([("SAM_CLI_TELEMETRY", "0"), ("SAM_CLI_POLL_DELAY", "0.1")]);
    run(layout, "sam-deploy", command).await
}

/// Sets the values of secrets by their short names: `postgres` is `<stack>/postgres`.
pub async fn put_secrets(ministack: &Ministack, secrets: &[(&str, Value)]) -> Result<()> {
    let client = aws_sdk_secretsmanager::Client::new(&ministack.sdk_config().await);
    for (name, value) in secrets {
        let id = format!("{STACK}/{name}");
        let put = client.put_secret_value().secret_id(&id).secret_string(value.to_string()).send().await;
        put.with_context(|| format!("setting the secret {id}"))?;
    }
    Ok(())
}

async fn make_artifacts_bucket(ministack: &Ministack) -> Result<()> {
    match ministack.s3().await.create_bucket().bucket(ARTIFACTS).send().await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => Ok(()),
        Err(error) => Err(error).context("making the bucket for deployment artefacts"),
    }
}

/// A deployment that was killed half-way leaves its bucket on disk but no stack, and the next one would stumble over it.
async fn remove_bucket_without_stack(ministack: &Ministack) -> Result<()> {
    if functions_found(ministack).await? > 0 {
        return Ok(());
    }
    let (s3, bucket) = (ministack.s3().await, lake_bucket());
    let Ok(listing) = s3.list_objects_v2().bucket(&bucket).max_keys(1).send().await else { return Ok(()) };
    if listing.key_count().unwrap_or_default() > 0 {
        bail!("the lake {bucket} has data but its stack is gone: remove .sluice/state to begin anew");
    }
    s3.delete_bucket().bucket(&bucket).send().await.context("removing the empty lake of a broken deployment")?;
    Ok(())
}

async fn is_there(ministack: &Ministack) -> Result<bool> {
    let lake = ministack.s3().await.head_bucket().bucket(lake_bucket()).send().await;
    Ok(lake.is_ok() && functions_found(ministack).await? == FUNCTIONS.len())
}

async fn functions_found(ministack: &Ministack) -> Result<usize> {
    let client = aws_sdk_lambda::Client::new(&ministack.sdk_config().await);
    let listed = client.list_functions().send().await.context("listing the functions of the stack")?;
    let names: Vec<&str> = listed.functions().iter().filter_map(|function| function.function_name()).collect();
    Ok(FUNCTIONS.iter().filter(|(id, _)| names.contains(&function_name(id).as_str())).count())
}

/// The stage's parameters in samconfig.toml with ours on top: on the command line of SAM the latter replace them all.
fn merged(layout: &Layout, parameters: &[(&str, String)]) -> Result<BTreeMap<String, String>> {
    let path = layout.root().join("samconfig.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut merged = stage_parameters(&text).with_context(|| format!("reading {}", path.display()))?;
    merged.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    // A value with a blank would be two parameters to SAM.
    match merged.iter().find(|(_, value)| value.contains(char::is_whitespace)) {
        Some((name, _)) => bail!("the template's parameter {name} has a blank in its value"),
        None => Ok(merged),
    }
}

fn stage_parameters(text: &str) -> Result<BTreeMap<String, String>> {
    let document: toml::Table = text.parse().context("it is not TOML")?;
    let overrides = document
        .get(STAGE)
        .and_then(|stage| stage.get("deploy")?.get("parameters")?.get("parameter_overrides")?.as_array())
        .context("it has no parameter_overrides for the stage")?;
    overrides
        .iter()
        .map(|entry| {
            let (name, value) =
                entry.as_str().and_then(|text| text.split_once('=')).context("an override has no '='")?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// A hash over everything that makes the stack what it is. Of the binaries, which are large and which only cargo
/// writes, it takes size and time; of the rest, the content.
fn fingerprint(layout: &Layout, endpoint: &str, parameters: &BTreeMap<String, String>) -> Result<String> {
    let mut files = vec![layout.root().join("template.yaml"), layout.root().join("samconfig.toml")];
    files_below(&layout.root().join("platform"), &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        hash.update(format!("{} {}\n", file.display(), bytes.len()));
        hash.update(bytes);
    }
    for (_, package) in FUNCTIONS {
        let file = layout.binary(package);
        let facts = fs::metadata(&file).and_then(|facts| Ok((facts.len(), facts.modified()?)));
        let (bytes, written) = facts.with_context(|| format!("{} is not there: build first", file.display()))?;
        hash.update(format!("{package} {bytes} {:?}\n", written.duration_since(SystemTime::UNIX_EPOCH)?));
    }
    hash.update(endpoint);
    for (name, value) in parameters {
        hash.update(format!("\n{name}={value}"));
    }
    Ok(hex::encode(hash.finalize()))
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    const CONFIG: &str = "[local.deploy.parameters]\nparameter_overrides = [\n  \"Stage=local\",\n  \"DbtUrl=x\",\n]\n";

    fn platform(scratch: &Scratch) {
        fs::write(scratch.root.join("samconfig.toml"), CONFIG).expect("a samconfig");
        for (_, package) in FUNCTIONS {
            let binary = scratch.layout().binary(package);
            fs::create_dir_all(binary.parent().expect("its folder")).expect("a folder");
            fs::write(binary, package).expect("a binary");
        }
    }

    #[test]
    fn our_parameters_go_over_those_of_the_stage() {
        let scratch = Scratch::new();
        platform(&scratch);
        let merged = merged(&scratch.layout(), &[("DbtUrl", "http://127.0.0.1:1".to_owned())]).expect("parameters");
        let pairs: Vec<String> = merged.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["DbtUrl=http://127.0.0.1:1", "Stage=local"]);
    }

    #[test]
    fn the_stage_of_the_repository_is_readable() {
        let text = include_str!("../../samconfig.toml");
        assert_eq!(stage_parameters(text).expect("parameters")["Stage"], "local");
    }

    #[test]
    fn every_input_of_a_deployment_changes_its_fingerprint() {
        let scratch = Scratch::new();
        platform(&scratch);
        let of = |value: &str| {
            fingerprint(&scratch.layout(), "http://127.0.0.1:1", &[("A".to_owned(), value.to_owned())].into())
        };
        let mut seen = vec![of("1").expect("a hash")];
        assert_eq!(of("1").expect("a hash"), seen[0], "nothing changed");
        seen.push(of("2").expect("a hash"));
        for (file, text) in [
            (scratch.root.join("template.yaml"), "x"),
            (scratch.root.join("platform/sources.yaml"), "x"),
            (scratch.layout().binary("load-commits"), "another size"),
        ] {
            fs::write(file, text).expect("a change");
            seen.push(of("1").expect("a hash"));
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }

    #[test]
    fn a_missing_binary_says_what_to_do() {
        let scratch = Scratch::new();
        platform(&scratch);
        fs::remove_file(scratch.layout().binary("dispatch-dbt")).expect("a binary");
        let error = fingerprint(&scratch.layout(), "", &BTreeMap::new()).expect_err("nothing to deploy");
        assert!(error.to_string().contains("dispatch-dbt is not there: build first"), "{error}");
    }
}
