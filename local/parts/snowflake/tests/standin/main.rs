//! The stand-in from outside: the platform's own clients and the statements that they render, over HTTP.

mod evolve;
mod file;
mod protocol;
mod replay;
mod snowpipe;
mod statements;
mod streaming;
mod support;
mod topics;
