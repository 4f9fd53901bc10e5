//! Which incident explains which: a fault upstream explains what is late, small or wrong below it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::incident::Incident;

/// What each object is made from: a mart from tables, a table by a function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Upstream(pub BTreeMap<String, BTreeSet<String>>);

impl Upstream {
    /// All objects above one, nearest first.
    pub(super) fn above(&self, object: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut level: Vec<&String> = self.0.get(object).into_iter().flatten().collect();
        while !level.is_empty() {
            let new: Vec<&String> = level.into_iter().filter(|name| *name != object && !found.contains(name)).collect();
            found.extend(new.iter().map(|name| (*name).clone()));
            level = new.into_iter().filter_map(|name| self.0.get(name)).flatten().collect();
        }
        found
    }

    /// For each unresolved incident the key of the one that explains it, at the root of it.
    pub(super) fn explain(&self, incidents: &BTreeMap<String, Incident>) -> BTreeMap<String, Option<String>> {
        let open = || incidents.values().filter(|incident| !incident.is_resolved());
        let mut causes: BTreeMap<&str, Vec<&Incident>> = BTreeMap::new();
        // Of what is muted nobody is told, so it explains nothing.
        for incident in open().filter(|incident| incident.kind().rank().is_some() && !incident.is_muted()) {
            causes.entry(&incident.object.name).or_default().push(incident);
        }
        let mut nearest: BTreeMap<&str, &str> = BTreeMap::new();
        for incident in open().filter(|incident| incident.kind().is_effect()) {
            if let Some(cause) = self.cause(incident, &causes) {
                nearest.insert(&incident.key, &cause.key);
            }
        }
        let root = |key: &str| {
            // Each step goes up or to a lower rank, and never more often than there are incidents.
            let mut at = *nearest.get(key)?;
            for _ in 0..nearest.len() {
                match nearest.get(at) {
                    Some(above) if *above != key => at = above,
                    _ => break,
                }
            }
            Some(at.to_owned())
        };
        open().map(|incident| (incident.key.clone(), root(&incident.key))).collect()
    }

    fn cause<'i>(&self, incident: &Incident, causes: &BTreeMap<&str, Vec<&'i Incident>>) -> Option<&'i Incident> {
        let rank = incident.kind().rank().unwrap_or(u8::MAX);
        // Who is told of the cause is told of the effect, and others may be told of a worse one.
        let of =
            |name: &str| causes.get(name).into_iter().flatten().filter(|cause| cause.severity <= incident.severity);
        let same = of(&incident.object.name);
        let of_same = same.filter(|cause| cause.kind().rank().is_some_and(|other| other < rank));
        let above = self.above(&incident.object.name);
        let of_above = above.iter().flat_map(|name| of(name));
        let best = |cause: &&&'i Incident| cause.kind().rank();
        of_same.min_by_key(best).or_else(|| of_above.min_by_key(best)).copied()
    }
}
