//! GRANT and REVOKE: roles, privileges, ownership, and what is granted on objects to come.

use chrono::Utc;

use super::{
    Access, Account, Given, Grant, Grantee, Kind, Object, Path,
    define::{done, name_of},
    shown,
};
use crate::{
    failure::Failure,
    statements::{Cursor, ResultSet, Token},
};

/// What a statement speaks of.
struct Target {
    kind: &'static Kind,
    scope: Scope,
}

enum Scope {
    One(Path),
    /// All objects in a database or schema.
    All(Path),
    Future(Path),
}

/// Everything that follows `GRANT` or `REVOKE`.
pub(super) fn change(
    account: &mut Account,
    access: &Access,
    mut cursor: Cursor<'_>,
    grants: bool,
) -> Result<ResultSet, Failure> {
    for words in ["ROLE", "DATABASE ROLE"] {
        if cursor.eat(words) {
            return role(account, access, Kind::of(words), cursor, grants);
        }
    }
    let only_option = !grants && cursor.eat("GRANT OPTION FOR");
    let wanted = privileges(&mut cursor)?;
    let target = target(&mut cursor)?;
    cursor.expect(if grants { "TO" } else { "FROM" })?;
    let to = grantee(account, &mut cursor)?;
    if wanted == ["OWNERSHIP"] {
        return ownership(account, access, &target, to, cursor, grants);
    }
    let option = grants && cursor.eat("WITH GRANT OPTION");
    let cascades = !grants && cursor.eat("CASCADE");
    if !grants && !cascades {
        cursor.eat("RESTRICT");
    }
    cursor.end()?;
    let privileges = applicable(target.kind, wanted)?;
    let bound = to.kind == "DATABASE ROLE";
    let container = match &target.scope {
        Scope::One(path) | Scope::All(path) | Scope::Future(path) => path,
    };
    let on_database = ["CREATE SCHEMA", "MODIFY", "MONITOR", "USAGE"];
    let beyond = |privilege: &&str| target.kind.words == "DATABASE" && !on_database.contains(privilege);
    if bound && (container.first() != to.path.first() || privileges.iter().any(beyond)) {
        let text = format!("SQL compilation error:\nDatabase role {} cannot have this privilege", shown(&to.path));
        return Err(Failure::new("003042", "42601", text));
    }
    if let Scope::Future(path) = &target.scope {
        future(account, access, target.kind, path)?;
        for privilege in &privileges {
            let grant = make(true, target.kind, path, privilege, &to);
            set(account, grant, grants, option, only_option, None);
        }
        return Ok(done("Statement executed successfully."));
    }
    let all = matches!(target.scope, Scope::All(_));
    let objects = objects(account, access, &target)?;
    let (mut refused, mut given) = (Vec::new(), 0);
    for object in &objects {
        for privilege in &privileges {
            let kind = Kind::of(&object.kind);
            let Some(by) = grantor(account, access, object, privilege) else {
                refused.push(*privilege);
                continue;
            };
            let grant = make(false, kind, &object.path, privilege, &to);
            if !grants && !only_option {
                revoke_dependent(account, &grant, cascades)?;
            }
            set(account, grant, grants, option, only_option, by);
            given += 1;
        }
    }
    let verb = if grants { "Grant" } else { "Revoke" };
    match (refused.is_empty(), given) {
        (true, _) if all => Ok(done(format!("Statement executed successfully. {} objects affected.", objects.len()))),
        (true, _) => Ok(done("Statement executed successfully.")),
        (false, 0) => Ok(done(format!("{verb} not executed: Insufficient privileges."))),
        (false, _) if all => Ok(done(format!("{verb} partially executed: Insufficient privileges on some objects."))),
        (false, _) => {
            let code = if grants { "003011" } else { "003012" };
            let did = if grants { "granted" } else { "revoked" };
            refused.dedup();
            let text = format!("{verb} partially executed: privileges [{}] not {did}.", refused.join(", "));
            Err(Failure::new(code, "42501", text))
        }
    }
}

/// `<role> TO|FROM ROLE|DATABASE ROLE|USER <name>`.
fn role(
    account: &mut Account,
    access: &Access,
    kind: &Kind,
    mut cursor: Cursor<'_>,
    grants: bool,
) -> Result<ResultSet, Failure> {
    let path = name_of(kind, &mut cursor)?;
    cursor.expect(if grants { "TO" } else { "FROM" })?;
    let to = grantee(account, &mut cursor)?;
    cursor.end()?;
    let role = account.existing(kind, &path)?.clone();
    let inner = Grantee { kind: kind.words.to_owned(), path: path.clone() };
    let other_database = kind.words == "DATABASE ROLE" && to.path.first() != path.first();
    if to.kind == "DATABASE ROLE" && (kind.words == "ROLE" || other_database) {
        let text =
            format!("SQL compilation error:\n{} {} cannot be granted to a database role", kind.words, shown(&path));
        return Err(Failure::new("003042", "42601", text));
    }
    if grants && account.below([inner]).contains(&to) {
        let text =
            format!("SQL compilation error:\nGrant of role {} to {} would make a cycle", shown(&path), shown(&to.path));
        return Err(Failure::new("003013", "42601", text));
    }
    if !account.owns(access, &role) && !account.may_on_account(access, "MANAGE GRANTS") {
        return Err(Failure::insufficient(kind.words, shown(&path)));
    }
    let by = role.owner.clone();
    set(account, make(false, kind, &path, "USAGE", &to), grants, false, false, by);
    Ok(done("Statement executed successfully."))
}

/// `OWNERSHIP ON .. TO .. [REVOKE|COPY CURRENT GRANTS]`.
fn ownership(
    account: &mut Account,
    access: &Access,
    target: &Target,
    to: Grantee,
    mut cursor: Cursor<'_>,
    grants: bool,
) -> Result<ResultSet, Failure> {
    let copies = cursor.eat("COPY CURRENT GRANTS");
    let revokes = !copies && cursor.eat("REVOKE CURRENT GRANTS");
    cursor.end()?;
    if let Scope::Future(path) = &target.scope {
        future(account, access, target.kind, path)?;
        let one = |grant: &&Grant| {
            grant.future && grant.privilege == "OWNERSHIP" && grant.on == target.kind.words && grant.path == *path
        };
        for old in account.grants.keys().filter(one).cloned().collect::<Vec<_>>() {
            account.unset(&old);
        }
        set(account, make(true, target.kind, path, "OWNERSHIP", &to), grants, false, false, None);
        return Ok(done("Statement executed successfully."));
    }
    if !grants {
        return Err(Failure::syntax("OWNERSHIP cannot be revoked: it is granted to another role"));
    }
    let objects = objects(account, access, target)?;
    for object in &objects {
        let kind = Kind::of(&object.kind);
        let manages = account.may_on_account(access, "MANAGE GRANTS");
        if !account.owns(access, object) && !manages {
            return Err(Failure::insufficient(kind.words, shown(&object.path)));
        }
        let outbound: Vec<(Grant, Given)> =
            account.grants_on(kind.words, &object.path).map(|(grant, given)| (grant.clone(), given.clone())).collect();
        if !outbound.is_empty() && !copies && !revokes && !kind.words.ends_with("ROLE") {
            let text = format!(
                "SQL execution error: Dependent grant of privilege '{}' on securable '{}' to role '{}' exists. It must be \
                 revoked first. More than one dependent grant may exist: use 'SHOW GRANTS' command to view them. To revoke all \
                 dependent grants while transferring object ownership, use convenience command 'GRANT OWNERSHIP ON \
                 <target_objects> TO <target_role> REVOKE CURRENT GRANTS'.",
                outbound[0].0.privilege,
                shown(&object.path),
                shown(&outbound[0].0.to.path)
            );
            return Err(Failure::new("003036", "0A000", text));
        }
        if copies && !manages && !access.active.contains(&to) {
            return Err(Failure::insufficient(kind.words, shown(&object.path)));
        }
        for (grant, given) in outbound {
            if revokes {
                account.unset(&grant);
            } else {
                account.set(grant, Given { by: Some(to.clone()), ..given });
            }
        }
        account.put(Object { owner: Some(to.clone()), ..object.clone() });
    }
    Ok(done("Statement executed successfully."))
}

/// The privileges up to `ON`.
fn privileges(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Failure> {
    let mut privileges = vec![String::new()];
    loop {
        match cursor.next() {
            Some(token) if token.is("ON") => return Ok(privileges),
            Some(token) if token.is(",") => privileges.push(String::new()),
            Some(Token::Word(word)) => {
                if let Some(last) = privileges.last_mut() {
                    last.push_str(if last.is_empty() { "" } else { " " });
                    last.push_str(word);
                }
            }
            _ => return Err(cursor.unexpected("a privilege")),
        }
    }
}

/// The privileges that a kind has; ALL stands for those that it gives.
fn applicable(kind: &'static Kind, wanted: Vec<String>) -> Result<Vec<&'static str>, Failure> {
    if wanted == ["ALL"] || wanted == ["ALL PRIVILEGES"] {
        // Budgets are not part of ALL.
        return Ok(kind.privileges.iter().copied().filter(|privilege| *privilege != "APPLYBUDGET").collect());
    }
    if kind.words == "DATABASE" && wanted == ["IMPORTED PRIVILEGES"] {
        return Ok(vec!["USAGE"]);
    }
    let known = wanted.iter().map(|wanted| {
        kind.privileges.iter().find(|known| *known == wanted).copied().ok_or_else(|| {
            let text = format!("SQL compilation error:\nInvalid privilege '{wanted}' for object type {}", kind.words);
            Failure::new("003042", "42601", text)
        })
    });
    known.collect()
}

fn target(cursor: &mut Cursor<'_>) -> Result<Target, Failure> {
    let (all, future) = (cursor.eat("ALL"), cursor.eat("FUTURE"));
    if !all && !future {
        let kind = Kind::expect(cursor, false)?;
        let path = if kind.parts == 0 { Vec::new() } else { name_of(kind, cursor)? };
        return Ok(Target { kind, scope: Scope::One(path) });
    }
    let kind = Kind::expect(cursor, true)?;
    cursor.expect("IN")?;
    let container = Kind::expect(cursor, false)?;
    let path = name_of(container, cursor)?;
    let fits = matches!(container.words, "DATABASE" | "SCHEMA") && container.parts < kind.parts;
    if !fits || !kind.can("future") || (all && kind.words == "PIPE") {
        let how = if all { "ALL" } else { "FUTURE" };
        let text = format!("SQL compilation error:\nUnsupported {how} grant on {} in {}", kind.plural, container.words);
        return Err(Failure::new("003042", "42601", text));
    }
    Ok(Target { kind, scope: if all { Scope::All(path) } else { Scope::Future(path) } })
}

/// `[ROLE|DATABASE ROLE|USER] <name>` of one that is there.
fn grantee(account: &Account, cursor: &mut Cursor<'_>) -> Result<Grantee, Failure> {
    let kind = ["DATABASE ROLE", "ROLE", "USER"].into_iter().find(|words| cursor.eat(words)).unwrap_or("ROLE");
    let path = name_of(Kind::of(kind), cursor)?;
    account.existing(Kind::of(kind), &path)?;
    Ok(Grantee { kind: kind.to_owned(), path })
}

/// The objects that a grant is about and that the roles may see.
fn objects(account: &Account, access: &Access, target: &Target) -> Result<Vec<Object>, Failure> {
    let manages = account.may_on_account(access, "MANAGE GRANTS");
    let sees = |kind: &Kind, path: &[String]| manages || account.sees(access, kind, path);
    match &target.scope {
        Scope::One(path) if target.kind.is_made_here() || matches!(target.kind.words, "ACCOUNT" | "TABLE" | "VIEW") => {
            let object = account.existing(target.kind, path)?;
            if target.kind.parts > 0 && !sees(target.kind, path) {
                return Err(Failure::missing(&target.kind.spoken(), shown(path)));
            }
            Ok(vec![object.clone()])
        }
        Scope::One(path) => Err(Failure::missing(&target.kind.spoken(), shown(path))),
        Scope::All(path) | Scope::Future(path) => {
            let container = Kind::of(if path.len() == 1 { "DATABASE" } else { "SCHEMA" });
            account.existing(container, path)?;
            if !sees(container, path) {
                return Err(Failure::missing(&container.spoken(), shown(path)));
            }
            let inside = account.of(target.kind.words).filter(|object| object.path.starts_with(path));
            Ok(inside.filter(|object| object.owner.is_some()).cloned().collect())
        }
    }
}

/// Future grants need MANAGE GRANTS, or at the level of a managed schema its ownership.
fn future(account: &Account, access: &Access, kind: &Kind, path: &[String]) -> Result<(), Failure> {
    let container = Kind::of(if path.len() == 1 { "DATABASE" } else { "SCHEMA" });
    let object = account.existing(container, path)?;
    let own_managed = object.is("MANAGED ACCESS") && account.owns(access, object) && kind.parts > 2;
    if own_managed || account.may_on_account(access, "MANAGE GRANTS") {
        return Ok(());
    }
    if !account.sees(access, container, path) {
        return Err(Failure::missing(&container.spoken(), shown(path)));
    }
    Err(Failure::insufficient(container.words, shown(path)))
}

/// As whom one grants a privilege: the owner, whoever has it with the option; `None` if one may not.
fn grantor(account: &Account, access: &Access, object: &Object, privilege: &str) -> Option<Option<Grantee>> {
    let owner = object.owner.clone();
    if account.may_on_account(access, "MANAGE GRANTS") && (object.kind != "ACCOUNT" || !account.checks_privileges()) {
        return Some(owner);
    }
    if object.kind == "ACCOUNT" {
        let administers = access.active.contains(&Grantee::role("ACCOUNTADMIN"));
        let role = Grantee::role(if administers { "ACCOUNTADMIN" } else { &access.role });
        let with_option = account
            .grants_on("ACCOUNT", &[])
            .any(|(grant, given)| given.option && grant.privilege == privilege && access.active.contains(&grant.to));
        return (administers || with_option).then_some(Some(role));
    }
    let managed = account.is_managed(&object.path);
    let schema = object.path.get(..2).and_then(|path| account.object(Kind::of("SCHEMA"), path));
    if managed {
        return schema.filter(|schema| account.owns(access, schema)).map(|_| owner);
    }
    if account.owns(access, object) {
        return Some(owner);
    }
    let mut held = account.grants_on(&object.kind, &object.path);
    held.find(|(grant, given)| given.option && grant.privilege == privilege && access.active.contains(&grant.to))
        .map(|(grant, _)| Some(grant.to.clone()))
}

/// RESTRICT refuses while somebody has granted on what is revoked; CASCADE revokes that, too.
fn revoke_dependent(account: &mut Account, grant: &Grant, cascades: bool) -> Result<(), Failure> {
    let had_option = account.grants.get(grant).is_some_and(|given| given.option);
    let depends = |(other, given): &(&Grant, &Given)| {
        other.privilege == grant.privilege && given.by.as_ref() == Some(&grant.to) && had_option
    };
    let dependent: Vec<Grant> =
        account.grants_on(&grant.on, &grant.path).filter(depends).map(|(grant, _)| grant.clone()).collect();
    if !dependent.is_empty() && !cascades {
        let text = format!("Revoke partially executed: dependent grants of {} exist.", grant.privilege);
        return Err(Failure::new("003012", "42501", text));
    }
    for grant in dependent {
        account.unset(&grant);
    }
    Ok(())
}

fn make(future: bool, kind: &Kind, path: &[String], privilege: &str, to: &Grantee) -> Grant {
    Grant { future, on: kind.words.to_owned(), path: path.to_vec(), privilege: privilege.to_owned(), to: to.clone() }
}

fn set(account: &mut Account, grant: Grant, grants: bool, option: bool, only_option: bool, by: Option<Grantee>) {
    let old = account.grants.get(&grant).cloned();
    match old {
        _ if !grants && !only_option => account.unset(&grant),
        Some(old) => {
            // What was granted before stays as it is, but for the option.
            let option = grants && (option || old.option);
            account.set(grant, Given { option, ..old });
        }
        None if grants => account.set(grant, Given { option, by, created_ms: Utc::now().timestamp_millis() }),
        None => {}
    }
}
