//! SHOW of objects and parameters, in Snowflake's columns and text forms.

use std::collections::BTreeSet;

use super::{Account, Grantee, Kind, Object, Run, Setting, kinds::name_of, property::Shape};
use crate::{
    copy::CopyInto,
    failure::Failure,
    names::shown,
    result::ResultSet,
    tokens::{Cursor, Token},
};

/// Where SHOW stops, whatever there is.
pub(super) const MOST_ROWS: usize = 10_000;

impl Run<'_> {
    /// Everything that follows `SHOW`; `None` if the stand-in shows it elsewhere.
    pub(super) fn show(&self, mut cursor: Cursor<'_>) -> Result<Option<ResultSet>, Failure> {
        if cursor.eat("PARAMETERS") {
            return parameters(self, cursor);
        }
        if cursor.eat("GRANTS") {
            return self.show_grants(cursor).map(Some);
        }
        if cursor.eat("FUTURE GRANTS") {
            return self.show_future_grants(cursor).map(Some);
        }
        let terse = cursor.eat("TERSE");
        let Some(kind) = Kind::eat(&mut cursor, true).filter(|kind| !kind.show.is_empty()) else { return Ok(None) };
        let filter = Filter::read(self, kind, &mut cursor)?;
        let columns: Vec<&str> = match (terse, kind.words) {
            (true, "DATABASE" | "SCHEMA") => vec!["created_on", "name", "kind", "database_name", "schema_name"],
            (true, _) => return Err(Failure::unsupported(format!("SHOW TERSE {}", kind.plural))),
            (false, _) => {
                let sold = |column: &&str| !(column.starts_with('*') && self.is_standard());
                kind.show.iter().copied().filter(sold).collect()
            }
        };
        let mut objects: Vec<&Object> = self.of(kind.words).filter(|object| filter.has(object)).collect();
        objects.retain(|object| self.sees(kind, &object.path));
        objects.sort_by(|one, other| (one.path.last(), &one.path).cmp(&(other.path.last(), &other.path)));
        let shown = objects.into_iter().take(filter.limit.min(MOST_ROWS));
        let rows = shown.map(|object| columns.iter().map(|column| self.cell(object, column)).collect());
        Ok(Some(ResultSet::listed(columns.iter().map(|column| plain(column)), rows.collect())))
    }

    /// What a column says of an object.
    pub(super) fn cell(&self, object: &Object, column: &str) -> Option<String> {
        let kind = Kind::of(&object.kind);
        let hidden = kind.words == "USER"
            && !matches!(plain(column), "name" | "created_on")
            && !self.owns(object)
            && !self.may_on_account("MANAGE GRANTS");
        if hidden {
            return None;
        }
        if let Some((_, source)) = column.split_once('=') {
            if let Some(list) = source.strip_prefix('#') {
                return Some(object.list(list).len().to_string());
            }
            return match source.strip_prefix('\'') {
                Some(text) => Some(text.trim_end_matches('\'').to_owned()),
                None => setting(self, kind, object, source),
            };
        }
        let me = Grantee { kind: object.kind.clone(), path: object.path.clone() };
        let yes = |yes: bool| Some(if yes { "Y" } else { "N" }.to_owned());
        let truth = |truth: bool| Some(truth.to_string());
        let count = |roles: BTreeSet<Grantee>, kind: &str| {
            Some(roles.iter().filter(|role| role.kind == kind).count().to_string())
        };
        let holders = || self.grants_on(kind.words, &object.path).map(|(grant, _)| grant.to.clone()).collect();
        let percents = |action: &str| {
            let of = object.list("TRIGGERS").iter().filter_map(|trigger| trigger.split_once(' '));
            let texts: Vec<&str> = of.filter(|(_, of)| *of == action).map(|(percent, _)| percent).collect();
            (!texts.is_empty()).then(|| texts.join(","))
        };
        let user = || self.object(Kind::of("USER"), std::slice::from_ref(&self.request.caller.user));
        match (plain(column), kind.words) {
            ("created_on", _) => Some(time(object.created_ms)),
            ("updated_on", _) => Some(time(object.updated_ms)),
            ("name", _) => Some(object.name().to_owned()),
            ("database_name", "DATABASE" | "SCHEMA") if kind.parts == 1 => None,
            ("database_name", _) => object.path.first().cloned(),
            ("schema_name", _) => object.path.get(1).filter(|_| object.path.len() > 2).cloned(),
            ("owner", _) => Some(
                object.owner.as_ref().map_or(String::new(), |owner| owner.path.last().cloned().unwrap_or_default()),
            ),
            ("owner_role_type", _) => {
                Some(object.owner.as_ref().map_or(String::new(), |owner| owner.kind.replace(' ', "_")))
            }
            ("kind", "DATABASE") => Some(object.text("KIND").unwrap_or("STANDARD").to_owned()),
            ("options", _) => {
                let set = ["TRANSIENT", "MANAGED ACCESS"].into_iter().filter(|flag| object.is(flag));
                Some(set.collect::<Vec<_>>().join(", "))
            }
            ("state", _) => Some(object.text("STATE").unwrap_or("STARTED").to_owned()),
            ("auto_suspend", _) => setting(self, kind, object, "AUTO_SUSPEND").filter(|seconds| seconds != "0"),
            ("is_default", "WAREHOUSE") => {
                yes(user().and_then(|user| user.text("DEFAULT_WAREHOUSE")) == Some(object.name()))
            }
            ("is_current", "WAREHOUSE") => yes(self.request.caller.warehouse == object.name()),
            ("is_default", _) => yes(self.default_role(&self.request.caller.user) == object.name()),
            ("is_current", _) => yes(self.access.role == object.name()),
            ("is_inherited", _) => yes(self.access.role != object.name() && self.access.primary.contains(&me)),
            ("assigned_to_users", _) => count(holders(), "USER"),
            ("granted_to_roles", _) => count(holders(), "ROLE"),
            ("granted_to_database_roles", _) => count(holders(), "DATABASE ROLE"),
            ("granted_roles", _) => count(self.granted_to(&me), "ROLE"),
            ("granted_database_roles", _) => count(self.granted_to(&me), "DATABASE ROLE"),
            ("login_name" | "display_name", _) => {
                setting(self, kind, object, &column.to_uppercase()).or_else(|| Some(object.name().to_owned()))
            }
            ("default_secondary_roles", _) => {
                let none = matches!(object.settings.get("DEFAULT_SECONDARY_ROLES"), Some(Setting::List(roles)) if roles.is_empty());
                Some(if none { "[]" } else { r#"["ALL"]"# }.to_owned())
            }
            ("has_password", _) => truth(object.settings.contains_key("PASSWORD")),
            ("has_rsa_public_key", _) => {
                truth(["RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"].iter().any(|slot| object.settings.contains_key(*slot)))
            }
            ("has_workload_identity", _) => truth(object.settings.contains_key("WORKLOAD_IDENTITY")),
            ("remaining_credits", _) => setting(self, kind, object, "CREDIT_QUOTA"),
            ("level", _) => {
                let name = shown(&object.path);
                let watched = self.objects.values().find(|other| other.text("RESOURCE_MONITOR") == Some(&name));
                watched.map(|other| other.kind.clone())
            }
            ("notify_at", _) => percents("NOTIFY"),
            ("suspend_at", _) => percents("SUSPEND"),
            ("suspend_immediately_at", _) => percents("SUSPEND_IMMEDIATE"),
            ("notify_users", _) => Some(object.list("NOTIFY_USERS").join(", ")),
            ("allowed_values", _) => {
                let values = object.list("ALLOWED_VALUES");
                (!values.is_empty()).then(|| serde_json::Value::from(values.to_vec()).to_string())
            }
            ("type", "STAGE") => Some(if object.text("URL").is_some() { "EXTERNAL" } else { "INTERNAL" }.to_owned()),
            ("cloud", _) => object.text("URL").map(|_| "AWS".to_owned()),
            ("region", _) => object.text("URL").map(|_| "eu-west-1".to_owned()),
            ("directory_enabled", _) => {
                let enabled = matches!(object.settings.get("DIRECTORY"), Some(Setting::Group(group))
                    if group.get("ENABLE").is_some_and(|enable| enable.printed().eq_ignore_ascii_case("true")));
                yes(enabled)
            }
            ("format_options", _) => {
                let options = kind.properties.iter().filter(|property| property.name != "COMMENT").map(|property| {
                    let text = setting(self, kind, object, property.name).unwrap_or_default();
                    let value = match (&property.shape, object.settings.get(property.name)) {
                        (Shape::List(_), Some(Setting::List(values))) => values.clone().into(),
                        (Shape::List(_), _) => vec![text].into(),
                        (Shape::Flag, _) => text.eq_ignore_ascii_case("true").into(),
                        _ => text.into(),
                    };
                    (property.name.to_owned(), value)
                });
                Some(serde_json::Value::Object(options.collect()).to_string())
            }
            ("notification_channel", "PIPE") => object.is("AUTO_INGEST").then(|| {
                // Pipes of a region share a queue.
                "arn:aws:sqs:eu-west-1:123456789001:sf-snowpipe-AIDAEXAMPLE-0123456789".to_owned()
            }),
            ("invalid_reason", _) => self.stage_is_gone(object).then(|| "Stage was dropped".to_owned()),
            (name, _) => setting(self, kind, object, &name.to_uppercase()),
        }
    }
}

/// What stands after the kind.
#[derive(Default)]
struct Filter {
    like: Option<String>,
    starts: String,
    inside: Vec<String>,
    after: Option<String>,
    limit: usize,
}

impl Filter {
    fn read(run: &Run<'_>, kind: &Kind, cursor: &mut Cursor<'_>) -> Result<Self, Failure> {
        let mut filter = Filter { limit: usize::MAX, ..Filter::default() };
        if cursor.eat("LIKE") {
            filter.like = Some(cursor.text()?.to_lowercase());
        }
        if cursor.eat("IN ACCOUNT") {
            // That is everything.
        } else if cursor.eat("IN") {
            let container = Kind::of(if cursor.eat("SCHEMA") { "SCHEMA" } else { "DATABASE" });
            cursor.eat("DATABASE");
            filter.inside = name_of(container, cursor)?;
            let there = run.object(container, &filter.inside).is_some();
            if !there || !run.sees(container, &filter.inside) {
                let text = "SQL compilation error:\nObject does not exist, or operation cannot be performed.";
                return Err(Failure::new("002043", "02000", text));
            }
        } else if kind.words == "DATABASE ROLE" {
            return Err(cursor.unexpected("IN DATABASE"));
        }
        if cursor.eat("STARTS WITH") {
            cursor.text()?.clone_into(&mut filter.starts);
        }
        if cursor.eat("LIMIT") {
            let Some(Token::Number(rows)) = cursor.next() else { return Err(cursor.unexpected("a number of rows")) };
            filter.limit = rows.parse().map_err(|_| Failure::syntax(format!("invalid LIMIT {rows}")))?;
            if cursor.eat("FROM") {
                if !kind.can("page") {
                    return Err(Failure::syntax(format!("unexpected 'FROM' in SHOW {}", kind.plural)));
                }
                filter.after = Some(cursor.text()?.to_owned());
            }
        }
        cursor.end()?;
        Ok(filter)
    }

    fn has(&self, object: &Object) -> bool {
        let name = object.name();
        object.path.starts_with(&self.inside)
            && self.like.as_ref().is_none_or(|pattern| like(pattern, &name.to_lowercase()))
            && name.starts_with(&self.starts)
            && self.after.as_ref().is_none_or(|after| name > after.as_str())
    }
}

/// `%` stands for any letters, `_` for one.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '%' => (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| like(rest, &text[at..])),
        '_' => text.chars().next().is_some_and(|next| like(rest, &text[next.len_utf8()..])),
        '\\' => like(rest, text),
        _ => text.strip_prefix(first).is_some_and(|text| like(rest, text)),
    }
}

/// A column's name without where its value comes from.
pub(super) fn plain(column: &str) -> &str {
    column.trim_start_matches('*').split('=').next().unwrap_or_default()
}

/// A property's value as it is printed, or its default.
pub(super) fn setting(account: &Account, kind: &Kind, object: &Object, name: &str) -> Option<String> {
    let default = kind.property(name).map(|property| property.default);
    let inherited = || match name {
        "DATA_RETENTION_TIME_IN_DAYS" if kind.parts == 2 => account
            .object(Kind::of("DATABASE"), &object.path[..1])
            .and_then(|object| object.text(name))
            .map(str::to_owned),
        _ => None,
    };
    let value = object.settings.get(name).map(Setting::printed).or_else(inherited);
    value.or_else(|| match (name, default) {
        ("COMMENT", _) => Some(String::new()),
        (_, None | Some("")) => None,
        (_, Some(default)) => {
            Some(default.trim_matches(|c| kind.words == "FILE FORMAT" && (c == '[' || c == ']')).to_owned())
        }
    })
}

/// Everything that follows `SHOW PARAMETERS`; `None` for those of the session.
fn parameters(account: &Account, mut cursor: Cursor<'_>) -> Result<Option<ResultSet>, Failure> {
    let pattern = if cursor.eat("LIKE") { cursor.text()?.to_lowercase() } else { "%".to_owned() };
    if !cursor.eat("IN") && !cursor.eat("FOR") || cursor.rest().first().is_some_and(|next| next.is("SESSION")) {
        return Ok(None);
    }
    let kind = Kind::expect(&mut cursor, false)?;
    let path = if kind.parts == 0 { Vec::new() } else { name_of(kind, &mut cursor)? };
    cursor.end()?;
    account.existing(kind, &path)?;
    let mut levels = vec![(kind, &path[..])];
    if kind.words == "SCHEMA" {
        levels.push((Kind::of("DATABASE"), &path[..1]));
    }
    let global = Kind::of("ACCOUNT");
    levels.push((global, &path[..0]));
    let of_kind = |of: &str| kind.parts == 0 || of.split(' ').any(|words| words == kind.words);
    let mut rows = Vec::new();
    for property in global.properties.iter().filter(|property| property.parameter.is_some_and(of_kind)) {
        if !like(&pattern, &property.name.to_lowercase()) {
            continue;
        }
        let set = levels.iter().find_map(|(kind, path)| {
            let value = account.object(kind, path)?.settings.get(property.name)?.printed();
            Some((value, kind.words))
        });
        let (value, level) = set.unwrap_or((property.default.to_owned(), ""));
        let type_name = match property.type_name() {
            "Integer" => "NUMBER",
            other => &other.to_uppercase(),
        };
        let row = [property.name, &value, property.default, level, "", type_name];
        rows.push(row.map(|text| Some(text.to_owned())).to_vec());
    }
    Ok(Some(ResultSet::listed(["key", "value", "default", "level", "description", "type"], rows)))
}

impl Account {
    /// Whether the stage of a pipe is not there any more.
    pub(super) fn stage_is_gone(&self, pipe: &Object) -> bool {
        let copy = pipe.text("DEFINITION").and_then(|text| CopyInto::of_pipe(text).ok());
        copy.is_some_and(|copy| self.object(Kind::of("STAGE"), &copy.stage.path()).is_none())
    }
}

/// A moment as the SQL API writes it.
pub(super) fn time(milliseconds: i64) -> String {
    format!("{}.{:03}000000", milliseconds / 1_000, milliseconds % 1_000)
}
