//! Reading refused rows from where the lake keeps them.

use std::{collections::BTreeMap, pin::pin};

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, stream};
use sluice_aws::S3Lake;
use sluice_core::{
    LakeId, lake,
    port::{Listing, ObjectStore},
};
use sluice_pipeline::rejects::{self, Refusal, RefusedByWarehouse};

use super::{Subject, tally::Tally};
use crate::failure::Outcome;

/// Each dead letter is an object of its own: at most this many are read, the newest of each partition.
const MOST_LETTERS: usize = 2_000;

/// Objects that are read at a time.
const AT_A_TIME: usize = 16;

pub(super) struct Found {
    pub tally: Tally,
    pub read: usize,
    pub unread: usize,
}

/// Everything since then.
pub(super) async fn all(store: &S3Lake, subject: &Subject<'_>, since: DateTime<Utc>, keep: usize) -> Outcome<Found> {
    let (keys, unread) = since_then(subject, keys(store, subject).await?, since);
    let mut tally = Tally::new(since, keep);
    let mut objects = pin!(each(store, subject, &keys));
    while let Some(found) = objects.next().await {
        found?.into_iter().for_each(|refusal| tally.add(refusal));
    }
    Ok(Found { tally, read: keys.len(), unread })
}

/// The objects that may hold what was refused since then, the newest first, and how many more there are than one look takes.
pub(super) fn since_then(subject: &Subject<'_>, keys: Vec<String>, since: DateTime<Utc>) -> (Vec<String>, usize) {
    match subject.topic {
        Some(topic) => {
            let all = keys.len();
            let newest = newest_letters(topic, keys);
            let unread = all - newest.len();
            (newest, unread)
        }
        None => {
            let is_older = |key: &String| lake::rejected_at(&subject.table.table, key).is_some_and(|at| at < since);
            (keys.into_iter().rev().filter(|key| !is_older(key)).collect(), 0)
        }
    }
}

/// What each object holds, in their order; several are read at a time.
pub(super) fn each<'a>(
    store: &'a S3Lake,
    subject: &'a Subject<'_>,
    keys: &'a [String],
) -> impl Stream<Item = Outcome<Vec<Refusal>>> + 'a {
    stream::iter(keys).map(move |key| refusals(store, subject, key)).buffered(AT_A_TIME)
}

/// Where everything that was refused of the table or topic lies.
pub(super) async fn keys(store: &S3Lake, subject: &Subject<'_>) -> Outcome<Vec<String>> {
    let prefix = match subject.topic {
        Some(topic) => lake::dead_letter_prefix(topic),
        None => lake::rejects_prefix(&subject.table.table),
    };
    Ok(store.keys(&prefix).await?)
}

/// What an object holds. One that has expired since it was listed holds nothing.
async fn refusals(store: &S3Lake, subject: &Subject<'_>, key: &str) -> Outcome<Vec<Refusal>> {
    let Some(body) = store.get(key).await? else { return Ok(Vec::new()) };
    let of_key = |error: sluice_core::Error| error.with("key", key);
    if subject.topic.is_some() {
        return Ok(vec![rejects::dead_letter(&body).map_err(of_key)?]);
    }
    // A run may be made for another time than that at which it is made, and its rows bear that one.
    let began = lake::rejected_at(&subject.table.table, key);
    let mut rows = Vec::new();
    let add = |refusal: Refusal| rows.push(Refusal { at: began.or(refusal.at), ..refusal });
    rejects::each_row(&body, add).map_err(of_key)?;
    Ok(rows)
}

/// The newest rows that the warehouse has refused of each of the topic's channels.
pub(super) async fn refused(store: &S3Lake, topic: &str, lake_id: Outcome<LakeId>) -> Outcome<Vec<RefusedByWarehouse>> {
    let keys = store.keys(lake::REFUSED_PREFIX).await?;
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    for key in rejects::of_topic(&keys, &lake_id?.0, topic) {
        // In byte order, in which the count grows.
        newest.insert(key.rsplit_once('/').map_or(key, |(channel, _)| channel), key);
    }
    let mut refused = Vec::new();
    for key in newest.into_values() {
        let Some(body) = store.get(key).await? else { continue };
        let told = serde_json::from_slice(&body).map_err(|error| {
            let text = "an object under refused/ does not parse";
            sluice_core::Error::invalid_data(text).with("key", key).because(format!("column {}", error.column()))
        })?;
        refused.push(told);
    }
    Ok(refused)
}

/// As many of each partition as of any other, those with the highest offsets.
fn newest_letters(topic: &str, keys: Vec<String>) -> Vec<String> {
    let mut partitions: BTreeMap<i32, Vec<(i64, String)>> = BTreeMap::new();
    for key in keys {
        if let Some((partition, offset)) = lake::dead_letter_place(topic, &key) {
            partitions.entry(partition).or_default().push((offset, key));
        }
    }
    let each = MOST_LETTERS / partitions.len().max(1);
    let newest = partitions.into_values().flat_map(|mut letters| {
        letters.sort_unstable_by(|a, b| b.cmp(a));
        letters.truncate(each.max(1));
        letters.into_iter().map(|(_, key)| key)
    });
    newest.collect()
}

#[cfg(test)]
mod tests {
    use sluice_core::{RunId, Sources};

    use super::*;

    #[test]
    fn files_from_before_the_asked_time_are_not_read() {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        let table = &sources.tables[0];
        let subject = Subject { table, topic: None, show_pii: false };
        let key = |run: &str| lake::rejected_key(&table.table, &RunId(run.into()));
        let keys: Vec<String> =
            ["019a0000-0000-7000-8000-000000000000", "019b0000-0000-7000-8000-000000000000"].map(key).into();
        let between = DateTime::from_timestamp_millis(0x019a_8000_0000).expect("a time");
        assert_eq!(since_then(&subject, keys.clone(), between), (vec![keys[1].clone()], 0));
        assert_eq!(since_then(&subject, keys, DateTime::UNIX_EPOCH).0.len(), 2);
    }

    #[test]
    fn of_many_dead_letters_each_partition_shows_its_newest() {
        let key = |partition, offset| lake::dead_letter_key("t", partition, offset, "c");
        let mut keys: Vec<String> = (0..3_000).map(|offset| key(0, offset)).collect();
        keys.extend((0..10).map(|offset| key(1, offset)));
        keys.push("dead-letter/t/other".into());
        let newest = newest_letters("t", keys);
        assert_eq!(newest.len(), 1_010);
        assert_eq!((newest[0].as_str(), newest[1_009].as_str()), (key(0, 2_999).as_str(), key(1, 0).as_str()));
    }
}
