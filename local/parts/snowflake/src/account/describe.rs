//! DESCRIBE, in Snowflake's columns and text forms.

use serde_json::json;

use super::{
    Account, Kind, Object, Run, Setting,
    kinds::name_of,
    login::{KEY_SLOTS, set_at},
    property::{Property, Shape},
    show::{plain, setting},
};
use crate::{
    catalogue,
    failure::Failure,
    jwt::PublicKey,
    names::{Name, shown},
    request::Request,
    result::ResultSet,
    tokens::Cursor,
};

/// Snowflake's own IAM user, one for all storage integrations of the account.
pub const IAM_USER: &str = "arn:aws:iam::123456789001:user/sluice-standin";

/// A line of a description: parent, property, type, value, default.
type Line = (String, String, &'static str, String, String);

impl Run<'_> {
    /// Everything that follows `DESCRIBE`.
    pub(super) fn describe(&self, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
        let kind = Kind::expect(&mut cursor, false)?;
        let path = name_of(kind, &mut cursor)?;
        cursor.end()?;
        let object = self.existing(kind, &path)?;
        if !self.sees(kind, &path) {
            return Err(Failure::missing(&kind.spoken(), shown(&path)));
        }
        let mine = self.request.caller.user == object.name() || self.owns(object);
        if kind.words == "USER" && !mine && !self.may_on_account("MANAGE GRANTS") {
            return Err(Failure::insufficient(kind.words, shown(&path)));
        }
        if matches!(kind.words, "TABLE" | "VIEW") {
            return table(self.request, object);
        }
        if !kind.row.is_empty() {
            let row = kind.row.iter().map(|column| match *column {
                "value_list" => Some(object.list("VALUE_LIST").join(",")),
                column => self.cell(object, column),
            });
            let row = row.collect();
            return Ok(ResultSet::listed(kind.row.iter().map(|column| plain(column)), vec![row]));
        }
        if kind.describe.is_empty() {
            return Err(Failure::syntax(format!("there is no DESCRIBE {}", kind.words)));
        }
        let rows = lines(self, kind, object).into_iter().map(|(parent, property, type_name, value, default)| {
            let cell = |column: &&str| match *column {
                "parent_property" => parent.clone(),
                "property" | "name" => property.clone(),
                "property_type" => type_name.to_owned(),
                "property_value" | "value" => value.clone(),
                "property_default" | "default" => default.clone(),
                _ => String::new(),
            };
            kind.describe.iter().map(|column| Some(cell(column))).collect()
        });
        Ok(ResultSet::listed(kind.describe.iter().copied(), rows.collect()))
    }
}

fn lines(account: &Account, kind: &Kind, object: &Object) -> Vec<Line> {
    match kind.words {
        "STAGE" => stage(object),
        "NETWORK POLICY" => network_policy(object),
        _ => {
            let mut lines = own_lines(kind, object);
            lines.extend(kind.properties.iter().filter_map(|property| line(account, kind, object, property)));
            lines
        }
    }
}

/// What is told of an object besides its properties.
fn own_lines(kind: &Kind, object: &Object) -> Vec<Line> {
    let line = |name: &str, value: String| (String::new(), name.to_owned(), "String", value, "null".to_owned());
    match kind.words {
        "USER" => {
            let mut lines = vec![line("NAME", object.name().to_owned()), line("SNOWFLAKE_LOCK", "false".to_owned())];
            for slot in KEY_SLOTS {
                let key = object.text(slot).and_then(|key| PublicKey::read(key).ok());
                // A text in a column of texts, and without a zone.
                let at = object.text(&set_at(slot)).and_then(|at| at.parse().ok()).unwrap_or(object.created_ms);
                let at = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
                let set = key.as_ref().map_or("null".to_owned(), |_| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string());
                lines.push(line(&format!("{slot}_FP"), key.map_or("null".to_owned(), |key| key.fingerprint)));
                lines.push(line(&format!("{slot}_LAST_SET_TIME"), set));
            }
            lines
        }
        "INTEGRATION" => {
            vec![(String::new(), "STORAGE_AWS_IAM_USER_ARN".to_owned(), "String", IAM_USER.to_owned(), String::new())]
        }
        "AUTHENTICATION POLICY" => {
            let owner = object.owner.as_ref().map_or(String::new(), |owner| shown(&owner.path));
            vec![line("NAME", object.name().to_owned()), line("OWNER", owner)]
        }
        _ => Vec::new(),
    }
}

fn line(account: &Account, kind: &Kind, object: &Object, property: &Property) -> Option<Line> {
    let is_user = kind.words == "USER";
    let parameter =
        |name: &str| is_user && (name == "WORKLOAD_IDENTITY" || Kind::of("ACCOUNT").property(name).is_some());
    let left_out = match kind.words {
        "INTEGRATION" => {
            property.name == "TYPE"
                || (property.name == "STORAGE_AWS_OBJECT_ACL" && !object.settings.contains_key(property.name))
        }
        "FILE FORMAT" => property.name == "COMMENT",
        _ => parameter(property.name),
    };
    if left_out {
        return None;
    }
    let bracketed = kind.words != "INTEGRATION" && matches!(property.shape, Shape::List(_));
    let absent = if is_user { "null" } else { "" };
    let value = match (property.name, object.settings.get(property.name)) {
        (_, Some(Setting::List(values))) if bracketed => {
            format!("[{}]", values.join(if kind.words == "USER" { "," } else { ", " }))
        }
        ("PASSWORD", Some(_)) => "********".to_owned(),
        ("DEFAULT_SECONDARY_ROLES", None) => "[ALL]".to_owned(),
        ("LOGIN_NAME" | "DISPLAY_NAME", None) => object.name().to_owned(),
        ("COMMENT", None) => absent.to_owned(),
        (_, None) if bracketed => property.default.to_owned(),
        _ => setting(account, kind, object, property.name).unwrap_or_else(|| absent.to_owned()),
    };
    let default = if property.default.is_empty() { absent } else { property.default };
    Some((String::new(), property.name.to_owned(), property.type_name(), value, default.to_owned()))
}

fn stage(object: &Object) -> Vec<Line> {
    let line = |parent: &str, name: &str, type_name, value: String, default: &str| {
        (parent.to_owned(), name.to_owned(), type_name, value, default.to_owned())
    };
    let group = |name: &str| match object.settings.get(name) {
        Some(Setting::Group(values)) => values.clone(),
        _ => super::Settings::new(),
    };
    let mut lines: Vec<Line> = group("FILE_FORMAT")
        .iter()
        .map(|(name, value)| line("STAGE_FILE_FORMAT", name, "String", value.printed(), ""))
        .collect();
    let url = object.text("URL").map(|url| json!([url]).to_string()).unwrap_or_default();
    lines.push(line("STAGE_LOCATION", "URL", "String", url, ""));
    if let Some(integration) = object.text("STORAGE_INTEGRATION") {
        lines.push(line("STAGE_INTEGRATION", "STORAGE_INTEGRATION", "String", integration.to_owned(), ""));
    }
    let enabled = group("DIRECTORY").get("ENABLE").map_or("false".to_owned(), |flag| flag.printed().to_lowercase());
    lines.push(line("DIRECTORY", "ENABLE", "Boolean", enabled, "false"));
    lines
}

/// Addresses as a text with commas, rules as JSON, and nothing for an empty list.
fn network_policy(object: &Object) -> Vec<Line> {
    let lists = object.settings.iter().filter_map(|(name, value)| match value {
        Setting::List(values) if !values.is_empty() => Some((name, values)),
        _ => None,
    });
    let lines = lists.map(|(name, values)| {
        let value = if name.ends_with("_RULE_LIST") {
            let rules: Vec<_> = values.iter().map(|rule| json!({ "fullyQualifiedRuleName": rule })).collect();
            json!(rules).to_string()
        } else {
            values.join(",")
        };
        (String::new(), name.clone(), "List", value, String::new())
    });
    lines.collect()
}

fn table(request: &Request<'_>, object: &Object) -> Result<ResultSet, Failure> {
    let [database, schema, name] = &object.path[..] else { return Err(Failure::missing("Table", shown(&object.path))) };
    let name = Name { database: database.clone(), schema: schema.clone(), object: name.clone() };
    let found = catalogue::columns(request.conn, &name.listed())?.ok_or_else(|| Failure::missing("Table", &name))?;
    let text = |text: &str| Some(text.to_owned());
    let rows = found.iter().map(|column| {
        let type_name = match column.data_type.as_str() {
            "BIGINT" => object.text(&format!("TYPE {}", column.name)).unwrap_or("NUMBER(19,0)").to_owned(),
            "VARCHAR" => "VARCHAR(16777216)".to_owned(),
            "TIMESTAMP" => "TIMESTAMP_NTZ(6)".to_owned(),
            other => other.replace("DECIMAL", "NUMBER"),
        };
        let null = if column.required { "N" } else { "Y" };
        let policy = object.text(&format!("MASKING POLICY {}", column.name)).map(str::to_owned);
        let mut row = vec![text(&column.name), Some(type_name), text("COLUMN"), text(null), None, text("N"), text("N")];
        row.extend([None, None, None, policy, None]);
        row
    });
    let columns = "name, type, kind, null?, default, primary key, unique key, check, expression, comment, policy name, \
                   privacy domain";
    Ok(ResultSet::listed(columns.split(", "), rows.collect()))
}
