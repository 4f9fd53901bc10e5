//! The function's settings, read whole at cold start.

use sluice_core::{LakeId, Sources, env::Env};
use sluice_hubspot::DEFAULT_URL;

#[derive(Debug)]
pub struct Config {
    /// `SLUICE_LAKE_BUCKET`
    pub lake_bucket: String,
    /// `SLUICE_LAKE_ID`
    pub lake_id: LakeId,
    /// `SLUICE_BUS_NAME`
    pub bus_name: String,
    /// `SLUICE_HUBSPOT_URL`
    pub url: String,
    /// `SLUICE_HUBSPOT_SECRET`: the name of the secret, not its value.
    pub secret: String,
    pub sources: Sources,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            url: env.optional("SLUICE_HUBSPOT_URL").unwrap_or_else(|| DEFAULT_URL.to_owned()),
            secret: env.required("SLUICE_HUBSPOT_SECRET"),
            sources: sluice_lambda::sources(env),
        }
    }
}
