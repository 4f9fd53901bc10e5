//! What a partitioned read leaves under `splits/`: its plan, a result for each part, that parts were queued again, and that it
//! was given up. Each is put if absent.

use serde::{Serialize, de::DeserializeOwned};
use sluice_core::{
    Error, Result, TableId, lake,
    port::ObjectStore,
    split::{GivenUp, PartResult, QueuedAgain, SplitPlan},
};

use crate::log::{self, Put};

/// A table's newest plan, whatever has become of it.
pub(super) async fn newest_plan(store: &impl ObjectStore, table: &TableId) -> Result<Option<SplitPlan>> {
    let Some(key) = store.first_key(&lake::split_prefix(table)).await? else { return Ok(None) };
    let number = lake::counted_number(&key)
        .ok_or_else(|| Error::invalid_data("the plans hold an object that is none").with("key", &key))?;
    plan(store, table, number).await
}

pub(super) async fn plan(store: &impl ObjectStore, table: &TableId, number: u64) -> Result<Option<SplitPlan>> {
    let key = lake::split_plan_key(table, number);
    let Some(body) = store.get(&key).await? else { return Ok(None) };
    let plan = SplitPlan::decode(&body)
        .map_err(|error| Error::new(error.kind(), "cannot read the plan").with("key", &key).because(error))?;
    if plan.table != *table || plan.number != number {
        return Err(Error::invalid_data("the plan's content names another table or number").with("key", &key));
    }
    Ok(Some(plan))
}

/// `false` when another run has made the plan of this number.
pub(super) async fn put_plan(store: &impl ObjectStore, plan: &SplitPlan) -> Result<bool> {
    let is_ours = |body: &[u8]| SplitPlan::decode(body).is_ok_and(|other| other.run_id == plan.run_id);
    let key = lake::split_plan_key(&plan.table, plan.number);
    Ok(log::put_once(store, &key, encode(plan)?, is_ours).await? == Put::Ours)
}

pub(super) async fn result(store: &impl ObjectStore, plan: &SplitPlan, part: usize) -> Result<Option<PartResult>> {
    read(store, &lake::split_part_key(&plan.table, plan.number, part)).await
}

/// The first result of a part counts; a later one is dropped.
pub(super) async fn put_result(store: &impl ObjectStore, plan: &SplitPlan, result: &PartResult) -> Result<()> {
    let key = lake::split_part_key(&plan.table, plan.number, result.part);
    log::put_once(store, &key, encode(result)?, |_| true).await.map(drop)
}

/// Whether what is missing beside the results that there are has been queued again for this time, the first being 1.
pub(super) async fn is_queued_again(
    store: &impl ObjectStore,
    plan: &SplitPlan,
    results: usize,
    time: u32,
) -> Result<bool> {
    let queued: Option<QueuedAgain> =
        read(store, &lake::split_again_key(&plan.table, plan.number, results, time)).await?;
    Ok(queued.is_some())
}

pub(super) async fn queued_again(
    store: &impl ObjectStore,
    plan: &SplitPlan,
    results: usize,
    time: u32,
    queued: &QueuedAgain,
) -> Result<()> {
    let key = lake::split_again_key(&plan.table, plan.number, results, time);
    log::put_once(store, &key, encode(queued)?, |_| true).await.map(drop)
}

pub(super) async fn is_given_up(store: &impl ObjectStore, plan: &SplitPlan) -> Result<bool> {
    let end: Option<GivenUp> = read(store, &lake::split_end_key(&plan.table, plan.number)).await?;
    Ok(end.is_some())
}

pub(super) async fn give_up(store: &impl ObjectStore, plan: &SplitPlan, end: &GivenUp) -> Result<()> {
    let key = lake::split_end_key(&plan.table, plan.number);
    log::put_once(store, &key, encode(end)?, |_| true).await.map(drop)
}

async fn read<T: DeserializeOwned>(store: &impl ObjectStore, key: &str) -> Result<Option<T>> {
    let Some(body) = store.get(key).await? else { return Ok(None) };
    serde_json::from_slice(&body).map(Some).map_err(|error| {
        Error::invalid_data("an object of a partitioned read does not parse").with("key", key).because(error)
    })
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value)
        .map_err(|error| Error::internal("cannot encode an object of a partitioned read").because(error))
}
