//! An emulator for dbt Cloud: the part of its Admin API v2 that the platform uses, in front of dbt Core on this machine.
//!
//! Kept from the real one: paths with their trailing slash, the token, the envelope, the run's states, steps given by the
//! trigger, cancelling, artifacts by step, causes told only when asked for, the limits on requests and on a cause's length.
//! Runs execute one after another, as the runs of one job do. Before a run the warehouse file is asked for, and given back after it: DuckDB lets one process open it.
//!
//! API: <https://docs.getdbt.com/dbt-cloud/api-v2>.

mod answer;
mod book;
mod command;
mod routes;
mod step;
#[cfg(test)]
mod tests;
mod turn;
mod worker;

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch};

use crate::dbt_cloud::book::Book;
pub use crate::dbt_cloud::turn::FileTurn;

/// What an account may ask of the Admin API.
pub const REQUESTS_PER_MINUTE: usize = 5_000;

/// The account with its one job, and where dbt runs.
#[derive(Clone)]
pub struct Config {
    /// The `dbt` command of a virtual environment.
    pub dbt_bin: PathBuf,
    /// The dbt project; nothing is written there.
    pub project_dir: PathBuf,
    /// Logs, artifacts and records of the runs. Runs of an earlier process are found again here.
    pub work_dir: PathBuf,
    /// The warehouse.
    pub duckdb_path: PathBuf,
    /// What callers must present.
    pub token: String,
    pub account_id: u64,
    pub job_id: u64,
    /// More are answered 429; [`REQUESTS_PER_MINUTE`] is the real one's limit.
    pub requests_per_minute: usize,
    /// What has the warehouse file open between runs.
    pub turn: Arc<dyn FileTurn>,
}

/// Serves until `shutdown` turns true or its sender is gone. A run that is under way then is killed and recorded as
/// cancelled, and the file is given back.
pub async fn serve(config: Config, listener: TcpListener, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let book = Arc::new(Book::open(&config.work_dir)?);
    let router = routes::router(Arc::clone(&config), Arc::clone(&book));
    let http = axum::serve(listener, router).with_graceful_shutdown(stopped(shutdown.clone()));
    let (served, ()) = tokio::join!(http.into_future(), worker::work(&config, &book, shutdown));
    served.context("the dbt Cloud emulator stopped serving")
}

/// Resolves when it is time to stop; an error means that nobody is left who could say so.
async fn stopped(mut shutdown: watch::Receiver<bool>) {
    drop(shutdown.wait_for(|stop| *stop).await);
}
