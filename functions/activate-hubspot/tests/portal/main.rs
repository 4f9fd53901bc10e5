//! Whole activations against the emulator of HubSpot, over HTTP, within its documented limits.

mod faults;
mod portal;
mod support;
