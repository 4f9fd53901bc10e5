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

mod answers;
mod grants;
mod words;

use words::{Words, unquoted};

type Properties = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    pub privilege: String,
    /// `WAREHOUSE`, `ROLE`, `ACCOUNT`.
    pub on: String,
    pub name: Name,
    /// `ROLE`, `DATABASE ROLE`, `USER`.
    pub to: String,
    pub grantee: Name,
}

/// Everything but what is counted and what fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    pub objects: BTreeMap<(String, Name), Properties>,
    pub grants: BTreeMap<Grant, bool>,
    /// Grants on what will be made: the word of the type is in `on`, the container in `name`.
    pub future: BTreeMap<Grant, bool>,
}

#[derive(Default)]
pub struct Model {
    pub world: RefCell<World>,
    pub standard: bool,
    pub asked: RefCell<Vec<String>>,
    /// Statements that change something; the one of this number fails, before or after it has taken effect.
    pub changes: RefCell<usize>,
    pub fails_at: RefCell<Option<(usize, bool)>>,
    pub notes: RefCell<Vec<String>>,
    pub lease: RefCell<String>,
}

pub fn refused<T>(kind: ErrorKind, text: impl Into<String>) -> Result<T> {
    Err(Error::new(kind, text.into()))
}

pub fn missing<T>(what: &str, name: &Name) -> Result<T> {
    refused(ErrorKind::NotFound, format!("{what} '{name}' does not exist or not authorized."))
}

fn status(text: &str) -> Vec<Row> {
    vec![Row::from([("status".to_owned(), Some(text.to_owned()))])]
}

impl Model {
    pub fn enterprise() -> Self {
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

    pub fn standard() -> Self {
        Model { standard: true, ..Model::enterprise() }
    }

    /// The state without what differs from run to run.
    pub fn snapshot(&self) -> World {
        self.world.borrow().clone()
    }

    pub fn property(&self, word: &str, name: &Name, property: &str, value: &str) {
        let mut world = self.world.borrow_mut();
        let found = world.objects.get_mut(&(word.to_owned(), name.clone())).expect("an object");
        found.insert(property.to_owned(), value.to_owned());
    }

    /// Every role that a role has, itself included.
    pub fn reach(&self, role: &Name) -> BTreeSet<Name> {
        let world = self.world.borrow();
        let mut found = BTreeSet::from([role.clone()]);
        let mut open = vec![role.clone()];
        while let Some(at) = open.pop() {
            for grant in world
                .grants
                .keys()
                .filter(|grant| grant.on.ends_with("ROLE") && grant.grantee == at && grant.to != "USER")
            {
                if found.insert(grant.name.clone()) {
                    open.push(grant.name.clone());
                }
            }
        }
        found
    }

    fn execute(&self, role: &str, statement: &str) -> Result<Vec<Row>> {
        let mut words = Words::of(statement);
        let verb = words.word();
        if matches!(verb.as_str(), "SHOW" | "DESC" | "SELECT") && !statement.contains("PIPE_FORCE_RESUME") {
            return answers::answer(self, statement);
        }
        if verb == "INSERT" {
            self.has("TABLE", &Name::of(["ADMIN", "OBSERVABILITY", "ACCOUNT_CHANGES"]))?;
            self.notes.borrow_mut().push(statement.to_owned());
            return Ok(status("1"));
        }
        if verb == "UPDATE" {
            self.has("TABLE", &Name::of(["ADMIN", "OBSERVABILITY", "ACCOUNT_LEASE"]))?;
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
            "GRANT" | "REVOKE" => grants::change(self, role, statement),
            "SELECT" => self.resume(statement),
            other => panic!("no such statement: {other}"),
        }?;
        if fails.is_some() {
            return refused(ErrorKind::Unavailable, "the answer was lost");
        }
        Ok(answer)
    }

    fn leased(&self, statement: &str) -> Vec<Row> {
        let mut lease = self.lease.borrow_mut();
        let run = statement.split('\'').nth(1).unwrap_or_default().to_owned();
        let taken = match statement.contains("SET HOLDER") {
            true => lease.is_empty() || *lease == statement.split('\'').nth(1).unwrap_or_default(),
            false => true,
        };
        if taken {
            *lease = if statement.contains("SET HOLDER") { run } else { String::new() };
        }
        vec![Row::from([("number of rows updated".to_owned(), Some(u8::from(taken).to_string()))])]
    }

    pub fn has(&self, word: &str, name: &Name) -> Result<()> {
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
        match self.reach(&Name::of([role])).contains(&owner) {
            true => Ok(()),
            false => refused(ErrorKind::Auth, format!("Insufficient privileges to operate on {word} '{name}'.")),
        }
    }

    fn create(&self, role: &str, mut words: Words, statement: &str) -> Result<Vec<Row>> {
        let replace = words.eat("OR REPLACE");
        let transient = words.eat("TRANSIENT");
        let word = words.kind();
        let unless = words.eat("IF NOT EXISTS");
        assert!(!(replace && unless), "OR REPLACE and IF NOT EXISTS exclude each other");
        assert!(!(unless && word == "NETWORK RULE"), "a network rule knows no IF NOT EXISTS");
        let name = words.name();
        let makers: &[&str] = match word.as_str() {
            "ROLE" | "USER" => &["USERADMIN"],
            "RESOURCE MONITOR" | "STORAGE INTEGRATION" => &["ACCOUNTADMIN"],
            "NETWORK POLICY" => &["SECURITYADMIN"],
            _ => &["SYSADMIN"],
        };
        if !makers.contains(&role) {
            return refused(ErrorKind::Auth, format!("{role} may not create a {word}"));
        }
        for depth in 1..name.depth() {
            self.has(if depth == 1 { "DATABASE" } else { "SCHEMA" }, &name.up_to(depth))?;
        }
        let key = (word.clone(), name.clone());
        if self.world.borrow().objects.contains_key(&key) && !replace {
            return match unless {
                true => Ok(status(&format!("{name} already exists, statement succeeded."))),
                false => refused(ErrorKind::Conflict, format!("Object '{name}' already exists.")),
            };
        }
        let mut made = Properties::from([("owner".to_owned(), role.to_owned())]);
        match word.as_str() {
            "TABLE" => {
                made.insert("COLUMNS".into(), statement.to_owned());
            }
            "PIPE" => {
                let (head, copy) = statement.split_once(" AS ").expect("a copy");
                if let Some((_, comment)) = head.split_once("COMMENT = ") {
                    made.insert("COMMENT".into(), unquoted(comment));
                }
                // Snowflake gives a definition back as it was given.
                made.insert("DEFINITION".into(), format!("{copy};\r\n"));
                made.insert("PAUSED".into(), "FALSE".into());
                self.world.borrow_mut().grants.retain(|grant, _| !(grant.on == "PIPE" && grant.name == name));
            }
            "MASKING POLICY" => {
                let (head, body) = statement.split_once(" -> ").expect("a body");
                let (body, comment) = body.split_once(" COMMENT = ").unwrap_or((body, ""));
                made.insert("BODY".into(), body.to_owned());
                made.insert("COMMENT".into(), unquoted(comment));
                made.insert("RETURN_TYPE".into(), head.rsplit(' ').next().unwrap_or_default().to_owned());
            }
            _ => self.properties(&word, &name, &mut words, &mut made)?,
        }
        if transient {
            made.insert("TRANSIENT".into(), "TRUE".into());
        }
        if self.standard && word == "MASKING POLICY" {
            return refused(ErrorKind::Internal, "Unsupported feature 'MASKING POLICY'.");
        }
        self.checked(&word, &made, role)?;
        self.world.borrow_mut().objects.insert(key, made);
        if word == "DATABASE" {
            let public = Properties::from([("owner".to_owned(), role.to_owned())]);
            self.world.borrow_mut().objects.insert(("SCHEMA".into(), name.with("PUBLIC")), public);
            grants::created(self, "SCHEMA", &name.with("PUBLIC"));
        }
        if word == "DATABASE ROLE" {
            grants::implied(self, &name);
        }
        grants::created(self, &word, &name);
        Ok(status(&format!("{word} {name} successfully created.")))
    }

    /// `KEY = value …` up to the end.
    fn properties(&self, word: &str, name: &Name, words: &mut Words, into: &mut Properties) -> Result<()> {
        while !words.is_done() {
            if words.eat("WITH MANAGED ACCESS") {
                into.insert("MANAGED".into(), "TRUE".into());
            } else if words.eat("TRIGGERS") {
                into.retain(|key, _| !key.starts_with("TRIGGER "));
                while words.eat("ON") {
                    let at = words.word();
                    assert!(words.eat("PERCENT DO"), "a trigger of {name}");
                    let action = words.word();
                    into.entry(format!("TRIGGER {action}"))
                        .and_modify(|list| *list += &format!(",{at}%"))
                        .or_insert(format!("{at}%"));
                }
            } else if words.eat("ALLOWED_VALUES") {
                into.insert("ALLOWED_VALUES".into(), words.literals().join(","));
            } else if !words.eat("WITH") {
                let key = words.word();
                assert!(words.eat("="), "{word} {name}: {key} has no value");
                let value = words.value();
                into.insert(key, value);
            }
        }
        Ok(())
    }

    /// What must be true of an object.
    fn checked(&self, word: &str, made: &Properties, role: &str) -> Result<()> {
        let of = |key: &str| made.get(key).cloned().unwrap_or_default();
        match word {
            "WAREHOUSE" if self.standard => {
                for key in ["MIN_CLUSTER_COUNT", "MAX_CLUSTER_COUNT", "SCALING_POLICY", "ENABLE_QUERY_ACCELERATION"] {
                    if made.contains_key(key) {
                        return refused(ErrorKind::Internal, format!("Unsupported feature '{key}'."));
                    }
                }
            }
            "DATABASE" if self.standard && of("DATA_RETENTION_TIME_IN_DAYS").parse::<u8>().unwrap_or(1) > 1 => {
                return refused(ErrorKind::Internal, "Unsupported feature 'retention'.");
            }
            "RESOURCE MONITOR" if of("CREDIT_QUOTA").is_empty() => return refused(ErrorKind::Internal, "no quota"),
            "RESOURCE MONITOR" if of("FREQUENCY").is_empty() != of("START_TIMESTAMP").is_empty() => {
                return refused(ErrorKind::Internal, "FREQUENCY and START_TIMESTAMP go together");
            }
            "RESOURCE MONITOR" => {
                for user in of("NOTIFY_USERS").trim_matches(['(', ')']).split(", ").filter(|user| !user.is_empty()) {
                    self.has("USER", &Name::parse(user).expect("a name"))?;
                }
            }
            "STAGE" => {
                let integration = Name::of([of("STORAGE_INTEGRATION")]);
                self.has("STORAGE INTEGRATION", &integration)?;
                let roles = self.reach(&Name::of([role]));
                let held = self.world.borrow().grants.keys().any(|grant| {
                    grant.on == "INTEGRATION" && grant.name == integration && roles.contains(&grant.grantee)
                });
                if !held {
                    return refused(ErrorKind::Auth, "Insufficient privileges to operate on integration.");
                }
            }
            "NETWORK POLICY" => {
                for rule in crate::account::normal::list(of("ALLOWED_NETWORK_RULE_LIST").trim_matches(['(', ')'])) {
                    self.has("NETWORK RULE", &Name::parse(&rule).expect("a name"))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alter(&self, role: &str, mut words: Words, statement: &str) -> Result<Vec<Row>> {
        let word = words.kind();
        let name = if word == "ACCOUNT" { Name::default() } else { words.name() };
        if word == "ACCOUNT" {
            if role != "ACCOUNTADMIN" {
                return refused(ErrorKind::Auth, "only ACCOUNTADMIN alters the account");
            }
            self.world.borrow_mut().objects.entry((word.clone(), name.clone())).or_default();
        } else if statement.contains(" NETWORK_POLICY = ") || statement.contains("UNSET NETWORK_POLICY") {
            assert_eq!(role, "SECURITYADMIN", "{statement}");
            self.has(&word, &name)?;
        } else if statement.contains("AUTHENTICATION POLICY ") && word == "USER"
            || statement.contains("RESOURCE_MONITOR") && word == "WAREHOUSE"
            || statement.contains("MASKING POLICY") && word == "TABLE"
        {
            assert_eq!(role, "ACCOUNTADMIN", "{statement}");
            self.has(&word, &name)?;
        } else {
            self.owns(role, &word, &name)?;
        }
        let key = (word.clone(), name.clone());
        let mut made = self.world.borrow().objects[&key].clone();
        if words.eat("ENABLE MANAGED ACCESS") {
            made.insert("MANAGED".into(), "TRUE".into());
        } else if words.eat("DISABLE MANAGED ACCESS") {
            made.remove("MANAGED");
        } else if words.eat("ADD COLUMN IF NOT EXISTS") || words.eat("ALTER COLUMN") || words.eat("MODIFY COLUMN") {
            self.column(&mut made, statement, &mut words)?;
        } else if words.eat("ADD ALLOWED_VALUES") {
            let more = words.literals().join(",");
            made.entry("ALLOWED_VALUES".into()).and_modify(|list| *list += &format!(",{more}")).or_insert(more);
        } else if words.eat("DROP ALLOWED_VALUES") {
            let less = words.literals();
            let list = made.remove("ALLOWED_VALUES").unwrap_or_default();
            let kept: Vec<&str> = list.split(',').filter(|value| !less.iter().any(|l| l == value)).collect();
            made.insert("ALLOWED_VALUES".into(), kept.join(","));
        } else if words.eat("SET BODY ->") {
            made.insert("BODY".into(), statement.split_once(" -> ").expect("a body").1.to_owned());
        } else if words.eat("SET AUTHENTICATION POLICY") {
            let policy = words.name();
            self.has("AUTHENTICATION POLICY", &policy)?;
            let forced = words.eat("FORCE");
            let before = made.insert("AUTHENTICATION POLICY".into(), policy.to_string());
            assert!(before.is_none() || forced, "another policy is attached: {statement}");
        } else if words.eat("UNSET AUTHENTICATION POLICY") {
            made.remove("AUTHENTICATION POLICY");
        } else if words.eat("SET TAG") {
            while !words.is_done() {
                let tag = words.name();
                self.has("TAG", &tag)?;
                assert!(words.eat("="), "{statement}");
                made.insert(format!("TAG {tag}"), words.value());
                words.eat(",");
            }
        } else if words.eat("UNSET TAG") {
            while !words.is_done() {
                made.remove(&format!("TAG {}", words.name()));
                words.eat(",");
            }
        } else if words.eat("SET") {
            let mut set = Properties::new();
            self.properties(&word, &name, &mut words, &mut set)?;
            self.fits(&word, &set, statement)?;
            if set.keys().any(|key| key.starts_with("TRIGGER ")) {
                made.retain(|key, _| !key.starts_with("TRIGGER "));
            }
            made.extend(set);
            self.checked(&word, &made, role)?;
        } else if words.eat("UNSET") {
            loop {
                made.remove(&words.word());
                if !words.eat(",") {
                    break;
                }
            }
            assert!(words.is_done(), "{statement}");
        } else {
            panic!("no such change: {statement}");
        }
        self.world.borrow_mut().objects.insert(key, made);
        Ok(status("Statement executed successfully."))
    }

    /// What one ALTER … SET may and must hold.
    fn fits(&self, word: &str, set: &Properties, statement: &str) -> Result<()> {
        let has = |key: &str| set.contains_key(key);
        match word {
            "STAGE" if has("URL") != has("STORAGE_INTEGRATION") => {
                return refused(ErrorKind::Internal, format!("URL and integration go together: {statement}"));
            }
            "RESOURCE MONITOR" if set.keys().all(|key| key.starts_with("TRIGGER ")) => {
                return refused(ErrorKind::Internal, "triggers alone are refused");
            }
            "RESOURCE MONITOR" if has("FREQUENCY") != has("START_TIMESTAMP") => {
                return refused(ErrorKind::Internal, "FREQUENCY and START_TIMESTAMP go together");
            }
            "NETWORK RULE" | "FILE FORMAT" | "USER" if word != "USER" && has("TYPE") => {
                return refused(ErrorKind::Internal, "TYPE cannot be changed");
            }
            _ => {}
        }
        if let Some(policy) = set.get("NETWORK_POLICY") {
            self.has("NETWORK POLICY", &Name::parse(policy).expect("a name"))?;
        }
        if let Some(monitor) = set.get("RESOURCE_MONITOR") {
            self.has("RESOURCE MONITOR", &Name::parse(monitor).expect("a name"))?;
        }
        Ok(())
    }

    fn column(&self, made: &mut Properties, statement: &str, words: &mut Words) -> Result<()> {
        let column = words.identifier();
        if words.eat("SET MASKING POLICY") {
            let policy = words.name();
            self.has("MASKING POLICY", &policy)?;
            made.insert(format!("MASK {column}"), policy.to_string());
        } else if words.eat("UNSET MASKING POLICY") {
            made.remove(&format!("MASK {column}"));
        } else {
            let more = made.entry("MORE".into()).or_default();
            more.push_str(&format!("{statement}\n"));
        }
        Ok(())
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
        self.execute(role, statement)
    }
}
