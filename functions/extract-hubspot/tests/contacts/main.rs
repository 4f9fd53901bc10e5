//! The whole extract against servers that are not of this crate.

mod emulator;
mod erased;
mod independent;
mod killed;
mod support;
