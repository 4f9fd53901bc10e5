//! The warehouse's account on this machine: opened with the users that an operator makes by hand, and made what
//! `platform/warehouse.yaml` says by the call that makes every account so.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::SdkConfig;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Utc;
use serde_json::json;
use sluice_core::{Secret, Sources, port::SystemClock};
use sluice_snowflake::{
    Account, SnowflakeConfig, SqlApi,
    account::{Allowed, Applying, AsRoles, Deployment, Desired, PROVISIONER, Settings, apply},
};
use snowflake_emulator::Emulator;
use tokio::time::Instant;
use uuid::Uuid;

use crate::machine::{
    deploy::STACK,
    services::{ACCOUNT, REGION},
    state::{Folders, Ports, write_whole},
};

const SNOWFLAKE_ACCOUNT: &str = "SLUICE-LOCAL";
/// The user and the role of every function.
const LOADER: &str = "SLUICE_LOADER";
const ADMINISTRATOR: &str = "ACCOUNTADMIN";
const WAREHOUSE: &str = "LOADING";
/// Which of the file's environments this machine is.
const ENVIRONMENT: &str = "local";

/// How long Snowflake's emulator leaves an append uncommitted. Snowflake itself takes seconds.
const COMMIT_DELAY: Duration = Duration::from_millis(50);

/// How long a statement waits for a table. As docs/deploy.md has it, that is less than the load function's time, which
/// `samconfig.toml` sets for one machine.
const LOCK_TIMEOUT: Duration = Duration::from_secs(45);

/// An account on this machine is provisioned in seconds.
const LONGEST: Duration = Duration::from_secs(120);

/// The bucket of the lake.
pub(crate) fn bucket() -> String {
    format!("{STACK}-lake-{ACCOUNT}")
}

/// Opens the emulator on the warehouse of these folders.
pub(crate) fn open(folders: &Folders, ports: &Ports, keys: &Keys) -> Result<Emulator> {
    let user = |name: &str, pair: &Pair, role: &str| snowflake_emulator::User {
        name: name.into(),
        public_key: pair.public.clone(),
        roles: vec![role.into()],
        default_role: Some(role.into()),
    };
    Emulator::open(snowflake_emulator::Config {
        duckdb_path: folders.warehouse(),
        account: SNOWFLAKE_ACCOUNT.into(),
        users: vec![user(LOADER, &keys.loader, LOADER), user(PROVISIONER, &keys.provisioner, ADMINISTRATOR)],
        lake_bucket: bucket(),
        s3_endpoint: format!("http://127.0.0.1:{}", ports.aws),
        journal_dir: folders.state("snowflake"),
        commit_delay: COMMIT_DELAY,
        loader_role: LOADER.into(),
        lock_timeout: LOCK_TIMEOUT,
        edition: snowflake_emulator::Edition::Standard,
        checks_privileges: false,
    })
}

/// Whether a platform can run with the settings of this folder.
pub(crate) fn judge(platform: &Path) -> sluice_core::Result<()> {
    let sources = Sources::read(&platform.join("sources.yaml"))?;
    let deployment = Deployment { lake: STACK.to_owned(), bucket: bucket(), ..Deployment::default() };
    Desired::read(&platform.join("warehouse.yaml"), &Settings::of(ENVIRONMENT, deployment), &sources).map(drop)
}

/// Makes the account what the file says, and sees to it that nothing is left that can be done.
pub(crate) async fn provision(
    aws: &SdkConfig,
    platform: &Path,
    sources: &Sources,
    keys: &Keys,
    port: u16,
) -> Result<()> {
    let settings = Settings::of(ENVIRONMENT, deployment(aws).await?);
    let desired = Desired::read(&platform.join("warehouse.yaml"), &settings, sources)?;
    let config = SnowflakeConfig {
        account: SNOWFLAKE_ACCOUNT.into(),
        url: Some(format!("http://127.0.0.1:{port}")),
        user: LOADER.into(),
        role: LOADER.into(),
        warehouse: WAREHOUSE.into(),
        secret: String::new(),
    };
    let secret = One(Secret::new(json!({"private_key": keys.provisioner.private}).to_string()));
    let account = Account::new(config.as_provisioner(STACK), secret, sluice_http::Client::new()?);
    let api = SqlApi::new(Arc::new(account));
    let account = AsRoles { api: &api, deadline: Instant::now() + LONGEST };
    let run = Uuid::now_v7().to_string();
    let applying =
        Applying { run: &run, allowed: Allowed::default(), until: Utc::now() + LONGEST, warehouse: WAREHOUSE };
    let applied = apply(&account, &SystemClock, &desired, &applying).await.context("cannot provision the account")?;
    // What would lose something is left as an earlier version has made it, and works so; `make plan` tells what it is.
    ensure!(
        applied.left.changes.is_empty(),
        "the account is not what platform/warehouse.yaml says:\n{}",
        applied.left.to_text()
    );
    Ok(())
}

/// A secret that is at hand.
struct One(Secret);

impl sluice_core::port::Secrets for One {
    async fn get(&self, _: &str) -> sluice_core::Result<Secret> {
        Ok(self.0.clone())
    }
}

/// What the deployed stack says of itself.
async fn deployment(aws: &SdkConfig) -> Result<Deployment> {
    let described = aws_sdk_cloudformation::Client::new(aws).describe_stacks().stack_name(STACK).send().await;
    let described = described.with_context(|| format!("cannot describe the stack {STACK} in {REGION}"))?;
    let stack = described.stacks().first().context("the stack is not there")?;
    let output = stack.outputs().iter().find(|output| output.output_key() == Some("LakeReaderRoleArn"));
    let parameter =
        stack.parameters().iter().find(|parameter| parameter.parameter_key() == Some("SnowflakeExternalId"));
    let role = output.and_then(|output| output.output_value()).context("the stack has no LakeReaderRoleArn")?;
    let id = parameter.and_then(|parameter| parameter.parameter_value()).context("it has no SnowflakeExternalId")?;
    Ok(Deployment {
        lake: STACK.to_owned(),
        bucket: bucket(),
        reader_role: role.to_owned(),
        external_id: id.to_owned(),
        address: None,
    })
}

/// The key pairs of the account's first users, each made once.
pub(crate) struct Keys {
    pub loader: Pair,
    pub provisioner: Pair,
}

pub(crate) struct Pair {
    /// PKCS#8 PEM.
    pub private: String,
    /// The base64 of the public key's DER.
    public: String,
}

impl Keys {
    pub(crate) fn load(folders: &Folders) -> Result<Self> {
        let load = |name: &str| Pair::load(&folders.state(name));
        Ok(Keys { loader: load("loader-key.der")?, provisioner: load("provisioner-key.der")? })
    }
}

impl Pair {
    fn load(path: &Path) -> Result<Self> {
        let pair = match std::fs::read(path) {
            Ok(der) => KeyPair::from_pkcs8(&der)
                .with_context(|| format!("{} holds no key; make clean starts again", path.display()))?,
            Err(_) => {
                let pair = KeyPair::generate(KeySize::Rsa2048).context("cannot make a key pair")?;
                let der: Pkcs8V1Der<'_> = pair.as_der().context("cannot encode the key pair")?;
                write_whole(path, der.as_ref())?;
                pair
            }
        };
        let private: Pkcs8V1Der<'_> = pair.as_der().context("cannot encode the key pair")?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().context("cannot encode the public key")?;
        Ok(Pair { private: pem(private.as_ref()), public: STANDARD.encode(public.as_ref()) })
    }
}

fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
