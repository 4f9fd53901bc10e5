use std::collections::BTreeMap;

use sluice_core::{Error, Kind};

use super::*;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn topic(name: &str, partitions: Option<u32>, pairs: &[(&str, &str)]) -> Topic {
    Topic { name: name.to_owned(), partitions, settings: settings(pairs), schema: None }
}

/// Name, partitions and settings.
type Listed<'a> = (&'a str, u32, &'a [(&'a str, &'a str)]);

fn found(topics: &[Listed<'_>]) -> Found {
    let mut found = Found::default();
    for (name, partitions, pairs) in topics {
        found.topics.insert((*name).to_owned(), Existing { partitions: *partitions, is_internal: false });
        found.settings.insert((*name).to_owned(), settings(pairs));
    }
    found
}

const WEEK: (&str, &str) = (RETENTION, "604800000");
const DAY: (&str, &str) = (RETENTION, "86400000");
const FOR_GOOD: (&str, &str) = (RETENTION, "-1");
const DELETE: (&str, &str) = (POLICY, "delete");
const COMPACT: (&str, &str) = (POLICY, "compact");

#[test]
fn a_topic_that_is_not_there_is_made_and_one_that_fits_is_left_alone() {
    let wanted = [topic("orders", Some(6), &[WEEK, COMPACT]), topic("clicks", None, &[])];
    let plan = Plan::between(&wanted, &found(&[]));
    let text = "+ topic orders: partitions 6, cleanup by compact, kept for 168 hours\n\
                + topic clicks: partitions as many as the brokers give\n";
    assert_eq!(plan.to_text(), text);
    let there = found(&[("orders", 6, &[WEEK, COMPACT]), ("clicks", 50, &[DAY, DELETE])]);
    let plan = Plan::between(&wanted, &there);
    assert!(plan.is_empty() && plan.unnamed.is_empty(), "{}", plan.to_text());
    assert_eq!(plan.to_text(), "The topics are as platform/sources.yaml says.\n");
}

#[test]
fn partitions_grow_and_never_shrink() {
    let there = found(&[("orders", 4, &[])]);
    let grown = Plan::between(&[topic("orders", Some(6), &[])], &there);
    assert_eq!(grown.changes, [Change { topic: "orders".into(), what: What::Grow { from: 4, to: 6 }, loses: None }]);
    let shrunk = Plan::between(&[topic("orders", Some(3), &[])], &there);
    assert_eq!((shrunk.changes.len(), shrunk.blocked.len()), (0, 1));
    assert!(!shrunk.is_empty() && shrunk.to_text().contains("it has 4 partitions and should have 3"));
}

#[test]
fn a_setting_that_deletes_records_says_which() {
    let both = (POLICY, "compact,delete");
    for (has, wants, loses) in [
        (WEEK, DAY, Some("records older than 24 hours")),
        (FOR_GOOD, WEEK, Some("records older than 168 hours")),
        (DAY, WEEK, None),
        (DELETE, COMPACT, Some("all but the newest record of each key")),
        (COMPACT, DELETE, Some("records older than the retention")),
        (COMPACT, both, Some("records older than the retention")),
        (DELETE, both, Some("all but the newest record of each key")),
        (both, DELETE, None),
    ] {
        let plan = Plan::between(&[topic("orders", None, &[wants])], &found(&[("orders", 1, &[has])]));
        let [change] = &plan.changes[..] else { panic!("{}", plan.to_text()) };
        assert_eq!(change.loses.as_deref(), loses, "{has:?} {wants:?}");
    }
}

#[test]
fn policies_in_another_order_are_the_same() {
    let wanted = [topic("orders", None, &[(POLICY, "compact,delete")])];
    assert!(Plan::between(&wanted, &found(&[("orders", 1, &[(POLICY, "delete, compact")])])).is_empty());
}

#[test]
fn settings_that_could_not_be_read_are_told_and_not_planned() {
    let mut there = found(&[("orders", 1, &[]), ("clicks", 1, &[])]);
    there.settings.clear();
    let refused = Err(Error::new(Kind::Auth, "the user may not do this"));
    there.know(BTreeMap::from([("orders".into(), refused), ("clicks".into(), Ok(settings(&[DAY])))]));
    let plan = Plan::between(&[topic("orders", Some(1), &[DAY]), topic("clicks", Some(1), &[DAY])], &there);
    let text = plan.to_text();
    assert!(plan.is_empty() && text.contains("! the settings of topic orders could not be read: "), "{text}");
    assert!(text.ends_with("As far as could be seen, the topics are as platform/sources.yaml says.\n"), "{text}");
    assert!(!text.contains("clicks"), "{text}");
}

#[test]
fn what_no_entry_names_is_told_but_for_what_kafka_keeps_to_itself() {
    let mut there = found(&[("orders", 1, &[]), ("old", 1, &[]), ("_schemas", 1, &[]), ("offsets", 1, &[])]);
    there.topics.insert("offsets".into(), Existing { partitions: 50, is_internal: true });
    let plan = Plan::between(&[topic("orders", None, &[])], &there);
    assert_eq!(plan.unnamed, ["old"]);
    assert!(plan.is_empty() && plan.to_text().contains("left as it is:\n    topic old\n"));
}

#[test]
fn a_schema_is_registered_where_it_fits_and_blocked_where_it_breaks() {
    let wanted = [topic("orders", None, &[])];
    for (registered, changes, blocked) in [
        (Registered::Already, 0, 0),
        (Registered::Fits, 1, 0),
        (Registered::Breaks(vec!["READER_FIELD_MISSING_DEFAULT_VALUE: /fields/2".into()]), 0, 1),
    ] {
        let mut there = found(&[("orders", 1, &[])]);
        there.schemas.insert("orders".into(), registered);
        let plan = Plan::between(&wanted, &there);
        assert_eq!((plan.changes.len(), plan.blocked.len()), (changes, blocked), "{}", plan.to_text());
        assert_eq!(plan.to_text().contains("orders-value"), changes + blocked > 0, "{}", plan.to_text());
    }
}

#[test]
fn a_plan_in_json_names_topic_change_and_loss() {
    let plan = Plan::between(&[topic("orders", Some(9), &[DAY])], &found(&[("orders", 3, &[WEEK])]));
    let json = serde_json::to_value(&plan).expect("JSON");
    assert_eq!(json["changes"][0], serde_json::json!({"topic": "orders", "change": "grow", "from": 3, "to": 9}));
    assert_eq!(json["changes"][1]["change"], "set");
    assert_eq!(json["changes"][1]["loses"], "records older than 24 hours");
}
