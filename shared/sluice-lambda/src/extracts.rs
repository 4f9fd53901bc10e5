//! An extract function's event: one table by name, or the hour, which stands for every table that is due.

use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Result, Sources, Table, TableId,
    extract::{ExtractRequest, ExtractSummary},
    sources::Source,
};

use crate::Invocation;

/// What wakes an extract function.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ExtractEvent {
    Due(Due),
    Table(ExtractRequest),
}

/// `{"time": "…", "due": true}`: the schedule's input. `sluice pause` adds `"except": ["<table>", …]` to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    pub time: chrono::DateTime<chrono::Utc>,
    pub due: bool,
    /// Tables that are paused.
    #[serde(default)]
    pub except: Vec<TableId>,
}

/// What the function answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ExtractAnswer {
    Table(Box<ExtractSummary>),
    Due { runs: Vec<ExtractSummary> },
}

/// Runs the table that the event names, or one after the other those of this function's tables that are due. A table that
/// fails keeps no other from its turn; the first failure is the invocation's, and its retry finds the others done.
pub async fn each_due(
    event: ExtractEvent,
    sources: &Sources,
    is_ours: impl Fn(&Source) -> bool,
    invocation: &Invocation,
    run: impl AsyncFn(ExtractRequest, &Invocation) -> Result<ExtractSummary>,
) -> Result<ExtractAnswer> {
    let (time, except) = match event {
        ExtractEvent::Table(request) => {
            return run(request, invocation).await.map(|summary| ExtractAnswer::Table(Box::new(summary)));
        }
        ExtractEvent::Due(Due { due: false, .. }) => return Err(Error::invalid_data("'due' must be true")),
        ExtractEvent::Due(Due { time, except, .. }) => (time, except),
    };
    let (mut runs, mut first_failure) = (Vec::new(), None);
    let is_due = |table: &Table| {
        let due = table.schedule.as_ref().is_some_and(|schedule| schedule.is_due(time));
        due && is_ours(&table.source) && !except.contains(&table.table)
    };
    for table in sources.tables.iter().filter(|table| is_due(table)) {
        let invocation = invocation.another_run();
        let request = ExtractRequest::scheduled(table.table.clone(), time);
        match Box::pin(run(request, &invocation)).await {
            Ok(summary) => runs.push(summary),
            Err(error) => {
                tracing::error!(
                    table = %table.table, run_id = %invocation.run_id, error = error.chain(),
                    error_kind = %error.kind(), "a table that was due failed"
                );
                first_failure.get_or_insert(error.with("table", &table.table));
            }
        }
    }
    match first_failure {
        Some(error) => Err(error),
        None => Ok(ExtractAnswer::Due { runs }),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

    use futures::executor::block_on;
    use serde_json::json;
    use sluice_core::{Kind, extract::Outcome};

    use super::*;

    const SOURCES: &str = "
tables:
  - { table: A.B.HOURLY, description: d, schedule: hourly, source: { kind: postgres, schema: s, table: t, cursor: n },
      loader: copy, disposition: replace, columns: [{ name: n, type: bigint }] }
  - { table: A.B.NIGHTLY, description: d, schedule: daily 0, source: { kind: postgres, schema: s, table: t, cursor: n },
      loader: copy, disposition: replace, columns: [{ name: n, type: bigint }] }
  - { table: A.B.BY_HAND, description: d, source: { kind: postgres, schema: s, table: t, cursor: n },
      loader: copy, disposition: replace, columns: [{ name: n, type: bigint }] }
  - { table: A.B.OTHERS, description: d, schedule: hourly, source: { kind: currencies },
      loader: copy, disposition: append, columns: [{ name: n, type: bigint }] }
";

    /// The tables that were run, in order; the one named fails.
    fn woken(event: serde_json::Value, failing: &str) -> (Vec<String>, Result<ExtractAnswer>) {
        let sources = Sources::parse(SOURCES).expect("valid sources");
        let event = serde_json::from_value(event).expect("an event");
        let (ran, run_ids) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let invocation = Invocation::new("request", Duration::from_secs(60));
        let is_ours = |source: &Source| matches!(source, Source::Postgres { .. });
        let answer = block_on(each_due(event, &sources, is_ours, &invocation, async |request, invocation| {
            ran.borrow_mut().push(request.table.table.clone());
            run_ids.borrow_mut().push(invocation.run_id.clone());
            if request.table.table == failing {
                return Err(Error::unavailable("away"));
            }
            Ok(ExtractSummary::nothing_new(request.table, invocation.run_id.clone()))
        }));
        let mut ids = run_ids.into_inner();
        ids.dedup();
        assert_eq!(ids.len(), ran.borrow().len(), "each run has an id of its own");
        (ran.into_inner(), answer)
    }

    #[test]
    fn the_hour_runs_what_is_due_and_a_name_runs_that_table() {
        let at = |time: &str| json!({"time": time, "due": true});
        assert_eq!(woken(at("2026-10-05T00:15:00Z"), "").0, ["HOURLY", "NIGHTLY"]);
        assert_eq!(woken(at("2026-10-05T01:15:00Z"), "").0, ["HOURLY"]);
        let paused = json!({"time": "2026-10-05T00:15:00Z", "due": true, "except": ["A.B.HOURLY"]});
        assert_eq!(woken(paused, "").0, ["NIGHTLY"]);
        let (ran, answer) = woken(json!({"time": "2026-10-05T01:15:00Z", "table": "A.B.BY_HAND"}), "");
        assert_eq!(ran, ["BY_HAND"]);
        let answer = serde_json::to_value(answer.expect("a run")).expect("json");
        assert_eq!((&answer["outcome"], &answer["table"]), (&json!(Outcome::NothingNew), &json!("A.B.BY_HAND")));
    }

    #[test]
    fn a_table_that_fails_keeps_no_other_from_its_turn_and_fails_the_invocation() {
        let (ran, answer) = woken(json!({"time": "2026-10-05T00:15:00Z", "due": true}), "HOURLY");
        assert_eq!(ran, ["HOURLY", "NIGHTLY"]);
        let error = answer.expect_err("one has failed");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().contains("A.B.HOURLY"), "{error}");
    }

    #[test]
    fn an_event_that_is_neither_is_refused() {
        for event in [json!({"time": "2026-10-05T00:15:00Z"}), json!({"due": true}), json!({})] {
            assert!(serde_json::from_value::<ExtractEvent>(event.clone()).is_err(), "{event}");
        }
    }
}
