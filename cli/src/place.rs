//! Where the platform is: in an AWS account, or on this machine.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use serde::Deserialize;
use sluice_core::{Error, Kind, Sources};

use crate::{
    args::Target,
    failure::{Failure, Outcome},
};

/// The stack that one machine deploys.
const LOCAL_STACK: &str = "sluice-local";
/// The region of the stack on this machine.
const LOCAL_REGION: &str = "us-east-1";
/// A port on this machine answers at once, or nobody listens.
const KNOCK: Duration = Duration::from_secs(1);

/// How to reach the platform. Clones share their credentials: GitHub gives a token that can be exchanged for some minutes only.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub aws: SdkConfig,
    pub stack: String,
    pub is_local: bool,
    pub sources: Sources,
    /// The schema files of its topics, beside the sources.
    pub schemas: PathBuf,
    /// The broker, where this machine can reach it: a cluster in a VPC is out of reach.
    pub kafka: Option<String>,
    /// The address that answers for the stack on this machine.
    pub control: Option<String>,
}

/// What `sluice-local` leaves of its ports.
#[derive(Debug, Deserialize)]
struct Ports {
    aws: u16,
    #[serde(default)]
    kafka: Option<u16>,
    #[serde(default)]
    control: Option<u16>,
}

impl Place {
    pub(crate) async fn find(target: &Target) -> Outcome<Self> {
        let (sources, schemas) = files(target)?;
        match &target.stack {
            Some(stack) => {
                let aws = deployed(None).await?;
                Ok(Place { aws, stack: stack.clone(), is_local: false, sources, schemas, kafka: None, control: None })
            }
            None => {
                let Local { aws, kafka, control } = local(&base(root().as_deref(), &target.state)?).await?;
                Ok(Place { aws, stack: LOCAL_STACK.into(), is_local: true, sources, schemas, kafka, control })
            }
        }
    }

    /// The place of a stack, whether it is there or not.
    pub(crate) async fn of_stack(target: &Target, stack: &str, region: &str) -> Outcome<Self> {
        if target.stack.is_some() {
            return Err(Failure::usage("--env names the stack, and so does --stack").hint("leave --stack out"));
        }
        let (sources, schemas) = files(target)?;
        let aws = deployed(Some(region)).await?;
        Ok(Place { aws, stack: stack.to_owned(), is_local: false, sources, schemas, kafka: None, control: None })
    }

    /// What the warehouse's account is to be, beside the sources.
    pub(crate) fn account_file(&self) -> PathBuf {
        self.schemas.with_file_name("warehouse.yaml")
    }

    /// What is known of the compiled models, in the folder `dbt` beside that of the sources.
    pub(crate) fn lineage_file(&self) -> PathBuf {
        self.schemas.with_file_name("../dbt/lineage.json")
    }

    /// Who is told of what, beside the sources.
    pub(crate) fn alerts_file(&self) -> PathBuf {
        self.schemas.with_file_name("alerts.yaml")
    }

    /// The place in words.
    pub(crate) fn title(&self) -> String {
        let region = self.aws.region().map(ToString::to_string).unwrap_or_default();
        if self.is_local { format!("{} on this machine", self.stack) } else { format!("{} in {region}", self.stack) }
    }
}

/// The entries, and the folder with the schema files of topics.
pub(crate) fn files(target: &Target) -> Outcome<(Sources, PathBuf)> {
    let file = sources_file(target, root().as_deref())?;
    Ok((Sources::read(&file)?, file.with_file_name("schemas")))
}

/// The checkout: the folder with the template, here or above.
fn root() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().find(|folder| folder.join("template.yaml").exists()).map(Path::to_owned)
}

fn sources_file(target: &Target, root: Option<&Path>) -> Outcome<PathBuf> {
    match (&target.sources, root) {
        (Some(file), _) => Ok(file.clone()),
        (None, Some(root)) => Ok(root.join("platform/sources.yaml")),
        (None, None) => Err(Failure::usage("no platform/sources.yaml here or above")
            .hint("call this in a checkout, or name the file with --sources")),
    }
}

fn base(root: Option<&Path>, state: &Path) -> Outcome<PathBuf> {
    let root = root.ok_or_else(|| {
        Failure::usage("the platform on this machine is looked for in its checkout, and this folder is in none")
            .hint("go there, or name a deployed stack with --stack")
    })?;
    Ok(root.join(state))
}

/// How the parts of the platform on this machine are reached.
#[derive(Debug)]
struct Local {
    aws: SdkConfig,
    kafka: Option<String>,
    control: Option<String>,
}

async fn local(base: &Path) -> Outcome<Local> {
    let not_there = || {
        Failure::from(Error::unavailable("the platform on this machine is not running"))
            .hint("start it with `make up` in another terminal, or name a deployed stack with --stack")
    };
    let ports = fs::read(base.join("ports.json")).map_err(|_| not_there())?;
    let Ports { aws, kafka, control } = serde_json::from_slice(&ports)
        .map_err(|error| Error::invalid_data("the local platform's ports.json does not parse").because(error))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, aws));
    // The emulators end with the process that listens on `control`; AWS's may outlive it when it is killed.
    for port in [Some(aws), control].into_iter().flatten() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpStream::connect_timeout(&address, KNOCK).map_err(|_| not_there())?;
    }
    let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "one-machine");
    let aws = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static(LOCAL_REGION))
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(credentials)
        .load()
        .await;
    let at = |port: u16| format!("{}:{port}", Ipv4Addr::LOCALHOST);
    Ok(Local { aws, kafka: kafka.map(at), control: control.map(|port| format!("http://{}", at(port))) })
}

/// The region of what is deployed. It takes no credentials.
pub(crate) async fn region() -> Outcome<String> {
    of_region(&aws_config::load_defaults(BehaviorVersion::latest()).await)
}

fn of_region(aws: &SdkConfig) -> Outcome<String> {
    let none = || Failure::usage("no AWS region is set").hint("set AWS_REGION, or a region in the profile");
    aws.region().map(ToString::to_string).ok_or_else(none)
}

/// The checkout, for what needs one.
pub(crate) fn checkout() -> Outcome<PathBuf> {
    let none = || Failure::usage("this folder is in no checkout").hint("go to the folder with template.yaml");
    root().ok_or_else(none)
}

/// In the region that is named, or in that of the environment.
pub(crate) async fn deployed(region: Option<&str>) -> Outcome<SdkConfig> {
    let defaults = aws_config::defaults(BehaviorVersion::latest());
    let aws = match region {
        Some(region) => defaults.region(Region::new(region.to_owned())).load().await,
        None => defaults.load().await,
    };
    of_region(&aws)?;
    let none = || Error::new(Kind::Auth, "there are no AWS credentials");
    let found = match aws.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.map(drop).map_err(|error| none().because(error)),
        None => Err(none()),
    };
    found.map_err(|error| {
        let hint = "log in (`aws sso login`), set AWS_PROFILE, or leave --stack out for the platform on this machine";
        Failure::from(error).hint(hint)
    })?;
    Ok(aws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_platform_that_does_not_run_is_said_to_be_away() {
        let folder = std::env::temp_dir().join(format!("sluice-place-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let none = local(&folder).await.expect_err("nothing runs");
        assert_eq!(none.kind(), Kind::Unavailable);
        assert!(none.text().contains("make up"), "{}", none.text());

        // A port that was free a moment ago: its listener is gone.
        let gone = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port");
        let gone = gone.port();
        fs::write(folder.join("ports.json"), format!(r#"{{"aws": {gone}}}"#)).expect("a file");
        assert_eq!(local(&folder).await.expect_err("nobody listens").kind(), Kind::Unavailable);

        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let ports = |control: u16| format!(r#"{{"aws": {port}, "kafka": 1, "control": {control}}}"#);
        // AWS's emulator has outlived the process that had started it.
        fs::write(folder.join("ports.json"), ports(gone)).expect("a file");
        assert!(local(&folder).await.expect_err("half of it").text().contains("make up"));
        fs::write(folder.join("ports.json"), ports(port)).expect("a file");
        let Local { aws, kafka, control } = local(&folder).await.expect("a platform");
        assert_eq!(aws.region().map(Region::as_ref), Some("us-east-1"));
        assert_eq!((kafka.as_deref(), control), (Some("127.0.0.1:1"), Some(format!("http://127.0.0.1:{port}"))));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
