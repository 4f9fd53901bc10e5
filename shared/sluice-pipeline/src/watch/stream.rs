//! How the partitions of a topic go on, by the rows that are in its table: how old the newest record of each was when it was
//! loaded, and whether one stands still while the others grow.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use sluice_watch::monitors::Partition;

use super::port::PartitionRows;

/// What rows of a topic are compared over, and how long a partition without any is remembered.
pub(super) const HOURS: i64 = 48;

/// Samples further back than this say nothing that a day's rows do not.
const SAMPLES: usize = 48;

/// How far each partition had come in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    at: DateTime<Utc>,
    offsets: BTreeMap<u64, i64>,
}

/// Remembers how far the partitions have come.
pub(super) fn remember(samples: &mut Vec<Sample>, rows: &[PartitionRows], now: DateTime<Utc>) {
    samples.retain(|sample| now - sample.at < Duration::hours(HOURS + 2));
    let offsets = rows.iter().map(|rows| (rows.partition, rows.newest_offset)).collect();
    samples.push(Sample { at: now, offsets });
    samples.drain(..samples.len().saturating_sub(SAMPLES));
}

pub(super) fn partitions(rows: &[PartitionRows], samples: &[Sample]) -> Vec<Partition> {
    let all: u64 = rows.iter().map(|rows| rows.rows).sum();
    let of = |rows: &PartitionRows| Partition {
        partition: rows.partition,
        newest_load: rows.newest_load,
        behind_minutes: (rows.newest_load - rows.newest_record).num_seconds().max(0) as f64 / 60.0,
        expected_rows: expected(rows, all, samples),
    };
    rows.iter().map(of).collect()
}

/// By its share of the day's rows, and by how far the other partitions have come since its newest row.
fn expected(own: &PartitionRows, all: u64, samples: &[Sample]) -> f64 {
    let others = all.saturating_sub(own.rows) as f64;
    let since = samples.iter().find(|sample| sample.at >= own.newest_load);
    let (Some(since), Some(newest)) = (since, samples.last()) else { return 0.0 };
    if others == 0.0 {
        return 0.0;
    }
    let grown = newest.offsets.iter().filter(|(partition, _)| **partition != own.partition);
    let grown: i64 =
        grown.filter_map(|(partition, offset)| Some((offset - since.offsets.get(partition)?).max(0))).sum();
    own.rows as f64 / others * grown as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(partition: u64, newest_offset: i64, minute: i64) -> PartitionRows {
        let newest_load = DateTime::UNIX_EPOCH + Duration::minutes(minute);
        let newest_record = newest_load - Duration::minutes(3);
        PartitionRows { partition, rows: 100, newest_offset, newest_load, newest_record }
    }

    #[test]
    fn a_partition_owes_its_share_of_what_the_others_have_got_since() {
        let mut samples = Vec::new();
        let at = |minute| DateTime::UNIX_EPOCH + Duration::minutes(minute);
        remember(&mut samples, &[rows(0, 100, 0), rows(1, 100, 0), rows(2, 100, 0)], at(1));
        let now = [rows(0, 100, 0), rows(1, 130, 30), rows(2, 140, 30)];
        remember(&mut samples, &now, at(31));
        let owed: Vec<f64> = partitions(&now, &samples).iter().map(|it| it.expected_rows).collect();
        assert_eq!(owed, [35.0, 0.0, 0.0]);
        assert!(partitions(&now, &samples).iter().all(|it| (it.behind_minutes - 3.0).abs() < 1e-9));
        // A topic of one partition, or one of which there is no sample yet, owes nothing.
        assert_eq!(partitions(&now[..1], &samples)[0].expected_rows, 0.0);
        assert_eq!(partitions(&now, &[])[0].expected_rows, 0.0);
    }

    #[test]
    fn samples_are_kept_for_a_day_and_no_more_than_a_few() {
        let mut samples = Vec::new();
        for round in 0..1_000 {
            remember(&mut samples, &[rows(0, round, 0)], DateTime::UNIX_EPOCH + Duration::minutes(5 * round));
        }
        assert_eq!(samples.len(), SAMPLES);
        remember(&mut samples, &[], DateTime::UNIX_EPOCH + Duration::days(9));
        assert_eq!(samples.len(), 1);
    }
}
