//! What the event source mapping is told of each partition.

use sluice_core::Result;
use sluice_kafka::BatchResponse;
use sluice_lambda::hint;
use sluice_pipeline::stream::Report;
use tracing::error;

/// With nothing done there is nothing to tell apart, and an error is what Lambda counts. A partition that fails beside
/// one that is done is no error to Lambda: the metric `FailedPartitions` has an alarm of its own.
pub fn answer(report: Report, partial_batch_response: bool) -> Result<BatchResponse> {
    for failure in &report.failed {
        error!(
            topic = failure.topic, partition = failure.partition, offset = failure.offset,
            error = failure.error.chain(), error_kind = %failure.error.kind(), hint = hint(&failure.error),
            "a partition failed and will be delivered again"
        );
    }
    if partial_batch_response && !report.done.is_empty() {
        let mut response = BatchResponse::default();
        for failure in &report.failed {
            response.fail(&failure.topic, failure.partition, failure.offset);
        }
        return Ok(response);
    }
    match report.failed.into_iter().next() {
        None => Ok(BatchResponse::default()),
        Some(failure) => Err(failure.error),
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::{Error, Kind};
    use sluice_pipeline::stream::{Failure, Progress};

    use super::*;

    fn report(done: &[i32], failed: &[i32]) -> Report {
        let done = done.iter().map(|partition| Progress {
            topic: "t".into(),
            partition: *partition,
            table: "A.B.C".parse().expect("a table"),
            committed: Some(1),
            rows: 1,
            dead_letters: 0,
            skipped: 0,
            refused: 0,
            unknown_fields: 0,
            queryable_at: None,
        });
        let failed = failed.iter().map(|partition| Failure {
            topic: "t".into(),
            partition: *partition,
            offset: 7,
            error: Error::unavailable("away"),
        });
        Report { done: done.collect(), failed: failed.collect() }
    }

    #[test]
    fn a_failed_partition_is_answered_so_that_the_mapping_understands_it() {
        let partial = answer(report(&[0], &[2]), true).expect("a partial response").batch_item_failures;
        assert_eq!((partial[0].item_identifier.partition.as_str(), partial[0].item_identifier.offset), ("t-2", 7));
        let kind = |report, partial| answer(report, partial).map_err(|error| error.kind());
        assert_eq!(kind(report(&[0], &[2]), false), Err(Kind::Unavailable), "else it would count as success");
        assert_eq!(kind(report(&[], &[2]), true), Err(Kind::Unavailable), "nothing is done");
        for partial in [true, false] {
            assert_eq!(kind(report(&[0, 1], &[]), partial), Ok(BatchResponse::default()));
            assert_eq!(kind(report(&[], &[]), partial), Ok(BatchResponse::default()));
        }
    }
}
