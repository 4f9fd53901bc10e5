//! What is to be expected of a day, learned from the days before it.
//!
//! The judged day is never part of its own baseline: inside of it, one day of n is at most (n - 1) / sqrt(n) deviations
//! away, and no threshold of three is reached within ten days.

pub mod delay;
pub mod history;
pub mod level;
pub mod share;
pub mod volume;

pub use history::{Day, History, Mark};
