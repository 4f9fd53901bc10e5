//! A warehouse that answers, refuses or is away, and a lake with runs of dbt.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use futures::executor::block_on;
use serde_json::json;
use sluice_core::{Error, Kind, Result, Sequence, TableId, lake, port::ObjectStore};
use sluice_pipeline::{
    observe::{
        Answer, Cost, CostsBy, DbtRun, Entry as Load, Estimate, LoadFailure, LockWait, Observe, Pace, PartitionRows,
        Question, TableLoads, Unsent, Untaken, User,
    },
    stream::{Channel, ChannelStatus},
};
use sluice_testkit::lake::MemoryLake;
use sluice_watch::objectives::Fault;

pub(super) type Rows = Vec<Vec<Option<String>>>;

/// Rows for what contains a text; one row of ones for everything else.
#[derive(Default)]
pub(super) struct Warehouse<'a> {
    pub answers: Vec<(&'static str, Result<Rows, Kind>)>,
    pub asked: RefCell<Vec<String>>,
    /// Asked what contains this text it goes away.
    pub leaves: Option<&'static str>,
    pub is_away: Cell<bool>,
    /// A run of dbt that succeeds while it is asked.
    pub publishes: Option<(&'a MemoryLake, u64)>,
}

impl Warehouse<'_> {
    pub(super) fn answering(part: &'static str, answer: std::result::Result<Rows, Kind>) -> Self {
        let reach = vec![vec![Some("2026-03-14".to_owned())]];
        Warehouse { answers: vec![(part, answer), ("AS \"newest\"", Ok(reach))], ..Warehouse::default() }
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::unsupported("nobody asks this"))
}

impl Observe for Warehouse<'_> {
    async fn loads(&self) -> Result<BTreeMap<String, TableLoads>> {
        Ok(BTreeMap::new())
    }

    async fn failures(&self) -> Result<BTreeMap<String, LoadFailure>> {
        refused()
    }

    async fn untaken(&self) -> Result<BTreeMap<String, Untaken>> {
        refused()
    }

    async fn recent(&self, _: &TableId, _: usize) -> Result<BTreeMap<u64, Load>> {
        refused()
    }

    async fn entry(&self, _: &TableId, _: Sequence) -> Result<Option<Load>> {
        refused()
    }

    async fn last_dbt_run(&self) -> Result<Option<DbtRun>> {
        refused()
    }

    async fn partitions(&self, _: &TableId) -> Result<Vec<PartitionRows>> {
        refused()
    }

    async fn pace(&self, _: &TableId) -> Result<Pace> {
        refused()
    }

    async fn channels(&self, _: &[Channel]) -> Result<BTreeMap<String, Result<ChannelStatus>>> {
        refused()
    }

    async fn max_loaded_offset(&self, _: &Channel) -> Result<Option<i64>> {
        refused()
    }

    async fn unsent(&self, _: &str) -> Result<Vec<Unsent>> {
        refused()
    }

    async fn costs(&self, _: NaiveDate, _: CostsBy, _: usize) -> Result<Vec<Cost>> {
        refused()
    }

    async fn faults(&self, _: DateTime<Utc>) -> Result<Vec<Fault>> {
        refused()
    }

    async fn estimate(&self, _: NaiveDate) -> Result<Estimate> {
        refused()
    }

    async fn ask(&self, question: &Question) -> Result<Answer> {
        self.asked.borrow_mut().push(question.statement.clone());
        if let Some((lake, number)) = self.publishes {
            put_run(lake, number, "succeeded").await;
        }
        if self.leaves.is_some_and(|part| question.statement.contains(part)) {
            self.is_away.set(true);
        }
        if self.is_away.get() {
            return Err(Error::unavailable("nobody is there"));
        }
        let found = self.answers.iter().find(|(part, _)| question.statement.contains(part));
        let columns = question.statement.matches(" AS \"").count();
        match found {
            Some((_, Err(kind))) => Err(Error::new(*kind, "the secret row is 4711")),
            Some((_, Ok(rows))) => Ok(Answer { columns: Vec::new(), rows: rows.clone() }),
            None => Ok(Answer { columns: Vec::new(), rows: vec![vec![Some("1".to_owned()); columns]] }),
        }
    }

    fn user(&self) -> &User {
        unreachable!("nobody asks this")
    }

    async fn default_role(&self) -> Result<Option<String>> {
        refused()
    }

    async fn lock_wait(&self) -> Result<LockWait> {
        refused()
    }
}

/// A lake with runs of dbt that ended so, or are under way.
pub(super) fn lake(ended: &[&str]) -> MemoryLake {
    let lake = MemoryLake::default();
    for (number, status) in (1..).zip(ended) {
        block_on(put_run(&lake, number, status));
    }
    lake
}

async fn put_run(lake: &MemoryLake, number: u64, status: &str) {
    let put = async |key: String, value: serde_json::Value| {
        drop(lake.put(&key, Bytes::from(value.to_string())).await.expect("put"))
    };
    put(lake::dbt_claim_key(number), json!({})).await;
    if status == "under way" {
        return;
    }
    put(
        lake::dbt_end_key(number),
        json!({"number": number, "status": status, "dbt_run_id": "1", "ended_at": "2026-03-15T08:00:00Z",
        "covered": {}, "seconds": 12.5, "credits": 0.25, "rows": 1_234, "models": 3, "tests": 4,
        "failures": [], "nodes": [{"node": "not_null_x", "status": "warn", "seconds": 1.0}]}),
    )
    .await;
}
