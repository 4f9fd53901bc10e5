//! Why a number is what it is: from a cell of a model through the rows that it was made of to commits and runs.
//!
//! Which column comes from which, and how a row finds its own rows in the table before it, is known of the compiled models
//! ([`Lineage`], made by tools/lineage). A plan is the tables between a cell and the sources in order; the trace asks each for its
//! rows and works out again what has a formula. Nothing is changed.

mod lineage;
mod plan;
mod port;
#[cfg(test)]
mod tests;
mod trace;

pub use lineage::{Again, Column, Condition, How, Lineage, Link, Model, Origin, Unresolved, When};
pub use plan::{Step, Way, plan};
pub use port::{Ask, Cell, Inquiry, Traces};
pub use trace::{CommitFacts, Formula, Found, Offsets, Recomputed, Request, Rows, Trace, trace};
