//! The emulator from outside: the platform's own clients and the statements that they render, over HTTP.

mod acceptance;
mod access;
mod account;
mod activations;
mod bootstrap;
mod deliveries;
mod earlier;
mod evolve;
mod file;
mod grants;
mod lake;
mod locks;
mod login;
mod names;
mod protocol;
mod questions;
mod rebuild;
mod replay;
mod roles;
mod snowpipe;
mod statements;
mod streaming;
mod support;
mod topics;
mod values;
mod views;
