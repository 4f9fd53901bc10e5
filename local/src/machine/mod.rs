//! This machine in place of a cloud: processes, services, deployment.

pub mod deploy;
pub mod processes;
pub mod services;
pub mod state;
