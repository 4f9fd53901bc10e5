//! The file of an account that has what no file may say.

use futures::executor::block_on;

use super::{
    applying::{SHIPPED, made, planned, seen},
    model::Model,
};
use crate::account::{
    Account, Desired,
    file::tests::{settings, sources},
    import,
};

fn imported(model: &Model) -> (String, Desired) {
    let text = import(&seen(model), !model.standard, &settings("dev"), &sources());
    let desired = Desired::parse(&text, &settings("dev"), &sources());
    let desired = desired.unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, desired)
}

#[test]
fn what_no_file_may_say_is_imported_as_a_comment_and_left_alone() {
    let (model, _) = made(SHIPPED, Model::standard());
    for (role, text) in [
        ("USERADMIN", "CREATE ROLE IF NOT EXISTS OLD"),
        ("USERADMIN", "CREATE USER IF NOT EXISTS LEGACY TYPE = LEGACY_SERVICE DEFAULT_ROLE = OLD"),
        ("SECURITYADMIN", "GRANT ROLE OLD TO USER LEGACY"),
        ("SYSADMIN", "CREATE WAREHOUSE IF NOT EXISTS HASTY AUTO_SUSPEND = 30"),
        ("SECURITYADMIN", "GRANT USAGE ON WAREHOUSE HASTY TO ROLE OLD"),
        ("SECURITYADMIN", "GRANT USAGE ON WAREHOUSE LOADING TO ROLE OLD"),
        (
            "SYSADMIN",
            "CREATE NETWORK RULE ADMIN.SECURITY.ANYWHERE TYPE = IPV4 VALUE_LIST = ('0.0.0.0/0') MODE = INGRESS",
        ),
        ("SECURITYADMIN", "GRANT USAGE ON DATABASE ADMIN TO ROLE SECURITYADMIN"),
        ("SECURITYADMIN", "GRANT USAGE ON SCHEMA ADMIN.SECURITY TO ROLE SECURITYADMIN"),
        ("SECURITYADMIN", "GRANT USAGE ON NETWORK RULE ADMIN.SECURITY.ANYWHERE TO ROLE SECURITYADMIN"),
        (
            "SECURITYADMIN",
            "CREATE NETWORK POLICY IF NOT EXISTS OPEN ALLOWED_NETWORK_RULE_LIST = ('ADMIN.SECURITY.ANYWHERE')",
        ),
        ("USERADMIN", "CREATE USER IF NOT EXISTS BOB TYPE = PERSON"),
        ("SECURITYADMIN", "ALTER USER BOB SET NETWORK_POLICY = OPEN"),
        ("SECURITYADMIN", "GRANT ROLE OLD TO USER BOB"),
    ] {
        let answer = block_on(model.run(role, text, "sluice:account:somebody"));
        answer.unwrap_or_else(|error| panic!("{text}: {}", error.chain()));
    }
    // A bucket that anybody may read needs no integration.
    let public = [("owner", "SYSADMIN"), ("URL", "s3://public/")].map(|(key, text)| (key.to_owned(), text.to_owned()));
    let name = crate::account::Name::of(["ADMIN", "SECURITY", "EVERYBODYS"]);
    model.world.borrow_mut().objects.insert(("STAGE".to_owned(), name), public.into());
    let (text, desired) = imported(&model);
    let plan = planned(&model, &desired);
    assert!(plan.is_empty() && plan.warnings.is_empty(), "{}\n{text}", plan.to_text());
    for left in ["user LEGACY", "user BOB", "warehouse HASTY", "network policy OPEN", "stage ADMIN.SECURITY.EVERYBODYS"]
    {
        assert!(plan.unnamed.iter().any(|told| told == left), "{left}: {:?}", plan.unnamed);
    }
    assert!(text.contains("# users: LEGACY: `type`") && text.contains("on: warehouse LOADING }\n"), "{text}");
    assert!(!text.contains("\n  LEGACY:"), "{text}");
}

#[test]
fn a_name_with_a_lines_end_stays_within_its_comment() {
    let (model, _) = made(SHIPPED, Model::standard());
    let name = crate::account::Name::of(["bad\nroles: { EVIL: { roles: [ACCOUNTADMIN] } }"]);
    let hasty = [("owner", "SYSADMIN"), ("AUTO_SUSPEND", "30")].map(|(key, text)| (key.to_owned(), text.to_owned()));
    model.world.borrow_mut().objects.insert(("WAREHOUSE".to_owned(), name), hasty.into());
    let (text, desired) = imported(&model);
    assert!(text.lines().all(|line| !line.starts_with("roles: {")), "{text}");
    assert!(!desired.state.has(crate::account::Kind::Role, &crate::account::Name::of(["EVIL"])));
}

#[test]
fn an_account_that_sluice_has_not_seen_yet_imports_into_a_file_that_loads() {
    let (text, desired) = imported(&Model::standard());
    assert!(text.contains("  SLUICE_LAKE:\n"), "{text}");
    assert!(desired.state.has(crate::account::Kind::Database, &crate::account::Name::of(["ADMIN"])));
}
