//! Deploys the template as on AWS: `sam build`, `sam deploy`, then the secrets' values.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use aws_sdk_s3::error::ProvideErrorMetadata;
use sha2::{Digest, Sha256};
use sluice_core::functions;
use sluice_local::function_url::Lambda;
use tokio::process::Command;

use super::{
    processes,
    services::{ACCOUNT, REGION},
    state::{Folders, Ports, write_whole},
};

pub(crate) const STACK: &str = "sluice-local";
/// With which data of another time has all its days asked for in one go.
const SHARE_FOR_ALL: &str = "1000000";
/// The origin of the page that asks in `events/collect-events/preflight.json`.
const EXAMPLE_ORIGIN: &str = "https://shop.example";

/// What is to be deployed, and what is known to be.
#[derive(Debug)]
pub(crate) struct Deployment<'a> {
    folders: &'a Folders,
    aws: &'a SdkConfig,
    endpoint: String,
    /// The folder of the settings, `platform/` or a copy.
    platform: &'a Path,
    parameters: Vec<String>,
    /// Where the functions' binaries are.
    binaries: PathBuf,
    /// Of all that a deployment depends on.
    fingerprint: String,
}

/// What this machine's deployment has beside the set `local` of samconfig.toml.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub ports: &'a Ports,
    pub platform: &'a Path,
    pub cluster_id: &'a str,
    /// Whether all days of the rates are to be had on the first day.
    pub all_rates_at_once: bool,
}

impl<'a> Deployment<'a> {
    pub(crate) fn new(folders: &'a Folders, aws: &'a SdkConfig, settings: &Settings<'a>) -> Result<Self> {
        let parameters = parameters(folders, settings)?;
        // What was compiled with this program is what it deploys: in `dist` as it goes to AWS.
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let binaries = program.parent().context("this program is in no folder")?.to_owned();
        let fingerprint = fingerprint(folders, settings.platform, &parameters, &binaries)?;
        let endpoint = aws.endpoint_url().context("no address of AWS on this machine")?.to_owned();
        Ok(Deployment { folders, aws, endpoint, platform: settings.platform, parameters, binaries, fingerprint })
    }

    /// Whether the same template, settings and binaries are deployed already.
    pub(crate) async fn is_in_force(&self) -> Result<bool> {
        Ok(self.kept().is_some_and(|kept| kept == self.fingerprint) && self.missing().await?.is_none())
    }

    /// Whether ministack knows of a deployment that did not come to its end, or has lost a part of one: it writes its
    /// services one by one, and a full disk or a kill may fall between two. No later deployment would mend that, since the
    /// stack is the same as before.
    pub(crate) async fn is_half_made(&self) -> Result<bool> {
        let knows_a_stack = self.ministack("state/cloudformation.json").exists();
        Ok(knows_a_stack && (self.kept().is_none() || self.missing().await?.is_some()))
    }

    /// Lets ministack, which must not run, forget everything but the lake's objects. Those are set aside, because a
    /// deployment makes its bucket itself.
    pub(crate) fn forget(&self) -> Result<()> {
        let (objects, aside) = (self.ministack("s3"), self.ministack("s3-aside"));
        remove(&self.ministack("state"))?;
        if aside.exists() {
            return remove(&objects);
        }
        if objects.exists() {
            fs::rename(&objects, &aside).with_context(|| format!("cannot set {} aside", objects.display()))?;
        }
        Ok(())
    }

    /// Puts the lake's objects, and its older versions, where ministack looks for them when it starts next.
    pub(crate) fn bring_back_the_lake(&self) -> Result<()> {
        let (objects, aside) = (self.ministack("s3"), self.ministack("s3-aside"));
        let bucket = format!("{STACK}-lake-{ACCOUNT}");
        for account in fs::read_dir(&aside).into_iter().flatten() {
            let account = account?.file_name();
            for (from, to) in [
                (aside.join(&account).join(&bucket), objects.join(&account).join(&bucket)),
                (aside.join(&account).join(ACCOUNT).join(&bucket), objects.join(&account).join(ACCOUNT).join(&bucket)),
            ] {
                if from.exists() {
                    remove(&to)?;
                    to.parent().map_or(Ok(()), fs::create_dir_all)?;
                    fs::rename(&from, &to).with_context(|| format!("cannot bring back {}", from.display()))?;
                }
            }
        }
        remove(&aside)
    }

    pub(crate) async fn deploy(&self) -> Result<()> {
        remove(&self.path())?;
        bucket(self.aws, &format!("{STACK}-artifacts")).await?;
        let built = self.folders.state("sam");
        // What SAM notes of its builds is beside the folder that it builds in.
        let folder = built.join("build");
        let (template, folder) = (folder.join("template.json").display().to_string(), folder.display().to_string());
        let build = self.sam("sam", &["build", "--config-env", "local", "--build-dir", &folder]);
        processes::run("sam-build", build, self.folders).await?;
        processes::run("sam-pack", self.sam("python", &["tools/pack.py", &folder]), self.folders).await?;
        // Without its name the settings would be looked for beside the template.
        let settings = self.folders.root.join("samconfig.toml").display().to_string();
        let mut deploy = self.sam("sam", &["deploy", "--config-env", "local", "--no-progressbar"]);
        deploy.args(["--config-file", &settings, "--template-file", &template]);
        deploy.arg("--parameter-overrides").args(&self.parameters);
        processes::run("sam-deploy", deploy, self.folders).await?;
        remove(&built)
    }

    /// To be called when ministack has written and read again what was deployed: notes it, if all of it is there.
    pub(crate) async fn note(&self) -> Result<()> {
        if let Some(function) = self.missing().await? {
            bail!(
                "ministack has not kept the function {function} that was just deployed; is the disk full? Its log is {}",
                self.folders.log("ministack").display()
            );
        }
        write_whole(&self.path(), &self.fingerprint)
    }

    /// The first function that ministack does not know.
    async fn missing(&self) -> Result<Option<String>> {
        let lambda = Lambda::at(&self.endpoint)?;
        for function in functions::ALL {
            let name = format!("{STACK}-{}", function.logical);
            if !lambda.has(&name).await? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// A program of SAM's environment.
    fn sam(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folders.tool("sam", program));
        command.args(arguments).current_dir(&self.folders.root);
        command
            // Each start takes seconds more when Python may not keep what it has compiled.
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .env("SAM_CLI_TELEMETRY", "0")
            .env("SAM_CLI_POLL_DELAY", "0.1")
            .env("SLUICE_PREBUILT", "1")
            // What the surroundings have set for a stage on AWS is not for this machine.
            .env("SLUICE_PROFILE", "release")
            .env("SLUICE_ARCHITECTURE", "x86_64")
            .env("SLUICE_BINARIES", &self.binaries)
            .env("SLUICE_PLATFORM", self.platform)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", REGION);
        command
    }

    /// The fingerprint of the deployment that has come to its end.
    fn kept(&self) -> Option<String> {
        fs::read_to_string(self.path()).ok()
    }

    fn path(&self) -> PathBuf {
        self.folders.state("deployed")
    }

    fn ministack(&self, name: &str) -> PathBuf {
        self.folders.state("ministack").join(name)
    }
}

/// Removes a file or a folder; one that is not there is removed already.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The parameters of the set `local`, and where this machine's parts are.
fn parameters(folders: &Folders, settings: &Settings<'_>) -> Result<Vec<String>> {
    let text = fs::read_to_string(folders.root.join("samconfig.toml")).context("cannot read samconfig.toml")?;
    let config: toml::Table = toml::from_str(&text).context("samconfig.toml does not parse")?;
    let overrides = config["local"]["deploy"]["parameters"]["parameter_overrides"].as_array();
    let overrides = overrides.context("samconfig.toml has no local set")?;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let ports = settings.ports;
    let mut own = vec![
        ("SnowflakeUrl", url(ports.snowflake)),
        ("DbtJobUrl", url(ports.dbt) + "/deploy/1/projects/1/jobs/1"),
        ("HubspotUrl", url(ports.hubspot)),
        ("OpenExchangeRatesUrl", url(ports.rates) + "/api"),
        ("SchemaRegistryUrl", url(ports.registry)),
        ("KafkaBootstrap", format!("127.0.0.1:{}", ports.kafka)),
        ("KafkaClusterId", settings.cluster_id.to_owned()),
        ("CollectAllowedOrigins", format!("{},{EXAMPLE_ORIGIN}", url(ports.shop))),
    ];
    if settings.all_rates_at_once {
        own.push(("OpenExchangeRatesDailyShare", SHARE_FOR_ALL.to_owned()));
    }
    let is_own = |parameter: &&str| own.iter().any(|(name, _)| parameter.split('=').next() == Some(*name));
    let mut parameters: Vec<String> = overrides
        .iter()
        .filter_map(|value| value.as_str())
        .filter(|parameter| !is_own(parameter))
        .map(str::to_owned)
        .collect();
    parameters.extend(own.iter().map(|(name, value)| format!("{name}={value}")));
    Ok(parameters)
}

/// Changes whenever a deployment would: template, settings, charts, parameters, binaries.
fn fingerprint(folders: &Folders, platform: &Path, parameters: &[String], binaries: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for name in ["template.yaml", "samconfig.toml", "platform/Makefile", "dbt/lineage.json"] {
        hash.update(fs::read(folders.root.join(name)).with_context(|| format!("cannot read {name}"))?);
    }
    let dbt = folders.root.join("dbt");
    let shown = ["lightdash/charts", "lightdash/dashboards", "models/reporting"].map(|folder| dbt.join(folder));
    for folder in [platform.to_owned(), platform.join("schemas")].into_iter().chain(shown) {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
        let is_deployed = |file: &&PathBuf| file.is_file() && file.extension().is_none_or(|ending| ending != "sql");
        for file in files.iter().filter(is_deployed) {
            hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            hash.update(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
        }
    }
    for parameter in parameters {
        hash.update(parameter);
    }
    for function in functions::ALL {
        hash.update(changed(&binaries.join(function.name))?);
    }
    Ok(hex::encode(hash.finalize()))
}

/// A binary's size and time of change stand for its content: cargo writes it only when it differs.
fn changed(binary: &Path) -> Result<String> {
    let metadata = fs::metadata(binary).with_context(|| format!("no {}; run make build", binary.display()))?;
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(format!("{}:{}:{}", binary.display(), metadata.len(), modified.as_nanos()))
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
pub(crate) async fn secret(aws: &SdkConfig, name: &str, value: &serde_json::Value) -> Result<()> {
    let name = format!("{STACK}/{name}");
    let client = aws_sdk_secretsmanager::Client::new(aws);
    let put = client.put_secret_value().secret_id(&name).secret_string(value.to_string());
    put.send().await.with_context(|| format!("cannot set the secret {name}")).map(drop)
}

/// Makes a secret that a stack finds, unless it is there: somebody may have given it another value.
pub(crate) async fn first_secret(aws: &SdkConfig, name: &str, value: &serde_json::Value) -> Result<()> {
    let name = format!("{STACK}/{name}");
    let client = aws_sdk_secretsmanager::Client::new(aws);
    match client.create_secret().name(&name).secret_string(value.to_string()).send().await {
        Err(error) if error.code() != Some("ResourceExistsException") => {
            Err(error).with_context(|| format!("cannot make the secret {name}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
