//! Refused rows by reason. A run reads its look-back again and rejects a bad row again: it is one row, refused many times.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_pipeline::rejects::Refusal;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    pub reason: String,
    /// Different rows.
    pub rows: u64,
    /// How often one was refused.
    pub times: u64,
    pub newest: Option<DateTime<Utc>>,
}

/// Counts everything and keeps the newest.
pub(super) struct Tally {
    since: DateTime<Utc>,
    keep: usize,
    reasons: BTreeMap<String, Reason>,
    seen: HashSet<u64>,
    newest: Vec<Refusal>,
}

impl Tally {
    pub(super) fn new(since: DateTime<Utc>, keep: usize) -> Self {
        Tally { since, keep, reasons: BTreeMap::new(), seen: HashSet::new(), newest: Vec::new() }
    }

    /// Rows that come again should come the newest first: the first one is shown.
    pub(super) fn add(&mut self, refusal: Refusal) {
        if refusal.at.is_some_and(|at| at < self.since) {
            return;
        }
        let mut hasher = DefaultHasher::new();
        let place = refusal.place.map(|place| (place.partition, place.offset));
        (&refusal.reason, refusal.row.to_string(), place).hash(&mut hasher);
        let is_new = self.seen.insert(hasher.finish());
        let reason = self.reasons.entry(refusal.reason.clone()).or_insert_with(|| Reason {
            reason: refusal.reason.clone(),
            rows: 0,
            times: 0,
            newest: None,
        });
        reason.rows += u64::from(is_new);
        reason.times += 1;
        reason.newest = reason.newest.max(refusal.at);
        if is_new && self.keep > 0 {
            self.newest.push(refusal);
            if self.newest.len() > 2 * self.keep + 100 {
                self.sort();
            }
        }
    }

    fn sort(&mut self) {
        self.newest.sort_by_key(|refusal| Reverse((refusal.at, place(refusal))));
        self.newest.truncate(self.keep);
    }

    /// The most frequent first.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self.reasons.values().cloned().collect();
        reasons.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.reason.cmp(&b.reason)));
        reasons
    }

    pub(super) fn newest(mut self) -> Vec<Refusal> {
        self.sort();
        self.newest
    }
}

fn place(refusal: &Refusal) -> Option<(i32, i64)> {
    refusal.place.map(|place| (place.partition, place.offset))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    fn refusal(reason: &str, minute: i64, id: u64) -> Refusal {
        let at = Some(DateTime::UNIX_EPOCH + TimeDelta::minutes(minute));
        Refusal { reason: reason.into(), at, place: None, row: json!({"id": id}) }
    }

    #[test]
    fn a_row_that_comes_again_is_one_row_refused_twice() {
        let mut tally = Tally::new(DateTime::UNIX_EPOCH + TimeDelta::minutes(2), 2);
        for (reason, minute, id) in [("b", 9, 1), ("a", 8, 2), ("b", 7, 1), ("b", 6, 3), ("b", 1, 4)] {
            tally.add(refusal(reason, minute, id));
        }
        let reasons: Vec<(String, u64, u64)> =
            tally.reasons().into_iter().map(|r| (r.reason, r.rows, r.times)).collect();
        assert_eq!(reasons, [("b".to_owned(), 2, 3), ("a".to_owned(), 1, 1)]);
        let newest: Vec<_> = tally.newest().into_iter().map(|refusal| refusal.row["id"].clone()).collect();
        assert_eq!(newest, [json!(1), json!(2)]);
    }

    #[test]
    fn only_the_newest_are_kept_however_many_come() {
        let mut tally = Tally::new(DateTime::UNIX_EPOCH, 3);
        for id in 0..5_000_u32 {
            tally.add(refusal("a", i64::from(id % 997), u64::from(id)));
            assert!(tally.newest.len() <= 106);
        }
        assert_eq!(tally.reasons()[0].rows, 5_000);
        let newest = tally.newest();
        assert!(newest.len() == 3 && newest.iter().all(|refusal| refusal.at == newest[0].at), "{newest:?}");
    }
}
