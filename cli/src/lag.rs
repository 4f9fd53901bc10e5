//! How far a stream is behind its topic: asked of the broker and the poller where this machine can reach them, else of
//! CloudWatch.

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use sluice_aws::signed;
use sluice_core::Result;
use sluice_http::{Request, Response, RetryPolicy, error::by_status};
use sluice_kafka::{Credentials, KafkaConfig, Producer};

use crate::{failure::Outcome, platform::Platform};

/// A broker on this machine answers at once, or is not there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The event source mapping reports once a minute; a report may be late.
const WINDOW_SECONDS: i64 = 300;

const GET_METRIC_STATISTICS: signed::Operation = signed::Operation {
    endpoint: "monitoring",
    service: "monitoring",
    target: "GraniteServiceVersion20100801.GetMetricStatistics",
    content_type: "application/x-amz-json-1.0",
};

/// Where each partition of a topic ends: the offset of its next record. `None` where the broker is out of reach.
pub(crate) async fn ends(platform: &Platform, topic: &str) -> Outcome<Option<BTreeMap<i32, i64>>> {
    let Some(bootstrap) = &platform.place.kafka else { return Ok(None) };
    let config = KafkaConfig { bootstrap: bootstrap.clone(), ..KafkaConfig::default() };
    let producer = Producer::connect_with(&config, &Credentials::default(), ANSWER_TIMEOUT).await?;
    Ok(Some(producer.ends(topic).await?))
}

/// What the poller of this machine says of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Polled {
    /// The first offset of each partition that the function has not finished. It passes dead letters and tombstones that no
    /// row follows; the offset of a channel moves only with rows.
    pub positions: BTreeMap<i32, i64>,
    /// Why partitions do not go on, where they do not.
    #[serde(default)]
    pub stalled: BTreeMap<i32, String>,
}

impl Polled {
    /// `None` when every partition goes on.
    pub(crate) fn problem(&self) -> Option<String> {
        let told = self.stalled.iter().map(|(partition, why)| format!("partition {partition} stands still: {why}"));
        Some(told.collect::<Vec<_>>().join("; ")).filter(|told| !told.is_empty())
    }
}

/// Asks the poller. It knows nothing where no poller of this machine serves the topic.
pub(crate) async fn polled(platform: &Platform, topic: &str) -> Outcome<Polled> {
    let Some(control) = &platform.place.control else { return Ok(Polled::default()) };
    let request = Request::get(format!("{control}/positions/{topic}"));
    let accept = |response: &Response| match response.is_success() {
        true => Ok(()),
        false => Err(by_status(response, "cannot ask the poller for its positions")),
    };
    let answer = sluice_http::Client::new()?.send(&request, &RetryPolicy::once(ANSWER_TIMEOUT), accept).await?;
    Ok(answer.json()?)
}

/// What the function's event source mapping reports: records between the topics' ends and what the function has taken, the most of
/// the last minutes. `None` when it reports nothing, as when it is switched off.
pub(crate) async fn reported(platform: &Platform, function: &str) -> Result<Option<u64>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        datapoints: Vec<Datapoint>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Datapoint {
        maximum: f64,
    }
    let now = Utc::now().timestamp();
    let ask = json!({
        "Namespace": "AWS/Lambda",
        "MetricName": "OffsetLag",
        "Dimensions": [{"Name": "FunctionName", "Value": function}],
        "StartTime": now - WINDOW_SECONDS,
        "EndTime": now,
        "Period": WINDOW_SECONDS,
        "Statistics": ["Maximum"],
    });
    let answer: Answer = signed::call(&platform.place.aws, &GET_METRIC_STATISTICS, &ask).await?;
    let most = answer.datapoints.iter().map(|point| point.maximum).reduce(f64::max);
    Ok(most.map(|lag| lag.max(0.0) as u64))
}

/// Records that are neither durable nor put aside: what lies above the last offset that is finished. The channel's
/// offset and the position may each be ahead of the other; a position above the end is about another creation of the
/// topic.
pub(crate) fn behind(end: i64, committed: Option<i64>, position: Option<i64>) -> u64 {
    let passed = position.filter(|position| *position <= end).map(|position| position - 1);
    // Nothing is finished of a partition that nobody has written to, or whose first records are under way.
    let finished = committed.max(passed).unwrap_or(-1);
    (end - finished - 1).max(0).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_stands_still_is_named_with_its_reason() {
        assert_eq!(Polled::default().problem(), None);
        let answer = r#"{"topic": "t", "positions": {"0": 3, "1": 4}, "stalled": {"1": "cannot fetch from offset 4"}}"#;
        let polled: Polled = serde_json::from_str(answer).expect("an answer");
        assert_eq!(polled.problem().as_deref(), Some("partition 1 stands still: cannot fetch from offset 4"));
    }

    #[test]
    fn behind_is_what_lies_above_the_last_finished_offset() {
        assert_eq!(behind(10, Some(9), None), 0);
        assert_eq!(behind(10, Some(2), None), 7);
        assert_eq!(behind(10, None, None), 10, "nothing is finished yet");
        assert_eq!(behind(0, None, Some(0)), 0);
        assert_eq!(behind(10, Some(12), None), 0, "another creation of the topic");
        assert_eq!(behind(10, Some(7), Some(10)), 0, "the last two records are dead letters");
        assert_eq!(behind(10, None, Some(10)), 0, "all of them are");
        assert_eq!(behind(10, Some(9), Some(4)), 0, "the function died before it could answer");
        assert_eq!(behind(10, Some(2), Some(50)), 7, "a position of another creation of the topic");
    }
}
