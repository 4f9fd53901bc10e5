//! From the rows of SHOW GRANTS to grants.

use sluice_core::port::Row;

use super::objects::cell;
use crate::account::{
    name::Name,
    state::{Grant, Grantee, Held, State, Target},
};

/// What somebody holds.
pub(super) fn held(state: &mut State, grantee: &Grantee, rows: &[Row]) {
    for row in rows {
        // A grant that is inherited from an account-wide one names no object.
        if cell(row, "is_inherited").is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
            continue;
        }
        let Some((privilege, target)) = of_row(row, grantee) else { continue };
        let implied = row.get("granted_by").is_some_and(|by| by.as_deref().unwrap_or_default().is_empty());
        let held = Held { with_option: has_option(row), implied };
        state.grants.insert(Grant { privilege, target, grantee: grantee.clone() }, held);
    }
}

fn of_row(row: &Row, grantee: &Grantee) -> Option<(String, Target)> {
    // A user's roles stand in a column of their own.
    if let (Grantee::User(_), Some(role)) = (grantee, cell(row, "role").filter(|role| !role.is_empty())) {
        return Some(("USAGE".to_owned(), Target::Role(Name::of([role]))));
    }
    let privilege = cell(row, "privilege")?.to_uppercase();
    let kind = cell(row, "granted_on")?.to_uppercase().replace('_', " ");
    // An owner is a field of the object.
    if privilege == "OWNERSHIP" {
        return None;
    }
    let name = || Name::parse(cell(row, "name")?);
    let target = match kind.as_str() {
        "ACCOUNT" => Target::Account,
        "ROLE" => Target::Role(name()?),
        "DATABASE ROLE" => Target::Role(qualified(name()?, grantee.name())),
        _ => Target::Object(kind, name()?),
    };
    Some((privilege, target))
}

/// Who has a role: accounts' roles and databases' roles, and users.
pub(super) fn holders(state: &mut State, role: &Name, rows: &[Row]) {
    for row in rows {
        let (Some(to), Some(holder)) = (cell(row, "granted_to"), cell(row, "grantee_name")) else { continue };
        let grantee = match to.to_uppercase().replace('_', " ").as_str() {
            "USER" => Grantee::User(Name::of([holder])),
            "DATABASE ROLE" => Grantee::Role(qualified(Name::parse(holder).unwrap_or_default(), role)),
            _ => Grantee::Role(Name::of([holder])),
        };
        let grant = Grant { privilege: "USAGE".to_owned(), target: Target::Role(role.clone()), grantee };
        state.grants.entry(grant).or_default();
    }
}

/// What everybody will hold on what is made there.
pub(super) fn future(state: &mut State, container: &Name, rows: &[Row]) {
    for row in rows {
        let (Some(privilege), Some(kind), Some(to), Some(grantee)) =
            (cell(row, "privilege"), cell(row, "grant_on"), cell(row, "grant_to"), cell(row, "grantee_name"))
        else {
            continue;
        };
        let role = match to.to_uppercase().replace('_', " ").as_str() {
            "DATABASE ROLE" => Name::parse(grantee).map(|role| qualified(role, container)),
            _ => Some(Name::of([grantee])),
        };
        let Some(role) = role else { continue };
        let target = Target::Future(kind.to_uppercase().replace('_', " "), container.clone());
        let grant = Grant { privilege: privilege.to_uppercase(), target, grantee: Grantee::Role(role) };
        state.grants.insert(grant, Held { with_option: has_option(row), implied: false });
    }
}

/// A database's role with its database: some commands leave it out.
fn qualified(role: Name, within: &Name) -> Name {
    if role.depth() == 1 { within.up_to(1).with(role.last()) } else { role }
}

fn has_option(row: &Row) -> bool {
    cell(row, "grant_option").is_some_and(|flag| flag.eq_ignore_ascii_case("true"))
}
