//! An account in memory: it reads our statements word by word, and refuses what Snowflake refuses.
//!
//! Written from Snowflake's documentation, not from the tables that render and read: what both get wrong alike would stay
//! unseen.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use sluice_core::{Error, Kind as ErrorKind, Result, port::Row};

use crate::account::{Account, Name};

mod alter;
mod answers;
mod create;
mod grants;
mod words;

use words::{Words, unquoted};

type Properties = BTreeMap<String, String>;

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grant {
    pub(crate) privilege: String,
    /// `WAREHOUSE`, `ROLE`, `ACCOUNT`.
    pub(crate) on: String,
    pub(crate) name: Name,
    /// `ROLE`, `DATABASE ROLE`, `USER`.
    pub(crate) to: String,
    pub(crate) grantee: Name,
}

/// Everything but what is counted and what fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) objects: BTreeMap<(String, Name), Properties>,
    pub(crate) grants: BTreeMap<Grant, bool>,
    /// Grants on what will be made: the word of the type is in `on`, the container in `name`.
    pub(crate) future: BTreeMap<Grant, bool>,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) world: RefCell<World>,
    pub(crate) standard: bool,
    pub(crate) asked: RefCell<Vec<String>>,
    /// Statements that change something; the one of this number fails, before or after it has taken effect.
    pub(crate) changes: RefCell<usize>,
    pub(crate) fails_at: RefCell<Option<(usize, bool)>>,
    /// The request of this number fails, whatever it asks, before or after it has taken effect.
    pub(crate) lost: RefCell<Option<(usize, bool)>>,
    pub(crate) notes: RefCell<Vec<String>>,
    pub(crate) lease: RefCell<Lease>,
    /// A monitor and the credits that its warehouses have used.
    pub(crate) used: RefCell<Option<(Name, i64)>>,
    /// Files that pipes still have to load.
    pub(crate) pending: RefCell<usize>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) holder: String,
    pub(crate) is_held: bool,
    pub(crate) lake: String,
    pub(crate) environment: String,
    pub(crate) times: usize,
}

pub(crate) fn refused<T>(kind: ErrorKind, text: impl Into<String>) -> Result<T> {
    Err(Error::new(kind, text.into()))
}

pub(crate) fn missing<T>(what: &str, name: &Name) -> Result<T> {
    refused(ErrorKind::NotFound, format!("{what} '{name}' does not exist or not authorized."))
}

fn status(text: &str) -> Vec<Row> {
    vec![Row::from([("status".to_owned(), Some(text.to_owned()))])]
}

impl Model {
    pub(crate) fn enterprise() -> Self {
        let model = Model::default();
        let mut world = model.world.borrow_mut();
        for role in ["ACCOUNTADMIN", "SYSADMIN", "SECURITYADMIN", "USERADMIN", "PUBLIC"] {
            world
                .objects
                .insert(("ROLE".into(), Name::of([role])), Properties::from([("owner".into(), String::new())]));
        }
        for (holder, role) in
            [("ACCOUNTADMIN", "SYSADMIN"), ("ACCOUNTADMIN", "SECURITYADMIN"), ("SECURITYADMIN", "USERADMIN")]
        {
            let grant = Grant {
                privilege: "USAGE".into(),
                on: "ROLE".into(),
                name: Name::of([role]),
                to: "ROLE".into(),
                grantee: Name::of([holder]),
            };
            world.grants.insert(grant, false);
        }
        drop(world);
        model
    }

    pub(crate) fn standard() -> Self {
        Model { standard: true, ..Model::enterprise() }
    }

    /// The state without what differs from run to run.
    pub(crate) fn snapshot(&self) -> World {
        self.world.borrow().clone()
    }

    pub(crate) fn property(&self, word: &str, name: &Name, property: &str, value: &str) {
        let mut world = self.world.borrow_mut();
        let found = world.objects.get_mut(&(word.to_owned(), name.clone())).expect("an object");
        found.insert(property.to_owned(), value.to_owned());
    }

    /// Every role that a role has, itself included.
    pub(crate) fn reach(&self, role: &Name) -> BTreeSet<Name> {
        let world = self.world.borrow();
        let mut held: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
        // Grants are in order, and those of roles stand together: this is asked for every statement.
        for on in ["DATABASE ROLE", "ROLE"] {
            let first = Grant { privilege: "USAGE".into(), on: on.into(), ..Grant::default() };
            let of_roles = world.grants.range(first..).map(|(grant, _)| grant);
            let of_roles = of_roles.take_while(|grant| grant.privilege == "USAGE" && grant.on == on);
            for grant in of_roles.filter(|grant| grant.to != "USER") {
                held.entry(&grant.grantee).or_default().push(&grant.name);
            }
        }
        let mut found = BTreeSet::from([role.clone()]);
        let mut open = vec![role];
        while let Some(at) = open.pop() {
            for name in held.get(at).into_iter().flatten() {
                if found.insert((*name).clone()) {
                    open.push(name);
                }
            }
        }
        found
    }

    /// One request is lost on its way, or its answer is.
    fn once_lost(&self, run: impl FnOnce() -> Result<Vec<Row>>) -> Result<Vec<Row>> {
        let number = self.asked.borrow().len();
        let lost = self.lost.borrow().filter(|(at, _)| *at == number);
        match lost {
            Some((_, false)) => refused(ErrorKind::Unavailable, "the connection was lost"),
            Some((_, true)) => run().and_then(|_| refused(ErrorKind::Unavailable, "the answer was lost")),
            None => run(),
        }
    }

    fn execute(&self, role: &str, statement: &str) -> Result<Vec<Row>> {
        let mut words = Words::of(statement);
        let verb = words.word();
        if verb == "SELECT" && !statement.contains("PIPE_FORCE_RESUME") {
            self.runs_in(role, &[&Name::of(["LOADING"])])?;
        }
        if matches!(verb.as_str(), "SHOW" | "DESC" | "SELECT") && !statement.contains("PIPE_FORCE_RESUME") {
            return answers::answer(self, statement);
        }
        if verb == "INSERT" {
            self.rows_of(role, "ACCOUNT_CHANGES")?;
            self.notes.borrow_mut().push(statement.to_owned());
            return Ok(status("1"));
        }
        if verb == "UPDATE" {
            self.rows_of(role, "ACCOUNT_LEASE")?;
            let table = ("TABLE".to_owned(), Name::of(["ADMIN", "OBSERVABILITY", "ACCOUNT_LEASE"]));
            let columns = format!("{:?}", self.world.borrow().objects[&table]);
            if statement.contains("LAKE") && !columns.contains("LAKE") {
                return Err(crate::error::classify(422, Some("000904"), None, "invalid identifier 'LAKE'"));
            }
            return Ok(self.leased(statement));
        }
        *self.changes.borrow_mut() += 1;
        let fails = self.fails_at.borrow().filter(|(at, _)| *at == *self.changes.borrow());
        if let Some((_, false)) = fails {
            return refused(ErrorKind::Unavailable, "the connection was lost");
        }
        let answer = match verb.as_str() {
            "CREATE" => self.create(role, words, statement),
            "ALTER" => self.alter(role, words, statement),
            "DROP" => self.drop(role, words),
            "COMMENT" => self.comment(role, words, statement),
            "GRANT" | "REVOKE" => grants::change(self, role, statement),
            "SELECT" => self.resume(statement),
            other => panic!("no such statement: {other}"),
        }?;
        if fails.is_some() {
            return refused(ErrorKind::Unavailable, "the answer was lost");
        }
        Ok(answer)
    }

    /// Taken, held on to, or given back.
    fn leased(&self, statement: &str) -> Vec<Row> {
        let mut lease = self.lease.borrow_mut();
        let after = |word: &str| {
            let (_, rest) = statement.split_once(word).expect("a word");
            rest.split('\'').nth(1).unwrap_or_default().to_owned()
        };
        let run = after("HOLDER = ");
        let is_own = lease.holder == run;
        let done = if statement.contains("SET HOLDER") {
            let (lake, environment) = (after("LAKE = "), after("ENVIRONMENT = "));
            let fits = |held: &str, own: &str| held.is_empty() || held == own;
            let is_free = (is_own || !lease.is_held) && fits(&lease.lake, &lake);
            let is_free = is_free && fits(&lease.environment, &environment);
            if is_free {
                *lease = Lease { holder: run, is_held: true, lake, environment, times: lease.times + 1 };
            }
            is_free
        } else {
            if is_own {
                lease.is_held = statement.contains("DATEADD");
                lease.times += usize::from(lease.is_held);
            }
            is_own
        };
        vec![Row::from([("number of rows updated".to_owned(), Some(u8::from(done).to_string()))])]
    }

    /// Reads or writes rows: in a warehouse that the role may use and that its monitor lets run.
    fn rows_of(&self, role: &str, table: &str) -> Result<()> {
        let name = Name::of(["ADMIN", "OBSERVABILITY", table]);
        self.enters(role, &name)?;
        self.owns(role, "TABLE", &name)?;
        self.runs_in(role, &[&Name::of(["LOADING"])])
    }

    fn runs_in(&self, role: &str, warehouses: &[&Name]) -> Result<()> {
        let classified = |code, text: &str| Err(crate::error::classify(422, Some(code), None, text));
        let usable = |name: &&&Name| self.owns(role, "WAREHOUSE", name).is_ok();
        let Some(warehouse) = warehouses.iter().find(usable) else {
            return classified("000606", "No active warehouse selected in the current session.");
        };
        let world = self.world.borrow();
        let monitor = world.objects[&("WAREHOUSE".to_owned(), (**warehouse).clone())].get("RESOURCE_MONITOR").cloned();
        let (Some(monitor), Some((used, credits))) = (monitor, self.used.borrow().clone()) else { return Ok(()) };
        let quota = &world.objects[&("RESOURCE MONITOR".to_owned(), used.clone())]["CREDIT_QUOTA"];
        if used.to_string() == monitor && quota.parse::<i64>().expect("a quota") <= credits {
            return classified(
                "090073",
                "Warehouse cannot be resumed because resource monitor has exceeded its quota.",
            );
        }
        Ok(())
    }

    /// Whether a role has anything on what an object lies in; without it the object is not there for it.
    pub(crate) fn enters(&self, role: &str, name: &Name) -> Result<()> {
        for depth in 1..name.depth() {
            let (word, container) = (if depth == 1 { "DATABASE" } else { "SCHEMA" }, name.up_to(depth));
            if self.owns(role, word, &container).is_ok() {
                continue;
            }
            let roles = self.reach(&Name::of([role]));
            let world = self.world.borrow();
            let is_granted = |grant: &Grant| grant.on == word && grant.name == container;
            let is_held = world.grants.keys().any(|grant| is_granted(grant) && roles.contains(&grant.grantee));
            drop(world);
            if !is_held {
                return missing(word, &container);
            }
        }
        Ok(())
    }

    pub(crate) fn has(&self, word: &str, name: &Name) -> Result<()> {
        match self.world.borrow().objects.contains_key(&(word.to_owned(), name.clone())) {
            true => Ok(()),
            false => missing(word, name),
        }
    }

    /// Whether a role may change an object: it has the owner among its roles.
    fn owns(&self, role: &str, word: &str, name: &Name) -> Result<()> {
        let world = self.world.borrow();
        let Some(found) = world.objects.get(&(word.to_owned(), name.clone())) else { return missing(word, name) };
        let owner = Name::parse(&found["owner"]).unwrap_or_default();
        drop(world);
        match owner.last() == role || self.reach(&Name::of([role])).contains(&owner) {
            true => Ok(()),
            false => refused(ErrorKind::Auth, format!("Insufficient privileges to operate on {word} '{name}'.")),
        }
    }

    fn comment(&self, role: &str, mut words: Words, statement: &str) -> Result<Vec<Row>> {
        assert!(words.eat("ON TABLE"), "{statement}");
        let name = words.name();
        self.owns(role, "TABLE", &name)?;
        let (_, text) = statement.split_once(" IS ").expect("a text");
        self.property("TABLE", &name, "COMMENT", &unquoted(text));
        Ok(status("Statement executed successfully."))
    }

    fn drop(&self, role: &str, mut words: Words) -> Result<Vec<Row>> {
        let word = words.kind();
        let unless = words.eat("IF EXISTS");
        let name = words.name();
        if self.has(&word, &name).is_err() && unless {
            return Ok(status(&format!("Drop statement executed successfully ({name} already dropped).")));
        }
        self.owns(role, &word, &name)?;
        let text = name.to_string();
        let uses = |properties: &Properties, keys: &[&str]| {
            properties.iter().any(|(key, value)| keys.contains(&key.as_str()) && value.contains(&text))
        };
        let keys: &[&str] = match word.as_str() {
            "NETWORK RULE" => &["ALLOWED_NETWORK_RULE_LIST", "BLOCKED_NETWORK_RULE_LIST"],
            "NETWORK POLICY" => &["NETWORK_POLICY"],
            "AUTHENTICATION POLICY" => &["AUTHENTICATION POLICY"],
            _ => &[],
        };
        let mut world = self.world.borrow_mut();
        if world.objects.values().any(|properties| uses(properties, keys)) {
            return refused(ErrorKind::Internal, format!("Cannot perform Drop operation on {word} {name}."));
        }
        let holds = matches!(word.as_str(), "DATABASE" | "SCHEMA");
        world.objects.retain(|(_, held), _| !(holds && held.is_within(&name) && held.depth() > name.depth()));
        let is_role = word.ends_with("ROLE");
        let on = if word == "STORAGE INTEGRATION" { "INTEGRATION".to_owned() } else { word.clone() };
        let goes = |grant: &Grant| {
            grant.on == on && grant.name == name || is_role && grant.to == word && grant.grantee == name
        };
        world.grants.retain(|grant, _| !goes(grant));
        world.future.retain(|grant, _| !goes(grant));
        world.objects.remove(&(word, name.clone()));
        Ok(status(&format!("{name} successfully dropped.")))
    }

    fn resume(&self, statement: &str) -> Result<Vec<Row>> {
        let name = Name::parse(statement.split('\'').nth(1).unwrap_or_default()).expect("a pipe");
        assert!(statement.contains("'ownership_transfer_check_override'"), "{statement}");
        self.has("PIPE", &name)?;
        self.property("PIPE", &name, "PAUSED", "FALSE");
        self.property("PIPE", &name, "PIPE_EXECUTION_PAUSED", "FALSE");
        Ok(status("Statement executed successfully."))
    }
}

impl Account for Model {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        assert!(tag.starts_with("sluice:account:"), "{tag}");
        self.asked.borrow_mut().push(statement.to_owned());
        self.once_lost(|| self.execute(role, statement))
    }

    async fn ask(&self, warehouses: &[&Name], role: &str, statement: &str, _: &str) -> Result<Vec<Row>> {
        self.asked.borrow_mut().push(statement.to_owned());
        self.once_lost(|| {
            self.runs_in(role, warehouses)?;
            answers::answer(self, statement)
        })
    }
}
