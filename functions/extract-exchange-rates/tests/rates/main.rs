//! The whole extract against servers that are not of this crate.

mod independent;
mod killed;
mod standin;
mod support;
