//! SHOW GRANTS and SHOW FUTURE GRANTS.

use super::{
    Account, Given, Grant, Grantee, Kind, Object, Run,
    kinds::name_of,
    show::{MOST_ROWS, time},
};
use crate::{
    failure::Failure,
    names::shown,
    result::ResultSet,
    tokens::{Cursor, Token},
};

const ON: &str =
    "created_on, privilege, granted_on, name, granted_to, grantee_name, grant_option, granted_by_role_type, granted_by";
const TO: &str = "created_on, privilege, granted_on, name, granted_to, grantee_name, grant_option, granted_by";
const TO_USER: &str =
    "created_on, privilege, granted_on, name, role, granted_to, grantee_name, grant_option, granted_by";
const OF: &str = "created_on, role, granted_to, grantee_name, granted_by";
const FUTURE: &str = "created_on, privilege, grant_on, name, grant_to, grantee_name, grant_option";

impl Run<'_> {
    /// Everything that follows `SHOW GRANTS`.
    pub(super) fn show_grants(&self, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
        let owned = |(grant, given): (&Grant, &Given)| (grant.clone(), given.clone());
        if cursor.eat("ON") {
            let kind = Kind::expect(&mut cursor, false)?;
            let path = if kind.parts == 0 { Vec::new() } else { name_of(kind, &mut cursor)? };
            let object = self.seen(kind, &path)?;
            let ownership = object.owner.iter().map(|owner| ownership(object, owner));
            return answer(self, ON, ownership.chain(self.grants_on(kind.words, &path).map(owned)), cursor);
        }
        if cursor.eat("OF") {
            let kind = Kind::expect(&mut cursor, false)?;
            let path = name_of(kind, &mut cursor)?;
            self.existing(kind, &path)?;
            return answer(self, OF, self.grants_on(kind.words, &path).map(owned), cursor);
        }
        let to = if cursor.eat("TO") { self.whose(&mut cursor)? } else { Grantee::user(&self.request.caller.user) };
        let mut rows: Vec<(Grant, Given)> = Vec::new();
        if to.kind == "DATABASE ROLE" {
            // It always has this, nobody has granted it, and nobody can revoke it.
            let created_ms = self.existing(Kind::of(&to.kind), &to.path)?.created_ms;
            rows.push((grant("USAGE", "DATABASE", &to.path[..1], &to), Given { option: false, by: None, created_ms }));
        }
        let own = self.objects.values().filter(|object| object.owner.as_ref() == Some(&to));
        rows.extend(own.map(|object| ownership(object, &to)));
        rows.extend(self.grants.iter().filter(|(grant, _)| !grant.future && grant.to == to).map(owned));
        if to.kind == "USER" {
            rows.retain(|(grant, _)| grant.path != ["PUBLIC"]);
        }
        answer(self, if to.kind == "USER" { TO_USER } else { TO }, rows, cursor)
    }

    /// Everything that follows `SHOW FUTURE GRANTS`.
    pub(super) fn show_future_grants(&self, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
        let granted = self.grants.iter().filter(|(grant, _)| grant.future);
        let granted = granted.map(|(grant, given)| (grant.clone(), given.clone()));
        if cursor.eat("TO") {
            let to = self.whose(&mut cursor)?;
            return answer(self, FUTURE, granted.filter(|(grant, _)| grant.to == to), cursor);
        }
        cursor.expect("IN")?;
        let kind = Kind::expect(&mut cursor, false)?;
        let path = name_of(kind, &mut cursor)?;
        self.seen(kind, &path)?;
        answer(self, FUTURE, granted.filter(|(grant, _)| grant.path == path), cursor)
    }

    /// Whose grants are asked for: a role of one's own, or anybody's with MANAGE GRANTS.
    fn whose(&self, cursor: &mut Cursor<'_>) -> Result<Grantee, Failure> {
        let kind = Kind::expect(cursor, false)?;
        let to = Grantee { kind: kind.words.to_owned(), path: name_of(kind, cursor)? };
        let object = self.existing(kind, &to.path)?;
        let own = self.access.active.contains(&to) || self.owns(object) || self.may_on_account("MANAGE GRANTS");
        if own { Ok(to) } else { Err(Failure::insufficient(kind.words, shown(&to.path))) }
    }
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
    columns: &str,
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
        .map(|(grant, given)| columns.split(", ").map(|column| cell(account, &grant, &given, column)).collect());
    Ok(ResultSet::listed(columns.split(", "), rows.collect()))
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
