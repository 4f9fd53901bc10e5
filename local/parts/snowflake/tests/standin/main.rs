//! The stand-in from outside: the platform's own clients and the statements that they render, over HTTP.

mod evolve;
mod file;
mod locks;
mod names;
mod protocol;
mod questions;
mod replay;
mod roles;
mod snowpipe;
mod statements;
mod streaming;
mod support;
mod topics;
mod values;
