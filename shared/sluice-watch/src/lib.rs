//! Watching, without a clock and without I/O: observations become findings, findings become incidents, incidents become
//! messages.
//!
//! [`monitors`] judges what was observed, by the [`baseline`] that history gives and the [`calendar`] of expected events.
//! [`alerts`] keeps one incident per fault, decides by `platform/alerts.yaml` who is reported, and renders what each channel
//! takes.
//!
//! A caller observes, calls [`monitors::judge`] and [`alerts::Board::round`], sends the messages, and stores the board.

pub mod alerts;
pub mod baseline;
pub mod calendar;
pub mod finding;
pub mod monitors;
pub mod numbers;
pub mod objectives;
pub mod prices;
pub mod random;
pub mod settings;

pub use calendar::Calendar;
pub use finding::{Breach, Finding, Kind, Object, Verdict, Why};
pub use prices::Prices;
