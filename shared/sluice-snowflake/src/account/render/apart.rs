//! Clauses and statements of fields that no plain property sets.

use super::{pause, resume, texts};
use crate::{
    account::{
        columns,
        kinds::{Field, Kind},
        name::Name,
        state::Object,
        value::Value,
    },
    sql::{ddl, quote},
};

/// What follows the name in CREATE, whatever the fields say.
pub(super) fn prefix(kind: Kind) -> &'static str {
    match kind {
        // Made running, a warehouse is billed from its first second.
        Kind::Warehouse => " INITIALLY_SUSPENDED = TRUE",
        Kind::ResourceMonitor => " WITH",
        Kind::StorageIntegration => " TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3'",
        _ => "",
    }
}

/// What CREATE says of such a field.
pub(super) fn made(kind: Kind, field: &str, value: &Value, want: &Object) -> Option<String> {
    match (kind, field, value) {
        (Kind::Schema, "managed_access", Value::Flag(true)) => Some("WITH MANAGED ACCESS".to_owned()),
        (Kind::ResourceMonitor, "frequency", _) => Some(frequency(want)),
        // The last of the three, in the order of the fields, says them all.
        (Kind::ResourceMonitor, "notify_at" | "suspend_at" | "suspend_immediately_at", _) => {
            let last = ["suspend_immediately_at", "suspend_at", "notify_at"]
                .into_iter()
                .find(|field| want.get(field).is_some_and(|value| !value.is_empty()));
            (last == Some(field)).then(|| triggers(want)).flatten()
        }
        (Kind::Tag, "allowed_values", value) if !value.is_empty() => Some(format!("ALLOWED_VALUES {}", values(value))),
        (Kind::FileFormat, "options", Value::Map(_)) => {
            let options: Vec<String> = value.entries().map(|(name, value)| option(name, value)).collect();
            Some(options.join(" ")).filter(|options| !options.is_empty())
        }
        (Kind::Stage, "directory", Value::Flag(true)) => Some("DIRECTORY = (ENABLE = TRUE)".to_owned()),
        (Kind::Stage, "file_format", _) => Some(format(want)),
        _ => None,
    }
}

pub(super) fn masking_policy(name: &Name, want: &Object) -> String {
    let (kind, body, comment) = (want.text("type"), want.text("body"), want.text("comment"));
    let comment = if comment.is_empty() { String::new() } else { format!(" COMMENT = {}", quote::literal(comment)) };
    format!("CREATE MASKING POLICY IF NOT EXISTS {name} AS (VAL {kind}) RETURNS {kind} -> {body}{comment}")
}

/// What joins the properties of one ALTER … SET: some may only be set together.
pub(super) fn set(kind: Kind, fields: &[&Field], want: &Object) -> Vec<String> {
    let changes = |names: &[&str]| fields.iter().any(|field| names.contains(&field.name));
    let mut clauses = Vec::new();
    match kind {
        Kind::ResourceMonitor => {
            let of_triggers = changes(&["notify_at", "suspend_at", "suspend_immediately_at"]);
            // Triggers alone are refused.
            if of_triggers && !changes(&["credits"]) {
                let credits = want.get("credits").map(Value::to_string).unwrap_or_default();
                clauses.push(format!("CREDIT_QUOTA = {credits}"));
            }
            if changes(&["frequency"]) {
                clauses.push(frequency(want));
            }
            if changes(&["notify_users"]) {
                let users: Vec<&str> = want.get("notify_users").into_iter().flat_map(|list| list.items()).collect();
                clauses.push(format!("NOTIFY_USERS = ({})", users.join(", ")));
            }
            if of_triggers {
                clauses.extend(triggers(want));
            }
        }
        Kind::Stage => {
            // A URL and the way to it are one thing.
            if changes(&["url"]) && !changes(&["storage_integration"]) {
                clauses.push(format!("STORAGE_INTEGRATION = {}", want.text("storage_integration")));
            }
            if changes(&["storage_integration"]) && !changes(&["url"]) {
                clauses.push(format!("URL = {}", quote::literal(want.text("url"))));
            }
            if changes(&["file_format"]) {
                clauses.push(format(want));
            }
        }
        _ => {}
    }
    clauses
}

/// Statements of their own.
pub(super) fn alter(kind: Kind, name: &Name, field: &str, want: &Object, have: &Object) -> Vec<String> {
    let word = kind.word();
    match (kind, field) {
        (Kind::Schema, "managed_access") => {
            let verb = if want.get(field) == Some(&Value::Flag(true)) { "ENABLE" } else { "DISABLE" };
            vec![format!("ALTER SCHEMA {name} {verb} MANAGED ACCESS")]
        }
        (Kind::Stage, "directory") => {
            let on = if want.get(field) == Some(&Value::Flag(true)) { "TRUE" } else { "FALSE" };
            vec![format!("ALTER STAGE {name} SET DIRECTORY = (ENABLE = {on})")]
        }
        (Kind::Pipe, "running") => match want.get(field) {
            Some(Value::Flag(false)) => vec![pause(name)],
            _ => vec![resume(name)],
        },
        (Kind::FileFormat, "options") => {
            let differ = want.get(field).into_iter().flat_map(Value::entries).filter(|(option, value)| {
                !have.get(field).into_iter().flat_map(Value::entries).any(|held| held == (*option, *value))
            });
            let options: Vec<String> = differ.map(|(name, value)| option(name, value)).collect();
            vec![format!("ALTER FILE FORMAT {name} SET {}", options.join(" "))]
        }
        (Kind::Tag, "allowed_values") => allowed_values(name, want.get(field), have.get(field)),
        (Kind::MaskingPolicy, "body") => vec![format!("ALTER MASKING POLICY {name} SET BODY -> {}", want.text("body"))],
        (Kind::User, "authentication_policy") => match want.get(field) {
            Some(policy) => {
                let force = if have.get(field).is_some() { " FORCE" } else { "" };
                vec![format!("ALTER USER {name} SET AUTHENTICATION POLICY {policy}{force}")]
            }
            None => vec![format!("ALTER USER {name} UNSET AUTHENTICATION POLICY")],
        },
        (_, "tags") => tags(word, name, want, have),
        (Kind::Table, "columns") => columns::compared(name, want, have).statements,
        (Kind::Table, "masks") => masks(name, want, have),
        (Kind::Table, "comment") => vec![ddl::comment(&name.to_string(), want.text(field))],
        _ => Vec::new(),
    }
}

/// A frequency has to come with a start, and a start may not have passed.
fn frequency(want: &Object) -> String {
    format!("FREQUENCY = {} START_TIMESTAMP = IMMEDIATELY", want.text("frequency"))
}

fn triggers(want: &Object) -> Option<String> {
    let mut percents: Vec<u64> =
        want.get("notify_at").into_iter().flat_map(Value::items).filter_map(|item| item.parse().ok()).collect();
    percents.sort_unstable();
    let mut triggers: Vec<String> = percents.iter().map(|at| format!("ON {at} PERCENT DO NOTIFY")).collect();
    triggers.extend(want.get("suspend_at").map(|at| format!("ON {at} PERCENT DO SUSPEND")));
    triggers.extend(want.get("suspend_immediately_at").map(|at| format!("ON {at} PERCENT DO SUSPEND_IMMEDIATE")));
    (!triggers.is_empty()).then(|| format!("TRIGGERS {}", triggers.join(" ")))
}

fn format(want: &Object) -> String {
    match want.get("file_format").and_then(Value::as_text) {
        Some(name) => format!("FILE_FORMAT = (FORMAT_NAME = {})", quote::literal(name)),
        None => "FILE_FORMAT = (TYPE = CSV)".to_owned(),
    }
}

fn option(name: &str, value: &str) -> String {
    let is_plain = value.starts_with('(') || value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let value = if is_plain && !value.is_empty() { value.to_owned() } else { quote::literal(value) };
    format!("{name} = {value}")
}

fn values(value: &Value) -> String {
    texts(value.items()).trim_matches(['(', ')']).to_owned()
}

fn allowed_values(name: &Name, want: Option<&Value>, have: Option<&Value>) -> Vec<String> {
    let items = |value: Option<&Value>| -> Vec<String> {
        value.into_iter().flat_map(Value::items).map(str::to_owned).collect()
    };
    let (want, have) = (items(want), items(have));
    if want.is_empty() {
        return vec![format!("ALTER TAG {name} UNSET ALLOWED_VALUES")];
    }
    let only = |of: &[String], but: &[String]| -> Vec<String> {
        of.iter().filter(|item| !but.contains(item)).map(|item| quote::literal(item)).collect()
    };
    let (added, dropped) = (only(&want, &have), only(&have, &want));
    let statement = |verb: &str, items: Vec<String>| {
        (!items.is_empty()).then(|| format!("ALTER TAG {name} {verb} ALLOWED_VALUES {}", items.join(", ")))
    };
    [statement("ADD", added), statement("DROP", dropped)].into_iter().flatten().collect()
}

fn tags(word: &str, name: &Name, want: &Object, have: &Object) -> Vec<String> {
    let entries = |object: &Object| -> Vec<(String, String)> {
        object
            .get("tags")
            .into_iter()
            .flat_map(Value::entries)
            .map(|(tag, value)| (tag.to_owned(), value.to_owned()))
            .collect()
    };
    let (want, have) = (entries(want), entries(have));
    let set: Vec<String> = want
        .iter()
        .filter(|entry| !have.contains(entry))
        .map(|(tag, value)| format!("{tag} = {}", quote::literal(value)))
        .collect();
    let unset: Vec<&str> = have
        .iter()
        .filter(|(tag, _)| !want.iter().any(|(wanted, _)| wanted == tag))
        .map(|(tag, _)| tag.as_str())
        .collect();
    let mut statements = Vec::new();
    if !set.is_empty() {
        statements.push(format!("ALTER {word} {name} SET TAG {}", set.join(", ")));
    }
    if !unset.is_empty() {
        statements.push(format!("ALTER {word} {name} UNSET TAG {}", unset.join(", ")));
    }
    statements
}

fn masks(name: &Name, want: &Object, have: &Object) -> Vec<String> {
    let held = |column: &str| {
        have.get("masks").into_iter().flat_map(Value::entries).find(|(of, _)| *of == column).map(|(_, policy)| policy)
    };
    let set =
        want.get("masks").into_iter().flat_map(Value::entries).filter(|(column, policy)| held(column) != Some(*policy));
    let set = set.map(|(column, policy)| {
        let force = if held(column).is_some() { " FORCE" } else { "" };
        format!("ALTER TABLE {name} MODIFY COLUMN {column} SET MASKING POLICY {policy}{force}")
    });
    let is_wanted = |column: &str| want.get("masks").into_iter().flat_map(Value::entries).any(|(of, _)| of == column);
    let unset = have.get("masks").into_iter().flat_map(Value::entries).filter(|(column, _)| !is_wanted(column));
    let unset = unset.map(|(column, _)| format!("ALTER TABLE {name} MODIFY COLUMN {column} UNSET MASKING POLICY"));
    set.chain(unset).collect()
}
