//! Where each partition stands: the offset of the first record that no invocation has finished.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The positions, in memory and in a file that is replaced whole.
#[derive(Debug)]
pub(crate) struct Positions {
    path: PathBuf,
    topic: String,
    offsets: Mutex<BTreeMap<i32, i64>>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    topic: String,
    positions: BTreeMap<i32, i64>,
}

impl Positions {
    /// Reads the file. None, or one about another topic, means the beginning.
    pub(crate) async fn load(path: &Path, topic: &str) -> anyhow::Result<Self> {
        let offsets = match tokio::fs::read(path).await {
            Ok(bytes) => {
                let saved: Saved = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} does not hold positions; delete it to begin again", path.display()))?;
                if saved.topic == topic { saved.positions } else { BTreeMap::new() }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Positions { path: path.to_owned(), topic: topic.to_owned(), offsets: Mutex::new(offsets) })
    }

    /// Takes the file's positions for those in memory, as a process does that has just started.
    pub(crate) async fn reload(&self) -> anyhow::Result<()> {
        let saved = Positions::load(&self.path, &self.topic).await?;
        let saved = saved.lock().clone();
        self.lock().extend(saved);
        Ok(())
    }

    pub(crate) fn get(&self, partition: i32) -> Option<i64> {
        self.lock().get(&partition).copied()
    }

    pub(crate) fn all(&self) -> BTreeMap<i32, i64> {
        self.lock().clone()
    }

    /// Where a partition begins in this run. Not saved: nothing is done yet.
    pub(crate) fn begin(&self, partition: i32, position: i64) {
        self.lock().insert(partition, position);
    }

    /// Moves positions: first in the file, then in memory, so that what anybody is told survives. A crash leaves the old
    /// file or the new one.
    pub(crate) async fn advance(&self, to: impl IntoIterator<Item = (i32, i64)>) -> anyhow::Result<()> {
        let mut positions = self.lock().clone();
        positions.extend(to);
        let saved = Saved { topic: self.topic.clone(), positions };
        let draft = self.path.with_extension("draft");
        let write = async {
            if let Some(folder) = self.path.parent() {
                tokio::fs::create_dir_all(folder).await?;
            }
            tokio::fs::write(&draft, serde_json::to_vec(&saved)?).await?;
            tokio::fs::rename(&draft, &self.path).await?;
            anyhow::Ok(())
        };
        write.await.with_context(|| format!("cannot save the positions to {}", self.path.display()))?;
        *self.lock() = saved.positions;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, i64>> {
        // A map of numbers is whole whatever the thread that held it was doing.
        self.offsets.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn positions_survive_and_belong_to_their_topic() {
        let folder = std::env::temp_dir().join(format!("kafka-poller-{}", std::process::id()));
        let path = folder.join("positions.json");
        let positions = Positions::load(&path, "a").await.expect("no file yet");
        assert_eq!(positions.get(0), None);
        positions.begin(0, 3);
        assert_eq!(Positions::load(&path, "a").await.expect("no file yet").get(0), None);
        positions.advance([(0, 17)]).await.expect("saved");
        assert_eq!(positions.get(0), Some(17));
        assert_eq!(Positions::load(&path, "a").await.expect("a file").get(0), Some(17));
        positions.begin(0, 3);
        positions.reload().await.expect("a file");
        assert_eq!(positions.get(0), Some(17));
        assert_eq!(Positions::load(&path, "b").await.expect("a file").get(0), None);
        tokio::fs::write(&path, "{").await.expect("written");
        assert!(Positions::load(&path, "a").await.is_err(), "a broken file is not the beginning of the topic");
        tokio::fs::remove_dir_all(&folder).await.expect("removed");
    }
}
