//! For every field of every kind and for every grant: changed behind our back, the next plan shows exactly that, and the
//! apply after it mends it.

use std::collections::BTreeSet;

use futures::executor::block_on;

use super::{
    applying::{SHIPPED, file, made, make, planned, seen},
    model::Model,
};
use crate::account::{
    Account, Desired, Name, Value,
    file::tests::EVERY_FIELD,
    kinds::{Absent, Field, Form, Kind},
    plan::{Sign, called},
    render::{self, Statement},
    state::{Grantee, Object, Target},
};

fn send(model: &Model, statements: &[Statement]) {
    for statement in statements {
        let answer = block_on(model.run(&statement.role, &statement.text, "sluice:account:somebody"));
        answer.unwrap_or_else(|error| panic!("{}: {}", statement.text, error.chain()));
    }
}

/// Another value of a field that the account would take.
fn another(field: &Field, desired: &Desired, object: &Object) -> Option<Value> {
    let value = object.get(field.name);
    let other_of = |kind: Kind| {
        let names = desired.state.names(kind).map(Name::to_string);
        names.filter(|name| Some(name.as_str()) != value.and_then(Value::as_text)).map(Value::Text).next()
    };
    match field.form {
        Form::Text | Form::Upper | Form::Type | Form::Code => Some(Value::text("SOMETHING_ELSE")),
        Form::Word(words) => {
            words.iter().find(|word| Some(**word) != value.and_then(Value::as_text)).map(|word| Value::text(*word))
        }
        Form::Size => Some(Value::text(if value == Some(&Value::text("X3LARGE")) { "SMALL" } else { "X3LARGE" })),
        Form::Number(..) | Form::Percent => match value {
            Some(Value::Number(number)) => Some(Value::Number(if *number > 0 { number - 1 } else { number + 1 })),
            _ => Some(Value::Number(77)),
        },
        Form::Flag | Form::AllOrNone => Some(Value::Flag(value != Some(&Value::Flag(true)))),
        Form::List => Some(Value::list(["s3://elsewhere/"])),
        Form::Names(kind) => {
            let first = desired.state.names(kind).next().map(Name::to_string);
            let held = value.is_some_and(|list| list.items().next() == first.as_deref());
            match held {
                true => Some(Value::list(desired.state.names(kind).skip(1).take(1).map(Name::to_string))),
                false => Some(Value::list(first)),
            }
        }
        Form::Name(kind) => other_of(kind),
        Form::Role => {
            Some(Value::text(if value == Some(&Value::text("SYSADMIN")) { "SECURITYADMIN" } else { "SYSADMIN" }))
        }
        Form::Percents => Some(Value::list(["42"])),
        Form::Options => {
            let Some(Value::Map(mut options)) = value.cloned() else { return None };
            let (_, first) = options.iter_mut().next()?;
            *first = if first.as_str() == "FALSE" { "TRUE".to_owned() } else { "FALSE".to_owned() };
            Some(Value::Map(options))
        }
        Form::Tags | Form::Masks => match value {
            Some(Value::Map(map)) if !map.is_empty() => Some(Value::Map(map.clone().into_iter().skip(1).collect())),
            _ => None,
        },
        Form::Key => Some(Value::text("SHA256:other")),
        Form::Columns => None,
    }
}

#[test]
fn a_field_that_was_changed_is_shown_alone_and_mended() {
    let mut checked = BTreeSet::new();
    for (yaml, model) in [(EVERY_FIELD, Model::enterprise()), (SHIPPED, Model::standard())] {
        let (model, desired) = made(yaml, model);
        for ((kind, name), want) in &desired.state.objects {
            for field in kind.spec().fields {
                let is_left = matches!(field.absent, Absent::Ignored | Absent::Kept);
                let ignored = is_left && want.get(field.name).is_none();
                let hidden = field.enterprise && !desired.enterprise || field.form == Form::Tags && model.standard;
                if ignored || hidden || field.form == Form::Columns {
                    continue;
                }
                let Some(value) = another(field, &desired, want) else { continue };
                let mut changed = want.clone();
                changed.set(field.name, Some(value));
                changed.texts.insert(field.name, "b3RoZXI=".to_owned());
                let about = format!("{}.{}", called(*kind, name), field.name);
                if field.is_only_made() {
                    fixed(&model, &desired, *kind, name, field, &changed);
                    checked.insert((*kind, field.name));
                    continue;
                }
                send(&model, &render::alter(*kind, name, &[field], &changed, want));
                let plan = planned(&model, &desired);
                let shown: Vec<(&str, Vec<&str>)> = plan
                    .changes
                    .iter()
                    .map(|change| (change.what.as_str(), change.fields.iter().map(|field| field.field).collect()))
                    .collect();
                assert_eq!(shown, [(called(*kind, name).as_str(), vec![field.name])], "{about}: {}", plan.to_text());
                let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{about}: {}", error.chain()));
                assert!(applied.left.is_empty(), "{about}: {}", applied.left.to_text());
                checked.insert((*kind, field.name));
            }
        }
    }
    for kind in Kind::ALL {
        for field in kind.spec().fields.iter().filter(|field| field.form != Form::Columns) {
            assert!(checked.contains(&(kind, field.name)), "{} {} was never changed", kind.word(), field.name);
        }
    }
}

/// What cannot be changed in place is told, and nothing is planned that would lose what the object holds.
fn fixed(model: &Model, desired: &Desired, kind: Kind, name: &Name, field: &Field, changed: &Object) {
    let property = match (kind, field.name) {
        (_, "transient") => "TRANSIENT",
        (Kind::Pipe, "auto_ingest") => "CHANNEL",
        (Kind::Pipe, _) => "DEFINITION",
        (Kind::MaskingPolicy, _) => "RETURN_TYPE",
        (_, "mode") => "MODE",
        _ => "TYPE",
    };
    let before = model.snapshot();
    match changed.get(field.name) {
        Some(Value::Flag(true)) => model.property(kind.word(), name, property, "TRUE"),
        Some(Value::Flag(false)) => {
            let mut world = model.world.borrow_mut();
            world.objects.get_mut(&(kind.word().to_owned(), name.clone())).expect("it").remove(property);
        }
        value => model.property(kind.word(), name, property, value.and_then(Value::as_text).unwrap_or_default()),
    }
    let plan = planned(model, desired);
    assert!(plan.changes.is_empty(), "{}", plan.to_text());
    let told: Vec<&str> = plan.blocked.iter().map(|blocked| blocked.what.as_str()).collect();
    assert_eq!(told, [called(kind, name)], "{}", field.name);
    assert!(plan.blocked[0].reason.contains(field.name) && !plan.blocked[0].to_do.is_empty());
    *model.world.borrow_mut() = before;
}

#[test]
fn a_grant_that_was_taken_is_shown_alone_and_given_again() {
    let (model, desired) = made(EVERY_FIELD, Model::enterprise());
    let state = seen(&model);
    for (grant, held) in &state.grants {
        let is_made = matches!(&grant.grantee, Grantee::Role(role) if render::is_system(role));
        if held.implied || is_made && !matches!(&grant.target, Target::Role(role) if desired.state.has_role(role)) {
            continue;
        }
        let privileges = BTreeSet::from([grant.privilege.clone()]);
        send(&model, &[render::grants::take(&privileges, &grant.target, &grant.grantee)]);
        let plan = planned(&model, &desired);
        let shown: Vec<_> = plan.changes.iter().map(|change| (change.sign, change.statements.len())).collect();
        assert_eq!(shown, [(Sign::Add, 1)], "{grant:?}: {}", plan.to_text());
        let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{grant:?}: {}", error.chain()));
        assert!(applied.left.is_empty(), "{grant:?}: {}", applied.left.to_text());
        assert_eq!(seen(&model), state, "{grant:?}");
    }
}

#[test]
fn a_grant_that_was_added_is_taken_back_where_the_file_names_both_sides() {
    let (model, desired) = made(EVERY_FIELD, Model::enterprise());
    let state = seen(&model);
    for (grant, to) in [
        ("OPERATE ON WAREHOUSE LAPTOP", "ROLE SLUICE_LOADER"),
        ("MANAGE GRANTS ON ACCOUNT", "ROLE SLUICE_LOADER"),
        ("ROLE ACCOUNTADMIN", "USER SLUICE_LOADER"),
        ("ROLE ANALYSTS", "ROLE SLUICE_LOADER"),
        ("SELECT ON FUTURE TABLES IN SCHEMA DLT.APPLICATION_DATA", "ROLE SLUICE_LOADER"),
        ("INSERT ON TABLE DLT.APPLICATION_DATA.PRODUCTS", "ROLE SOURCES_READER"),
        ("DATABASE ROLE DLT.READER", "ROLE SLUICE_LOADER"),
    ] {
        send(&model, &[Statement::of("SECURITYADMIN", format!("GRANT {grant} TO {to}"))]);
        let plan = planned(&model, &desired);
        let signs: Vec<Sign> = plan.changes.iter().map(|change| change.sign).collect();
        assert_eq!(signs, [Sign::Remove], "{grant}: {}", plan.to_text());
        assert_eq!(plan.revocations(), 1, "{grant}");
        // A future grant in a schema is why others have no effect there, and the plan says so.
        assert_eq!(plan.warnings.is_empty(), !grant.contains("FUTURE"), "{grant}: {:?}", plan.warnings);
        let applied = make(&model, &desired).unwrap_or_else(|error| panic!("{grant}: {}", error.chain()));
        assert_eq!(applied.revoked, 1, "{grant}");
        assert_eq!(seen(&model), state, "{grant}");
    }
}

#[test]
fn what_the_file_does_not_name_is_told_and_left() {
    let (model, desired) = made(EVERY_FIELD, Model::enterprise());
    for (role, text) in [
        ("SYSADMIN", "CREATE DATABASE IF NOT EXISTS OTHERS"),
        ("SYSADMIN", "CREATE SCHEMA IF NOT EXISTS OTHERS.THEIRS"),
        ("SYSADMIN", "CREATE WAREHOUSE IF NOT EXISTS OTHER WAREHOUSE_SIZE = SMALL"),
        ("USERADMIN", "CREATE ROLE IF NOT EXISTS OTHER"),
        ("SECURITYADMIN", "GRANT USAGE ON DATABASE OTHERS TO ROLE ANALYSTS"),
        ("SECURITYADMIN", "GRANT ROLE OTHER TO ROLE ANALYSTS"),
    ] {
        send(&model, &[Statement::of(role, text)]);
    }
    let plan = planned(&model, &desired);
    assert!(plan.changes.is_empty(), "{}", plan.to_text());
    let told = [
        "role OTHER",
        "warehouse OTHER",
        "database OTHERS",
        "role OTHER of role ANALYSTS",
        "usage on database OTHERS of role ANALYSTS",
    ];
    assert_eq!(plan.unnamed, told);
    assert_eq!(make(&model, &desired).expect("nothing to do").statements, 0);
}

#[test]
fn what_keeps_somebody_out_is_never_taken_away_by_leaving_it_out() {
    let lines = [
        "    network_policy: SERVICES\n",
        "    authentication_policy: ADMIN.SECURITY.KEYS\n",
        "    disabled: false\n",
        "    blocked_rules: [ADMIN.SECURITY.BLOCKED]\n",
        "    blocked_ips: [203.0.113.9]\n",
        "    blocked_locations: [\"s3://${lake_bucket}/secret/\"]\n",
    ];
    let left_out = lines.iter().fold(EVERY_FIELD.replace("network_policy: SERVICES }", "}"), |yaml, line| {
        assert!(yaml.contains(line), "{line}");
        yaml.replace(line, "")
    });
    let (model, _) = made(EVERY_FIELD, Model::enterprise());
    // Somebody has stopped a user whose key was seen.
    send(&model, &[Statement::of("USERADMIN", "ALTER USER ADA SET DISABLED = TRUE")]);
    let (state, desired) = (seen(&model), file(&left_out));
    let plan = planned(&model, &desired);
    assert!(plan.is_empty(), "{}", plan.to_text());
    let told = |text: &str| plan.unnamed.iter().any(|told| told == text);
    assert!(told("network_policy SERVICES of user SLUICE_LOADER"), "{:?}", plan.unnamed);
    assert!(told("disabled true of user ADA") && told("network_policy SERVICES of account"), "{:?}", plan.unnamed);
    assert_eq!(plan.unnamed.len(), 7, "{:?}", plan.unnamed);
    make(&model, &desired).expect("nothing to do");
    assert_eq!(seen(&model), state);
}

#[test]
fn a_column_that_is_gone_comes_back_and_one_that_came_is_left() {
    let (model, desired) = made(SHIPPED, Model::standard());
    let table = Name::of(["DLT", "APPLICATION_DATA", "PRODUCTS"]);
    for change in ["ALTER COLUMN PRODUCT_NAME DROP COLUMN PRODUCT_NAME", "ADD COLUMN IF NOT EXISTS EXTRA DATE"] {
        send(&model, &[Statement::of("SYSADMIN", format!("ALTER TABLE {table} {change}"))]);
    }
    let plan = planned(&model, &desired);
    let [change] = &plan.changes[..] else { panic!("{}", plan.to_text()) };
    assert_eq!(change.statements[0].text, format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS PRODUCT_NAME VARCHAR"));
    assert!(make(&model, &desired).expect("a column").left.is_empty());
}
