//! S3 servers that know nothing of each other, each started for one test and ended with it.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use sluice_aws::{S3Lake, SdkConfig};

use crate::damage::{Damage, on_the_way_to};

const KEY: (&str, &str) = ("test", "testtest");
const BUCKET: &str = "lake";
/// How long a server may take to make its first bucket.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running server and its folder.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    config: SdkConfig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What the platform runs on, on one machine.
    Ministack,
    SeaweedFs,
}

fn tool(venv: &str, program: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../.tools/venv/{venv}/bin/{program}"));
    assert!(tool.exists(), "{} is not there; run tools/setup {venv}", tool.display());
    tool
}

/// Ports that were free a moment ago.
fn ports<const N: usize>() -> [String; N] {
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    held.each_ref().map(|listener| listener.local_addr().expect("an address").port().to_string())
}

/// With all that the platform's one is strict about.
fn ministack(port: &str, folder: &Path) -> Command {
    let mut command = Command::new(tool("ministack", "python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../local/ministack/start.py"));
    command.env("SLUICE_ROLES_USED", folder.join("roles-used.jsonl"));
    command.env("BIND_HOST", "127.0.0.1").env("MINISTACK_HOST", "127.0.0.1").env("GATEWAY_PORT", port);
    command.env("IOT_MTLS_ENABLED", "0").env("TMPDIR", folder);
    command
}

fn seaweedfs(port: &str, folder: &Path) -> Command {
    let identity = format!(
        r#"{{"identities": [{{"name": "test", "credentials": [{{"accessKey": "{}", "secretKey": "{}"}}],
            "actions": ["Admin", "Read", "Write", "List"]}}]}}"#,
        KEY.0, KEY.1
    );
    let identities = folder.join("s3.json");
    fs::write(&identities, identity).expect("a file");
    let mut command = Command::new(tool("seaweedfs", "weed"));
    command.args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-admin.ui=false", "-webdav=false"]);
    command.arg(format!("-dir={}", folder.display())).arg(format!("-s3.config={}", identities.display()));
    command.arg(format!("-s3.port={port}"));
    let names =
        ["master", "volume", "filer", "admin"].map(|part| [format!("{part}.port"), format!("{part}.port.grpc")]);
    let names =
        names.concat().into_iter().chain(["s3.port.grpc", "s3.port.iceberg", "s3.port.lance"].map(str::to_owned));
    command.args(names.zip(ports::<11>()).map(|(name, port)| format!("-{name}={port}")));
    command
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Self {
        let [port] = ports();
        let folder = std::env::temp_dir().join(format!("sluice-stores-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut command = match kind {
            Kind::Ministack => ministack(&port, &folder),
            Kind::SeaweedFs => seaweedfs(&port, &folder),
        };
        let log = fs::File::create(folder.join("log")).expect("a log");
        command.env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", KEY.1).current_dir(&folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{kind:?} does not start: {error}"));
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(KEY.0, KEY.1, None, None, "test"))
            .endpoint_url(format!("http://127.0.0.1:{port}"))
            .load()
            .await;
        let mut server = Server { child, folder, config };
        server.make_bucket(kind).await;
        server
    }

    /// A bucket that keeps versions, as the lake's does.
    async fn make_bucket(&mut self, kind: Kind) {
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true).build();
        let client = Client::from_conf(config);
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = client.create_bucket().bucket(BUCKET).send().await {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(self.child.try_wait().expect("its state").is_none(), "{kind:?} has ended:\n{}", log());
            assert!(Instant::now() < deadline, "{kind:?} makes no bucket: {error:?}\n{}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let enabled = client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(versions).send().await;
        enabled.unwrap_or_else(|error| panic!("{kind:?} keeps no versions: {error:?}"));
    }

    /// The lake as it is seen over a way on which bytes change.
    pub(crate) async fn damaged(&self, damage: Damage) -> S3Lake {
        let server = self.config.endpoint_url().and_then(|url| url.strip_prefix("http://")?.parse().ok());
        let way = on_the_way_to(server.expect("the server's address"), damage).await;
        S3Lake::new(&self.config.to_builder().endpoint_url(format!("http://{way}")).build(), BUCKET)
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    pub(crate) fn lake(&self) -> S3Lake {
        S3Lake::new(&self.config, BUCKET)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        let removed = fs::remove_dir_all(&self.folder);
        if let (Err(error), _) | (_, Err(error)) = (ended.map(drop), removed) {
            eprintln!("a server is left in {}: {error}", self.folder.display());
        }
    }
}
