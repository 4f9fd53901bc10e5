//! The whole extract against servers that are not of this crate.

mod emulator;
mod independent;
mod killed;
mod support;
