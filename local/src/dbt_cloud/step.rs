//! One step: one dbt process, its output in a file, its artifacts kept.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;

use crate::dbt_cloud::Config;

/// How often a process is asked whether it has ended; small against the seconds that dbt needs to start.
const POLL: Duration = Duration::from_millis(20);

/// The parsed project of the run before, which saves the next one from parsing it all again.
const PARSED: &str = "partial_parse.msgpack";

/// The directories of one step.
pub(crate) struct Place<'a> {
    /// dbt's target directory, common to the steps of a run.
    pub target: &'a Path,
    pub log: &'a Path,
    pub artifacts: &'a Path,
}

/// Kills its process when dropped, so that no dbt outlives the run it belongs to.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and was waited for.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs dbt to its end. Dropping the future kills it.
pub(crate) async fn run(config: &Config, arguments: &[String], place: Place<'_>) -> anyhow::Result<ExitStatus> {
    let mut process = start(config, arguments, &place)?;
    let status = loop {
        if let Some(status) = process.0.try_wait().context("cannot wait for dbt")? {
            break status;
        }
        tokio::time::sleep(POLL).await;
    };
    keep_artifacts(&place)?;
    let parsed = place.target.join(PARSED);
    if parsed.exists() {
        fs::rename(parsed, config.work_dir.join(PARSED)).context("cannot keep the parsed project")?;
    }
    Ok(status)
}

fn start(config: &Config, arguments: &[String], place: &Place<'_>) -> anyhow::Result<Process> {
    fs::create_dir_all(place.target).context("cannot create dbt's target directory")?;
    let log = File::create(place.log).context("cannot create a step's log")?;
    let mut command = Command::new(&config.dbt_bin);
    command
        .args(arguments)
        .current_dir(&config.work_dir)
        // Each step takes seconds more when Python may not keep what it has compiled.
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .env("DBT_PROJECT_DIR", &config.project_dir)
        .env("DBT_PROFILES_DIR", &config.project_dir)
        .env("DBT_TARGET_PATH", place.target)
        .env("DBT_LOG_PATH", place.target)
        .env("DBT_LOG_LEVEL_FILE", "none")
        .env("DBT_USE_COLORS", "false")
        .env("SLUICE_DBT_TARGET", "duckdb")
        .env("SLUICE_DUCKDB_PATH", &config.duckdb_path)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("cannot share a step's log")?)
        .stderr(log);
    let parsed = config.work_dir.join(PARSED);
    if parsed.exists() {
        command.env("DBT_PARTIAL_PARSE_FILE_PATH", parsed);
    }
    Ok(Process(command.spawn().with_context(|| format!("cannot start {}", config.dbt_bin.display()))?))
}

/// Copies what dbt wrote for people and programs; the target directory itself belongs to the next step.
fn keep_artifacts(place: &Place<'_>) -> anyhow::Result<()> {
    fs::create_dir_all(place.artifacts).context("cannot create the artifacts directory")?;
    for entry in fs::read_dir(place.target).context("cannot list dbt's target directory")? {
        let path = entry.context("cannot list dbt's target directory")?.path();
        if let (Some("json"), Some(name)) = (path.extension().and_then(|end| end.to_str()), path.file_name()) {
            fs::copy(&path, place.artifacts.join(name)).context("cannot keep an artifact")?;
        }
    }
    Ok(())
}
