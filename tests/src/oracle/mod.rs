//! The oracle: the `sales` mart computed in plain Rust with integers, by the documented rules and no SQL.
//!
//! It shares no code with the platform. Money is `i128` in cents, times are microseconds since 1970 UTC.

mod compare;
mod event;
mod sales;
#[cfg(test)]
mod tests;

pub use compare::{Difference, compare, report};
pub use event::{Event, Refusal, parse};
pub use sales::{LeftOut, Sales, SalesRow, UNKNOWN_CUSTOMER, sales};
