//! What functions and a bucket have used, by CloudWatch's metrics of each day.

use std::collections::BTreeMap;

use aws_sdk_lambda::{Client, types::Architecture};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_core::{Kind, Result};

use crate::{SdkConfig, classify, signed};

const GET_METRIC_DATA: signed::Operation = signed::Operation {
    endpoint: "monitoring",
    service: "monitoring",
    target: "GraniteServiceVersion20100801.GetMetricData",
    content_type: "application/x-amz-json-1.0",
};

const DAY_SECONDS: i64 = 86_400;

/// What a function used on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionDay {
    pub day: NaiveDate,
    pub function: String,
    pub requests: f64,
    pub gigabyte_seconds: f64,
    /// Whether it runs on ARM now, which has a price of its own.
    pub is_arm: bool,
}

#[derive(Debug, Clone)]
pub struct Usage {
    aws: SdkConfig,
    lambda: Client,
}

/// A metric and where its values go.
struct Asked {
    namespace: &'static str,
    metric: &'static str,
    dimensions: Value,
    stat: &'static str,
}

impl Usage {
    pub fn new(config: &SdkConfig) -> Self {
        Usage { aws: config.clone(), lambda: Client::new(config) }
    }

    /// By function and day; a function that does not exist has none.
    pub async fn functions(&self, names: &[String], from: NaiveDate, until: NaiveDate) -> Result<Vec<FunctionDay>> {
        let mut days = Vec::new();
        for name in names {
            let Some((gigabytes, is_arm)) = self.size(name).await? else { continue };
            let of = |metric| Asked {
                namespace: "AWS/Lambda",
                metric,
                dimensions: json!([{"Name": "FunctionName", "Value": name}]),
                stat: "Sum",
            };
            let asked = [of("Invocations"), of("Duration")];
            let [requests, milliseconds] = self.days(&asked, from, until).await?;
            for (day, requests) in requests {
                let seconds = milliseconds.get(&day).copied().unwrap_or_default() / 1_000.0;
                let (function, gigabyte_seconds) = (name.clone(), seconds * gigabytes);
                days.push(FunctionDay { day, function, requests, gigabyte_seconds, is_arm });
            }
        }
        Ok(days)
    }

    /// Bytes in a bucket on each day, in the storage class that objects are put into.
    pub async fn bucket(&self, bucket: &str, from: NaiveDate, until: NaiveDate) -> Result<BTreeMap<NaiveDate, f64>> {
        let dimensions =
            json!([{"Name": "BucketName", "Value": bucket}, {"Name": "StorageType", "Value": "StandardStorage"}]);
        let bytes = Asked { namespace: "AWS/S3", metric: "BucketSizeBytes", dimensions, stat: "Average" };
        let [days] = self.days(&[bytes], from, until).await?;
        Ok(days)
    }

    /// Its memory, and whether it runs on ARM.
    async fn size(&self, name: &str) -> Result<Option<(f64, bool)>> {
        let found = self.lambda.get_function_configuration().function_name(name).send().await;
        match found.map_err(|error| classify(error, format!("cannot read the settings of {name}"))) {
            Ok(found) => {
                let is_arm = found.architectures().contains(&Architecture::Arm64);
                Ok(found.memory_size().map(|megabytes| (f64::from(megabytes) / 1_024.0, is_arm)))
            }
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Values of metrics by day, in the order of what was asked.
    async fn days<const N: usize>(
        &self,
        asked: &[Asked; N],
        from: NaiveDate,
        until: NaiveDate,
    ) -> Result<[BTreeMap<NaiveDate, f64>; N]> {
        let mut days = [const { BTreeMap::new() }; N];
        let mut token: Option<String> = None;
        loop {
            let answer: Answer =
                signed::call(&self.aws, &GET_METRIC_DATA, &question(asked, from, until, &token)).await?;
            for result in answer.metric_data_results {
                let Some(days) = position(&result.id).and_then(|at| days.get_mut(at)) else { continue };
                for (at, value) in result.timestamps.iter().zip(&result.values) {
                    if let Some(at) = DateTime::<Utc>::from_timestamp(*at as i64, 0) {
                        *days.entry(at.date_naive()).or_default() += value;
                    }
                }
            }
            token = answer.next_token;
            if token.is_none() {
                return Ok(days);
            }
        }
    }
}

fn question(asked: &[Asked], from: NaiveDate, until: NaiveDate, token: &Option<String>) -> Value {
    let query = |(at, asked): (usize, &Asked)| {
        let Asked { namespace, metric, dimensions, stat } = asked;
        let metric = json!({"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions});
        json!({"Id": format!("m{at}"), "MetricStat": {"Metric": metric, "Period": DAY_SECONDS, "Stat": stat}})
    };
    let seconds = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp();
    let queries: Vec<Value> = asked.iter().enumerate().map(query).collect();
    let mut question = json!({"MetricDataQueries": queries, "StartTime": seconds(from), "EndTime": seconds(until)});
    if let Some(token) = token {
        question["NextToken"] = json!(token);
    }
    question
}

fn position(id: &str) -> Option<usize> {
    id.strip_prefix('m')?.parse().ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    metric_data_results: Vec<MetricData>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricData {
    id: String,
    #[serde(default)]
    timestamps: Vec<f64>,
    #[serde(default)]
    values: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_asked_for_by_its_midnights_and_found_by_its_place() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
        let asked = [Asked { namespace: "N", metric: "M", dimensions: json!([]), stat: "Sum" }];
        let question = question(&asked, day("1970-01-02"), day("1970-01-04"), &Some("t".into()));
        assert_eq!((&question["StartTime"], &question["EndTime"]), (&json!(86_400), &json!(259_200)));
        assert_eq!(question["MetricDataQueries"][0]["Id"], "m0");
        assert_eq!((position("m0"), position("x")), (Some(0), None));
        let answer: Answer = serde_json::from_value(json!({
            "MetricDataResults": [{"Id": "m0", "Label": "M", "Timestamps": [86400.0], "Values": [3.0], "StatusCode": "Complete"}],
        }))
        .expect("an answer");
        assert_eq!(answer.metric_data_results[0].values, [3.0]);
    }
}
