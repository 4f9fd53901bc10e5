//! Every event file is one that its function takes, or one that it refuses for the reason in its name; and its outcome on a
//! running platform is written down, to which `tests/cli/events` holds it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::project::{functions, list, read};

fn parses<T: DeserializeOwned>(event: &Value) -> bool {
    serde_json::from_value::<T>(event.clone()).is_ok()
}

#[test]
fn every_event_file_has_its_functions_type() {
    let mut checked = 0;
    for function in functions() {
        for name in list(&format!("events/{function}")) {
            let path = format!("events/{function}/{name}");
            let event: Value = serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            let parsed = match function.as_str() {
                "extract-postgres" => parses::<extract_postgres::event::Event>(&event),
                "extract-exchange-rates" | "extract-hubspot" => parses::<sluice_lambda::ExtractEvent>(&event),
                "stream-kafka" => parses::<sluice_kafka::KafkaEvent>(&event),
                "collect-events" => parses::<collect_events::event::Event>(&event),
                "load-commits" => parses::<load_commits::event::Event>(&event),
                "dispatch-dbt" => parses::<dispatch_dbt::event::Event>(&event),
                other => panic!("no event type is known for {other}"),
            };
            assert!(parsed, "{path} does not have its function's type");
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} events were found");
}

#[test]
fn every_event_file_has_a_row_that_says_how_it_ends() {
    let readme = read("events/README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut told: Vec<String> = rows.map(|(case, _)| format!("{case}.json")).collect();
    told.sort();
    let files = functions().into_iter().flat_map(|function| {
        list(&format!("events/{function}")).into_iter().map(move |name| format!("{function}/{name}"))
    });
    let mut files: Vec<String> = files.collect();
    files.sort();
    assert_eq!(told, files);
}
