//! Functions about the account: where tags and policies are attached, how a pipe stands, whether an integration works.

use serde_json::json;

use super::{Account, Kind, Object, Path, Run, shown};
use crate::{
    failure::Failure,
    names::{identifier, literal},
    result::ResultSet,
    tokens::{Cursor, Token, tokens},
};

const TAG_COLUMNS: &str = "TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE, APPLY_METHOD, LEVEL, OBJECT_DATABASE, \
                           OBJECT_SCHEMA, OBJECT_NAME, DOMAIN, COLUMN_NAME";
const POLICY_COLUMNS: &str = "POLICY_DB, POLICY_SCHEMA, POLICY_NAME, POLICY_KIND, REF_DATABASE_NAME, REF_SCHEMA_NAME, \
                              REF_ENTITY_NAME, REF_ENTITY_DOMAIN, REF_COLUMN_NAME, REF_ARG_COLUMN_NAMES, TAG_DATABASE, \
                              TAG_SCHEMA, TAG_NAME, POLICY_STATUS";

/// A pipe that has another owner than when it was paused.
pub(super) const TRANSFERRED: &str = "TRANSFERRED";

type Row = Vec<Option<String>>;

/// `<db>.INFORMATION_SCHEMA.TAG_REFERENCES(..)` or `..POLICY_REFERENCES(..)` as a query of DuckDB; `None` for another function.
pub(crate) fn references(account: &Account, function: &[Token]) -> Result<Option<String>, Failure> {
    let mut cursor = Cursor::new(function);
    let database = cursor.identifier()?;
    let of_tags = cursor.eat(". INFORMATION_SCHEMA . TAG_REFERENCES");
    if !of_tags && !cursor.eat(". INFORMATION_SCHEMA . POLICY_REFERENCES") {
        return Ok(None);
    }
    account.existing(Kind::of("DATABASE"), &[database])?;
    let mut arguments = Cursor::new(cursor.group()?);
    cursor.end()?;
    if of_tags {
        let name = path_in(arguments.text()?)?;
        arguments.expect(",")?;
        let kind = Kind::of(arguments.text()?);
        arguments.end()?;
        return Ok(Some(query(TAG_COLUMNS, tags(account, kind, &name)?)));
    }
    let mut named = std::collections::BTreeMap::new();
    while !arguments.rest().is_empty() {
        let name = arguments.identifier()?;
        arguments.expect("=>")?;
        named.insert(name, arguments.text()?);
        arguments.eat(",");
    }
    let policy = named.get("POLICY_NAME").map(|name| path_in(name)).transpose()?;
    let entity = named.get("REF_ENTITY_NAME").map(|name| path_in(name)).transpose()?;
    let domain = named.get("REF_ENTITY_DOMAIN").map(|domain| domain.to_uppercase());
    let is_it = |(policy_path, object): &(Path, &Object)| {
        policy.as_ref().is_none_or(|policy| policy == policy_path)
            && entity.as_ref().is_none_or(|entity| *entity == object.path || object.path.is_empty())
            && domain.as_ref().is_none_or(|domain| *domain == object.kind)
    };
    let mut rows = Vec::new();
    for object in account.objects.values() {
        for (key, value) in &object.settings {
            let (kind, column) = match key.split_once(" POLICY") {
                Some((kind, column)) => (format!("{kind}_POLICY"), column.trim()),
                None if key == "NETWORK_POLICY" => (key.clone(), ""),
                None => continue,
            };
            let path = path_in(&value.printed())?;
            if is_it(&(path.clone(), object)) {
                rows.push(attachment(&path, &kind, object, column));
            }
        }
    }
    Ok(Some(query(POLICY_COLUMNS, rows)))
}

fn attachment(policy: &[String], kind: &str, object: &Object, column: &str) -> Row {
    let of_policy = |at: usize| policy.get(at).filter(|_| policy.len() == 3).cloned();
    let of_object = |at: usize| object.path.get(at).filter(|_| object.path.len() == 3).cloned();
    let is_tag = object.kind == "TAG";
    let tag = |at: usize| of_object(at).filter(|_| is_tag);
    vec![
        of_policy(0),
        of_policy(1),
        policy.last().cloned(),
        Some(kind.to_owned()),
        of_object(0),
        of_object(1),
        object.path.last().cloned(),
        Some(object.kind.clone()),
        (!column.is_empty()).then(|| column.to_owned()),
        None,
        tag(0),
        tag(1),
        tag(2),
        Some("ACTIVE".to_owned()),
    ]
}

/// The tags of an object, also those that it has from its schema or database.
fn tags(account: &Account, kind: &'static Kind, path: &[String]) -> Result<Vec<Row>, Failure> {
    account.existing(kind, path)?;
    let parents = [Kind::of("DATABASE"), Kind::of("SCHEMA")].into_iter().filter(|parent| parent.parts < path.len());
    let mut rows: Vec<Row> = Vec::new();
    for level in std::iter::once(kind).chain(parents) {
        let Some(object) = account.object(level, &path[..level.parts]) else { continue };
        for (key, value) in &object.settings {
            let Some(tag) = key.strip_prefix("TAG ") else { continue };
            let tag = path_in(tag)?;
            let part = |at: usize| path.get(at).filter(|_| path.len() > at + 1).cloned();
            let method = if level.words == kind.words { "MANUAL" } else { "INHERITED" };
            let mut row: Row = (0..3).map(|at| tag.get(at).cloned()).collect();
            row.extend([
                Some(value.printed()),
                Some(method.to_owned()),
                Some(level.words.to_owned()),
                part(0),
                part(1),
            ]);
            row.extend([path.last().cloned(), Some(kind.words.to_owned()), None]);
            if !rows.iter().any(|known| known[..3] == row[..3]) {
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

impl Run<'_> {
    /// Everything that follows `SELECT`, if it is one of the functions of the system alone.
    pub(super) fn system_function(&mut self, mut cursor: Cursor<'_>) -> Result<Option<ResultSet>, Failure> {
        let names = ["SYSTEM$PIPE_STATUS", "SYSTEM$PIPE_FORCE_RESUME", "SYSTEM$VALIDATE_STORAGE_INTEGRATION"];
        let Some(name) = names.into_iter().find(|name| cursor.eat(name)) else { return Ok(None) };
        let mut arguments = Cursor::new(cursor.group()?);
        let column = if cursor.eat("AS") { cursor.identifier()? } else { name.to_owned() };
        cursor.end()?;
        let first = arguments.text()?;
        if name == "SYSTEM$PIPE_FORCE_RESUME" {
            let options = if arguments.eat(",") { arguments.text()? } else { "" };
            return self.force_resume(&path_in(first)?, options, &column).map(Some);
        }
        let answer = if name == "SYSTEM$PIPE_STATUS" {
            let path = path_in(first)?;
            let pipe = self.existing(Kind::of("PIPE"), &path)?;
            self.require("MONITOR", Kind::of("PIPE"), &path)?;
            let state = match (self.stage_is_gone(pipe), pipe.is("PIPE_EXECUTION_PAUSED")) {
                (true, _) => "STOPPED_STAGE_DROPPED",
                (_, true) => "PAUSED",
                _ => "RUNNING",
            };
            json!({"executionState": state, "pendingFileCount": 0})
        } else {
            let [location, file, action] = [(); 3].map(|()| arguments.expect(",").and_then(|()| arguments.text()));
            arguments.end()?;
            self.validated(first, location?, file?, action?)?
        };
        Ok(Some(ResultSet::message(&column, answer.to_string())))
    }

    /// Whether an integration gets through to a location. The role behind it is the template's.
    fn validated(&self, name: &str, location: &str, file: &str, action: &str) -> Result<serde_json::Value, Failure> {
        let kind = Kind::of("INTEGRATION");
        let integration = self.existing(kind, &[name.to_owned()])?;
        self.require("USAGE", kind, &integration.path)?;
        let lake = &self.request.shared.lake;
        let mut allowed = integration.list("STORAGE_ALLOWED_LOCATIONS").iter();
        let is_open = integration.is("ENABLED") && allowed.any(|known| known == "*" || location.starts_with(known));
        let does = match action {
            "list" => lake.lets_list(location),
            "read" => lake.lets_list(location) && lake.download(location, &[file.to_owned()]).is_ok(),
            other => return Err(Failure::unsupported(format!("validating the action {other}"))),
        };
        let (status, message) = if is_open && does { ("success", "") } else { ("failure", "Access Denied") };
        Ok(json!({"status": status, "actions": {action.to_uppercase(): {"status": status}}, "message": message}))
    }

    /// Resumes a pipe; one that has another owner than when it was paused only when that is said.
    fn force_resume(&mut self, path: &[String], options: &str, column: &str) -> Result<ResultSet, Failure> {
        let mut pipe = self.existing(Kind::of("PIPE"), path)?.clone();
        self.require("OPERATE", Kind::of("PIPE"), path)?;
        if pipe.is(TRANSFERRED)
            && !options.split(',').any(|option| option.trim() == "ownership_transfer_check_override")
        {
            return Err(transferred(path));
        }
        pipe.settings.remove(TRANSFERRED);
        pipe.settings.remove("PIPE_EXECUTION_PAUSED");
        self.account.put(pipe);
        Ok(ResultSet::message(column, "Statement executed successfully."))
    }
}

pub(super) fn transferred(pipe: &[String]) -> Failure {
    let text = format!("Pipe {} cannot be resumed as ownership had been transferred.", shown(pipe));
    Failure::new("003116", "0A000", text)
}

/// Rows as a query of DuckDB.
fn query(columns: &str, rows: Vec<Row>) -> String {
    let select = |row: &[Option<String>]| {
        let cells = row.iter().zip(columns.split(", ")).map(|(cell, column)| {
            let value = cell.as_deref().map_or("NULL::VARCHAR".to_owned(), literal);
            format!("{value} AS {}", identifier(column))
        });
        format!("SELECT {}", cells.collect::<Vec<_>>().join(", "))
    };
    if rows.is_empty() {
        return format!("({} WHERE false)", select(&vec![None; columns.split(", ").count()]));
    }
    format!("({})", rows.iter().map(|row| select(row)).collect::<Vec<_>>().join(" UNION ALL "))
}

/// The name in a text.
fn path_in(text: &str) -> Result<Path, Failure> {
    let tokens = tokens(text)?;
    let mut cursor = Cursor::new(&tokens);
    let path = cursor.path()?;
    cursor.end()?;
    Ok(path)
}
