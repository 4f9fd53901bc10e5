//! HubSpot CRM v3, as far as contacts are read and changed: search, list, batch read and update, the list of properties,
//! and the number of the account.

mod limits;
mod record;
mod refusal;
mod routes;
mod search;
mod state;
#[cfg(test)]
mod tests;
mod update;
mod written;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use state::HubSpotState;
pub use written::Write;

/// What the account is like.
#[derive(Debug, Clone)]
pub struct HubSpotConfig {
    /// The account's number.
    pub portal_id: u64,
    /// The token of a private app that reads.
    pub token: String,
    /// That of a private app that also writes; `None`: there is none.
    pub writer: Option<String>,
    /// Of each app, searches not counted. HubSpot allows 100 in its smallest plan; `None` turns the limit off.
    pub requests_per_ten_seconds: Option<usize>,
    /// Of the whole account: 250,000 in the smallest plan.
    pub requests_per_day: Option<usize>,
    /// One wrong input refuses its batch even where each input has a trace.
    pub refuses_whole_batches: bool,
    /// The id of a record that was merged into another writes to that one, instead of being unknown. HubSpot does not say.
    pub merged_ids_are_written: bool,
    /// A batch is answered as written and is not.
    pub ignores_writes: bool,
    /// HubSpot allows 5; `None` turns the limit off.
    pub searches_per_second: Option<usize>,
    /// How long a change stays out of the search's index.
    pub index_lag: Duration,
    /// How many results one search can page through.
    pub result_cap: usize,
    /// Pages are never longer than this, whatever was asked for.
    pub page_size: usize,
}

impl HubSpotConfig {
    pub fn new(token: impl Into<String>) -> Self {
        HubSpotConfig {
            portal_id: 123_456,
            token: token.into(),
            writer: None,
            requests_per_ten_seconds: Some(100),
            requests_per_day: Some(250_000),
            refuses_whole_batches: false,
            merged_ids_are_written: false,
            ignores_writes: false,
            searches_per_second: Some(5),
            index_lag: Duration::ZERO,
            result_cap: 10_000,
            page_size: 200,
        }
    }
}

/// Serves until told to stop. The state may be changed meanwhile.
pub async fn serve(state: HubSpotState, listener: TcpListener, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    crate::vendors::run(routes::router(state), listener, shutdown).await
}
