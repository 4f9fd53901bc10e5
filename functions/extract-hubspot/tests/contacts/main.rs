//! The whole extract against servers that are not of this crate.

mod erased;
mod independent;
mod killed;
mod standin;
mod support;
