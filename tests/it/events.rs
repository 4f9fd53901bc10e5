//! Every event file is one that its function takes, or one that it refuses for the reason in its name; and its outcome on a
//! running platform is written down, to which `tests/cli/events` holds it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_core::functions::{self, EXTRACT_POSTGRES, Role};

use crate::project::{list, read};

fn parses<T: DeserializeOwned>(event: &Value) -> bool {
    serde_json::from_value::<T>(event.clone()).is_ok()
}

#[test]
fn every_event_file_has_its_functions_type() {
    let mut checked = 0;
    for function in functions::ALL {
        let folder = format!("events/{}", function.name);
        for name in list(&folder) {
            let path = format!("{folder}/{name}");
            let event: Value = serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            let parsed = match function.role {
                Role::Extract if **function == EXTRACT_POSTGRES => parses::<extract_postgres::event::Event>(&event),
                Role::Extract => parses::<sluice_lambda::ExtractEvent>(&event),
                Role::Stream => parses::<sluice_kafka::KafkaEvent>(&event),
                Role::Collect => parses::<collect_events::event::Event>(&event),
                Role::Load => parses::<load_commits::event::Event>(&event),
                Role::Watch => parses::<watch_platform::event::Event>(&event),
                Role::Dispatch => parses::<dispatch_dbt::event::Event>(&event),
                Role::Provision => parses::<provision_warehouse::event::Event>(&event),
                Role::Activate => parses::<activate_hubspot::event::Event>(&event),
                Role::Report => parses::<publish_report::event::Event>(&event),
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
    let files = functions::ALL.iter().map(|function| function.name).flat_map(|function| {
        list(&format!("events/{function}")).into_iter().map(move |name| format!("{function}/{name}"))
    });
    let mut files: Vec<String> = files.collect();
    files.sort();
    assert_eq!(told, files);
}
