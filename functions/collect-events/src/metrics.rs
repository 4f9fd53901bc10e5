//! What became of a request's events: the metrics.

use sluice_core::LakeId;
use sluice_lambda::{Metrics, Unit};

/// The events of one request to one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventCounts {
    pub topic: String,
    pub accepted: u64,
    /// Those that break the topic's contract.
    pub rejected: u64,
    /// Those that came faster than the instance takes them.
    pub throttled: u64,
    /// Those of the accepted ones that wait in the outbox.
    pub in_outbox: u64,
}

impl EventCounts {
    /// The line for CloudWatch.
    pub fn metrics(&self, lake: &LakeId, request_id: &str) -> Metrics {
        Metrics::new(&[("LakeId", &lake.0), ("Topic", &self.topic)])
            .property("request_id", request_id)
            .value("Accepted", Unit::Count, self.accepted)
            .value("Rejected", Unit::Count, self.rejected)
            .value("Throttled", Unit::Count, self.throttled)
            .value("Spooled", Unit::Count, self.in_outbox)
    }
}
