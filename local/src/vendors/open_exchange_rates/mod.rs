//! Open Exchange Rates: latest and historical rates, the list of currencies, and the month's usage.
//!
//! Rates are written as JSON numbers with exactly the digits of the rate table. A date without rates, as weekends and
//! holidays are here, answers 400 `not_available`.

mod currencies;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use sluice_testkit::generate::RateTable;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The account and what the vendor knows.
#[derive(Debug, Clone)]
pub struct RatesConfig {
    pub app_id: String,
    pub rates: RateTable,
    /// The vendor's day: nothing later is known, and this day is not over.
    pub today: NaiveDate,
    /// Requests a month; the free plan has 1,000, `None` has no end.
    pub quota: Option<u64>,
}

/// A handle to one account; clones share it.
#[derive(Clone)]
pub struct RatesState(Arc<Mutex<Account>>);

struct Account {
    config: RatesConfig,
    requests: u64,
}

impl RatesState {
    pub fn new(config: RatesConfig) -> Self {
        RatesState(Arc::new(Mutex::new(Account { config, requests: 0 })))
    }

    pub fn set_today(&self, today: NaiveDate) {
        self.lock().config.today = today;
    }

    /// Requests that counted against the quota.
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves under `/api` until told to stop. The state may be changed meanwhile.
pub async fn serve(state: RatesState, listener: TcpListener, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    crate::vendors::run(routes::router(state), listener, shutdown).await
}
