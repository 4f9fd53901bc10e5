//! Probes of the warehouse. They only read.

use sluice_core::Loader;
use sluice_pipeline::{observe::Question, reports};

use super::finding::Finding;
use crate::{
    commands::warehouse,
    failure::Outcome,
    platform::Platform,
    warehouse::{Observe, verify},
};

/// The first cell of an answer; empty where there is none.
async fn cell(platform: &Platform, statement: String) -> Outcome<String> {
    let question = Question { statement, role: None, rows: 1 };
    let answer = platform.warehouse().await?.ask(&question).await?;
    Ok(answer.rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()).unwrap_or_default())
}

/// A plan after a deployment is empty, and every statement of the account's log has ended well.
pub(super) async fn account_plan(platform: &Platform) -> Outcome<Finding> {
    let plan = warehouse::planned(platform).await?;
    if !plan.is_empty() {
        let seen = format!("the plan after the deployment is not empty: {}", plan.summary());
        return Ok(Finding::Otherwise {
            seen,
            fix: "`sluice warehouse plan` shows it; `apply` makes it so".to_owned(),
        });
    }
    let undone = cell(platform, verify::undone_changes()).await?;
    if undone != "0" {
        let seen = format!("{undone} statements of the account's log are not done");
        let fix =
            "`sluice query \"select * from ADMIN.OBSERVABILITY.ACCOUNT_CHANGES where STATUS <> 'done'\"`".to_owned();
        return Ok(Finding::Otherwise { seen, fix });
    }
    Ok(Finding::AsWanted("the plan is empty, and every statement of the account's log is done".to_owned()))
}

pub(super) async fn quotient(platform: &Platform) -> Outcome<Finding> {
    let found = cell(platform, verify::quotient()).await?;
    // Whether zeros at the end are written is a matter of the answer's form.
    if found.trim_end_matches('0') == "1.265822784810".trim_end_matches('0') {
        return Ok(Finding::AsWanted(format!("1 / 0.79 is {found}")));
    }
    Ok(Finding::Otherwise {
        seen: format!("1 / 0.79 is {found}"),
        fix: "the emulator divides with 12 decimals; the models' expected values are to be computed again".to_owned(),
    })
}

pub(super) async fn stream_latency(platform: &Platform) -> Outcome<Finding> {
    let warehouse = platform.warehouse().await?;
    for table in platform.place.sources.tables.iter().filter(|table| table.loader == Loader::Streaming) {
        if let Some(latency) = warehouse.pace(&table.table).await?.latency_ms {
            let table = &table.table;
            let (p50, p99) = (latency.p50, latency.p99);
            return Ok(Finding::AsWanted(format!("rows of the last hour of {table}: p50 {p50} ms, p99 {p99} ms")));
        }
    }
    Ok(Finding::Unseen("no streaming table has got a row within the last hour; produce one".to_owned()))
}

/// A run of dbt has brought a report, and no tile of it was refused.
pub(super) async fn report(platform: &Platform) -> Outcome<Finding> {
    let Some(report) = reports::newest(&platform.store()?).await? else {
        return Ok(Finding::Unseen("there is no report yet; the next run of dbt makes one".to_owned()));
    };
    if report.failed > 0 {
        let seen = format!("{} of {} tiles of run {} could not be shown", report.failed, report.tiles, report.number);
        return Ok(Finding::Otherwise { seen, fix: "`sluice report`, and the page says why".to_owned() });
    }
    if report.tiles == 0 {
        return Ok(Finding::Unseen(format!("the report of run {} has no tiles", report.number)));
    }
    Ok(Finding::AsWanted(format!("all {} tiles of run {} are shown", report.tiles, report.number)))
}
