//! The function's settings, read once at cold start.

use std::path::PathBuf;

use sluice_aws::FreshSecrets;
use sluice_core::{LakeId, Sources, env::Env};
use sluice_lambda::platform_dir;
pub(crate) use sluice_snowflake::account;
pub use sluice_snowflake::{Account as Connection, SnowflakeConfig as WarehouseConfig, SqlApi};

/// The warehouse whose account is provisioned.
pub type Warehouse = SqlApi<FreshSecrets>;

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    pub lake_id: LakeId,
    pub bus_name: String,
    /// The function's own name, for going on in another invocation.
    pub own_function: String,
    /// Which of the file's environments the stack is.
    pub stage: String,
    /// The role that reads the lake for the warehouse, and what it wants to hear.
    pub reader_role: String,
    pub external_id: String,
    /// The one address of the functions, where they have one.
    pub addresses: Option<String>,
    /// As the service that loads.
    pub loader: WarehouseConfig,
    /// As the service that asks for the report.
    pub reporter: WarehouseConfig,
    /// As the user that provisions.
    pub provisioner: WarehouseConfig,
    pub sources: Sources,
    /// What the account is to be.
    pub file: PathBuf,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        let loader = WarehouseConfig::from_env(env);
        let secret = env.required("SLUICE_PROVISIONER_SECRET");
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            own_function: env.required("SLUICE_OWN_FUNCTION"),
            stage: env.required("SLUICE_STAGE"),
            reader_role: env.required("SLUICE_LAKE_READER_ROLE"),
            external_id: env.required("SLUICE_LAKE_EXTERNAL_ID"),
            addresses: env.optional("SLUICE_ADDRESSES"),
            provisioner: WarehouseConfig { secret, ..loader.clone().as_provisioner("") },
            reporter: WarehouseConfig {
                user: env.required("SLUICE_REPORTER"),
                secret: env.required("SLUICE_REPORTER_SECRET"),
                ..loader.clone()
            },
            loader,
            sources: sluice_lambda::sources(env),
            file: platform_dir(env).join("warehouse.yaml"),
        }
    }

    /// What the stack says of itself to the file.
    pub(crate) fn settings(&self) -> account::Settings {
        let deployment = account::Deployment {
            lake: self.lake_id.0.clone(),
            bucket: self.lake_bucket.clone(),
            reader_role: self.reader_role.clone(),
            external_id: self.external_id.clone(),
            addresses: self.addresses.clone(),
        };
        account::Settings::of(&self.stage, deployment)
    }
}
