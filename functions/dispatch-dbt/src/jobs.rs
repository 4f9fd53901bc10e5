//! The dispatch loop's jobs: whichever runner the settings name, behind one port.

use sluice_aws::{CachedSecrets, S3Lake};
use sluice_core::Result;
use sluice_dbt::{DbtCloud, DbtProject};
use sluice_pipeline::dispatch::{JobRun, Jobs};

use crate::config::{Config, Runner, Statements};

/// One invocation's way to dbt.
pub enum Dbt<'a> {
    Cloud(DbtCloud<'a, CachedSecrets>),
    Snowflake(DbtProject<'a, Statements, S3Lake>),
}

impl<'a> Dbt<'a> {
    pub fn of(
        config: &'a Config,
        http: &'a sluice_http::Client,
        secrets: &'a CachedSecrets,
        store: &'a S3Lake,
        statements: &'a Statements,
    ) -> Self {
        match &config.runner {
            Runner::Cloud(cloud) => Dbt::Cloud(DbtCloud::new(http, secrets, cloud)),
            Runner::Snowflake(project) => {
                Dbt::Snowflake(DbtProject::new(statements, store, project, config.policy.limit))
            }
        }
    }
}

impl Jobs for Dbt<'_> {
    async fn start(&self, cause: &str, steps: &[String]) -> Result<JobRun> {
        match self {
            Dbt::Cloud(jobs) => jobs.start(cause, steps).await,
            Dbt::Snowflake(jobs) => jobs.start(cause, steps).await,
        }
    }

    async fn recent(&self, cause: &str) -> Result<Vec<JobRun>> {
        match self {
            Dbt::Cloud(jobs) => jobs.recent(cause).await,
            Dbt::Snowflake(jobs) => jobs.recent(cause).await,
        }
    }

    async fn cancel(&self, id: &str) -> Result<()> {
        match self {
            Dbt::Cloud(jobs) => jobs.cancel(id).await,
            Dbt::Snowflake(jobs) => jobs.cancel(id).await,
        }
    }

    async fn artifact(&self, id: &str, name: &str) -> Result<Option<bytes::Bytes>> {
        match self {
            Dbt::Cloud(jobs) => jobs.artifact(id, name).await,
            Dbt::Snowflake(jobs) => jobs.artifact(id, name).await,
        }
    }
}
