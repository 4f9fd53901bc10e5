//! One event, in the form of OpenLineage 2-0-2.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Dataset,
    facet::{PRODUCER, facet},
};

const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// Ids of runs that have none that is a UUID are made of this and what names the run.
const RUNS: Uuid = Uuid::from_u128(0x5b1e_7c55_41f3_5d0a_9d7e_0c5c_6f1e_2a90);

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    Start,
    Complete,
    /// Why, without a value of a row.
    Fail(String),
}

/// A run of a job, with both of its sides: events of one side make no edge, or take one away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The stack.
    pub namespace: String,
    /// `extract.<TABLE>`
    pub job: String,
    pub id: Uuid,
    /// The function, or the run of dbt, that it is part of.
    pub parent: Option<(String, Uuid)>,
    /// When it was due.
    pub nominal: Option<DateTime<Utc>>,
    pub inputs: Vec<Dataset>,
    pub outputs: Vec<Dataset>,
}

/// A run's own id where it is a UUID, else one that is the same each time.
pub(super) fn run_id(parts: &[&str]) -> Uuid {
    match parts {
        [only] => only.parse().unwrap_or_else(|_| Uuid::new_v5(&RUNS, only.as_bytes())),
        _ => Uuid::new_v5(&RUNS, parts.join("\n").as_bytes()),
    }
}

impl Run {
    pub fn event(&self, phase: &Phase, at: DateTime<Utc>) -> Value {
        let event_type = match phase {
            Phase::Start => "START",
            Phase::Complete => "COMPLETE",
            Phase::Fail(_) => "FAIL",
        };
        let inputs: Vec<Value> = self.inputs.iter().map(Dataset::input).collect();
        let outputs: Vec<Value> = self.outputs.iter().map(Dataset::output).collect();
        json!({
            "eventType": event_type,
            "eventTime": time(at),
            "producer": PRODUCER,
            "schemaURL": SCHEMA,
            "run": { "runId": self.id, "facets": self.run_facets(phase) },
            "job": { "namespace": self.namespace, "name": self.job, "facets": { "jobType": job_type() } },
            "inputs": inputs,
            "outputs": outputs,
        })
    }

    fn run_facets(&self, phase: &Phase) -> Value {
        let mut facets = Map::new();
        if let Some((job, id)) = &self.parent {
            let parent = json!({ "run": { "runId": id }, "job": { "namespace": self.namespace, "name": job } });
            facets.insert("parent".to_owned(), facet("1-2-0/ParentRunFacet.json", parent));
        }
        if let Some(nominal) = self.nominal {
            let nominal = json!({ "nominalStartTime": time(nominal) });
            facets.insert("nominalTime".to_owned(), facet("1-0-1/NominalTimeRunFacet.json", nominal));
        }
        if let Phase::Fail(reason) = phase {
            let error = json!({ "message": reason, "programmingLanguage": "Rust" });
            facets.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet.json", error));
        }
        Value::Object(facets)
    }
}

fn job_type() -> Value {
    let body = json!({ "processingType": "BATCH", "integration": "SLUICE", "jobType": "JOB" });
    facet("2-0-4/JobTypeJobFacet.json", body)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
