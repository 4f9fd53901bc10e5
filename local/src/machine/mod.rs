//! This machine in place of a cloud: processes, services, deployment.

pub(crate) mod deploy;
pub(crate) mod platform;
pub(crate) mod processes;
pub(crate) mod registry;
pub(crate) mod services;
pub(crate) mod state;
