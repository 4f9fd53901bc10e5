//! SHOW GRANTS and SHOW FUTURE GRANTS.

use super::{
    Access, Account, Given, Grant, Grantee, Kind, Object,
    define::name_of,
    show::{MOST_ROWS, time},
    shown,
};
use crate::{
    failure::Failure,
    statements::{Cursor, ResultSet, Session, Token},
};

const ON: [&str; 9] = [
    "created_on",
    "privilege",
    "granted_on",
    "name",
    "granted_to",
    "grantee_name",
    "grant_option",
    "granted_by_role_type",
    "granted_by",
];
const TO: [&str; 8] =
    ["created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option", "granted_by"];
const TO_USER: [&str; 9] = [
    "created_on",
    "privilege",
    "granted_on",
    "name",
    "role",
    "granted_to",
    "grantee_name",
    "grant_option",
    "granted_by",
];
const OF: [&str; 5] = ["created_on", "role", "granted_to", "grantee_name", "granted_by"];
const FUTURE: [&str; 7] = ["created_on", "privilege", "grant_on", "name", "grant_to", "grantee_name", "grant_option"];

/// Everything that follows `SHOW GRANTS`.
pub(super) fn grants(
    account: &Account,
    access: &Access,
    session: &Session<'_>,
    mut cursor: Cursor<'_>,
) -> Result<ResultSet, Failure> {
    if cursor.eat("ON") {
        let kind = Kind::expect(&mut cursor, false)?;
        let path = if kind.parts == 0 { Vec::new() } else { name_of(kind, &mut cursor)? };
        let object = account.existing(kind, &path)?;
        if !account.sees(access, kind, &path) && !account.may_on_account(access, "MANAGE GRANTS") {
            return Err(Failure::missing(&kind.spoken(), shown(&path)));
        }
        let owned = object.owner.iter().map(|owner| ownership(object, owner));
        let rows =
            owned.chain(account.grants_on(kind.words, &path).map(|(grant, given)| (grant.clone(), given.clone())));
        return answer(account, &ON, rows, cursor);
    }
    if cursor.eat("OF") {
        let kind = Kind::of(if cursor.eat("DATABASE ROLE") { "DATABASE ROLE" } else { "ROLE" });
        cursor.eat("ROLE");
        let path = name_of(kind, &mut cursor)?;
        account.existing(kind, &path)?;
        let rows = account.grants_on(kind.words, &path).map(|(grant, given)| (grant.clone(), given.clone()));
        return answer(account, &OF, rows, cursor);
    }
    let to =
        if cursor.eat("TO") { grantee(account, access, &mut cursor)? } else { Grantee::user(&session.caller.user) };
    let mut rows: Vec<(Grant, Given)> = Vec::new();
    if to.kind == "DATABASE ROLE" {
        // It always has this, nobody has granted it, and nobody can revoke it.
        let role = account.existing(Kind::of(&to.kind), &to.path)?;
        let grant = grant("USAGE", "DATABASE", &to.path[..1], &to);
        rows.push((grant, Given { option: false, by: None, created_ms: role.created_ms }));
    }
    let owned = account.objects.values().filter(|object| object.owner.as_ref() == Some(&to));
    rows.extend(owned.map(|object| ownership(object, &to)));
    let granted = account.grants.iter().filter(|(grant, _)| !grant.future && grant.to == to);
    rows.extend(granted.map(|(grant, given)| (grant.clone(), given.clone())));
    if to.kind == "USER" {
        rows.retain(|(grant, _)| grant.path != ["PUBLIC"]);
        return answer(account, &TO_USER, rows, cursor);
    }
    answer(account, &TO, rows, cursor)
}

/// Everything that follows `SHOW FUTURE GRANTS`.
pub(super) fn future(account: &Account, access: &Access, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let granted = account.grants.iter().filter(|(grant, _)| grant.future);
    let granted = granted.map(|(grant, given)| (grant.clone(), given.clone()));
    if cursor.eat("TO") {
        let to = grantee(account, access, &mut cursor)?;
        return answer(account, &FUTURE, granted.filter(|(grant, _)| grant.to == to), cursor);
    }
    cursor.expect("IN")?;
    let kind = Kind::of(if cursor.eat("SCHEMA") { "SCHEMA" } else { "DATABASE" });
    cursor.eat("DATABASE");
    let path = name_of(kind, &mut cursor)?;
    account.existing(kind, &path)?;
    if !account.sees(access, kind, &path) && !account.may_on_account(access, "MANAGE GRANTS") {
        return Err(Failure::missing(&kind.spoken(), shown(&path)));
    }
    answer(account, &FUTURE, granted.filter(|(grant, _)| grant.path == path), cursor)
}

/// Whose grants are asked for: a role of one's own, or anybody's with MANAGE GRANTS.
fn grantee(account: &Account, access: &Access, cursor: &mut Cursor<'_>) -> Result<Grantee, Failure> {
    let kind = ["DATABASE ROLE", "ROLE", "USER"].into_iter().find(|words| cursor.eat(words));
    let kind = Kind::of(kind.ok_or_else(|| cursor.unexpected("ROLE"))?);
    let path = name_of(kind, cursor)?;
    let object = account.existing(kind, &path)?;
    let to = Grantee { kind: kind.words.to_owned(), path };
    let allowed =
        access.active.contains(&to) || account.owns(access, object) || account.may_on_account(access, "MANAGE GRANTS");
    if allowed { Ok(to) } else { Err(Failure::insufficient(kind.words, shown(&to.path))) }
}

fn grant(privilege: &str, on: &str, path: &[String], to: &Grantee) -> Grant {
    let (on, privilege) = (on.to_owned(), privilege.to_owned());
    Grant { future: false, on, path: path.to_vec(), privilege, to: to.clone() }
}

/// An owner has its object with the option to grant.
fn ownership(object: &Object, owner: &Grantee) -> (Grant, Given) {
    let given = Given { option: true, by: Some(owner.clone()), created_ms: object.created_ms };
    (grant("OWNERSHIP", &object.kind, &object.path, owner), given)
}

fn answer(
    account: &Account,
    columns: &[&str],
    grants: impl IntoIterator<Item = (Grant, Given)>,
    mut cursor: Cursor<'_>,
) -> Result<ResultSet, Failure> {
    let mut most = MOST_ROWS;
    if cursor.eat("LIMIT") {
        let Some(Token::Number(rows)) = cursor.next() else { return Err(cursor.unexpected("a number of rows")) };
        most = rows.parse().map_or(most, |rows: usize| rows.min(most));
    }
    cursor.end()?;
    let rows = grants
        .into_iter()
        .take(most)
        .map(|(grant, given)| columns.iter().map(|column| cell(account, &grant, &given, column)).collect());
    Ok(ResultSet::listed(columns.iter().copied(), rows.collect()))
}

fn cell(account: &Account, grant: &Grant, given: &Given, column: &str) -> Option<String> {
    let kind = Kind::of(&grant.on);
    let is_role = kind.words == "ROLE" || kind.words == "DATABASE ROLE";
    Some(match column {
        "created_on" => time(given.created_ms),
        "privilege" => grant.privilege.clone(),
        "granted_on" | "grant_on" => kind.underscored(),
        "name" if grant.future => format!("{}.<{}>", shown(&grant.path), kind.underscored()),
        "name" if kind.parts == 0 => account.name.clone(),
        "name" => shown(&grant.path),
        "role" => return is_role.then(|| grant.path.last().cloned()).flatten(),
        "granted_to" | "grant_to" => grant.to.kind.replace(' ', "_"),
        // A database role's name comes with its database or without it, by the command.
        "grantee_name" if grant.future => shown(&grant.to.path),
        "grantee_name" => grant.to.path.last().map(|name| shown(std::slice::from_ref(name))).unwrap_or_default(),
        "grant_option" => given.option.to_string(),
        "granted_by_role_type" => given.by.as_ref().map_or(String::new(), |by| by.kind.replace(' ', "_")),
        "granted_by" => given.by.as_ref().and_then(|by| by.path.last().cloned()).unwrap_or_default(),
        _ => return None,
    })
}
