//! From the rows of SHOW and DESC to objects. Columns are read by name: Snowflake adds and moves them.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::port::Row;

use super::{About, is_own};
use crate::{
    account::{
        kinds::{Form, Kind, Seen},
        name::Name,
        normal,
        state::Object,
        value::Value,
    },
    sql::quote,
};

/// What the account has said of an object.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// Its row of SHOW.
    pub row: Row,
    /// Its rows of DESC, by property.
    pub properties: BTreeMap<String, Option<String>>,
    /// Its own parameters.
    pub parameters: BTreeMap<String, String>,
    /// The authentication policy of a user.
    pub policy: Option<String>,
    /// Whether a pipe takes files.
    pub running: Option<bool>,
    pub tags: BTreeMap<String, String>,
    pub columns: BTreeMap<String, String>,
    pub masks: BTreeMap<String, String>,
    /// Fields that could not be read.
    pub unread: BTreeSet<&'static str>,
}

/// How to list a kind, and whether its names page. What lies in several schemas has no name to go on from.
pub(super) fn show(kind: Kind) -> Option<(&'static str, bool)> {
    Some(match kind {
        Kind::Role => ("SHOW ROLES", false),
        Kind::ResourceMonitor => ("SHOW RESOURCE MONITORS", false),
        Kind::Warehouse => ("SHOW WAREHOUSES", false),
        Kind::Database => ("SHOW DATABASES", true),
        Kind::Schema => ("SHOW SCHEMAS IN ACCOUNT", false),
        Kind::NetworkRule => ("SHOW NETWORK RULES IN ACCOUNT", false),
        Kind::Tag => ("SHOW TAGS IN ACCOUNT", false),
        Kind::MaskingPolicy => ("SHOW MASKING POLICIES IN ACCOUNT", false),
        Kind::AuthenticationPolicy => ("SHOW AUTHENTICATION POLICIES IN ACCOUNT", false),
        Kind::NetworkPolicy => ("SHOW NETWORK POLICIES", false),
        Kind::User => ("SHOW USERS", true),
        Kind::StorageIntegration => ("SHOW INTEGRATIONS", false),
        Kind::FileFormat => ("SHOW FILE FORMATS IN ACCOUNT", false),
        Kind::Stage => ("SHOW STAGES IN ACCOUNT", false),
        Kind::Pipe => ("SHOW PIPES IN ACCOUNT", false),
        Kind::DatabaseRole | Kind::Table | Kind::Account => return None,
    })
}

pub(super) fn cell<'r>(row: &'r Row, column: &str) -> Option<&'r str> {
    row.get(column).and_then(Option::as_deref)
}

/// The name of a row's object; `None` for what is no object of a file.
pub(super) fn name(kind: Kind, row: &Row) -> Option<Name> {
    let own = cell(row, "name")?;
    let name = match kind.spec().depth {
        1 => Name::of([own]),
        2 => Name::of([cell(row, "database_name")?, own]),
        _ => Name::of([cell(row, "database_name")?, cell(row, "schema_name")?, own]),
    };
    let is_ours = match kind {
        Kind::StorageIntegration => {
            cell(row, "category").is_none_or(|category| category.eq_ignore_ascii_case("storage"))
        }
        Kind::Database => cell(row, "kind").is_none_or(|kind| kind.is_empty() || kind.eq_ignore_ascii_case("standard")),
        _ => true,
    };
    (is_ours && own != "SNOWFLAKE" && is_own(kind, &name)).then_some(name)
}

/// Takes out what lies in databases that are not the account's own: shares and applications.
pub(super) fn drop_foreign(found: &mut BTreeMap<(Kind, Name), Details>) {
    let foreign: Vec<(Kind, Name)> = found
        .keys()
        .filter(|(_, name)| name.depth() > 1 && !found.contains_key(&(Kind::Database, name.up_to(1))))
        .cloned()
        .collect();
    for key in foreign {
        found.remove(&key);
    }
}

/// A table or a view, by the word of its type.
pub(super) fn relation(about: &About, row: &Row) -> Option<(&'static str, Name)> {
    let name = Name::of([cell(row, "database_name")?, cell(row, "schema_name")?, cell(row, "name")?]);
    let is =
        |column: &str| cell(row, column).is_some_and(|flag| matches!(flag.to_ascii_uppercase().as_str(), "Y" | "TRUE"));
    let word = match about {
        About::Views if is("is_materialized") => "MATERIALIZED VIEW",
        About::Views => "VIEW",
        _ if ["is_external", "is_dynamic", "is_iceberg", "is_event"].into_iter().any(is) => return None,
        _ => "TABLE",
    };
    Some((word, name))
}

impl Details {
    /// Takes the rows of DESC: a property and its value each, or one row of columns.
    pub(super) fn describe(&mut self, kind: Kind, rows: Vec<Row>) {
        if kind == Kind::Table {
            self.table(&rows);
            return;
        }
        for row in rows {
            let value = || row.get("property_value").or_else(|| row.get("value")).cloned().flatten();
            if let Some(property) = cell(&row, "property") {
                self.properties.insert(property.to_uppercase(), value());
            } else if let (Some(name), true) = (cell(&row, "name"), row.contains_key("value")) {
                self.properties.insert(name.to_uppercase(), value());
            } else {
                self.properties.extend(row.into_iter().map(|(column, cell)| (column.to_uppercase(), cell)));
            }
        }
    }

    fn table(&mut self, rows: &[Row]) {
        for row in rows {
            let (Some(name), Some(data_type)) = (cell(row, "name"), cell(row, "type")) else { continue };
            let name = quote::identifier(name);
            let null = if cell(row, "null?") == Some("N") { " NOT NULL" } else { "" };
            self.columns.insert(name.clone(), format!("{}{null}", normal::data_type(data_type)));
            if let Some(policy) = cell(row, "policy name").filter(|policy| !policy.is_empty()) {
                self.masks.insert(name, normal::canonical(policy));
            }
        }
    }
}

/// The parameters whose value is the object's own; an inherited one says nothing of it.
pub(super) fn own_parameters(kind: Kind, rows: &[Row]) -> BTreeMap<String, String> {
    let own = |row: &&Row| cell(row, "level").is_some_and(|level| level.eq_ignore_ascii_case(kind.word()));
    let pair = |row: &Row| Some((cell(row, "key")?.to_uppercase(), cell(row, "value")?.to_owned()));
    rows.iter().filter(own).filter_map(pair).collect()
}

/// A pipe that is paused takes no files; other states are the warehouse's own trouble.
pub(super) fn is_running(row: &Row) -> bool {
    let status: serde_json::Value =
        cell(row, "status").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    status["executionState"] != "PAUSED"
}

pub(super) fn tags(kind: Kind, rows: &[Row]) -> BTreeMap<String, String> {
    let own = |row: &&Row| cell(row, "level").is_none_or(|level| level.eq_ignore_ascii_case(kind.word()));
    let pair = |row: &Row| {
        let tag = Name::of([cell(row, "tag_database")?, cell(row, "tag_schema")?, cell(row, "tag_name")?]);
        Some((tag.to_string(), cell(row, "tag_value")?.to_owned()))
    };
    rows.iter().filter(own).filter_map(pair).collect()
}

pub(super) fn object(kind: Kind, details: &Details, enterprise: bool, with_tags: bool) -> Object {
    let mut object = Object::default();
    for field in kind.spec().fields {
        let value = match (field.seen, field.form) {
            (_, Form::Tags) if !with_tags => {
                object.unknown.insert(field.name);
                continue;
            }
            (_, Form::Tags) => Some(Value::Map(details.tags.clone())),
            (_, Form::Columns) => Some(Value::Map(details.columns.clone())),
            (_, Form::Masks) => Some(Value::Map(details.masks.clone())),
            (Seen::Option(word), _) => {
                let options = cell(&details.row, "options").unwrap_or_default();
                Some(Value::Flag(options.split(',').any(|option| option.trim().eq_ignore_ascii_case(word))))
            }
            (Seen::Present(column), _) => {
                Some(Value::Flag(cell(&details.row, column).is_some_and(|text| !text.is_empty() && text != "null")))
            }
            (Seen::Parameter(parameter), _) => {
                details.parameters.get(parameter).and_then(|value| normal::answered(field, Some(value)))
            }
            (Seen::Property(property), _) => {
                normal::answered(field, details.properties.get(property).and_then(Option::as_deref))
            }
            (Seen::Column(column), _) => match details.row.get(column) {
                Some(cell) => normal::answered(field, cell.as_deref()),
                None => match details.properties.get(&column.to_uppercase()) {
                    Some(cell) => normal::answered(field, cell.as_deref()),
                    None => {
                        // Standard shows no clusters, for one.
                        object.unknown.insert(field.name);
                        continue;
                    }
                },
            },
            (Seen::Apart, Form::Flag) => details.running.map(Value::Flag),
            (Seen::Apart, _) => details.policy.clone().map(Value::Text),
        };
        // A user without a type is a person.
        let is_person = kind == Kind::User && field.name == "type" && value.is_none();
        let value = if is_person { Some(Value::text("PERSON")) } else { value };
        if field.enterprise && !enterprise {
            object.unknown.insert(field.name);
            continue;
        }
        object.set(field.name, value);
    }
    object
}
