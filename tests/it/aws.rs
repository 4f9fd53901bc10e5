//! What stands behind `OnAws`, because no emulator makes it, and what people see of a stack.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    expanded::{get_att, list, of_type, properties, resource, section, sub},
    project::read,
};

/// The types that only an account makes; ARCHITECTURE.md calls them unproven.
const UNPROVEN: [&str; 9] = [
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::FlowLog",
    "AWS::Events::Rule",
    "AWS::Lambda::Permission",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
];

/// Whether a condition holds on AWS alone.
fn is_on_aws(condition: &str) -> bool {
    let said = &section("Conditions")[condition]["Fn::And"];
    condition == "OnAws" || list(said).iter().filter_map(|one| one["Condition"].as_str()).any(is_on_aws)
}

#[test]
fn the_list_names_the_types_that_no_emulator_makes() {
    let behind: BTreeSet<&str> = of_type("")
        .into_iter()
        .filter(|name| resource(name)["Condition"].as_str().is_some_and(is_on_aws))
        .filter_map(|name| resource(name)["Type"].as_str())
        .collect();
    assert_eq!(behind.into_iter().collect::<Vec<_>>(), UNPROVEN);
    let said = read("ARCHITECTURE.md");
    assert!(said.contains("`OnAws`"), "ARCHITECTURE.md does not say what stands behind OnAws");
}

/// The metrics of `Sluice` that alarms and tiles name, by their texts.
fn named(text: &str) -> Vec<&str> {
    let after = |mark: &'static str| text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
    after("[\"Sluice\", \"").chain(after("[\".\", \"")).collect()
}

#[test]
fn each_metric_of_an_alarm_or_a_tile_is_emitted() {
    let emitted = read("docs/reference/metrics.md");
    let is_emitted = |metric: &str| emitted.contains(&format!("| `{metric}` |"));
    let body = sub(&properties("Dashboard")["DashboardBody"]);
    let tiles = named(&body);
    assert!(tiles.len() >= 4, "{tiles:?}");
    for metric in tiles {
        assert!(is_emitted(metric), "a tile shows {metric}, which no function emits");
    }
    for alarm in of_type("::CloudWatch::Alarm") {
        let own = properties(alarm);
        let members = own["Metrics"].as_array().map_or(&[][..], Vec::as_slice);
        let metrics = members.iter().map(|one| &one["MetricStat"]["Metric"]).chain([own]);
        for metric in metrics.filter(|metric| metric["Namespace"] == "Sluice") {
            let name = metric["MetricName"].as_str().expect("a metric's name");
            assert!(is_emitted(name), "{alarm} watches {name}, which no function emits");
        }
    }
}

#[test]
fn the_dashboard_is_json_and_shows_each_queue() {
    let body = sub(&properties("Dashboard")["DashboardBody"]);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let shown = body["widgets"].to_string();
    for queue in of_type("AWS::SQS::Queue").into_iter().filter(|queue| *queue != "AlarmsDead") {
        let name = sub(&properties(queue)["QueueName"]);
        let is_shown = shown.contains(&format!("\"{name}\""));
        assert!(is_shown, "no tile shows {queue}");
    }
}

/// By their names: a search takes a part of a name for another stack's too, and a quoted part for a whole name.
#[test]
fn the_tiles_of_functions_show_each_by_its_name() {
    let body: Value = serde_json::from_str(&sub(&properties("Dashboard")["DashboardBody"])).expect("JSON");
    assert!(!body.to_string().contains("SEARCH"), "a search is no list of functions");
    let functions: Vec<String> =
        of_type("::Serverless::Function").iter().map(|name| format!("${{AWS::StackName}}-{name}")).collect();
    for metric in ["Errors", "Duration"] {
        let mut shown = Vec::new();
        for widget in list(&body["widgets"]) {
            let metrics = list(&widget["properties"]["metrics"]);
            if metrics.first().is_some_and(|first| first[0] == "AWS/Lambda" && first[1] == metric) {
                shown.extend(metrics.iter().filter_map(|one| list(one).last()?.as_str()));
            }
        }
        shown.sort_unstable();
        assert_eq!(shown, functions, "{metric}");
    }
}

#[test]
fn only_silence_breaches_without_data() {
    for alarm in of_type("::CloudWatch::Alarm") {
        let breaches = properties(alarm)["TreatMissingData"] == "breaching";
        assert_eq!(breaches, alarm == "SilentWatcher", "{alarm}");
    }
    let silent = properties("SilentWatcher");
    assert_eq!((&silent["MetricName"], &silent["ComparisonOperator"]), (&"Rounds".into(), &"LessThanThreshold".into()));
}

#[test]
fn a_budget_counts_what_carries_the_tag_of_the_stack() {
    let budget = &properties("Budget")["Budget"];
    assert_eq!(sub(&budget["CostFilters"]["TagKeyValue"][0]), "aws:cloudformation:stack-name$${AWS::StackName}");
    let told = list(&properties("Budget")["NotificationsWithSubscribers"]);
    let kinds: Vec<&Value> = told.iter().map(|one| &one["Notification"]["NotificationType"]).collect();
    assert_eq!(kinds, ["ACTUAL", "FORECASTED"]);
    assert!(told.iter().all(|one| one["Subscribers"][0]["Address"]["Ref"] == "AlarmEmail"), "{told:?}");
}

#[test]
fn all_of_the_bus_is_kept_to_be_announced_again() {
    let archive = properties("BusArchive");
    assert_eq!(archive["SourceArn"], get_att("Bus", "Arn"));
    assert!(archive["EventPattern"].is_null() && archive["RetentionDays"] == 14, "{archive}");
}

#[test]
fn no_role_has_a_policy_of_amazon() {
    for role in of_type("AWS::IAM::Role") {
        let managed = properties(role)["ManagedPolicyArns"].to_string();
        assert!(!managed.contains(":aws:policy/"), "{role}: a policy of Amazon's is wider than needed");
    }
}
