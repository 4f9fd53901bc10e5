//! Days of a platform, played by a seed: clean ones, and ones with faults planted. For tests and drills.
//!
//! What is played are observations, as they would be read from a ledger, a topic and an account; monitors judge them as they
//! judge real ones.

pub mod days;
pub mod fault;
pub mod score;
mod tables;
#[cfg(test)]
mod tests;

pub use days::World;
pub use fault::{Fault, FaultKind};
pub use score::{Score, Trial};
pub use tables::Series;
