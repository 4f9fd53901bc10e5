//! The ids of the contacts that are live: what a list of the account is compared with, since nothing else tells of a contact
//! that was deleted for good.
//!
//! They are too many for a commit. So most lie in an object of their own, which a run writes before its commit, and the
//! commit names it, with what has changed since. An object that no commit names counts for nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sluice_core::{Kind, Result};

/// Changes that a commit holds; with more of them, the object is written again.
const MOST_CHANGES: usize = 2_000;

/// Where ids are kept between runs.
pub trait IdStore {
    /// What `keep` has put there.
    fn load(&self, name: &str) -> impl Future<Output = Result<Vec<u8>>>;

    /// Makes the ids durable and says under which name.
    fn keep(&self, ids: Vec<u8>) -> impl Future<Output = Result<String>>;
}

/// As a commit keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    added: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    removed: String,
}

/// The same while a run is under way.
#[derive(Debug, Default)]
pub(crate) struct KnownIds {
    object: Option<String>,
    /// The object's, once they have been needed.
    loaded: Option<BTreeSet<i64>>,
    changes: BTreeMap<i64, bool>,
    has_changed: bool,
}

impl KnownIds {
    pub(crate) fn new(known: Option<&Known>) -> Self {
        let Some(known) = known else { return Self::default() };
        let mut changes: BTreeMap<i64, bool> = decode(&known.added).map(|id| (id, true)).collect();
        changes.extend(decode(&known.removed).map(|id| (id, false)));
        KnownIds { object: known.object.clone(), changes, ..Self::default() }
    }

    /// Notes whether a contact is live.
    pub(crate) fn note(&mut self, id: i64, is_live: bool) {
        if let Some(loaded) = &self.loaded
            && loaded.contains(&id) == is_live
        {
            self.has_changed |= self.changes.remove(&id).is_some();
            return;
        }
        self.has_changed |= self.changes.insert(id, is_live) != Some(is_live);
    }

    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// All of them.
    pub(crate) async fn all(&mut self, store: &impl IdStore) -> Result<BTreeSet<i64>> {
        self.load(store).await?;
        let mut all = self.loaded.clone().unwrap_or_default();
        for (id, is_live) in &self.changes {
            if *is_live {
                all.insert(*id)
            } else {
                all.remove(id)
            };
        }
        Ok(all)
    }

    async fn load(&mut self, store: &impl IdStore) -> Result<()> {
        if self.loaded.is_some() {
            return Ok(());
        }
        let loaded = match &self.object {
            None => BTreeSet::new(),
            Some(name) => match store.load(name).await {
                Ok(bytes) => decode(&String::from_utf8_lossy(&bytes)).collect(),
                // The list of the account tells them again.
                Err(error) if error.kind() == Kind::NotFound => {
                    tracing::warn!(
                        error = error.chain(),
                        "the ids of known contacts are lost; the next comparison finds them"
                    );
                    BTreeSet::new()
                }
                Err(error) => return Err(error),
            },
        };
        self.changes.retain(|id, is_live| loaded.contains(id) != *is_live);
        self.loaded = Some(loaded);
        Ok(())
    }

    /// What the commit keeps; first of all, the object is written if there are many changes.
    pub(crate) async fn keep(mut self, store: &impl IdStore) -> Result<Known> {
        if self.changes.len() > MOST_CHANGES {
            let all = self.all(store).await?;
            let object = Some(store.keep(encode(all).into_bytes()).await?);
            return Ok(Known { object, ..Known::default() });
        }
        let of = |live: bool| encode(self.changes.iter().filter(|(_, is)| **is == live).map(|(id, _)| *id));
        Ok(Known { object: self.object.clone(), added: of(true), removed: of(false) })
    }
}

/// Ascending ids as one text: the first, and then by how much each is larger than the one before, which is short.
pub(crate) fn encode(ids: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::new();
    let mut before: Option<i64> = None;
    for id in ids {
        match before {
            None => text.push_str(&id.to_string()),
            Some(before) => text.push_str(&format!(",+{}", id - before)),
        }
        before = Some(id);
    }
    text
}

/// Reads what [`encode`] wrote, and a plain list of ids. What is no id is one that is not known.
pub(crate) fn decode(text: &str) -> impl Iterator<Item = i64> {
    let mut before: i64 = 0;
    text.split(',').filter_map(move |part| {
        before = match part.strip_prefix('+') {
            Some(step) => before.checked_add(step.parse().ok()?)?,
            None => part.parse().ok()?,
        };
        Some(before)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Default)]
    struct Objects(RefCell<Vec<Vec<u8>>>);

    impl IdStore for Objects {
        async fn load(&self, name: &str) -> Result<Vec<u8>> {
            Ok(self.0.borrow()[name.parse::<usize>().unwrap()].clone())
        }

        async fn keep(&self, ids: Vec<u8>) -> Result<String> {
            self.0.borrow_mut().push(ids);
            Ok((self.0.borrow().len() - 1).to_string())
        }
    }

    #[test]
    fn ids_read_back_as_they_were_written_and_a_plain_list_too() {
        for ids in [vec![], vec![7], vec![-3, 0, 5], vec![1, 2, 3, 400_000_000_000], vec![0, i64::MAX]] {
            assert_eq!(decode(&encode(ids.clone())).collect::<Vec<_>>(), ids);
        }
        assert_eq!(encode([7, 8, 18]), "7,+1,+10");
        assert_eq!(decode("5,8,x,9").collect::<Vec<_>>(), [5, 8, 9]);
    }

    #[tokio::test]
    async fn many_changes_go_to_an_object_and_few_stay_in_the_commit() {
        let store = Objects::default();
        let mut known = KnownIds::new(None);
        (1..=3_000).for_each(|id| known.note(id, true));
        let first = known.keep(&store).await.unwrap();
        assert_eq!(first, Known { object: Some("0".into()), ..Known::default() });

        let mut known = KnownIds::new(Some(&first));
        known.note(5, false);
        known.note(4_000, true);
        let second = known.keep(&store).await.unwrap();
        assert_eq!(second, Known { object: Some("0".into()), added: "4000".into(), removed: "5".into() });

        let all = KnownIds::new(Some(&second)).all(&store).await.unwrap();
        assert_eq!((all.len(), all.contains(&5), all.contains(&4_000)), (3_000, false, true));
        assert_eq!(store.0.borrow().len(), 1);
    }
}
