//! What the file says, what it may not say, and where a message points.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::{LakeId, Sources};

use super::{Deployment, Desired, Settings};
use crate::account::{
    kinds::{Absent, Form, Kind},
    name::Name,
    state::{Grant, Grantee, Target},
};

mod mistakes;

/// A file with every field of every kind.
pub(crate) const EVERY_FIELD: &str = include_str!("tests/every_field.yaml");

pub(crate) fn sources() -> Sources {
    Sources::parse(include_str!("../../../../../platform/sources.yaml")).expect("the shipped sources")
}

pub(crate) fn settings(environment: &str) -> Settings {
    let values = [
        ("lake_bucket", "sluice-dev-lake"),
        ("lake_role_arn", "arn:aws:iam::123456789012:role/sluice-dev-lake-reader"),
        ("lake_external_id", "sluice"),
        ("egress", "203.0.113.7/32"),
        ("operators", "198.51.100.0/24, 192.0.2.7"),
        ("dbt", "192.0.2.8"),
        ("lightdash", "192.0.2.9"),
    ];
    Settings {
        environment: environment.to_owned(),
        values: values.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        lake: LakeId("sluice-dev".to_owned()),
        bucket: "sluice-dev-lake".to_owned(),
    }
}

pub(crate) fn parsed(yaml: &str) -> sluice_core::Result<Desired> {
    Desired::parse(yaml, &settings("dev"), &sources())
}

#[test]
fn the_example_names_every_field_of_every_kind() {
    let desired = parsed(EVERY_FIELD).unwrap_or_else(|error| panic!("{error}"));
    for kind in Kind::ALL {
        for field in kind.spec().fields {
            let named = desired
                .state
                .of(kind)
                .filter(|(_, object)| object.get(field.name).is_some_and(|value| !value.is_empty()));
            assert!(named.count() > 0, "{}: no example has {}", kind.word(), field.name);
        }
    }
}

#[test]
fn what_sources_say_is_derived_and_never_written_twice() {
    let desired = parsed(EVERY_FIELD).unwrap_or_else(|error| panic!("{error}"));
    let products = Name::of(["DLT", "APPLICATION_DATA", "PRODUCTS"]);
    let table = desired.state.object(Kind::Table, &products).expect("a raw table");
    let columns: BTreeMap<&str, &str> =
        table.get("columns").into_iter().flat_map(|columns| columns.entries()).collect();
    assert_eq!(columns["AUDIT_ID"], "NUMBER(19,0) NOT NULL");
    assert_eq!(columns["PRODUCT_NAME"], "VARCHAR(16777216)");
    assert_eq!(table.text("owner"), "SLUICE_LOADER");
    assert!(desired.state.has(Kind::Database, &Name::of(["STREAMING"])));
    let pipe = Name::of(["SNOWPIPE", "OPEN_EXCHANGE_RATES", "EXCHANGE_RATES_PIPE"]);
    assert!(desired.state.object(Kind::Pipe, &pipe).expect("a pipe").text("copy").starts_with("COPY INTO SNOWPIPE."));
    let lock = Name::of(["ADMIN", "OBSERVABILITY", "LOCK_sluice-dev_DLT.APPLICATION_DATA.PRODUCTS"]);
    assert!(desired.state.has(Kind::Table, &lock));
    let reads = Grant {
        privilege: "SELECT".to_owned(),
        target: Target::Future("TABLE".to_owned(), Name::of(["DLT"])),
        grantee: Grantee::Role(Name::of(["DLT", "READER"])),
    };
    assert!(desired.state.grants.contains_key(&reads));
    // A masked column for each of the contract's personal ones.
    let contacts = Name::of(["AIRBYTE", "HUBSPOT", "CONTACTS"]);
    let masks = desired.state.object(Kind::Table, &contacts).and_then(|table| table.get("masks")).expect("masks");
    assert!(masks.entries().any(|(column, policy)| column == "EMAIL" && policy == "ADMIN.SECURITY.PII_VARCHAR"));
}

#[test]
fn one_file_serves_every_environment() {
    let of = |environment: &str| {
        let desired = Desired::parse(EVERY_FIELD, &settings(environment), &sources());
        desired.unwrap_or_else(|error| panic!("{environment}: {error}")).state
    };
    let (dev, prod) = (of("dev"), of("prod"));
    let monitor = Name::of(["LIMIT"]);
    let credits = |state: &crate::account::State| {
        state.object(Kind::ResourceMonitor, &monitor).map(|m| m.get("credits").cloned())
    };
    assert_ne!(credits(&dev), credits(&prod));
    let only = Name::of(["LAPTOP"]);
    assert!(dev.has(Kind::Warehouse, &only) && !prod.has(Kind::Warehouse, &only));
    let size = |state: &crate::account::State| {
        state.object(Kind::Warehouse, &Name::of(["BATCH"])).map(|w| w.text("size").to_owned())
    };
    assert_eq!((size(&dev).as_deref(), size(&prod).as_deref()), (Some("SMALL"), Some("LARGE")));
    for environment in ["DEV", "PROD"] {
        assert!(dev.has(Kind::Database, &Name::of([format!("SANDBOX_{environment}")])), "{environment}");
    }
}

#[test]
fn the_shipped_file_is_right_in_every_environment() {
    let text = include_str!("../../../../../platform/warehouse.yaml");
    for environment in ["local", "dev", "staging", "prod"] {
        let desired = Desired::parse(text, &settings(environment), &sources());
        let state = desired.unwrap_or_else(|error| panic!("{environment}: {error}")).state;
        assert!(state.has(Kind::User, &Name::of(["SLUICE_LOADER"])));
    }
}

#[test]
fn the_functions_come_from_the_address_of_each_zone() {
    let addresses = Some("203.0.113.7,203.0.113.8".to_owned());
    let settings = Settings::of("prod", Deployment { addresses, ..Deployment::default() });
    assert_eq!(settings.values["egress"], "203.0.113.7/32, 203.0.113.8/32");
}

#[test]
fn in_prod_each_service_comes_from_its_own_networks_and_operators() {
    let text = include_str!("../../../../../platform/warehouse.yaml");
    let state = Desired::parse(text, &settings("prod"), &sources()).unwrap_or_else(|error| panic!("{error}")).state;
    for (name, user) in state.of(Kind::User) {
        let policy =
            Name::parse(user.text("network_policy")).unwrap_or_else(|| panic!("{name} may come from anywhere"));
        let policy = state.object(Kind::NetworkPolicy, &policy).expect("an entry");
        let rules: BTreeSet<&str> = policy.get("allowed_rules").expect("rules").items().collect();
        let own = match name.last() {
            "SLUICE_LOADER" | "SVC_REPORT" => "ADMIN.SECURITY.SLUICE_EGRESS",
            "SVC_DBT" => "ADMIN.SECURITY.DBT",
            _ => "ADMIN.SECURITY.LIGHTDASH",
        };
        // A rotation proves the new key by a login from where an operator runs it.
        assert_eq!(rules, BTreeSet::from(["ADMIN.SECURITY.OPERATORS", own]), "{name}");
    }
    let rule = Name::of(["ADMIN", "SECURITY", "OPERATORS"]);
    let networks = state.object(Kind::NetworkRule, &rule).and_then(|rule| rule.get("values")).expect("networks");
    assert_eq!(networks.items().collect::<Vec<_>>(), ["192.0.2.7", "198.51.100.0/24"]);
    let mut nobody = settings("prod");
    nobody.values.remove("operators");
    let error = Desired::parse(text, &nobody, &sources()).expect_err("nobody has said from where");
    assert!(error.to_string().contains("${operators} has no value in the environment prod"), "{error}");
}

/// Runbooks are tried on one machine: what a role may there, it may in an account.
#[test]
fn each_role_may_on_one_machine_what_it_may_in_an_account() {
    let text = include_str!("../../../../../platform/warehouse.yaml");
    let grants = |environment: &str| {
        let desired = Desired::parse(text, &settings(environment), &sources());
        let state = desired.unwrap_or_else(|error| panic!("{environment}: {error}")).state;
        // The rules of networks, which only prod has, and the way to them.
        let of_networks = Grantee::role(&Name::of(["SECURITYADMIN"]));
        state.grants.into_keys().filter(|grant| grant.grantee != of_networks).collect::<Vec<_>>()
    };
    let here = grants("local");
    for environment in ["dev", "staging", "prod"] {
        assert_eq!(grants(environment), here, "{environment}");
    }
    let reads = Target::Role(Name::of(["ANALYTICS", "READER"]));
    let loader = Grantee::role(&Name::of(["SLUICE_LOADER"]));
    assert!(here.iter().any(|grant| grant.target == reads && grant.grantee == loader), "`sluice why` reads models");
}

#[test]
fn who_loads_reads_every_masked_value() {
    let desired = parsed(&EVERY_FIELD.replace("readers: [SLUICE_LOADER] }\naccount", "readers: [ANALYSTS] }\naccount"));
    let state = desired.unwrap_or_else(|error| panic!("{error}")).state;
    let policy = Name::of(["ADMIN", "SECURITY", "PII_VARCHAR"]);
    let body = state.object(Kind::MaskingPolicy, &policy).expect("a policy").text("body").to_owned();
    for role in ["ANALYSTS", "SLUICE_LOADER"] {
        assert!(body.contains(&format!("IS_ROLE_IN_SESSION('{role}')")), "{body}");
    }
}

/// The JSON Schema that editors check the file by: made of the tables of kinds and kept beside the file.
#[test]
fn the_schema_for_editors_is_that_of_the_kinds() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platform/warehouse.schema.json");
    let text = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).expect("a writable schema");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "{} is not of these kinds; UPDATE_SNAPSHOTS=1 writes it", path.display());
    let shipped = include_str!("../../../../../platform/warehouse.yaml");
    assert!(
        shipped.starts_with("# yaml-language-server: $schema=warehouse.schema.json\n"),
        "no editor finds the schema"
    );
}

fn schema() -> serde_json::Value {
    use serde_json::json;
    let list = json!({"type": "array", "items": {"type": "string"}});
    let number = |least: i64, most: i64| json!({"anyOf": [{"type": "integer", "minimum": least, "maximum": most}, {"type": "string", "pattern": "^\\$\\{"}]});
    let told = |mut of: serde_json::Value, about: &str| {
        of["description"] = json!(about);
        of
    };
    let text = |about: &str| told(json!({"type": "string"}), about);
    let texts = |about: &str| told(list.clone(), about);
    let mut properties = serde_json::Map::new();
    properties.insert("edition".into(), text("standard or enterprise: what Standard cannot do is refused."));
    properties.insert(
        "environments".into(),
        told(json!({"type": "object"}), "Each environment's values for `${name}`, by its name."),
    );
    properties.insert(
        "raw".into(),
        json!({"type": "object", "additionalProperties": false, "description": "What is true of every raw table.",
        "properties": {
            "owner": text("The role that owns raw tables, their locks and pipes: that of the functions which load."),
            "warehouse": text("The warehouse in which loads run."),
            "readers": texts("Roles that read every raw database."),
        }}),
    );
    properties.insert(
        "pii".into(),
        json!({"type": "object", "additionalProperties": false, "required": ["schema"],
        "description": "Masking of the columns that sources.yaml marks with `pii`; needs Enterprise.",
        "properties": {
            "schema": text("The schema that gets the policies."),
            "readers": texts("Roles that see the values, beside the owner of raw tables."),
        }}),
    );
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.spec().section.is_empty()) {
        let mut fields = serde_json::Map::new();
        let mut required = Vec::new();
        for field in kind.spec().fields {
            let mut of = match field.form {
                Form::Word(words) => json!({"enum": words}),
                Form::Size => json!({"enum": super::super::normal::SIZES}),
                Form::Number(least, most) => number(least, most),
                Form::Percent => number(1, 1_000),
                Form::Percents => json!({"type": "array", "items": {"type": "integer"}}),
                Form::Flag | Form::AllOrNone => json!({"type": "boolean"}),
                Form::List | Form::Names(_) => list.clone(),
                Form::Options | Form::Tags => json!({"type": "object"}),
                _ => json!({"type": "string"}),
            };
            of["description"] = json!(field.about);
            match field.absent {
                Absent::Required => required.push(field.name),
                Absent::Text(text) => of["default"] = json!(text),
                Absent::Number(number) => of["default"] = json!(number),
                Absent::Flag(flag) => of["default"] = json!(flag),
                _ => {}
            }
            fields.insert(field.name.into(), of);
        }
        if matches!(kind, Kind::Role | Kind::DatabaseRole | Kind::User) {
            fields.insert("roles".into(), texts("Roles that it holds."));
        }
        if matches!(kind, Kind::Role | Kind::DatabaseRole) {
            fields.insert(
                "under_sysadmin".into(),
                told(json!({"type": "boolean", "default": true}), "Whether SYSADMIN gets it."),
            );
            let grants = "Each has `grant`, the privileges; `on`, the account, a type and a name, or a plural such as \
                          tables; and with a plural `in`, databases or schemas.";
            fields.insert("grants".into(), told(json!({"type": "array", "items": {"type": "object"}}), grants));
        }
        if kind != Kind::Account {
            let each = "Environments for each of which there is one such entry, with its values.";
            fields.insert("each".into(), texts(each));
            fields.insert("environments".into(), texts("The only environments that have it."));
            let settings = "Settings that are others in an environment, by its name.";
            fields.insert("where".into(), told(json!({"type": "object"}), settings));
        }
        let entry = json!({"type": ["object", "null"], "additionalProperties": false, "properties": fields, "required": required});
        let section = match kind {
            Kind::Account => entry,
            _ => json!({"type": "object", "additionalProperties": entry}),
        };
        let mut section = section;
        section["description"] = json!(kind.spec().about);
        properties.insert(kind.spec().section.into(), section);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "platform/warehouse.yaml",
        "description": "What a Snowflake account is to be.",
        "type": "object",
        "additionalProperties": false,
        "required": ["edition", "environments"],
        "properties": properties,
    })
}
