//! The table of functions agrees with what is built, with the template and with the kinds of sources.

use serde_json::Value;
use sluice_core::functions::{self, Function, Trigger};

use crate::{
    expanded::{get_att, of_type, properties},
    project::{list, read},
};

fn sorted(names: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names
}

#[test]
fn every_function_has_a_row_in_the_table_and_none_is_left_over() {
    assert_eq!(list("functions"), sorted(functions::ALL.iter().map(|function| function.name)));
    assert_eq!(of_type("::Serverless::Function"), sorted(functions::ALL.iter().map(|function| function.logical)));
    for function in functions::ALL {
        let words = function.name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
        assert_eq!(function.logical, words.collect::<String>(), "builds find the one by the other");
    }
}

#[test]
fn each_function_is_woken_by_what_the_table_says() {
    let is_woken = |function: &Function, trigger: Trigger| {
        let own = properties(function.logical);
        let target = |of: &str, arn: fn(&'static Value) -> &'static Value, wanted: &Value| {
            of_type(of).into_iter().any(|name| arn(properties(name)) == wanted)
        };
        match trigger {
            Trigger::Schedule => {
                let starts = serde_json::json!(function.logical);
                target("::Scheduler::Schedule", |it| &it["Target"]["Arn"]["Fn::Sub"][1]["Starts"], &starts)
            }
            Trigger::Queue => own["Events"].as_object().is_some_and(|all| all.values().any(|one| one["Type"] == "SQS")),
            Trigger::Kafka => {
                let name = serde_json::json!({ "Ref": function.logical });
                target("::Lambda::EventSourceMapping", |it| &it["FunctionName"], &name)
            }
            Trigger::Stack => {
                let arn = get_att(function.logical, "Arn");
                of_type("Custom::WarehouseAccount").into_iter().any(|name| properties(name)["ServiceToken"] == arn)
            }
            Trigger::Url => !own["FunctionUrlConfig"].is_null(),
            Trigger::Bus => of_type("::Events::Rule").into_iter().any(|rule| {
                let targets = crate::expanded::list(&properties(rule)["Targets"]);
                targets.iter().any(|target| target["Arn"] == get_att(function.logical, "Arn"))
            }),
        }
    };
    for function in functions::ALL {
        for trigger in [Trigger::Schedule, Trigger::Queue, Trigger::Kafka, Trigger::Stack, Trigger::Url, Trigger::Bus] {
            let said = function.triggers.contains(&trigger);
            assert_eq!(is_woken(function, trigger), said, "{} and {trigger:?}", function.name);
        }
    }
}

#[test]
fn each_function_is_told_the_secrets_of_the_table() {
    for function in functions::ALL {
        let variables = properties(function.logical)["Environment"]["Variables"].as_object().expect("variables");
        let secrets = variables.iter().filter(|(name, _)| name.ends_with("_SECRET"));
        // A secret that a condition leaves out is told in its other branch.
        let name = |value: &'static Value| value["Fn::Sub"].as_str().or(value["Fn::If"][2]["Fn::Sub"].as_str());
        let told = secrets.filter_map(|(_, value)| name(value)?.strip_prefix("${AWS::StackName}/"));
        assert_eq!(sorted(told), function.secrets, "{}", function.name);
    }
}

#[test]
fn pages_that_count_the_functions_count_all_of_them() {
    let numbers = ["eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen"];
    let all = numbers.get(functions::ALL.len() - 8).expect("a number of the list");
    for page in ["docs/deploy.md", "docs/start/ten-steps.md"] {
        let text = read(page);
        let words: Vec<&str> = text.split_whitespace().collect();
        let counts = words.windows(2).filter(|pair| pair[1] == "functions" || pair[1] == "functions,");
        let counts: Vec<&str> = counts.map(|pair| pair[0]).filter(|word| numbers.contains(word)).collect();
        assert_eq!(counts, [*all], "{page}");
    }
}
