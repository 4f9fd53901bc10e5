//! What every function does the same way: start, read its settings, log, run, answer errors, report failed messages.
//!
//! `start` reads the settings, `invocation` serves events one by one; `messages` and `extracts` are for functions that a queue
//! or a schedule wakes; `policy` says what an operator does about each kind of error.
//!
//! With `functions/*` this is the only crate that knows Lambda.

mod extracts;
mod invocation;
mod messages;
mod metrics;
mod policy;
mod start;

pub use extracts::{Due, ExtractAnswer, ExtractEvent, each_due};
pub use invocation::{Invocation, run, run_on_text};
pub use messages::{Message, each_message};
pub use metrics::{Distribution, Metrics, Unit};
pub use policy::{hint, usual_hint};
pub use start::{json_log, platform_dir, schema_file, sources, start};

/// What `main` returns: Lambda's own boxed error.
pub type MainResult = std::result::Result<(), lambda_runtime::Error>;
