//! dbt Projects on Snowflake behind the dispatch loop's port: a run is one statement that nobody waits for.
//!
//! The cause of a run is its query tag, and the run's id is the statement's. The query history finds runs again by their
//! tag. A run's files are copied into the lake by the warehouse itself and read there.

use std::time::Duration;

use bytes::Bytes;
use sluice_core::{
    Error, Kind, Result, TableId,
    env::Env,
    port::{ObjectStore, Progress, Row, Statements, Submissions, required},
};
use sluice_pipeline::dispatch::{JobRun, JobState, Jobs};
use sluice_snowflake::sql::dbt;
use uuid::Uuid;

/// The longest part of dbt's own message that is kept.
const REASON_CHARS: usize = 300;

/// The target of `dbt/dbt_projects_profiles.yml`.
const TARGET: &str = "snowflake";

/// How long after its limit Snowflake ends a run by itself, should the dispatcher not have done it.
const GRACE: Duration = Duration::from_secs(600);

/// Which dbt project object is run.
#[derive(Debug, Clone)]
pub struct DbtProjectConfig {
    /// `DATABASE.SCHEMA.PROJECT`.
    pub project: TableId,
}

impl DbtProjectConfig {
    pub fn from_env(env: &mut Env) -> Self {
        let name = env.required("SLUICE_DBT_PROJECT");
        let project = name.parse::<TableId>().unwrap_or_else(|error| {
            // An absent name is a problem already.
            if !name.is_empty() {
                env.problem(format!("SLUICE_DBT_PROJECT is no DATABASE.SCHEMA.PROJECT: {error}"));
            }
            TableId { database: String::new(), schema: String::new(), table: String::new() }
        });
        DbtProjectConfig { project }
    }
}

/// One dbt project object.
pub struct DbtProject<'a, W, S> {
    warehouse: &'a W,
    store: &'a S,
    config: &'a DbtProjectConfig,
    limit: Duration,
}

impl<'a, W: Statements + Submissions, S: ObjectStore> DbtProject<'a, W, S> {
    pub fn new(warehouse: &'a W, store: &'a S, config: &'a DbtProjectConfig, limit: Duration) -> Self {
        DbtProject { warehouse, store, config, limit }
    }

    async fn ask(&self, statement: &str) -> Result<Vec<Row>> {
        self.warehouse.execute(statement, Uuid::new_v4(), "sluice:dbt").await
    }

    async fn state(&self, id: &str) -> Result<JobState> {
        Ok(match self.warehouse.look(id).await? {
            Progress::UnderWay => JobState::UnderWay,
            Progress::Cancelled => JobState::Cancelled,
            Progress::Failed { reason } => JobState::Failed { reason },
            Progress::Ended(rows) => outcome(&rows)?,
        })
    }
}

impl<W: Statements + Submissions, S: ObjectStore> Jobs for DbtProject<'_, W, S> {
    async fn start(&self, cause: &str, steps: &[String]) -> Result<JobRun> {
        let [step] = steps else {
            return Err(Error::unsupported("a dbt project on Snowflake runs one step").with("steps", steps.len()));
        };
        // Named, because the object's own default target is whatever it was deployed with.
        let arguments = format!("{} --target {TARGET}", step.strip_prefix("dbt ").unwrap_or(step));
        let statement = dbt::execute(&self.config.project, &arguments);
        let id = self.warehouse.submit(&statement, Uuid::new_v4(), cause, self.limit + GRACE).await?;
        Ok(JobRun { id, cause: cause.to_owned(), state: JobState::UnderWay })
    }

    async fn recent(&self, cause: &str) -> Result<Vec<JobRun>> {
        let mut runs = Vec::new();
        for row in self.ask(&dbt::runs(&self.config.project, cause)).await? {
            let (id, cause) = (required(&row, "query_id")?.to_owned(), required(&row, "query_tag")?.to_owned());
            runs.push(JobRun { state: self.state(&id).await?, id, cause });
        }
        Ok(runs)
    }

    async fn cancel(&self, id: &str) -> Result<()> {
        self.warehouse.cancel(id).await
    }

    async fn artifact(&self, id: &str, name: &str) -> Result<Option<Bytes>> {
        let rows = match self.ask(&dbt::locate(id)).await {
            Ok(rows) => rows,
            // A run that was cancelled or never began has left nothing; which refusal says so is not documented.
            Err(error) if is_refusal(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(location) = rows.first().and_then(|row| row.get("location")).and_then(Option::as_deref) else {
            return Ok(None);
        };
        let folder = format!("dbt/artifacts/snowflake/{id}");
        match self.ask(&dbt::copy_artifact(location, &folder, name)).await {
            Ok(_) => self.store.get(&format!("{folder}/{name}")).await,
            Err(error) if is_refusal(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether the warehouse has understood and has no such thing, as against being away, not letting us in, or an answer of
/// which a part is lost.
fn is_refusal(error: &Error) -> bool {
    error.kind() == Kind::NotFound || error.is_final()
}

/// A run that fails does not fail its statement: the one row of the answer says how it went.
fn outcome(rows: &[Row]) -> Result<JobState> {
    let row = rows.first().ok_or_else(|| Error::invalid_data("a dbt run's answer has no row"))?;
    let value =
        |wanted: &str| row.iter().find(|(name, _)| name.contains(wanted)).and_then(|(_, value)| value.as_deref());
    match value("success") {
        Some("true" | "1" | "TRUE") => Ok(JobState::Succeeded),
        Some(_) => {
            let reason = value("exception").filter(|text| !matches!(*text, "" | "None"));
            let line = reason.and_then(|text| text.lines().next()).unwrap_or("dbt gave no reason");
            Ok(JobState::Failed { reason: line.chars().take(REASON_CHARS).collect() })
        }
        None => Err(Error::invalid_data("a dbt run's answer does not say whether it succeeded")),
    }
}

#[cfg(test)]
mod tests;
