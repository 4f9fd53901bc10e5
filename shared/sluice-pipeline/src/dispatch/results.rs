//! What dbt's `run_results.json` says: per node how it ended, how long it took and how many rows it touched.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result, RunId};

/// A longer selection is not spelled out: a job's step has a limit that nobody documents.
const MOST_SELECTED: usize = 100;

/// So much of a node's message is kept.
const MESSAGE_CHARS: usize = 400;

/// What a run did, kept with its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    pub run_id: Option<RunId>,
    pub cause: String,
    pub selectors: Vec<String>,
    pub full_refresh: bool,
    pub started_at: Option<DateTime<Utc>>,
    /// How often dbt ran for it: once, and again for what failed.
    pub attempts: u32,
    /// The runs of the dbt job, in order.
    pub dbt_run_ids: Vec<String>,
    /// Models, seeds and snapshots that were built.
    pub models: u64,
    /// Data tests that passed or warned.
    pub tests: u64,
    pub skipped: u64,
    /// Rows affected, as far as the adapter tells.
    pub rows: u64,
    pub failures: Vec<Failure>,
    /// dbt's own time, all attempts together.
    pub seconds: f64,
    /// Credits of the warehouse for that time, as if it had served nothing else.
    pub credits: f64,
    /// Every node, the slowest first.
    pub nodes: Vec<NodeTime>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub node: String,
    pub status: String,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeTime {
    pub node: String,
    pub status: String,
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// One parsed `run_results.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RunResults {
    results: Vec<Node>,
    #[serde(default)]
    elapsed_time: f64,
}

#[derive(Debug, Clone, Deserialize)]
struct Node {
    unique_id: String,
    status: String,
    #[serde(default)]
    execution_time: f64,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    adapter_response: serde_json::Value,
}

/// Which invocation of dbt has made a file, and when; empty where the file does not say so.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Made {
    pub invocation_id: Option<String>,
    pub generated_at: Option<DateTime<Utc>>,
}

impl Made {
    pub(super) fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct File {
            metadata: Made,
        }
        serde_json::from_slice(body).map(|File { metadata }| metadata).unwrap_or_default()
    }
}

/// What a failed run leaves to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// Every node finished: the failure is elsewhere, and the same again would fail again.
    Nothing,
    Nodes(Vec<String>),
    /// It cannot be said, or is too much to be said, node by node.
    Everything,
}

impl RunResults {
    pub(super) fn parse(body: &[u8]) -> Result<Self> {
        serde_json::from_slice(body)
            .map_err(|error| Error::invalid_data("run_results.json of a dbt run does not parse").because(error))
    }

    /// The nodes that failed, and those that were skipped because they hang on one, as selectors.
    pub(super) fn unfinished(&self) -> Unfinished {
        let open = self.results.iter().filter(|node| node.failed() || node.status == "skipped");
        let (hooks, open): (Vec<&Node>, Vec<&Node>) = open.partition(|node| node.part(0) == "operation");
        let mut nodes = Vec::new();
        for node in open {
            match node.selector() {
                Some(selector) => nodes.push(selector),
                None => return Unfinished::Everything,
            }
        }
        nodes.sort();
        nodes.dedup();
        match nodes.len() {
            // What publishes is a hook: it runs at the end of every invocation and cannot be selected.
            0 if !hooks.is_empty() => Unfinished::Everything,
            0 => Unfinished::Nothing,
            1..=MOST_SELECTED => Unfinished::Nodes(nodes),
            _ => Unfinished::Everything,
        }
    }
}

impl Node {
    fn failed(&self) -> bool {
        matches!(self.status.as_str(), "error" | "fail" | "runtime error" | "partial success")
    }

    /// `<kind>.<package>.<name>` and, of a test, a hash, or of a model, its version.
    fn part(&self, number: usize) -> &str {
        self.unique_id.split('.').nth(number).unwrap_or_default()
    }

    fn is_built(&self) -> bool {
        matches!(self.part(0), "model" | "seed" | "snapshot")
    }

    /// How `--select` names the node; `None` if a shell would read the name in another way.
    fn selector(&self) -> Option<String> {
        let version = if self.part(0) == "model" { self.part(3) } else { "" };
        let name = if version.is_empty() { self.part(2).to_owned() } else { format!("{}.{version}", self.part(2)) };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        (!name.is_empty() && name.bytes().all(plain)).then_some(name)
    }

    fn rows(&self) -> Option<u64> {
        let told = self.adapter_response.get("rows_affected")?;
        told.as_u64().or_else(|| told.as_str()?.parse().ok())
    }
}

impl Report {
    /// Adds what the attempts did, oldest first: of a node that ran twice, the last time counts.
    pub(super) fn add(&mut self, attempts: &[RunResults], credits_per_hour: f64) {
        self.seconds = attempts.iter().map(|results| results.elapsed_time).sum();
        self.credits = self.seconds / 3600.0 * credits_per_hour;
        let mut last: BTreeMap<&str, &Node> = BTreeMap::new();
        for node in attempts.iter().flat_map(|results| &results.results) {
            last.insert(&node.unique_id, node);
        }
        for node in last.values() {
            match node.status.as_str() {
                "skipped" => self.skipped += 1,
                _ if node.failed() => self.failures.push(node.failure()),
                _ if node.is_built() => self.models += 1,
                _ if node.part(0) == "test" => self.tests += 1,
                _ => {}
            }
            self.rows += node.rows().unwrap_or(0);
            self.nodes.push(NodeTime {
                node: node.unique_id.clone(),
                status: node.status.clone(),
                seconds: node.execution_time,
                rows: node.rows(),
            });
        }
        self.nodes.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.node.cmp(&b.node)));
    }

    /// The models that were built, by name.
    pub(super) fn built_models(&self) -> Vec<String> {
        let built = self.nodes.iter().filter(|node| node.status == "success");
        let mut names: Vec<&str> =
            built.filter_map(|node| node.node.strip_prefix("model.")?.split('.').nth(1)).collect();
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect()
    }

    /// The failed nodes by name.
    pub fn failed_nodes(&self) -> Vec<String> {
        self.failures.iter().map(|failure| failure.node.clone()).collect()
    }
}

impl Node {
    fn failure(&self) -> Failure {
        let message = self.message.as_deref().unwrap_or("no message");
        Failure {
            node: self.unique_id.clone(),
            status: self.status.clone(),
            message: message.trim().chars().take(MESSAGE_CHARS).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(elapsed: f64, nodes: &[(&str, &str, f64, Value)]) -> RunResults {
        let results: Vec<Value> = nodes
            .iter()
            .map(|(id, status, seconds, rows)| {
                json!({"unique_id": id, "status": status, "execution_time": seconds, "message": " why ",
                       "adapter_response": {"_message": "SUCCESS", "rows_affected": rows}})
            })
            .collect();
        let text = json!({"metadata": {}, "results": results, "elapsed_time": elapsed, "args": {}}).to_string();
        RunResults::parse(text.as_bytes()).expect("run results")
    }

    #[test]
    fn what_failed_and_what_hangs_on_it_is_selected_by_name() {
        let results = parse(
            1.0,
            &[
                ("model.sluice.dim_products", "success", 1.0, json!(3)),
                ("model.sluice.fct_purchases", "error", 1.0, json!(null)),
                ("model.sluice.prices.v2", "skipped", 0.0, json!(null)),
                ("test.sluice.not_null_sales_customer_id.0123abcdef", "fail", 0.1, json!(null)),
                ("test.sluice.unique_sales.0123abcdef", "warn", 0.1, json!(null)),
                ("operation.sluice.sluice-on-run-end-0", "error", 0.1, json!(null)),
            ],
        );
        let expected = ["fct_purchases", "not_null_sales_customer_id", "prices.v2"].map(str::to_owned).to_vec();
        assert_eq!(results.unfinished(), Unfinished::Nodes(expected));
        assert_eq!(parse(1.0, &[("model.a.b", "success", 1.0, json!(1))]).unfinished(), Unfinished::Nothing);
        let hook = parse(1.0, &[("operation.sluice.sluice-on-run-end-0", "error", 0.1, json!(null))]);
        assert_eq!(hook.unfinished(), Unfinished::Everything, "what was built is published by the end of a build");
        for name in ["model.a.b; rm -rf c", "model.a.b c", "model.a.$(b)", "model.a"] {
            assert_eq!(parse(1.0, &[(name, "error", 0.0, json!(1))]).unfinished(), Unfinished::Everything, "{name}");
        }
        let many: Vec<String> = (0..=MOST_SELECTED).map(|n| format!("model.a.m{n}")).collect();
        let many: Vec<_> = many.iter().map(|id| (id.as_str(), "skipped", 0.0, json!(0))).collect();
        assert_eq!(parse(1.0, &many).unfinished(), Unfinished::Everything);
        assert!(
            matches!(parse(1.0, &many[1..]).unfinished(), Unfinished::Nodes(nodes) if nodes.len() == MOST_SELECTED)
        );
    }

    #[test]
    fn the_last_attempt_of_a_node_counts_and_times_add_up() {
        let first = parse(
            30.0,
            &[
                ("model.sluice.dim_products", "success", 2.0, json!("7")),
                ("model.sluice.fct_purchases", "error", 5.0, json!(null)),
                ("model.sluice.sales", "skipped", 0.0, json!(null)),
                ("test.sluice.unique_products.1", "pass", 0.5, json!(null)),
            ],
        );
        let second = parse(
            6.0,
            &[
                ("model.sluice.fct_purchases", "success", 4.0, json!(100)),
                ("model.sluice.sales", "error", 1.0, json!(-1)),
            ],
        );
        let mut report = Report::default();
        report.add(&[first, second], 2.0);
        assert_eq!((report.models, report.tests, report.skipped, report.rows), (2, 1, 0, 107));
        assert_eq!(report.failed_nodes(), ["model.sluice.sales"]);
        assert_eq!(report.failures[0].message, "why");
        assert!((report.seconds - 36.0).abs() < 1e-9 && (report.credits - 0.02).abs() < 1e-9, "{report:?}");
        assert_eq!(report.built_models(), ["dim_products", "fct_purchases"]);
        let times: Vec<&str> = report.nodes.iter().map(|node| node.node.as_str()).collect();
        assert_eq!(times[..2], ["model.sluice.fct_purchases", "model.sluice.dim_products"]);
    }

    #[test]
    fn json_or_html_that_is_no_run_result_is_an_error() {
        assert!(RunResults::parse(b"{}").is_err());
        assert!(RunResults::parse(b"<html>").is_err());
    }
}
