//! Which raw tables dbt's failed tests read, by the manifest of the newest run that succeeded: only these can explain them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result, TableId, lake, port::ObjectStore};

use crate::dispatch;

/// A run whose tests have failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub finished_at: DateTime<Utc>,
    /// The tables that each of its failed tests reads.
    pub reads: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Manifest {
    /// What each node reads itself.
    parent_map: BTreeMap<String, Vec<String>>,
}

/// The tables that each of these tests reads. There are none for a test that the manifest does not know.
pub(super) async fn of_each<'t>(
    store: &impl ObjectStore,
    tests: &[String],
    tables: impl Iterator<Item = &'t TableId> + Clone,
) -> Result<BTreeSet<String>> {
    let Some(body) = store.get(lake::DBT_MANIFEST_KEY).await? else { return Ok(BTreeSet::new()) };
    let manifest: Manifest = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid_data("dbt's manifest cannot be read").with("key", lake::DBT_MANIFEST_KEY).because(error)
    })?;
    let each: Vec<BTreeSet<&str>> = tests.iter().map(|test| manifest.above(test)).collect();
    let is_read = |table: &&TableId| {
        let source = dispatch::source(table);
        // source.<project>.<source>.<table>
        let name = |node: &str| Some(node.strip_prefix("source.")?.split_once('.')?.1.to_owned());
        !each.is_empty() && each.iter().all(|nodes| nodes.iter().any(|node| name(node).as_deref() == Some(&source)))
    };
    Ok(tables.filter(is_read).map(TableId::to_string).collect())
}

impl Manifest {
    fn above<'m>(&'m self, node: &str) -> BTreeSet<&'m str> {
        let parents = |node: &str| self.parent_map.get(node).into_iter().flatten().map(String::as_str);
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut new: Vec<&str> = parents(node).collect();
        while let Some(node) = new.pop() {
            if found.insert(node) {
                new.extend(parents(node));
            }
        }
        found
    }
}
