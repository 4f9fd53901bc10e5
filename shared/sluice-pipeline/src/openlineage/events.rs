//! From what was kept of a run to its events. The same facts give the same events, so one that is sent twice is one.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sluice_core::{Commit, RunId, Table};
use uuid::Uuid;

use super::{Dataset, Names, Phase, Run, Statistics, event::run_id};
use crate::{dispatch::End, runs::LastRun, why::Lineage};

/// How a load ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFact {
    pub sequence: u64,
    pub rows: u64,
    /// `None` after a load that succeeded.
    pub failure: Option<String>,
    pub at: DateTime<Utc>,
}

/// The run that has made a commit.
pub fn extracted(names: &Names, table: &Table, commit: &Commit) -> [Value; 2] {
    let bytes = commit.files.iter().map(|file| file.bytes).sum();
    let statistics = Statistics { rows: commit.rows, bytes: Some(bytes), files: Some(commit.files.len() as u64) };
    let output = Dataset { statistics: Some(statistics), version: Some(commit.sequence.0), ..names.lake(table) };
    let run = extract(names, table, &commit.run_id, Some(commit.scheduled_at), output);
    let started = started(&commit.run_id, commit.scheduled_at).min(commit.committed_at);
    [run.event(&Phase::Start, started), run.event(&Phase::Complete, commit.committed_at)]
}

/// The last run of a table, which has failed and made no commit.
pub fn extract_failed(names: &Names, table: &Table, last: &LastRun) -> Option<[Value; 2]> {
    let failure = last.failure.as_ref()?;
    let run = extract(names, table, &last.run_id, None, names.lake(table));
    let started = started(&last.run_id, last.ended_at).min(last.ended_at);
    Some([run.event(&Phase::Start, started), run.event(&Phase::Fail(failure.reason.clone()), last.ended_at)])
}

fn extract(names: &Names, table: &Table, id: &RunId, nominal: Option<DateTime<Utc>>, output: Dataset) -> Run {
    let function = table.source.function().map(|function| function.name);
    Run {
        namespace: names.stack.clone(),
        job: format!("extract.{}", table.table),
        id: run_id(&[&id.0]),
        parent: function.map(|function| (function.to_owned(), run_id(&[function, &id.0]))),
        nominal,
        inputs: vec![names.source(table)],
        outputs: vec![output],
    }
}

/// The load of a commit.
pub fn loaded(names: &Names, table: &Table, commit: &Commit, load: &LoadFact) -> [Value; 2] {
    let statistics = load.failure.is_none().then_some(Statistics { rows: load.rows, ..Statistics::default() });
    let id = run_id(&["load", &names.stack, &table.table.to_string(), &load.sequence.to_string()]);
    let run = Run {
        namespace: names.stack.clone(),
        job: format!("load.{}", table.table),
        id,
        parent: Some(("load-commits".to_owned(), run_id(&["load-commits", &id.to_string()]))),
        nominal: None,
        inputs: vec![Dataset { version: Some(load.sequence), ..names.lake(table) }],
        outputs: vec![Dataset { statistics, ..names.raw(table) }],
    };
    let end = load.failure.clone().map_or(Phase::Complete, Phase::Fail);
    [run.event(&Phase::Start, commit.committed_at.min(load.at)), run.event(&end, load.at)]
}

/// A day of a stream, which has no commits.
pub fn streamed(names: &Names, table: &Table, from: DateTime<Utc>, to: DateTime<Utc>) -> [Value; 2] {
    let run = Run {
        namespace: names.stack.clone(),
        job: format!("stream.{}", table.table),
        id: run_id(&["stream", &names.stack, &table.table.to_string(), &from.to_rfc3339()]),
        parent: None,
        nominal: Some(from),
        inputs: vec![names.source(table)],
        outputs: vec![names.raw(table)],
    };
    [run.event(&Phase::Start, from), run.event(&Phase::Complete, to)]
}

/// A run of dbt, and each model that it has built or failed to.
pub fn transformed(names: &Names, lineage: &Lineage, end: &End) -> Vec<Value> {
    let own = format!("{}#{}", names.stack, end.number);
    let whole = end.report.run_id.as_ref().map_or_else(|| run_id(&["dbt", &own]), |id| run_id(&[&id.0]));
    let started = end.report.started_at.unwrap_or(end.ended_at).min(end.ended_at);
    let mut models = Vec::new();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for node in &end.report.nodes {
        let name = node.node.rsplit('.').next().unwrap_or_default();
        let Some((relation, model)) = lineage.models.iter().find(|(_, model)| model.model == name) else { continue };
        if !node.node.starts_with("model.") || node.status == "skipped" {
            continue;
        }
        let statistics = node.rows.map(|rows| Statistics { rows, ..Statistics::default() });
        let output = Dataset { statistics, ..names.model(lineage, relation) };
        let reads: Vec<Dataset> = model.reads.iter().map(|read| names.model(lineage, read)).map(plain).collect();
        for read in &reads {
            if !inputs.contains(read) {
                inputs.push(read.clone());
            }
        }
        outputs.push(plain(output.clone()));
        let phase = match node.status.as_str() {
            "success" => Phase::Complete,
            // dbt's own message may quote a row.
            status => Phase::Fail(format!("the model ended as {status}; dbt's log says why")),
        };
        models.push((model_run(names, &own, &model.model, whole, reads, output), phase));
    }
    // What the run has made itself is no input of it.
    let made: Vec<String> = outputs.iter().map(|output: &Dataset| output.name.clone()).collect();
    inputs.retain(|input: &Dataset| !made.contains(&input.name));
    let end_of_all = match end.status {
        crate::dispatch::EndStatus::Succeeded => Phase::Complete,
        _ => Phase::Fail(format!("the run ended as {}", end.status.as_str())),
    };
    let all = Run {
        namespace: names.stack.clone(),
        job: "dbt".to_owned(),
        id: whole,
        parent: None,
        nominal: None,
        inputs,
        outputs,
    };
    let mut events = vec![all.event(&Phase::Start, started)];
    for (run, phase) in &models {
        events.extend([run.event(&Phase::Start, started), run.event(phase, end.ended_at)]);
    }
    events.push(all.event(&end_of_all, end.ended_at));
    events
}

fn model_run(names: &Names, own: &str, model: &str, whole: Uuid, inputs: Vec<Dataset>, output: Dataset) -> Run {
    Run {
        namespace: names.stack.clone(),
        job: format!("dbt.{model}"),
        id: run_id(&["dbt", own, model]),
        parent: Some(("dbt".to_owned(), whole)),
        nominal: None,
        inputs,
        outputs: vec![output],
    }
}

/// Where its columns come from is told by the run that makes it.
fn plain(dataset: Dataset) -> Dataset {
    Dataset { lineage: Vec::new(), ..dataset }
}

/// When a run began: its id tells, as far as ids carry a time.
fn started(id: &RunId, otherwise: DateTime<Utc>) -> DateTime<Utc> {
    let time = id.0.parse::<Uuid>().ok().and_then(|id| id.get_timestamp());
    let time = time.map(|time| time.to_unix());
    time.and_then(|(seconds, nanoseconds)| DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds))
        .unwrap_or(otherwise)
}
