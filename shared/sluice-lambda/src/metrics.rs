//! Metrics for CloudWatch: one line of its embedded metric format on standard output, from which it makes metrics. The
//! same line on one machine is a line to read.

use std::{
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

/// The namespace of every metric of the platform.
const NAMESPACE: &str = "Sluice";
/// CloudWatch takes at most this many values of one metric in a line.
const MOST_VALUES: usize = 100;

/// What a metric counts in; CloudWatch's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
    Milliseconds,
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Bytes => "Bytes",
            Unit::Milliseconds => "Milliseconds",
        }
    }
}

/// Metrics that share their dimensions. Every combination of dimension values is a metric of its own, which costs money:
/// what identifies a single run belongs into [`Metrics::property`].
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Each set of them makes a metric of its own.
    dimensions: Vec<Vec<&'static str>>,
    declared: Vec<Value>,
    fields: Map<String, Value>,
}

impl Metrics {
    pub fn new(dimensions: &[(&'static str, &str)]) -> Self {
        let fields = dimensions.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        Metrics { dimensions: vec![dimensions.iter().map(|(name, _)| *name).collect()], declared: Vec::new(), fields }
    }

    /// Counts under these dimensions alone, too: an alarm watches one set of dimension values.
    #[must_use]
    pub fn also_by(mut self, dimensions: &[&'static str]) -> Self {
        self.dimensions.push(dimensions.to_vec());
        self
    }

    /// Something to find the line by, not a metric.
    #[must_use]
    pub fn property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn value(self, name: &str, unit: Unit, value: u64) -> Self {
        self.metric(name, unit, value.into())
    }

    /// Many values of one metric, of which CloudWatch computes percentiles. More than a line takes are represented by
    /// evenly spaced ones of them in order of size; none at all leave the metric out.
    #[must_use]
    pub fn values(self, name: &str, unit: Unit, distribution: &Distribution) -> Self {
        let sorted = &distribution.0;
        if sorted.is_empty() {
            return self;
        }
        let kept = sorted.len().min(MOST_VALUES);
        let middle = |i: usize| sorted.get((2 * i + 1) * sorted.len() / (2 * kept)).copied().unwrap_or_default();
        self.metric(name, unit, (0..kept).map(middle).collect::<Vec<u64>>().into())
    }

    fn metric(mut self, name: &str, unit: Unit, value: Value) -> Self {
        self.declared.push(json!({"Name": name, "Unit": unit.as_str()}));
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// Writes the line.
    pub fn emit(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = self.render(now.as_millis() as u64);
        // Whole lines only: the log's own lines go to the same place. A broken pipe must not fail the work.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    fn render(&self, now_ms: u64) -> String {
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": self.dimensions, "Metrics": self.declared});
        let mut fields = self.fields.clone();
        fields.insert("_aws".to_owned(), json!({"Timestamp": now_ms, "CloudWatchMetrics": [directive]}));
        format!("{}\n", Value::Object(fields))
    }
}

/// Values in order of size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution(Vec<u64>);

impl Distribution {
    /// The value that `percent` of all do not exceed; `None` of nothing.
    pub fn percentile(&self, percent: usize) -> Option<u64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }
}

impl FromIterator<u64> for Distribution {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        Distribution(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_shape_that_cloudwatch_reads() {
        let metrics = Metrics::new(&[("LakeId", "lake"), ("Topic", "purchases")])
            .also_by(&["LakeId"])
            .property("run_id", "r1")
            .value("Rows", Unit::Count, 3)
            .values("Latency", Unit::Milliseconds, &[5, 1, 3].into_iter().collect())
            .values("Nothing", Unit::Milliseconds, &Distribution::default());
        let line = metrics.render(1_761_868_800_000);
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "one whole line");
        let read: Value = serde_json::from_str(&line).expect("JSON");
        let directive = json!({
            "Namespace": "Sluice", "Dimensions": [["LakeId", "Topic"], ["LakeId"]],
            "Metrics": [{"Name": "Rows", "Unit": "Count"}, {"Name": "Latency", "Unit": "Milliseconds"}],
        });
        assert_eq!(
            read,
            json!({
                "_aws": {"Timestamp": 1_761_868_800_000_u64, "CloudWatchMetrics": [directive]},
                "LakeId": "lake", "Topic": "purchases", "run_id": "r1", "Rows": 3, "Latency": [1, 3, 5],
            })
        );
    }

    #[test]
    fn a_large_distribution_keeps_its_percentiles_within_a_line() {
        let all: Distribution = (0..15_633_u64).rev().collect();
        assert_eq!(
            (all.percentile(50), all.percentile(99), all.percentile(100)),
            (Some(7_816), Some(15_476), Some(15_632))
        );
        let line = Metrics::new(&[]).values("Latency", Unit::Milliseconds, &all).render(0);
        let read: Value = serde_json::from_str(&line).expect("JSON");
        let kept: Distribution =
            read["Latency"].as_array().expect("a list").iter().map(|value| value.as_u64().expect("a number")).collect();
        assert_eq!(kept.0.len(), MOST_VALUES);
        for percent in [50, 95, 99] {
            let (exact, told) = (all.percentile(percent).expect("a value"), kept.percentile(percent).expect("a value"));
            assert!(exact.abs_diff(told) <= 15_633 / 100, "p{percent}: {told} for {exact}");
        }
        assert_eq!(Distribution::default().percentile(50), None);
    }
}
