//! News as a flow run: pure. Texts hold counts, names and reasons that were announced, never a row's value.

use serde_json::{Value, json};
use sluice_core::event::{Activation, DbtRun, LoadFailed, TableLoaded};
use sluice_pipeline::watch::EndedExtract;

use crate::event::News;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    Completed,
    Failed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Running => "RUNNING",
            State::Completed => "COMPLETED",
            State::Failed => "FAILED",
        }
    }
}

/// Python's levels, which are Prefect's.
const INFO: u8 = 20;
const ERROR: u8 = 40;

/// One run as Prefect is to show it.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowRun {
    pub flow: &'static str,
    pub name: String,
    /// The same of each news about the run.
    pub key: String,
    pub state: State,
    pub message: String,
    pub parameters: Value,
    /// Levels and lines.
    pub logs: Vec<(u8, String)>,
    /// Markdown.
    pub artifact: Option<String>,
}

impl FlowRun {
    /// `None` of news that is about no run, or of another form.
    pub fn of_news(news: &News) -> Option<Self> {
        let detail = || news.detail.clone();
        match news.detail_type.as_str() {
            "RunStarted" => dbt(&serde_json::from_value(detail()).ok()?, State::Running),
            "RunSucceeded" => dbt(&serde_json::from_value(detail()).ok()?, State::Completed),
            "RunFailed" => dbt(&serde_json::from_value(detail()).ok()?, State::Failed),
            "TableLoaded" => loaded(&serde_json::from_value(detail()).ok()?),
            "LoadFailed" => failed(&serde_json::from_value(detail()).ok()?),
            "SyncCompleted" => activation(&serde_json::from_value(detail()).ok()?, State::Completed),
            "SyncStopped" => activation(&serde_json::from_value(detail()).ok()?, State::Failed),
            _ => None,
        }
    }

    pub fn of_extract(ended: &EndedExtract) -> Self {
        let EndedExtract { table, run } = ended;
        let (state, message) = match (&run.failure, run.outcome) {
            (Some(failure), _) => (State::Failed, format!("{}: {}", failure.kind, failure.reason)),
            (None, outcome) => (State::Completed, outcome.map_or("ended", |outcome| outcome.as_str()).to_owned()),
        };
        let level = if state == State::Failed { ERROR } else { INFO };
        FlowRun {
            flow: "sluice extract",
            name: table.clone(),
            key: format!("{table}/{}", run.run_id),
            state,
            message: message.clone(),
            parameters: json!({"table": table, "run_id": run.run_id}),
            logs: vec![(level, format!("{message} at {}", run.ended_at))],
            artifact: None,
        }
    }

    /// Small letters, digits and dashes are all that a key of Prefect's may have.
    pub fn artifact_key(&self) -> String {
        let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        self.name.chars().map(fits).collect::<String>().trim_matches('-').to_owned()
    }
}

fn dbt(run: &DbtRun, state: State) -> Option<FlowRun> {
    let selectors = if run.selectors.is_empty() { "everything".to_owned() } else { run.selectors.join(" ") };
    let mut logs = Vec::new();
    let message = match state {
        State::Running => {
            logs.push((INFO, format!("dbt builds {selectors} because of {}", run.cause)));
            run.cause.clone()
        }
        _ => {
            logs.push((INFO, format!("{} models, {} rows, {} s of dbt's own time", run.models, run.rows, run.seconds)));
            logs.extend(run.failed.iter().map(|node| (ERROR, format!("{node} failed"))));
            run.reason.clone().unwrap_or_else(|| format!("{} models", run.models))
        }
    };
    let listed = |title: &str, names: &[String]| {
        let lines: Vec<String> = names.iter().map(|name| format!("- `{name}`")).collect();
        if lines.is_empty() { String::new() } else { format!("\n## {title}\n\n{}\n", lines.join("\n")) }
    };
    let page = || {
        let counts = format!("{} models, {} rows, {} s\n", run.models, run.rows, run.seconds);
        format!("# dbt run {}\n\n{counts}{}{}", run.number, listed("Built", &run.built), listed("Failed", &run.failed))
    };
    Some(FlowRun {
        flow: "sluice dbt",
        name: format!("dbt-{}", run.number),
        key: run.run_id.0.clone(),
        state,
        message,
        parameters: json!({"number": run.number, "selectors": run.selectors, "full_refresh": run.full_refresh, "run_id": run.run_id}),
        logs,
        artifact: (state != State::Running).then(page),
    })
}

fn loaded(loaded: &TableLoaded) -> Option<FlowRun> {
    let TableLoaded { id, run_id, table, sequence, rows, .. } = loaded;
    Some(FlowRun {
        flow: "sluice load",
        name: format!("{table}#{sequence}"),
        key: id.clone(),
        state: State::Completed,
        message: format!("{rows} rows"),
        parameters: json!({"table": table, "sequence": sequence, "run_id": run_id}),
        logs: vec![(INFO, format!("{rows} rows loaded into {table}"))],
        artifact: None,
    })
}

fn failed(failed: &LoadFailed) -> Option<FlowRun> {
    let LoadFailed { id, run_id, table, sequence, kind, reason } = failed;
    Some(FlowRun {
        flow: "sluice load",
        name: format!("{table}#{sequence}"),
        key: format!("{id}/failed"),
        state: State::Failed,
        message: kind.clone(),
        parameters: json!({"table": table, "sequence": sequence, "run_id": run_id}),
        logs: vec![(ERROR, format!("{kind}: {reason}"))],
        artifact: None,
    })
}

fn activation(activation: &Activation, state: State) -> Option<FlowRun> {
    let Activation { id, run_id, destination, number, written, refused, pending, reason } = activation;
    let counts = format!("{written} written, {refused} refused, {pending} still to be sent");
    let level = if state == State::Failed { ERROR } else { INFO };
    Some(FlowRun {
        flow: "sluice activate",
        name: format!("{destination}-{number}"),
        key: id.clone(),
        state,
        message: reason.clone().unwrap_or_else(|| counts.clone()),
        parameters: json!({"destination": destination, "number": number, "run_id": run_id}),
        logs: vec![(level, counts)],
        artifact: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(detail_type: &str, detail: Value) -> Option<FlowRun> {
        let time = chrono::DateTime::UNIX_EPOCH;
        FlowRun::of_news(&News { detail_type: detail_type.to_owned(), time, detail })
    }

    #[test]
    fn the_start_and_the_end_of_a_dbt_run_are_one_flow_run() {
        let detail = |more: Value| {
            let mut detail =
                json!({"id": "7#x", "run_id": "r-7", "number": 7, "cause": "TableLoaded", "selectors": ["a+"]});
            detail.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            detail
        };
        let began = of("RunStarted", detail(json!({}))).expect("a run");
        let failed = json!({"models": 3, "rows": 9, "seconds": 4, "built": ["sales"], "failed": ["test.x"], "reason": "a test failed"});
        let ended = of("RunFailed", detail(failed)).expect("a run");
        assert_eq!((&began.key, &began.name, began.state), (&ended.key, &ended.name, State::Running));
        assert_eq!((ended.state, ended.message.as_str()), (State::Failed, "a test failed"));
        assert!(ended.logs.contains(&(ERROR, "test.x failed".to_owned())), "{:?}", ended.logs);
        let page = ended.artifact.as_deref().expect("a page");
        assert!(page.contains("- `sales`") && page.contains("## Failed"), "{page}");
        assert_eq!((ended.artifact_key().as_str(), began.artifact), ("dbt-7", None));
    }

    #[test]
    fn loads_have_a_run_each_and_what_is_no_run_has_none() {
        let loaded =
            json!({"id": "A.B.C#3", "run_id": "r", "lake_id": "l", "table": "A.B.C", "sequence": 3, "rows": 12});
        let run = of("TableLoaded", loaded).expect("a run");
        assert_eq!((run.name.as_str(), run.key.as_str(), run.message.as_str()), ("A.B.C#3", "A.B.C#3", "12 rows"));
        assert_eq!(of("DriftDetected", json!({})), None);
        assert_eq!(of("TableLoaded", json!({"rows": 1})), None);
    }
}
