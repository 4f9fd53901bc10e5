//! Open Exchange Rates: the currency list, and daily rates against one base.
//!
//! - `client` asks the API, `members` holds its lists of currencies, `error` says what its refusals mean;
//! - `plan` decides which days to ask for, within the quota;
//! - `read` turns answers into rows: rates land long, one row per date, base and target.
//!
//! API: <https://docs.openexchangerates.org>

mod client;
mod error;
mod members;
mod plan;
mod read;

pub use client::Client;
pub use read::OpenExchangeRates;

#[cfg(test)]
mod tests;
