//! The secret of all that is told outside: channels, lineage, runs.

use std::collections::BTreeMap;

use serde::Deserialize;
use sluice_core::Secret;

/// `{"slack_token": "xoxb-…", "routing_keys": {"page": "…"}, "urls": {"hook": "https://…"}, "openlineage_token": "…"}`. Keys and
/// addresses are named by the channel of the table; each is left out where there is none. A channel of PagerDuty has an address where
/// its account is not one of the United States.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    pub slack_token: Option<Secret>,
    pub routing_keys: BTreeMap<String, Secret>,
    pub urls: BTreeMap<String, Secret>,
    /// For the address that takes OpenLineage events.
    pub openlineage_token: Option<Secret>,
    pub prefect: Option<Prefect>,
}

/// `{"api": "http://…/api", "key": "pnu_…"}`. Prefect Cloud needs a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prefect {
    pub api: String,
    #[serde(default)]
    pub key: Option<Secret>,
}
