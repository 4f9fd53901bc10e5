//! Accounts in which others have made something: who owns it, who holds what, and what cannot be read of it.

use futures::executor::block_on;

use super::{
    applying::{SHIPPED, file, made, make, planned, seen},
    model::Model,
};
use crate::account::{Account, Kind, Name, file::tests::EVERY_FIELD, kinds::Form, render::Statement, whole};

fn send(model: &Model, role: &str, text: &str) {
    let statement = Statement::of(role, text);
    let answer = block_on(model.run(&statement.role, &statement.text, "sluice:account:somebody"));
    answer.unwrap_or_else(|error| panic!("{text}: {}", error.chain()));
}

/// Gives everything to ACCOUNTADMIN, as if somebody had made it by clicks.
fn clicked(model: &Model) {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.spec().fields.iter().any(|field| field.form == Form::Role));
    let words: Vec<&str> = kinds.map(Kind::word).collect();
    let mut world = model.world.borrow_mut();
    for ((word, name), object) in &mut world.objects {
        if words.contains(&word.as_str()) && !crate::account::render::is_system(name) && name.last() != "PUBLIC" {
            object.insert("owner".to_owned(), "ACCOUNTADMIN".to_owned());
        }
    }
}

#[test]
fn what_belongs_to_accountadmin_is_taken_over_before_anything_else() {
    for (yaml, model) in [(EVERY_FIELD, Model::enterprise()), (SHIPPED, Model::standard())] {
        let (model, desired) = made(yaml, model);
        let whole = seen(&model);
        clicked(&model);
        // Something in it is still to be made, and something to be changed.
        let gone = [("TABLE", vec!["DLT", "APPLICATION_DATA", "PRODUCTS"]), ("SCHEMA", vec!["ANALYTICS", "STAGING"])];
        for (word, name) in gone {
            let key = (word.to_owned(), Name::of(name));
            let mut world = model.world.borrow_mut();
            world.objects.remove(&key).expect("it");
            world.grants.retain(|grant, _| grant.on != word || grant.name != key.1);
        }
        model.property("USER", &Name::of(["SLUICE_LOADER"]), "COMMENT", "by hand");
        model
            .world
            .borrow_mut()
            .objects
            .get_mut(&("USER".to_owned(), Name::of(["SLUICE_LOADER"])))
            .expect("it")
            .remove("NETWORK_POLICY");
        let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{}", error.chain()));
        assert!(applied.left.is_empty(), "{}", applied.left.to_text());
        assert_eq!(seen(&model), whole);
    }
}

#[test]
fn an_owner_comes_before_what_only_the_owner_may_set() {
    let desired = file(EVERY_FIELD);
    let (model, _) = made(EVERY_FIELD, Model::enterprise());
    clicked(&model);
    model
        .world
        .borrow_mut()
        .objects
        .get_mut(&("USER".to_owned(), Name::of(["SLUICE_LOADER"])))
        .expect("it")
        .remove("NETWORK_POLICY");
    let sql = planned(&model, &desired).to_sql();
    let at = |text: &str| sql.find(text).unwrap_or_else(|| panic!("no {text} in {sql}"));
    assert!(at("GRANT OWNERSHIP ON USER SLUICE_LOADER") < at("ALTER USER SLUICE_LOADER SET NETWORK_POLICY"));
    assert!(at("GRANT OWNERSHIP ON DATABASE ANALYTICS TO") < at("GRANT OWNERSHIP ON TABLE"), "{sql}");
}

#[test]
fn a_user_of_the_teams_own_role_can_still_be_changed() {
    let yaml = EVERY_FIELD.replace(
        "    owner: SECURITYADMIN\n    roles: [SLUICE_LOADER]",
        "    owner: ANALYSTS\n    roles: [SLUICE_LOADER]",
    );
    let (model, _) = made(&yaml, Model::enterprise());
    let edited = file(
        &yaml
            .replace("network_policy: SERVICES\n    auth", "network_policy: PEOPLE\n    comment: Loads.\n    auth")
            .replace("    comment: The functions that load.\n", ""),
    );
    let applied = make(&model, &edited).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
}

#[test]
fn an_account_without_a_warehouse_is_read_and_what_needs_one_is_unknown() {
    let (model, desired) = made(EVERY_FIELD, Model::enterprise());
    let mut bare = model.snapshot();
    bare.objects.retain(|(word, _), _| word != "WAREHOUSE");
    bare.grants.retain(|grant, _| grant.on != "WAREHOUSE");
    *model.world.borrow_mut() = bare;
    let plan = planned(&model, &desired);
    let told = |text: &str| plan.warnings.iter().any(|warning| warning.contains(text));
    assert!(told("`authentication_policy` of a user could not be read"), "{:?}", plan.warnings);
    assert!(told("`running` of a pipe") && told("`tags` of a database"), "{:?}", plan.warnings);
    assert!(plan.changes.iter().all(|change| !change.what.starts_with("user ")), "{}", plan.to_text());
    block_on(whole(&model, true, "sluice:account:test")).expect("an account to import and to explain");
    let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty() && applied.left.warnings.is_empty(), "{}", applied.left.to_text());
}

#[test]
fn holders_whom_the_file_does_not_name_are_told() {
    let (model, desired) = made(EVERY_FIELD, Model::enterprise());
    for (role, text) in [
        ("USERADMIN", "CREATE USER IF NOT EXISTS EVE TYPE = PERSON"),
        ("USERADMIN", "CREATE USER IF NOT EXISTS SLUICE_PROVISIONER TYPE = SERVICE"),
        ("USERADMIN", "CREATE ROLE IF NOT EXISTS OTHERS"),
        ("SECURITYADMIN", "GRANT ROLE ANALYSTS TO USER EVE"),
        ("SECURITYADMIN", "GRANT ROLE ACCOUNTADMIN TO USER EVE"),
        ("SECURITYADMIN", "GRANT ROLE ACCOUNTADMIN TO USER SLUICE_PROVISIONER"),
        ("SECURITYADMIN", "GRANT DATABASE ROLE DLT.READER TO ROLE OTHERS"),
        ("SECURITYADMIN", "GRANT SELECT ON TABLE DLT.APPLICATION_DATA.PRODUCTS TO ROLE PUBLIC"),
        ("SECURITYADMIN", "GRANT USAGE ON WAREHOUSE LOADING TO ROLE PUBLIC"),
    ] {
        send(&model, role, text);
    }
    let plan = planned(&model, &desired);
    assert!(plan.changes.is_empty(), "{}", plan.to_text());
    let told = [
        "role OTHERS",
        "user EVE",
        "user SLUICE_PROVISIONER",
        "database role DLT.READER of role OTHERS",
        "role ACCOUNTADMIN of user EVE",
        "role ANALYSTS of user EVE",
        "select on table in DLT.APPLICATION_DATA of role PUBLIC",
        "usage on warehouse LOADING of role PUBLIC",
    ];
    assert_eq!(plan.unnamed, told);
}

#[test]
fn a_plan_is_empty_whatever_spelling_the_account_keeps() {
    let yaml = EVERY_FIELD
        .replace("login_name: SLUICE_LOADER", "login_name: sluice_loader@example.com")
        .replace(
            "      - { grant: [MONITOR USAGE], on: account }\n",
            "      - { grant: [USAGE], on: stages, in: ADMIN.SECURITY, future: false }\n      - { grant: [READ], on: stages, in: ADMIN }\n",
        );
    let (model, desired) = made(&yaml, Model::enterprise());
    // A stage of Snowflake's own takes READ and no USAGE.
    let internal = [("owner".to_owned(), "SYSADMIN".to_owned())].into();
    let name = Name::of(["ADMIN", "SECURITY", "INTERNAL"]);
    model.world.borrow_mut().objects.insert(("STAGE".to_owned(), name), internal);
    let plan = planned(&model, &desired);
    assert_eq!(plan.changes.len(), 1, "{}", plan.to_text());
    let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
}

#[test]
fn what_dbt_makes_as_it_runs_is_readable_and_reporting_stays_apart() {
    let (model, desired) = made(SHIPPED, Model::standard());
    send(&model, "SYSADMIN", "CREATE SCHEMA IF NOT EXISTS ANALYTICS.CI_PR_12_MARTS");
    for table in ["CI_PR_12_MARTS.SALES", "REPORTING.SALES", "MARTS.SALES"] {
        send(&model, "SYSADMIN", &format!("CREATE TABLE IF NOT EXISTS ANALYTICS.{table} (\n  A VARCHAR\n)"));
    }
    let world = model.snapshot();
    let readers = |schema: &str| -> Vec<String> {
        let name = Name::of(["ANALYTICS", schema, "SALES"]);
        let held = world.grants.keys().filter(|grant| grant.on == "TABLE" && grant.name == name);
        held.map(|grant| format!("{} {}", grant.privilege, grant.grantee)).collect()
    };
    assert_eq!(readers("CI_PR_12_MARTS"), ["SELECT ANALYTICS.READER"]);
    assert_eq!(readers("MARTS"), ["SELECT ANALYTICS.READER"]);
    assert_eq!(
        readers("REPORTING"),
        ["ANALYTICS.READER", "ANALYTICS_REPORTER", "SLUICE_LOADER"].map(|role| format!("SELECT {role}"))
    );
    let plan = planned(&model, &desired);
    assert!(plan.is_empty() && plan.warnings.is_empty(), "{}", plan.to_text());
}

/// An account of an earlier version gave the role that loads every table of the schema, those to come too.
#[test]
fn who_loads_writes_neither_the_lease_nor_the_list_of_changes() {
    let (model, desired) = made(SHIPPED, Model::standard());
    let is_kept = |table: &str| table == "ACCOUNT_LEASE" || table == "ACCOUNT_CHANGES";
    let tables = |model: &Model| -> Vec<String> {
        let world = model.world.borrow();
        let held =
            world.grants.keys().filter(|grant| grant.grantee.last() == "SLUICE_LOADER" && grant.privilege == "UPDATE");
        held.map(|grant| format!("{} {}", grant.on, grant.name)).collect()
    };
    let before = tables(&model);
    assert!(before.iter().any(|table| table.ends_with("ADMIN.OBSERVABILITY.LOADS")), "{before:?}");
    for scope in ["ALL", "FUTURE"] {
        let text = format!("GRANT UPDATE ON {scope} TABLES IN SCHEMA ADMIN.OBSERVABILITY TO ROLE SLUICE_LOADER");
        send(&model, "SECURITYADMIN", &text);
    }
    let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
    assert_eq!(tables(&model), before);
    assert!(!before.iter().any(|table| is_kept(table.rsplit('.').next().unwrap_or_default())), "{before:?}");
}
