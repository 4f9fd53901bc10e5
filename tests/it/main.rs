//! The one integration binary: what holds for the project as a whole.

mod config;
mod events;
mod project;
mod schemas;
mod tidy;
