//! The one integration binary: what holds for the project as a whole.

mod additions;
mod aws;
mod benches;
mod build;
mod code;
mod commands;
mod config;
mod events;
mod expanded;
mod faults;
mod functions;
mod growth;
mod kafka;
mod loops;
mod modules;
mod network;
mod project;
mod schedules;
mod schemas;
mod sources;
mod template;
mod tidy;
mod tour;
