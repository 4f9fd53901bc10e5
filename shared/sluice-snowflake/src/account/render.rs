//! The statements that make, change and drop what an account consists of.
//!
//! Nothing is ever replaced but a pipe whose replacement was asked for: what exists is altered, field by field, because
//! `CREATE OR ALTER` resets every property that a statement leaves out.

use serde::Serialize;

use super::{
    kinds::{ACCOUNTADMIN, Field, Form, Kind, SECURITYADMIN, SHARED, SYSADMIN, SYSTEM_ROLES, Set, USERADMIN},
    name::Name,
    state::{Object, role_word},
    value::Value,
};
use crate::sql::quote;

mod apart;
pub(crate) mod grants;

/// A statement and the role that sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    pub role: String,
    pub text: String,
}

impl Statement {
    pub(crate) fn of(role: &str, text: impl Into<String>) -> Self {
        Statement { role: role.to_owned(), text: text.into() }
    }
}

/// The least role that may change an object: its maker's, where that has the owner's role. Roles of the team are SYSADMIN's,
/// and so is what lies around an object: every other owner's objects are ACCOUNTADMIN's to change, which has all roles.
pub(crate) fn role_of(kind: Kind, have: &Object) -> &'static str {
    let maker = kind.spec().maker;
    match (maker, have.text("owner")) {
        (_, "") => maker,
        (_, owner) if owner == maker => maker,
        (USERADMIN, SECURITYADMIN) => SECURITYADMIN,
        (SYSADMIN, ACCOUNTADMIN | SECURITYADMIN | USERADMIN) | (USERADMIN, _) => ACCOUNTADMIN,
        _ => maker,
    }
}

/// The role that sets a field. Who attaches a network policy has to own the user, too.
fn setter(kind: Kind, field: &Field, have: &Object) -> &'static str {
    match field.by {
        Some(SECURITYADMIN) if role_of(kind, have) == ACCOUNTADMIN => ACCOUNTADMIN,
        Some(role) => role,
        None => role_of(kind, have),
    }
}

/// Makes an object, with everything that its maker may set at once.
pub(crate) fn create(kind: Kind, name: &Name, want: &Object) -> Statement {
    let role = kind.spec().maker;
    let text = match kind {
        Kind::Table => want.texts.get("create").cloned().unwrap_or_default(),
        Kind::Pipe => pipe("CREATE PIPE IF NOT EXISTS", name, want),
        Kind::MaskingPolicy => apart::masking_policy(name, want),
        _ => {
            let transient = if want.get("transient") == Some(&Value::Flag(true)) { "TRANSIENT " } else { "" };
            // Network rules know no IF NOT EXISTS.
            let unless = if kind == Kind::NetworkRule { "" } else { " IF NOT EXISTS" };
            let mut text = format!("CREATE {transient}{}{unless} {name}", kind.word());
            text.push_str(apart::prefix(kind));
            for field in kind.spec().fields.iter().filter(|field| is_made_at_once(field)) {
                if let Some(clause) = made(kind, field, want) {
                    text.push(' ');
                    text.push_str(&clause);
                }
            }
            text
        }
    };
    Statement::of(role, text)
}

/// Whether CREATE says it.
pub(crate) fn is_made_at_once(field: &Field) -> bool {
    !field.late && field.form != Form::Tags && field.form != Form::Role
}

/// What CREATE says of a field; nothing of one that holds nothing.
fn made(kind: Kind, field: &Field, want: &Object) -> Option<String> {
    let value = want.get(field.name)?;
    match field.set {
        Set::Property(_) | Set::OnlyMade(_) if value.is_empty() && field.form != Form::AllOrNone => None,
        Set::Property(word) | Set::OnlyMade(word) => Some(format!("{word} = {}", written(field, value, want))),
        Set::OnlyMadeBy => None,
        Set::Apart => apart::made(kind, field.name, value, want),
    }
}

/// Changes fields of an object that is there. `have` is what it has now. Its owner comes first: by that it is decided who may
/// change the rest.
pub(crate) fn alter(kind: Kind, name: &Name, fields: &[&Field], want: &Object, have: &Object) -> Vec<Statement> {
    let is_given = fields.iter().any(|field| field.form == Form::Role);
    let mut statements = if is_given { own(kind, name, want, have) } else { Vec::new() };
    let owned = if is_given { want } else { have };
    let mut roles: Vec<&str> = Vec::new();
    let role = |field: &Field| setter(kind, field, owned);
    for field in fields {
        if !roles.contains(&role(field)) {
            roles.push(role(field));
        }
    }
    let target =
        if kind == Kind::Account { "ALTER ACCOUNT".to_owned() } else { format!("ALTER {} {name}", kind.word()) };
    for by in roles {
        let own: Vec<&Field> = fields.iter().copied().filter(|field| role(field) == by).collect();
        let (mut set, mut unset) = (Vec::new(), Vec::new());
        for field in &own {
            let Set::Property(word) = field.set else { continue };
            match want.get(field.name) {
                // Snowflake has no way to set an empty list of locations.
                Some(value) if value.is_empty() && kind == Kind::StorageIntegration => unset.push(word),
                Some(value) => set.push(format!("{word} = {}", written(field, value, want))),
                None => unset.push(word),
            }
        }
        set.extend(apart::set(kind, &own, want));
        if !set.is_empty() {
            statements.push(Statement::of(by, format!("{target} SET {}", set.join(" "))));
        }
        if !unset.is_empty() {
            statements.push(Statement::of(by, format!("{target} UNSET {}", unset.join(", "))));
        }
        for field in own.iter().filter(|field| field.set == Set::Apart) {
            let texts = apart::alter(kind, name, field.name, want, have);
            statements.extend(texts.into_iter().map(|text| Statement::of(by, text)));
        }
    }
    statements
}

/// Gives an object to its owner. A pipe stands still meanwhile.
fn own(kind: Kind, name: &Name, want: &Object, have: &Object) -> Vec<Statement> {
    let owner = Name::parse(want.text("owner")).unwrap_or_default();
    let text =
        format!("GRANT OWNERSHIP ON {} {name} TO {} {owner} COPY CURRENT GRANTS", kind.word(), role_word(&owner));
    let give = Statement::of(SECURITYADMIN, text);
    if kind != Kind::Pipe {
        return vec![give];
    }
    let mut statements = vec![Statement::of(role_of(kind, have), pause(name)), give];
    if want.get("running") != Some(&Value::Flag(false)) {
        statements.push(Statement::of(role_of(kind, want), resume(name)));
    }
    statements
}

fn pause(pipe: &Name) -> String {
    format!("ALTER PIPE {pipe} SET PIPE_EXECUTION_PAUSED = TRUE")
}

/// Also of a pipe that has another owner than when it was paused.
fn resume(pipe: &Name) -> String {
    let name = quote::literal(&pipe.to_string());
    format!("SELECT SYSTEM$PIPE_FORCE_RESUME({name}, 'ownership_transfer_check_override')")
}

fn pipe(verb: &str, name: &Name, want: &Object) -> String {
    let comment = want.text("comment");
    let comment = if comment.is_empty() { String::new() } else { format!(" COMMENT = {}", quote::literal(comment)) };
    let copy = want.texts.get("copy").map_or(want.text("copy"), String::as_str);
    let ingests = if want.get("auto_ingest") == Some(&Value::Flag(true)) { " AUTO_INGEST = TRUE" } else { "" };
    format!("{verb} {name}{ingests}{comment} AS {copy}")
}

/// Replaces a pipe, which loses the list of files that it has loaded: paused, and once none of its files is on the way.
pub(crate) fn replace_pipe(name: &Name, want: &Object, have: &Object) -> Vec<Statement> {
    let role = role_of(Kind::Pipe, have);
    let texts = [pause(name), pipe_status(name), pipe("CREATE OR REPLACE PIPE", name, want)];
    texts.map(|text| Statement::of(role, text)).into()
}

/// How a pipe stands: STATUS, as JSON.
pub(crate) fn pipe_status(pipe: &Name) -> String {
    format!("SELECT {PIPE_STATUS}({}) AS STATUS", quote::literal(&pipe.to_string()))
}

pub(crate) const PIPE_STATUS: &str = "SYSTEM$PIPE_STATUS";

pub(crate) fn drop(kind: Kind, name: &Name, have: &Object) -> Statement {
    Statement::of(role_of(kind, have), format!("DROP {} IF EXISTS {name}", kind.word()))
}

/// A value as a property takes it.
fn written(field: &Field, value: &Value, object: &Object) -> String {
    match (field.form, value) {
        (Form::Key, _) => quote::literal(object.texts.get(field.name).map_or("", String::as_str)),
        (Form::AllOrNone, Value::Flag(all)) => if *all { "('ALL')" } else { "()" }.to_owned(),
        (Form::Word(_) | Form::Size | Form::Name(_), Value::Text(text)) => text.clone(),
        (_, Value::Text(text)) => quote::literal(text),
        (_, Value::Number(number)) => number.to_string(),
        (_, Value::Flag(flag)) => if *flag { "TRUE" } else { "FALSE" }.to_owned(),
        (_, Value::List(_)) => texts(value.items()),
        (_, Value::Map(_)) => String::new(),
    }
}

/// `('a', 'b')`.
fn texts<'v>(items: impl Iterator<Item = &'v str>) -> String {
    format!("({})", items.map(quote::literal).collect::<Vec<_>>().join(", "))
}

/// Whether a role is one that every account has.
pub(crate) fn is_system(role: &Name) -> bool {
    role.depth() == 1 && SYSTEM_ROLES.contains(&role.first()) || is_shared(role)
}

/// Whether it is a role of the database that Snowflake shares.
pub(crate) fn is_shared(role: &Name) -> bool {
    role.depth() == 2 && role.first() == SHARED
}
