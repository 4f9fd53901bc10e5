//! The clients against a server on this machine that answers by script and keeps what it was asked.

mod fake;
pub(crate) mod key;
mod pipe;
mod sql_api;
mod streaming;
mod submit;
