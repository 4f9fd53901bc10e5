//! Translates an event into a report and puts it into the lake.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sluice_core::{Error, Result, lake, port::ObjectStore};
use sluice_lambda::Invocation;
use sluice_pipeline::reports::Summary;
use tracing::info;

use crate::{
    Config, Deps,
    config::{DIALECT, LONGEST_QUESTION},
    event::Event,
    page,
    report::{self, Entry, Report, Shown, csv, summary},
};

/// How many objects are put side by side.
const SIDE_BY_SIDE: usize = 8;

/// Kept of an invocation's time for the page.
const RESERVE: Duration = Duration::from_secs(30);

/// Publishes the report of the newest run of dbt that succeeded.
pub async fn serve(event: Event, invocation: &Invocation, deps: &Deps) -> Result<Summary> {
    invocation.is_one_run();
    let Config { files, sources, lake_id, .. } = &deps.config;
    let until = Instant::now() + invocation.time_left(LONGEST_QUESTION + RESERVE);
    let questions = report::Questions { warehouse: &deps.warehouse, until };
    let report = report::build(&questions, &deps.store, files, DIALECT, sources, lake_id, event.moment()?);
    let report = Box::pin(report).await?;
    let summary = publish(&deps.store, &report).await?;
    info!(
        run = summary.number,
        page = summary.page,
        bytes = summary.bytes,
        tiles = summary.tiles,
        failed = summary.failed,
        "report published"
    );
    Ok(summary)
}

/// The rows of each tile, then the page, and last the summary, by which a report is found: half a report is none.
async fn publish(store: &impl ObjectStore, report: &Report) -> Result<Summary> {
    let prefix = lake::report_prefix(report.run.number);
    let tiles = report.sections.iter().flat_map(|section| section.entries()).filter_map(|entry| match entry {
        Entry::Tile(tile) if tile.shown != Shown::Nothing => Some(&**tile),
        _ => None,
    });
    let put = async |tile: &report::Tile| {
        let key = format!("{prefix}{}.csv", tile.id);
        store.put(&key, Bytes::from(csv::of(tile))).await.map(drop)
    };
    stream::iter(tiles).map(put).buffer_unordered(SIDE_BY_SIDE).try_collect::<Vec<()>>().await?;
    let html = page::render(report);
    let page = format!("{prefix}index.html");
    let summary = summary::of(report, page.clone(), html.len());
    store.put(&page, Bytes::from(html)).await?;
    let body = serde_json::to_vec_pretty(&summary)
        .map_err(|error| Error::internal("cannot encode the summary").because(error))?;
    store.put(&format!("{prefix}{}", lake::REPORT_SUMMARY), Bytes::from(body)).await?;
    Ok(summary)
}
