//! How far a stream is behind its topic: asked of the broker where this machine can reach it, else of CloudWatch.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_cloudwatch::{
    Client,
    primitives::DateTime,
    types::{Dimension, Statistic},
};
use chrono::Utc;
use sluice_aws::classify;
use sluice_core::Result;
use sluice_kafka::{Credentials, KafkaConfig, Producer};

use crate::{failure::Outcome, platform::Platform};

/// A broker on this machine answers at once, or is not there.
const PATIENCE: Duration = Duration::from_secs(5);
/// The event source mapping reports once a minute; a report may be late.
const WINDOW_SECONDS: i32 = 300;

/// Where each partition of a topic ends: the offset of its next record. `None` where the broker is out of reach.
pub async fn ends(platform: &Platform, topic: &str) -> Outcome<Option<BTreeMap<i32, i64>>> {
    let Some(bootstrap) = &platform.place.kafka else { return Ok(None) };
    let config = KafkaConfig { bootstrap: bootstrap.clone(), ..KafkaConfig::default() };
    let producer = Box::pin(Producer::connect_with(&config, &Credentials::default(), PATIENCE)).await?;
    Ok(Some(Box::pin(producer.ends(topic)).await?))
}

/// What the function's event source mapping reports: records between the topics' ends and what the function has taken, the most of
/// the last minutes. `None` when it reports nothing, as when it is switched off.
pub async fn reported(platform: &Platform, function: &str) -> Result<Option<u64>> {
    let now = Utc::now().timestamp();
    let ask = Client::new(&platform.place.aws)
        .get_metric_statistics()
        .namespace("AWS/Lambda")
        .metric_name("OffsetLag")
        .dimensions(Dimension::builder().name("FunctionName").value(function).build())
        .start_time(DateTime::from_secs(now - i64::from(WINDOW_SECONDS)))
        .end_time(DateTime::from_secs(now))
        .period(WINDOW_SECONDS)
        .statistics(Statistic::Maximum);
    let answer =
        ask.send().await.map_err(|error| classify(error, "cannot ask CloudWatch for the stream's lag".into()))?;
    let most = answer
        .datapoints()
        .iter()
        .filter_map(|point| point.maximum())
        .fold(None, |most: Option<f64>, lag| Some(most.map_or(lag, |most| most.max(lag))));
    Ok(most.map(|lag| lag.max(0.0) as u64))
}

/// Records from the committed offset to the end.
pub fn behind(end: Option<i64>, committed: Option<i64>) -> Option<u64> {
    let behind = end? - committed? - 1;
    Some(behind.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_is_what_lies_above_the_committed_offset() {
        assert_eq!(behind(Some(10), Some(9)), Some(0));
        assert_eq!(behind(Some(10), Some(2)), Some(7));
        assert_eq!(behind(Some(10), Some(12)), Some(0), "another creation of the topic");
        assert_eq!(behind(Some(10), None), None);
        assert_eq!(behind(None, Some(1)), None);
    }
}
