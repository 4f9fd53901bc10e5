//! The statements that give and take privileges and roles.

use std::collections::BTreeSet;

use super::Statement;
use crate::account::{
    grantable::Type,
    kinds::{ACCOUNTADMIN, SECURITYADMIN},
    name::Name,
    render::is_shared,
    state::{Grantee, Target, role_word},
};

/// Gives privileges on one target.
pub(crate) fn give(privileges: &BTreeSet<String>, target: &Target, grantee: &Grantee, with_option: bool) -> Statement {
    let option = if with_option { " WITH GRANT OPTION" } else { "" };
    Statement::of(role_for(target), format!("GRANT {} TO {}{option}", what(privileges, target), grantee.sql()))
}

pub(crate) fn take(privileges: &BTreeSet<String>, target: &Target, grantee: &Grantee) -> Statement {
    Statement::of(role_for(target), format!("REVOKE {} FROM {}", what(privileges, target), grantee.sql()))
}

/// Roles that Snowflake shares are ACCOUNTADMIN's to give, everything else is SECURITYADMIN's.
fn role_for(target: &Target) -> &'static str {
    match target {
        Target::Role(role) if is_shared(role) => ACCOUNTADMIN,
        _ => SECURITYADMIN,
    }
}

/// Takes the option to grant, and leaves the privileges.
pub(crate) fn take_option(privileges: &BTreeSet<String>, target: &Target, grantee: &Grantee) -> Statement {
    let text = format!("REVOKE GRANT OPTION FOR {} FROM {}", what(privileges, target), grantee.sql());
    Statement::of(SECURITYADMIN, text)
}

fn what(privileges: &BTreeSet<String>, target: &Target) -> String {
    let list = privileges.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match target {
        Target::Role(role) => format!("{} {role}", role_word(role)),
        Target::Account => format!("{list} ON ACCOUNT"),
        Target::Object(word, name) => format!("{list} ON {word} {name}"),
        Target::Future(word, container) => format!("{list} ON FUTURE {} IN {}", plural(word), inside(container)),
        Target::Current(word, container) => format!("{list} ON ALL {} IN {}", plural(word), inside(container)),
    }
}

fn plural(word: &str) -> &str {
    Type::of_word(word).map_or(word, |kind| kind.plural)
}

fn inside(container: &Name) -> String {
    format!("{} {container}", if container.depth() == 1 { "DATABASE" } else { "SCHEMA" })
}
