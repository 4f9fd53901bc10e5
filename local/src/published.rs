//! The report of what dbt has published, as a file on this machine.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;
use sluice_core::{functions::PUBLISH_REPORT, port::ObjectStore};
use sluice_pipeline::{
    dispatch,
    reports::{self, Summary},
};

use crate::{stack::Stack, world::World};

/// How long the bus may take to wake the function, and the function to ask the warehouse.
const BY_ITSELF_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Waits for the report that news of the last dbt run brings, and has it made as of the day of the data: this machine's
/// clock goes on where generated data ends.
pub(crate) async fn report(stack: &Stack, world: &World) -> Result<()> {
    let run = dispatch::last_succeeded(&stack.store).await?.context("no dbt run has succeeded")?;
    let start = Instant::now();
    let mut newest = reports::newest(&stack.store).await?;
    while newest.as_ref().is_none_or(|report| report.number < run) && start.elapsed() < BY_ITSELF_WITHIN {
        tokio::time::sleep(LOOK).await;
        newest = reports::newest(&stack.store).await?;
    }
    if newest.as_ref().is_none_or(|report| report.number < run) {
        println!("  ! news of dbt run {run} has brought no report within {} s", BY_ITSELF_WITHIN.as_secs());
    }
    let is_of_today = |report: &Summary| report.number == run && report.at == world.reported_at();
    if !newest.as_ref().is_some_and(is_of_today) {
        stack.functions.invoke(&PUBLISH_REPORT, &json!({"publish": true, "time": world.reported_at()})).await?;
    }
    Ok(())
}

/// The newest report; its page is a file in the state folder then.
pub(crate) async fn page(stack: &Stack) -> Result<(PathBuf, Summary)> {
    let summary = reports::newest(&stack.store).await?.context("there is no report")?;
    let body = stack.store.get(&summary.page).await?.context("the report has no page")?;
    let path = stack.folders().base().join("report/index.html");
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, &body));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok((path, summary))
}
