//! The function's settings, read once at cold start.

use std::time::Duration;

use sluice_aws::CachedSecrets;
use sluice_core::{LakeId, Sources, env::Env};
use sluice_snowflake::{Observer, SnowflakeConfig as WarehouseConfig};

use crate::{files::Files, lightdash::Dialect};

/// The warehouse that is asked.
pub type Warehouse = Observer<CachedSecrets>;

/// Which SQL it takes.
pub const DIALECT: Dialect = Dialect::Snowflake;

/// A tile that takes longer says so in its place: some of them still leave an invocation the time for the others.
pub const LONGEST_QUESTION: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    pub lake_id: LakeId,
    pub warehouse: WarehouseConfig,
    pub sources: Sources,
    /// What is shown.
    pub files: Files,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        // The folder dbt lies beside platform, in the zip as in the project.
        let dbt = sluice_lambda::platform_dir(env).join("../dbt");
        let files = Files::read(&dbt, DIALECT).unwrap_or_else(|error| {
            env.problem(error.chain());
            Files::default()
        });
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            warehouse: WarehouseConfig::from_env(env),
            sources: sluice_lambda::sources(env),
            files,
        }
    }
}
