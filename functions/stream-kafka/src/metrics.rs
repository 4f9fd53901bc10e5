//! What a batch amounts to, topic by topic: the metrics, and the same in the log.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sluice_core::{Batch, LakeId, RunId};
use sluice_lambda::{Distribution, Metrics, Unit};
use sluice_pipeline::stream::{Progress, Report};
use tracing::info;

/// One topic's part of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TopicCounts {
    pub rows: u64,
    pub bytes: u64,
    pub dead_letters: u64,
    pub skipped: u64,
    pub refused: u64,
    /// Fields that the topic's contract does not know.
    pub unknown_fields: u64,
    pub failed_partitions: u64,
    /// Records of this batch that are not durable yet, by their offsets.
    pub lag: u64,
    /// From each record's own timestamp until it was seen to be durable, in milliseconds.
    pub latency: Distribution,
}

/// Says of each topic what became of it.
pub fn report(batches: &[Batch], report: &Report, lake_id: &LakeId, run_id: &RunId) {
    for (topic, counts) in counts(batches, report) {
        let percentile = |percent| counts.latency.percentile(percent);
        info!(
            topic,
            rows = counts.rows,
            dead_letters = counts.dead_letters,
            skipped = counts.skipped,
            unknown_fields = counts.unknown_fields,
            failed_partitions = counts.failed_partitions,
            latency_p50_ms = percentile(50),
            latency_p95_ms = percentile(95),
            latency_p99_ms = percentile(99),
            "batch served"
        );
        counts.metrics(lake_id, topic, run_id).emit();
    }
}

/// Adds up what the loop reports.
fn counts<'a>(batches: &'a [Batch], report: &Report) -> BTreeMap<&'a str, TopicCounts> {
    let mut latencies: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut topics: BTreeMap<&str, TopicCounts> = BTreeMap::new();
    for batch in batches {
        let topic = topics.entry(&batch.topic).or_default();
        let this = |other: (&str, i32)| other == (batch.topic.as_str(), batch.partition);
        if let Some(progress) = report.done.iter().find(|done| this((&done.topic, done.partition))) {
            let fresh = batch.records.get(progress.skipped as usize..).unwrap_or_default();
            topic.rows += progress.rows;
            topic.bytes +=
                fresh.iter().map(|record| record.value.as_ref().map_or(0, |value| value.len() as u64)).sum::<u64>();
            topic.dead_letters += progress.dead_letters;
            topic.skipped += progress.skipped;
            topic.refused += progress.refused;
            topic.unknown_fields += progress.unknown_fields;
            latencies.entry(&batch.topic).or_default().extend(latency(batch, progress));
        }
        if let Some(failure) = report.failed.iter().find(|failed| this((&failed.topic, failed.partition))) {
            topic.failed_partitions += 1;
            topic.lag += batch.records.iter().filter(|record| record.offset >= failure.offset).count() as u64;
        }
    }
    for (topic, values) in latencies {
        topics.entry(topic).or_default().latency = values.into_iter().collect();
    }
    topics
}

fn latency(batch: &Batch, progress: &Progress) -> Vec<u64> {
    let Some(queryable_at) = progress.queryable_at else { return Vec::new() };
    let since = |timestamp_ms: i64| {
        let at = DateTime::<Utc>::from_timestamp_millis(timestamp_ms).filter(|_| timestamp_ms >= 0)?;
        // A producer's clock may be ahead of ours: then no time has passed.
        Some((queryable_at - at).num_milliseconds().max(0).unsigned_abs())
    };
    batch.records.iter().skip(progress.skipped as usize).filter_map(|record| since(record.timestamp_ms)).collect()
}

impl TopicCounts {
    /// The line for CloudWatch.
    pub fn metrics(&self, lake: &LakeId, topic: &str, run_id: &RunId) -> Metrics {
        Metrics::new(&[("LakeId", &lake.0), ("Topic", topic)])
            .also_by(&["LakeId"])
            .property("run_id", run_id.0.as_str())
            .value("Rows", Unit::Count, self.rows)
            .value("ValueBytes", Unit::Bytes, self.bytes)
            .value("DeadLetters", Unit::Count, self.dead_letters)
            .value("SkippedRecords", Unit::Count, self.skipped)
            .value("RefusedRows", Unit::Count, self.refused)
            .value("UnknownFields", Unit::Count, self.unknown_fields)
            .value("FailedPartitions", Unit::Count, self.failed_partitions)
            .value("UndurableRecords", Unit::Count, self.lag)
            .values("EventToQueryable", Unit::Milliseconds, &self.latency)
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::{Error, Record};
    use sluice_pipeline::stream::Failure;

    use super::*;

    fn batch(topic: &str, partition: i32, records: &[(i64, i64)]) -> Batch {
        let record = |(offset, timestamp_ms): &(i64, i64)| Record {
            offset: *offset,
            timestamp_ms: *timestamp_ms,
            key: None,
            value: Some("12345".into()),
            headers: Vec::new(),
        };
        Batch { topic: topic.into(), partition, records: records.iter().map(record).collect() }
    }

    #[test]
    fn latency_runs_from_the_records_own_time_and_only_for_what_was_new() {
        let batches = [
            batch("a", 0, &[(1, 1_000), (2, 2_000), (5, 9_500), (6, -1)]),
            batch("a", 1, &[(7, 4_000), (8, 4_000)]),
            batch("b", 0, &[(0, 0)]),
        ];
        let progress = Progress {
            topic: "a".into(),
            partition: 0,
            table: "A.B.C".parse().expect("a table"),
            committed: Some(6),
            rows: 2,
            dead_letters: 1,
            skipped: 1,
            refused: 0,
            unknown_fields: 5,
            queryable_at: DateTime::from_timestamp_millis(9_000),
        };
        let failure = Failure { topic: "a".into(), partition: 1, offset: 8, error: Error::unavailable("away") };
        let report = Report { done: vec![progress], failed: vec![failure] };
        let topics = counts(&batches, &report);
        let expected = TopicCounts {
            rows: 2,
            bytes: 15,
            dead_letters: 1,
            skipped: 1,
            refused: 0,
            unknown_fields: 5,
            failed_partitions: 1,
            lag: 1,
            latency: [7_000, 0].into_iter().collect(),
        };
        assert_eq!(topics["a"], expected);
        assert_eq!(topics["b"], TopicCounts::default(), "a topic without an outcome counts nothing");
    }

    #[test]
    fn the_alarms_of_the_template_watch_what_is_written() {
        let (lake, run_id) = (LakeId("l".into()), RunId("r".into()));
        let written = format!("{:?}", TopicCounts::default().metrics(&lake, "t", &run_id));
        let template = include_str!("../../../template.yaml");
        for watched in ["DeadLetters", "Rows"] {
            let of_all = format!("MetricName: {watched}, Dimensions: [{{ Name: LakeId, Value: !Ref AWS::StackName }}]");
            assert!(template.contains(&of_all), "no alarm watches {watched} of all topics together");
            assert!(written.contains(&format!("\"{watched}\"")), "{written}");
        }
        assert!(
            template.contains("Metric: FailedPartitions,") && written.contains("\"FailedPartitions\""),
            "{written}"
        );
        assert!(written.contains("[\"LakeId\"]"), "{written}");
    }
}
