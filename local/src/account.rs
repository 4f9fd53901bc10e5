//! The warehouse's account on this machine: opened with the user that an operator makes by hand. The rest of it is made by
//! provision-warehouse, as a resource of the template.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::SdkConfig;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sluice_core::{Secret, Sources};
use sluice_snowflake::{
    SnowflakeConfig,
    account::{Deployment, Desired, PROVISIONER, Settings},
};
use snowflake_emulator::{Emulator, User};

use crate::machine::{
    deploy::STACK,
    services::{ACCOUNT, REGION},
    state::{Folders, Ports, write_whole},
};

const SNOWFLAKE_ACCOUNT: &str = "SLUICE-LOCAL";
/// The role of every function that loads.
const LOADER: &str = "SLUICE_LOADER";
const ADMINISTRATOR: &str = "ACCOUNTADMIN";
/// Which of the file's environments this machine is.
const ENVIRONMENT: &str = "local";

/// How long Snowflake's emulator leaves an append uncommitted. Snowflake itself takes seconds.
const COMMIT_DELAY: Duration = Duration::from_millis(50);

/// How long a statement waits for a table. As docs/deploy.md has it, that is less than the load function's time, which
/// `samconfig.toml` sets for one machine.
const LOCK_TIMEOUT: Duration = Duration::from_secs(45);

/// The bucket of the lake.
pub(crate) fn bucket() -> String {
    format!("{STACK}-lake-{ACCOUNT}")
}

/// Opens the emulator on the warehouse of these folders.
pub(crate) fn open(folders: &Folders, ports: &Ports, keys: &Keys) -> Result<Emulator> {
    emulator(folders, ports, keys.provisioner.user(PROVISIONER, ADMINISTRATOR), true)
}

/// The same for a drill: nobody provisions it, and its one user is the functions'.
pub(crate) fn open_for_drill(folders: &Folders, ports: &Ports, keys: &Keys) -> Result<Emulator> {
    emulator(folders, ports, keys.provisioner.user(LOADER, LOADER), false)
}

/// How that user reaches the emulator.
pub(crate) fn in_drill(keys: &Keys, port: u16) -> (SnowflakeConfig, One) {
    let config = SnowflakeConfig {
        account: SNOWFLAKE_ACCOUNT.into(),
        url: Some(format!("http://127.0.0.1:{port}")),
        user: LOADER.into(),
        role: LOADER.into(),
        warehouse: "LOADING".into(),
        secret: String::new(),
    };
    (config, One(Secret::new(keys.provisioner.secret().to_string())))
}

/// A secret that is at hand.
#[derive(Clone)]
pub(crate) struct One(pub(crate) Secret);

impl sluice_core::port::Secrets for One {
    async fn get(&self, _: &str) -> sluice_core::Result<Secret> {
        Ok(self.0.clone())
    }
}

fn emulator(folders: &Folders, ports: &Ports, user: User, checks_privileges: bool) -> Result<Emulator> {
    Emulator::open(snowflake_emulator::Config {
        duckdb_path: folders.warehouse(),
        account: SNOWFLAKE_ACCOUNT.into(),
        users: vec![user],
        lake_bucket: bucket(),
        s3_endpoint: format!("http://127.0.0.1:{}", ports.aws),
        journal_dir: folders.state("snowflake"),
        commit_delay: COMMIT_DELAY,
        loader_role: LOADER.into(),
        lock_timeout: LOCK_TIMEOUT,
        edition: snowflake_emulator::Edition::Standard,
        checks_privileges,
    })
}

/// Whether a platform can run with the settings of this folder.
pub(crate) fn judge(platform: &Path) -> sluice_core::Result<()> {
    let sources = Sources::read(&platform.join("sources.yaml"))?;
    let deployment = Deployment { lake: STACK.to_owned(), bucket: bucket(), ..Deployment::default() };
    Desired::read(&platform.join("warehouse.yaml"), &Settings::of(ENVIRONMENT, deployment), &sources).map(drop)
}

/// Whether the deployment has made the account what the file says, and let it into the lake. What would lose something is left
/// as an earlier version has made it, and works so; `make plan` tells what it is.
pub(crate) async fn check(aws: &SdkConfig) -> Result<()> {
    let described = aws_sdk_cloudformation::Client::new(aws).describe_stacks().stack_name(STACK).send().await;
    let described = described.with_context(|| format!("cannot describe the stack {STACK} in {REGION}"))?;
    let stack = described.stacks().first().context("the stack is not there")?;
    let output = stack.outputs().iter().find(|output| output.output_key() == Some("AccountStatus"));
    let status = output.and_then(|output| output.output_value()).context("the stack does not say AccountStatus")?;
    ensure!(status.starts_with("provisioned"), "the account is {status}");
    let role = format!("{STACK}-lake-reader");
    let found = aws_sdk_iam::Client::new(aws).get_role().role_name(&role).send().await;
    let found = found.with_context(|| format!("cannot read the role {role}"))?;
    let trust = found.role().and_then(|role| role.assume_role_policy_document()).unwrap_or_default();
    // A user's ARN is written the same in the document and in the form in which IAM answers it, but for its colons and slash.
    let user = snowflake_emulator::IAM_USER.rsplit('/').next().unwrap_or_default();
    ensure!(trust.contains(user), "the role {role} does not trust the warehouse: {trust}");
    Ok(())
}

/// The key pair of the account's first user, made once.
pub(crate) struct Keys {
    pub provisioner: Pair,
}

pub(crate) struct Pair {
    /// PKCS#8 PEM.
    private: String,
    /// The base64 of the public key's DER.
    public: String,
}

impl Keys {
    pub(crate) fn load(folders: &Folders) -> Result<Self> {
        Ok(Keys { provisioner: Pair::load(&folders.state("provisioner-key.der"))? })
    }
}

impl Pair {
    fn user(&self, name: &str, role: &str) -> User {
        User {
            name: name.into(),
            public_key: self.public.clone(),
            roles: vec![role.into()],
            default_role: Some(role.into()),
        }
    }

    /// As a secret holds it.
    pub(crate) fn secret(&self) -> serde_json::Value {
        serde_json::json!({"private_key": self.private})
    }

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
