//! HubSpot CRM v3, as far as contacts are read: search, list, batch read and the list of properties.

mod record;
mod routes;
mod search;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use state::HubSpotState;

/// What the account is like.
#[derive(Debug, Clone)]
pub struct HubSpotConfig {
    /// The private app's token.
    pub token: String,
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
            token: token.into(),
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
