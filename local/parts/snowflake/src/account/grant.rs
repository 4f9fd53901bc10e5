//! GRANT and REVOKE: roles, privileges, ownership, and what is granted on objects to come.

use chrono::Utc;

use super::{Given, Grant, Grantee, Kind, Object, Path, Run, Setting, kinds::name_of, references::TRANSFERRED};
use crate::{
    failure::Failure,
    names::shown,
    result::ResultSet,
    tokens::{Cursor, Token},
    usage,
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

impl Run<'_> {
    /// Everything that follows `GRANT` or `REVOKE`.
    pub(super) fn grant_or_revoke(&mut self, mut cursor: Cursor<'_>, grants: bool) -> Result<ResultSet, Failure> {
        for words in ["ROLE", "DATABASE ROLE"] {
            if cursor.eat(words) {
                return self.role(Kind::of(words), cursor, grants);
            }
        }
        let only_option = !grants && cursor.eat("GRANT OPTION FOR");
        let wanted = privileges(&mut cursor)?;
        let target = target(&mut cursor)?;
        cursor.expect(if grants { "TO" } else { "FROM" })?;
        let to = self.grantee(&mut cursor)?;
        if wanted == ["OWNERSHIP"] {
            return self.ownership(&target, to, cursor, grants);
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
            self.future(target.kind, path)?;
            for privilege in &privileges {
                let grant = make(true, target.kind, path, privilege, &to);
                self.give_or_take(grant, grants, option, only_option, None);
            }
            return Ok(ResultSet::done("Statement executed successfully."));
        }
        let all = matches!(target.scope, Scope::All(_));
        let objects = self.objects(&target)?;
        let (mut refused, mut given) = (Vec::new(), 0);
        for object in &objects {
            for privilege in &privileges {
                let kind = Kind::of(&object.kind);
                let Some(by) = self.grantor(object, privilege) else {
                    refused.push(*privilege);
                    continue;
                };
                let grant = make(false, kind, &object.path, privilege, &to);
                if !grants && !only_option {
                    self.revoke_dependent(&grant, cascades)?;
                }
                self.give_or_take(grant, grants, option, only_option, by);
                given += 1;
            }
        }
        let verb = if grants { "Grant" } else { "Revoke" };
        match (refused.is_empty(), given) {
            (true, _) if all => {
                Ok(ResultSet::done(format!("Statement executed successfully. {} objects affected.", objects.len())))
            }
            (true, _) => Ok(ResultSet::done("Statement executed successfully.")),
            (false, 0) => Ok(ResultSet::done(format!("{verb} not executed: Insufficient privileges."))),
            (false, _) if all => {
                Ok(ResultSet::done(format!("{verb} partially executed: Insufficient privileges on some objects.")))
            }
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
    fn role(&mut self, kind: &Kind, mut cursor: Cursor<'_>, grants: bool) -> Result<ResultSet, Failure> {
        let path = name_of(kind, &mut cursor)?;
        cursor.expect(if grants { "TO" } else { "FROM" })?;
        let to = self.grantee(&mut cursor)?;
        cursor.end()?;
        let role = self.existing(kind, &path)?.clone();
        let inner = Grantee { kind: kind.words.to_owned(), path: path.clone() };
        let other_database = kind.words == "DATABASE ROLE" && to.path.first() != path.first();
        if to.kind == "DATABASE ROLE" && (kind.words == "ROLE" || other_database) {
            let text =
                format!("SQL compilation error:\n{} {} cannot be granted to a database role", kind.words, shown(&path));
            return Err(Failure::new("003042", "42601", text));
        }
        if grants && self.below([inner]).contains(&to) {
            let text = format!(
                "SQL compilation error:\nGrant of role {} to {} would make a cycle",
                shown(&path),
                shown(&to.path)
            );
            return Err(Failure::new("003013", "42601", text));
        }
        // Roles of Snowflake's own database are ACCOUNTADMIN's to give.
        let is_shared = kind.words == "DATABASE ROLE" && path[0] == usage::DATABASE;
        if is_shared && !self.is_administrator() {
            return Err(Failure::insufficient(kind.words, shown(&path)));
        }
        if !is_shared && !self.owns(&role) && !self.may_on_account("MANAGE GRANTS") {
            return Err(Failure::insufficient(kind.words, shown(&path)));
        }
        let by = role.owner.clone();
        self.give_or_take(make(false, kind, &path, "USAGE", &to), grants, false, false, by);
        Ok(ResultSet::done("Statement executed successfully."))
    }

    /// `OWNERSHIP ON .. TO .. [REVOKE|COPY CURRENT GRANTS]`.
    fn ownership(
        &mut self,
        target: &Target,
        to: Grantee,
        mut cursor: Cursor<'_>,
        grants: bool,
    ) -> Result<ResultSet, Failure> {
        let copies = cursor.eat("COPY CURRENT GRANTS");
        let revokes = !copies && cursor.eat("REVOKE CURRENT GRANTS");
        cursor.end()?;
        if let Scope::Future(path) = &target.scope {
            self.future(target.kind, path)?;
            let one = |grant: &&Grant| {
                grant.future && grant.privilege == "OWNERSHIP" && grant.on == target.kind.words && grant.path == *path
            };
            for old in self.grants.keys().filter(one).cloned().collect::<Vec<_>>() {
                self.unset(&old);
            }
            self.give_or_take(make(true, target.kind, path, "OWNERSHIP", &to), grants, false, false, None);
            return Ok(ResultSet::done("Statement executed successfully."));
        }
        if !grants {
            return Err(Failure::syntax("OWNERSHIP cannot be revoked: it is granted to another role"));
        }
        let objects = self.objects(target)?;
        for object in &objects {
            let kind = Kind::of(&object.kind);
            let manages = self.may_on_account("MANAGE GRANTS");
            if !self.owns(object) && !manages {
                return Err(Failure::insufficient(kind.words, shown(&object.path)));
            }
            let outbound: Vec<(Grant, Given)> =
                self.grants_on(kind.words, &object.path).map(|(grant, given)| (grant.clone(), given.clone())).collect();
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
            if copies && !manages && !self.access.active.contains(&to) {
                return Err(Failure::insufficient(kind.words, shown(&object.path)));
            }
            for (grant, given) in outbound {
                if revokes {
                    self.unset(&grant);
                } else {
                    self.set(grant, Given { by: Some(to.clone()), ..given });
                }
            }
            let mut object = Object { owner: Some(to.clone()), ..object.clone() };
            if kind.words == "PIPE" && object.is("PIPE_EXECUTION_PAUSED") {
                object.settings.insert(TRANSFERRED.to_owned(), Setting::Text("true".to_owned()));
            }
            self.put(object);
        }
        Ok(ResultSet::done("Statement executed successfully."))
    }

    /// `[ROLE|DATABASE ROLE|USER] <name>` of one that is there.
    fn grantee(&self, cursor: &mut Cursor<'_>) -> Result<Grantee, Failure> {
        let kind = ["DATABASE ROLE", "ROLE", "USER"].into_iter().find(|words| cursor.eat(words)).unwrap_or("ROLE");
        let path = name_of(Kind::of(kind), cursor)?;
        self.existing(Kind::of(kind), &path)?;
        Ok(Grantee { kind: kind.to_owned(), path })
    }

    /// The objects that a grant is about and that the roles may see.
    fn objects(&self, target: &Target) -> Result<Vec<Object>, Failure> {
        match &target.scope {
            Scope::One(path) => Ok(vec![self.seen(target.kind, path)?.clone()]),
            Scope::All(path) | Scope::Future(path) => {
                self.seen(Kind::of(if path.len() == 1 { "DATABASE" } else { "SCHEMA" }), path)?;
                let inside = self.of(target.kind.words).filter(|object| object.path.starts_with(path));
                Ok(inside.filter(|object| object.owner.is_some()).cloned().collect())
            }
        }
    }

    /// Future grants need MANAGE GRANTS, or at the level of a managed schema its ownership.
    fn future(&self, kind: &Kind, path: &[String]) -> Result<(), Failure> {
        let container = Kind::of(if path.len() == 1 { "DATABASE" } else { "SCHEMA" });
        let object = self.seen(container, path)?;
        let own_managed = object.is("MANAGED ACCESS") && self.owns(object) && kind.parts > 2;
        let may = own_managed || self.may_on_account("MANAGE GRANTS");
        if may { Ok(()) } else { Err(Failure::insufficient(container.words, shown(path))) }
    }

    /// As whom one grants a privilege: the owner, whoever has it with the option; `None` if one may not.
    fn grantor(&self, object: &Object, privilege: &str) -> Option<Option<Grantee>> {
        let owner = object.owner.clone();
        if self.may_on_account("MANAGE GRANTS") && (object.kind != "ACCOUNT" || !self.checks_privileges()) {
            return Some(owner);
        }
        if object.kind == "ACCOUNT" {
            let administers = self.access.active.contains(&Grantee::role("ACCOUNTADMIN"));
            let role = Grantee::role(if administers { "ACCOUNTADMIN" } else { &self.access.role });
            let with_option = self.grants_on("ACCOUNT", &[]).any(|(grant, given)| {
                given.option && grant.privilege == privilege && self.access.active.contains(&grant.to)
            });
            return (administers || with_option).then_some(Some(role));
        }
        let managed = self.is_managed(&object.path);
        let schema = object.path.get(..2).and_then(|path| self.object(Kind::of("SCHEMA"), path));
        if managed {
            return schema.filter(|schema| self.owns(schema)).map(|_| owner);
        }
        if self.owns(object) {
            return Some(owner);
        }
        let mut held = self.grants_on(&object.kind, &object.path);
        held.find(|(grant, given)| {
            given.option && grant.privilege == privilege && self.access.active.contains(&grant.to)
        })
        .map(|(grant, _)| Some(grant.to.clone()))
    }

    /// RESTRICT refuses while somebody has granted on what is revoked; CASCADE revokes that, too.
    fn revoke_dependent(&mut self, grant: &Grant, cascades: bool) -> Result<(), Failure> {
        let had_option = self.grants.get(grant).is_some_and(|given| given.option);
        let depends = |(other, given): &(&Grant, &Given)| {
            other.privilege == grant.privilege && given.by.as_ref() == Some(&grant.to) && had_option
        };
        let dependent: Vec<Grant> =
            self.grants_on(&grant.on, &grant.path).filter(depends).map(|(grant, _)| grant.clone()).collect();
        if !dependent.is_empty() && !cascades {
            let text = format!("Revoke partially executed: dependent grants of {} exist.", grant.privilege);
            return Err(Failure::new("003012", "42501", text));
        }
        for grant in dependent {
            self.unset(&grant);
        }
        Ok(())
    }

    fn give_or_take(&mut self, grant: Grant, grants: bool, option: bool, only_option: bool, by: Option<Grantee>) {
        let old = self.grants.get(&grant).cloned();
        match old {
            _ if !grants && !only_option => self.unset(&grant),
            Some(old) => {
                // What was granted before stays as it is, but for the option.
                let option = grants && (option || old.option);
                self.set(grant, Given { option, ..old });
            }
            None if grants => self.set(grant, Given { option, by, created_ms: Utc::now().timestamp_millis() }),
            None => {}
        }
    }
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

fn make(future: bool, kind: &Kind, path: &[String], privilege: &str, to: &Grantee) -> Grant {
    Grant { future, on: kind.words.to_owned(), path: path.to_vec(), privilege: privilege.to_owned(), to: to.clone() }
}
