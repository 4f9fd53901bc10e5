//! Each mistake is told with its line, its column and what to do.

use super::{EVERY_FIELD, parsed};

/// The problems that the example has once a text of it is another one.
fn problems(right: &str, wrong: &str) -> Vec<String> {
    assert!(EVERY_FIELD.contains(right), "the example lacks {right}");
    match parsed(&EVERY_FIELD.replacen(right, wrong, 1)) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().skip(1).map(str::to_owned).collect(),
    }
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_do() {
    for (right, wrong, told) in [
        ("size: SMALL", "size: TINY", "'TINY' is no size; known are XSMALL"),
        ("auto_suspend: 120", "auto_suspend: 30", "take 60 or more, or 0 for never"),
        ("auto_suspend: 120", "auto_suspnd: 120", "`auto_suspnd` is no setting here; known are size"),
        (
            "resource_monitor: LIMIT\n    tags",
            "resource_monitor: LIMITS\n    tags",
            "LIMITS has no entry under `resource_monitors`",
        ),
        ("notify_at: [75, 90]", "notify_at: [10, 20, 30, 40, 50, 60]", "at five percentages at most"),
        ("credits: ${credits}", "credits: ${credit}", "${credit} has no value in the environment dev"),
        ("retention_days: 7", "retention_days: 91", "must be from 0 to 90"),
        ("environments: [dev], ", "environments: [test], ", "none of the environments dev, prod"),
        ("environments: [dev], ", "environments: [], ", "`environments` names no environment, so the entry is nowhere"),
        ("[\"${egress}\"]", "[\" \"]", "must be a list of texts, and one of them is empty"),
        ("[\"${egress}\"]", "[0.0.0.0/0]", "admits much of the internet"),
        ("[\"${egress}\"]", "[]", "`values` is empty"),
        ("[\"${egress}\"]", "[203.0.113.7/24]", "bits set outside of its network"),
        (
            "    allowed_rules: [ADMIN.SECURITY.EGRESS]\n    blocked_rules: [ADMIN.SECURITY.BLOCKED]\n    allowed_ips: [203.0.113.8]\n",
            "",
            "a policy that admits no address",
        ),
        ("on: warehouse LOADING", "on: warehouse LOADIN", "the warehouse LOADIN has no entry"),
        ("grant: [USAGE, OPERATE]", "grant: [USAGE, SELECT]", "SELECT is no privilege on WAREHOUSE"),
        ("grant: [USAGE, OPERATE]", "grant: [ALL]", "name the privileges"),
        ("grant: [USAGE, OPERATE]", "grant: [OWNERSHIP]", "name it by `owner`"),
        ("on: schema ANALYTICS.MARTS }", "on: schema DLT.APPLICATION_DATA }", "holds grants in it alone"),
        (
            "- { grant: [MONITOR USAGE], on: account }",
            "- { grant: [SELECT], on: tables, in: ANALYTICS }",
            "grant SELECT to ANALYSTS in ANALYTICS.MARTS as well",
        ),
        ("  ANALYSTS:\n", "  ANALYSTS:\n    under_sysadmin: false\n", "ANALYSTS is not under SYSADMIN"),
        ("roles: [SOURCES_READER, ANALYTICS.MARTS_READER]", "roles: [ANALYSTS]", "holds itself through its `roles`"),
        ("roles: [SOURCES_READER, ANALYTICS.MARTS_READER]", "roles: [NOBODY]", "NOBODY has no entry"),
        ("    default_role: SLUICE_LOADER\n", "", "`default_role` is missing"),
        ("default_role: ANALYSTS", "default_role: SOURCES_READER", "SOURCES_READER is none of its `roles`"),
        ("type: SERVICE", "type: SERVICE\n    first_name: X", "a service has none"),
        ("url: s3://${lake_bucket}/lists/", "url: s3://${lake_bucket}/lists", "must end in a slash"),
        ("url: s3://${lake_bucket}/lists/", "url: s3://other/", "lies in none of the integration's"),
        ("  ADMIN.SECURITY.LISTS:", "  LISTS:", "is named DATABASE.SCHEMA.NAME"),
        ("  ADMIN.SECURITY.LISTS:", "  admin.security.lists:", "write names in upper case"),
        ("public_key: MIIB", "public_key: ---", "is no public key"),
        ("edition: enterprise", "edition: business", "must be standard or enterprise"),
        ("owner: SLUICE_LOADER, ware", "owner: LOADER, ware", "LOADER has no entry under `roles`"),
    ] {
        let found = problems(right, wrong);
        let place = |line: &String| {
            line.strip_prefix("platform/warehouse.yaml:")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        assert!(found.iter().any(|line| line.contains(told)), "{wrong}: {told} is not among {found:#?}");
        assert!(found.iter().all(place), "{wrong}: {found:#?}");
    }
}

#[test]
fn standard_refuses_what_it_cannot_do() {
    let found = problems("edition: enterprise", "edition: standard");
    for told in [
        "`min_clusters` needs",
        "`query_acceleration` needs",
        "Standard keeps 1 day",
        "masking_policies: ADMIN.SECURITY.HIDE: needs",
        "pii: masking",
    ] {
        assert!(found.iter().any(|line| line.contains(told)), "{told} is not among {found:#?}");
    }
}
