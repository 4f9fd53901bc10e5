//! This machine in place of a cloud: processes, services, deployment.

pub mod deploy;
pub mod platform;
pub mod processes;
pub mod registry;
pub mod services;
pub mod state;
