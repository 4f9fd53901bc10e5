//! The clients that an instance keeps between invocations.

use sluice_aws::{EventBus, FreshSecrets, S3Lake};
use sluice_core::{Error, Result};
use sluice_http::Client;

use crate::{
    Config,
    config::{Connection, Warehouse},
    trust::LakeReader,
};

pub struct Deps {
    pub config: Config,
    pub(crate) store: S3Lake,
    pub(crate) bus: EventBus,
    pub(crate) secrets: FreshSecrets,
    pub(crate) http: Client,
    pub(crate) api: Warehouse,
    pub(crate) reader: LakeReader,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = Client::new()?;
        let connection = Connection::new(config.provisioner.clone(), FreshSecrets::new(&aws), http.clone());
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            bus: EventBus::new(&aws, &config.bus_name),
            secrets: FreshSecrets::new(&aws),
            api: Warehouse::new(connection.into()),
            reader: LakeReader::new(&aws, &config.reader_role),
            lambda: aws_sdk_lambda::Client::new(&aws),
            cloudformation: aws_sdk_cloudformation::Client::new(&aws),
            http,
            config,
        })
    }
}

/// The clients, where the settings could be used.
pub(crate) fn usable(deps: &Result<Deps>) -> Result<&Deps> {
    deps.as_ref().map_err(|error| Error::config(error.chain()))
}
