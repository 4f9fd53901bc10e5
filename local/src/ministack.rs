//! AWS on one machine: ministack takes our template through `sam deploy` and runs our binaries.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};

use crate::{
    processes::{Process, bare_command},
    state::{Journal, Layout},
};

/// ministack's own account. The bucket's name contains it.
pub const ACCOUNT: &str = "000000000000";
pub const REGION: &str = "us-east-1";
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Ministack {
    process: Process,
    layout: Layout,
    journal: Journal,
    port: u16,
}

impl Ministack {
    /// Starts ministack on what the last run has kept. The port must be the one of the last run too
    /// ([`crate::ports::Ports::keep`]): the addresses of queues contain it.
    pub async fn start(layout: &Layout, journal: &Journal, port: u16) -> Result<Self> {
        let state = layout.state("ministack");
        // Function code is unpacked below TMPDIR; in the state folder it is found and removed with the rest.
        for folder in ["state", "s3", "tmp"] {
            let folder = state.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let mut command = bare_command(layout.tool("ministack", "ministack")?);
        // Functions inherit this environment, and the endpoint in it keeps them from calling AWS.
        command
            .envs(environment(port))
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("PERSIST_STATE", "1")
            .env("STATE_DIR", state.join("state"))
            .env("S3_PERSIST", "1")
            .env("S3_DATA_DIR", state.join("s3"))
            .env("TMPDIR", state.join("tmp"))
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .current_dir(&state);
        let mut process = Process::spawn(layout, journal, "ministack", command)?;
        let health = format!("{}/_ministack/health", url(port));
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let healthy = async || client.get(&health).send().await.is_ok_and(|answer| answer.status().is_success());
        process.ready(READY_WITHIN, healthy).await?;
        Ok(Ministack { process, layout: layout.clone(), journal: journal.clone(), port })
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    /// What a program needs in its environment to take ministack for AWS.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        environment(self.port)
    }

    /// Settings for the clients of the AWS SDK; for S3 take [`Ministack::s3`].
    pub async fn sdk_config(&self) -> SdkConfig {
        let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "one-machine");
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .endpoint_url(self.url())
            .credentials_provider(credentials)
            .load()
            .await
    }

    pub async fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.sdk_config().await).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Fails if ministack has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// Ends ministack and starts it again. It writes everything but S3 objects only when it ends, so this is what
    /// makes a deployment survive a crash.
    pub async fn save(self) -> Result<Self> {
        self.process.stop().await?;
        Self::start(&self.layout, &self.journal, self.port).await
    }

    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn environment(port: u16) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", url(port)),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}
