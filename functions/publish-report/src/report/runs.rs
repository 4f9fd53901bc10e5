//! The last runs of dbt, as the lake keeps them.

use sluice_core::{Error, Result, lake, port::ObjectStore};
use sluice_pipeline::dispatch::{End, EndStatus};

/// How many runs are looked at.
const RECENT: u64 = 10;

/// Runs that have ended, the newest first.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub ended: Vec<End>,
    /// The numbers of those that have not, the newest first.
    under_way: Vec<u64>,
}

impl Runs {
    pub(super) async fn recent(store: &impl ObjectStore) -> Result<Self> {
        let Some(newest) = store.first_key(lake::DBT_LOG_PREFIX).await? else { return Ok(Runs::default()) };
        let broken = || Error::invalid_data("the dbt log holds an object that is not of it").with("key", &newest);
        let newest = lake::counted_number(&newest).ok_or_else(broken)?;
        let mut runs = Runs::default();
        for number in (1..=newest).rev().take(RECENT as usize) {
            let key = lake::dbt_end_key(number);
            let Some(body) = store.get(&key).await? else {
                runs.under_way.push(number);
                continue;
            };
            let broken =
                |error| Error::invalid_data("the end of a dbt run does not parse").with("key", &key).because(error);
            runs.ended.push(serde_json::from_slice(&body).map_err(broken)?);
        }
        Ok(runs)
    }

    /// The run whose marts readers see.
    pub(super) fn published(&self) -> Option<&End> {
        self.ended.iter().find(|end| end.status == EndStatus::Succeeded)
    }

    /// A later run than this one that has published, or may have: it publishes before it has ended.
    pub(super) fn may_have_published_since(&self, number: u64) -> Option<u64> {
        let published = self.published().map(|end| end.number);
        published.into_iter().chain(self.under_way.iter().copied()).filter(|later| *later > number).max()
    }

    /// Those after it, which have changed nothing that readers see.
    pub(super) fn since(&self, published: &End) -> impl Iterator<Item = &End> {
        self.ended.iter().filter(move |end| end.number > published.number)
    }
}
