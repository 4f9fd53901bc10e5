//! The function's settings, read whole at cold start.

use sluice_core::{LakeId, Sources, env::Env};
use sluice_hubspot::{DEFAULT_URL, DEFAULT_VERSION};

/// A person who asks to be forgotten is gone from the marts within a week.
const COMPARE_DAYS: u32 = 7;

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
    /// `SLUICE_HUBSPOT_VERSION`
    pub version: String,
    /// `SLUICE_HUBSPOT_SECRET`: the name of the secret, not its value.
    pub secret: String,
    /// `SLUICE_HUBSPOT_COMPARE_DAYS`: days between two comparisons with the account's list; 0: none.
    pub compare_days: u32,
    pub sources: Sources,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            url: env.optional("SLUICE_HUBSPOT_URL").unwrap_or_else(|| DEFAULT_URL.to_owned()),
            version: env.optional("SLUICE_HUBSPOT_VERSION").unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
            secret: env.required("SLUICE_HUBSPOT_SECRET"),
            compare_days: env.parsed_or("SLUICE_HUBSPOT_COMPARE_DAYS", COMPARE_DAYS),
            sources: sluice_lambda::sources(env),
        }
    }
}
