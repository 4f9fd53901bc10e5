//! Who may do what: roles, what is below them, and the privileges that they hold. Only where privileges are checked.

use std::collections::BTreeSet;

use super::{Account, Grantee, Kind, Object, Setting};
use crate::{
    copy::CopyInto,
    failure::Failure,
    names::{Name, shown},
    request::Request,
    tokens::{Cursor, Token},
    usage,
};

/// A statement about the account: as whom and in which request it runs.
pub(super) struct Run<'r> {
    pub(super) account: &'r mut Account,
    pub(super) access: Access,
    pub(super) request: &'r Request<'r>,
    pub(super) text: &'r str,
}

impl std::ops::Deref for Run<'_> {
    type Target = Account;

    fn deref(&self) -> &Account {
        self.account
    }
}

impl std::ops::DerefMut for Run<'_> {
    fn deref_mut(&mut self) -> &mut Account {
        self.account
    }
}

impl Run<'_> {
    pub(super) fn sees(&self, kind: &Kind, path: &[String]) -> bool {
        self.account.sees(&self.access, kind, path)
    }

    pub(super) fn may_on_account(&self, privilege: &str) -> bool {
        self.account.may_on_account(&self.access, privilege)
    }

    pub(super) fn require(&self, privilege: &str, kind: &Kind, path: &[String]) -> Result<(), Failure> {
        self.account.require(&self.access, privilege, kind, path)
    }

    /// Whether one of the statement's roles owns an object.
    pub(super) fn owns(&self, object: &Object) -> bool {
        !self.access.checks || object.owner.as_ref().is_some_and(|owner| self.access.active.contains(owner))
    }

    /// Whether one of the statement's roles is ACCOUNTADMIN.
    pub(super) fn is_administrator(&self) -> bool {
        !self.access.checks || self.access.active.contains(&Grantee::role("ACCOUNTADMIN"))
    }

    /// Refuses what only the owner may.
    pub(super) fn require_owner(&self, object: &Object) -> Result<(), Failure> {
        let kind = Kind::of(&object.kind);
        if !self.sees(kind, &object.path) {
            return Err(Failure::missing(&kind.spoken(), shown(&object.path)));
        }
        if self.owns(object) { Ok(()) } else { Err(Failure::insufficient(kind.words, shown(&object.path))) }
    }

    /// An object that is there and can be seen, by itself or by who manages grants.
    pub(super) fn seen(&self, kind: &Kind, path: &[String]) -> Result<&Object, Failure> {
        let object = self.existing(kind, path)?;
        let sees = kind.parts == 0 || self.sees(kind, path) || self.may_on_account("MANAGE GRANTS");
        if sees { Ok(object) } else { Err(Failure::missing(&kind.spoken(), shown(path))) }
    }
}

/// The roles that a statement runs with.
pub(crate) struct Access {
    checks: bool,
    pub(crate) role: String,
    /// The primary role and what is below it: only they allow CREATE, and what they make is the primary role's.
    pub(crate) primary: BTreeSet<Grantee>,
    /// The same with the secondary roles: they allow everything else.
    pub(crate) active: BTreeSet<Grantee>,
}

impl Account {
    pub(crate) fn access(&self, user: &str, role: &str) -> Access {
        let primary = self.below([Grantee::role(role), Grantee::role("PUBLIC")]);
        // Without DEFAULT_SECONDARY_ROLES a user has all.
        let object = self.object(Kind::of("USER"), &[user.to_owned()]);
        let none = object.is_some_and(|user| {
            matches!(user.settings.get("DEFAULT_SECONDARY_ROLES"), Some(Setting::List(roles)) if roles.is_empty())
        });
        let mut active = primary.clone();
        if !none {
            active.extend(self.below(self.granted_to(&Grantee::user(user))));
        }
        Access { checks: self.checks_privileges, role: role.to_owned(), primary, active }
    }

    /// The roles that are granted to somebody, one step down.
    pub(crate) fn granted_to(&self, to: &Grantee) -> BTreeSet<Grantee> {
        self.granted.get(to).cloned().unwrap_or_default()
    }

    /// These roles and all that they inherit.
    pub(crate) fn below(&self, roles: impl IntoIterator<Item = Grantee>) -> BTreeSet<Grantee> {
        let mut open: Vec<Grantee> = roles.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(role) = open.pop() {
            if found.insert(role.clone()) {
                open.extend(self.granted_to(&role));
            }
        }
        found
    }

    /// Whether a user may run as the role: it was granted the role or one above it. PUBLIC is everybody's.
    pub(crate) fn has_role(&self, user: &str, role: &str) -> bool {
        let role = Grantee::role(&role.to_uppercase());
        role.path[0] == "PUBLIC" || self.below(self.granted_to(&Grantee::user(user))).contains(&role)
    }

    /// DEFAULT_ROLE, which counts only when it is granted; else PUBLIC.
    pub(crate) fn default_role(&self, user: &str) -> String {
        let object = self.object(Kind::of("USER"), &[user.to_owned()]);
        let role = object.and_then(|user| user.text("DEFAULT_ROLE"));
        role.filter(|role| self.has_role(user, role)).unwrap_or("PUBLIC").to_uppercase()
    }

    pub(crate) fn default_warehouse(&self, user: &str) -> String {
        let object = self.object(Kind::of("USER"), &[user.to_owned()]);
        object.and_then(|user| user.text("DEFAULT_WAREHOUSE")).unwrap_or_default().to_owned()
    }

    /// Whether one of the roles owns the object or has the privilege on it.
    fn holds(&self, roles: &BTreeSet<Grantee>, privilege: &str, kind: &Kind, path: &[String]) -> bool {
        let owner = self.object(kind, path).and_then(|object| object.owner.as_ref());
        let granted =
            |grant: &super::Grant| (grant.privilege == privilege || privilege.is_empty()) && roles.contains(&grant.to);
        owner.is_some_and(|owner| roles.contains(owner))
            || self.grants_on(kind.words, path).any(|(grant, _)| granted(grant))
            // A database role always has USAGE on its database.
            || (kind.words == "DATABASE"
                && ["", "USAGE"].contains(&privilege)
                && roles.iter().any(|role| role.kind == "DATABASE ROLE" && role.path.starts_with(path)))
    }

    /// Whether anything at all is held on the object and on each of its parents.
    pub(crate) fn sees(&self, access: &Access, kind: &Kind, path: &[String]) -> bool {
        if !access.checks || matches!(kind.words, "ROLE" | "USER") {
            return true;
        }
        let all = matches!(kind.words, "DATABASE" | "WAREHOUSE") && self.may_on_account(access, "MONITOR USAGE");
        let parents = [("DATABASE", 1), ("SCHEMA", 2)];
        let in_sight =
            |(words, parts)| path.len() <= parts || self.holds(&access.active, "", Kind::of(words), &path[..parts]);
        let by_database = kind.words == "DATABASE ROLE";
        all || (parents.into_iter().all(in_sight) && (by_database || self.holds(&access.active, "", kind, path)))
    }

    pub(crate) fn may_on_account(&self, access: &Access, privilege: &str) -> bool {
        !access.checks || self.holds(&access.active, privilege, Kind::of("ACCOUNT"), &[])
    }

    /// Refuses what the privilege is not held for; what cannot be seen is not there.
    pub(crate) fn require(
        &self,
        access: &Access,
        privilege: &str,
        kind: &Kind,
        path: &[String],
    ) -> Result<(), Failure> {
        if !access.checks {
            return Ok(());
        }
        if !self.sees(access, kind, path) {
            return Err(Failure::missing(&kind.spoken(), shown(path)));
        }
        if self.holds(&access.active, privilege, kind, path) {
            return Ok(());
        }
        Err(Failure::insufficient(kind.words, shown(path)))
    }

    /// Refuses a CREATE that the primary role, with what is below it, may not.
    pub(crate) fn require_create(&self, access: &Access, kind: &Kind, path: &[String]) -> Result<(), Failure> {
        let parent = &path[..path.len() - 1];
        let on = Kind::of(["ACCOUNT", "DATABASE", "SCHEMA"][parent.len()]);
        let allowed = match kind.made_by {
            Some(role) => access.primary.contains(&Grantee::role(role)),
            None => self.holds(&access.primary, &format!("CREATE {}", kind.words), on, parent),
        };
        if access.checks && !parent.is_empty() && !self.sees(access, on, parent) {
            return Err(Failure::missing(&on.spoken(), shown(parent)));
        }
        if allowed || !access.checks {
            return Ok(());
        }
        Err(Failure::insufficient(on.words, if parent.is_empty() { self.name.clone() } else { shown(parent) }))
    }

    /// What a query or a change of rows needs: its target's own privilege, SELECT on what else it reads, and a warehouse.
    pub(crate) fn require_rows(
        &self,
        access: &Access,
        statement: &[Token],
        tables: &[Name],
        warehouse: &str,
    ) -> Result<(), Failure> {
        if tables.is_empty() {
            return Ok(());
        }
        let tables: Vec<&Name> = tables.iter().filter(|name| name.schema != "INFORMATION_SCHEMA").collect();
        let has = |word: &str| statement.iter().any(|token| token.is(word));
        let verb =
            ["INSERT", "UPDATE", "DELETE", "MERGE", "COPY"].into_iter().find(|verb| Cursor::new(statement).eat(verb));
        let of_target: Vec<&str> = match verb {
            Some("MERGE") => ["INSERT", "UPDATE", "DELETE"].into_iter().filter(|verb| has(verb)).collect(),
            Some("COPY") => vec!["INSERT"],
            Some(verb) => vec![verb],
            None => vec![],
        };
        for (at, table) in tables.iter().enumerate() {
            let path = table.path();
            if table.database == usage::DATABASE {
                self.require_usage(access, table)?;
                continue;
            }
            let kind = if self.object(Kind::of("VIEW"), &path).is_some() { "VIEW" } else { "TABLE" };
            let privileges = if at == 0 && verb.is_some() { &of_target[..] } else { &["SELECT"] };
            for privilege in privileges {
                self.require(access, privilege, Kind::of(kind), &path)?;
            }
        }
        let path = [warehouse.to_uppercase()];
        if self.require(access, "USAGE", Kind::of("WAREHOUSE"), &path).is_err() {
            let text = "No active warehouse selected in the current session. Select an active warehouse with the 'use \
                        warehouse' command.";
            return Err(Failure::new("000606", "57P03", text));
        }
        self.within_quota(&path)
    }

    /// Refuses what would wake a warehouse whose resource monitor has seen its quota used up.
    fn within_quota(&self, warehouse: &[String]) -> Result<(), Failure> {
        let monitor = self.object(Kind::of("WAREHOUSE"), warehouse).and_then(|found| found.text("RESOURCE_MONITOR"));
        let Some(monitor) = monitor else { return Ok(()) };
        let found = self.object(Kind::of("RESOURCE MONITOR"), &[monitor.to_owned()]);
        let quota = found.and_then(|found| found.text("CREDIT_QUOTA")).and_then(|quota| quota.parse::<f64>().ok());
        let is_used_up = quota.zip(self.used.get(monitor)).is_some_and(|(quota, used)| *used >= quota);
        if !is_used_up {
            return Ok(());
        }
        let warehouse = shown(warehouse);
        let text = format!(
            "Warehouse '{warehouse}' cannot be resumed because resource monitor '{monitor}' has exceeded its quota."
        );
        Err(Failure::new("090073", "22000", text))
    }

    /// A view of ACCOUNT_USAGE needs the database role that the documentation names for it, or ACCOUNTADMIN.
    fn require_usage(&self, access: &Access, view: &Name) -> Result<(), Failure> {
        let reader = Grantee {
            kind: "DATABASE ROLE".to_owned(),
            path: vec![usage::DATABASE.to_owned(), usage::READER.to_owned()],
        };
        let may = [reader, Grantee::role("ACCOUNTADMIN")].iter().any(|role| access.active.contains(role));
        if may { Ok(()) } else { Err(Failure::missing("Object", view)) }
    }

    /// Refuses a pipe's load unless its owner may read what it copies from, and look into and fill what it copies into. Who
    /// has named the files to the pipe does not matter.
    pub(crate) fn require_pipe(&self, pipe: &[String], copy: &CopyInto) -> Result<(), Failure> {
        let owner = self.object(Kind::of("PIPE"), pipe).and_then(|pipe| pipe.owner.as_ref());
        let access = self.access("", owner.map_or("", |owner| &owner.path[0]));
        for (privilege, kind, name) in [
            ("USAGE", "STAGE", &copy.stage),
            ("USAGE", "FILE FORMAT", &copy.format),
            ("SELECT", "TABLE", &copy.into),
            ("INSERT", "TABLE", &copy.into),
        ] {
            self.require(&access, privilege, Kind::of(kind), &name.path())?;
        }
        Ok(())
    }

    /// Whether a role that a service runs as may use a pipe, or a table that it streams into.
    pub(crate) fn may_use(&self, role: &str, privilege: &str, kind: &str, path: &[String]) -> bool {
        let access = Access { checks: true, ..self.access("", role) };
        self.require(&access, privilege, Kind::of(kind), path).is_ok()
    }
}
