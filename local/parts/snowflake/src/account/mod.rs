//! The account: its objects, who owns them and who was granted what. In memory, and in the DuckDB file after each change.

mod access;
mod assign;
mod define;
mod describe;
mod drop;
mod grant;
mod kinds;
mod login;
mod property;
mod references;
mod rules;
mod run;
mod show;
mod show_grants;

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use duckdb::Connection;
use serde::{Deserialize, Serialize};

pub(crate) use access::Access;
use access::Run;
pub use describe::IAM_USER;
pub(crate) use kinds::Kind;
pub(crate) use property::{Setting, Settings};
pub(crate) use references::references;
pub(crate) use run::run;

use crate::{
    Config, Edition,
    catalogue::{self, Entry},
    failure::Failure,
    names::{Name, shown},
    request::Request,
    usage,
};

/// The name of an object, its database and schema before it.
pub(crate) type Path = Vec<String>;

/// Who may be granted something: a ROLE, a DATABASE ROLE or a USER.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Grantee {
    pub(crate) kind: String,
    pub(crate) path: Path,
}

impl Grantee {
    pub(crate) fn role(name: &str) -> Self {
        Grantee { kind: "ROLE".to_owned(), path: vec![name.to_owned()] }
    }

    pub(crate) fn user(name: &str) -> Self {
        Grantee { kind: "USER".to_owned(), path: vec![name.to_owned()] }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) kind: String,
    pub(crate) path: Path,
    /// Nobody owns what Snowflake itself has made.
    pub(crate) owner: Option<Grantee>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    /// Properties that were set. Besides them: `TAG <name>`, `<KIND> POLICY`, and for a column `MASKING POLICY <column>`.
    pub(crate) settings: Settings,
}

impl Object {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.settings.get(name) {
            Some(Setting::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[String] {
        match self.settings.get(name) {
            Some(Setting::List(values)) => values,
            _ => &[],
        }
    }

    pub(crate) fn is(&self, flag: &str) -> bool {
        self.text(flag) == Some("true")
    }

    pub(crate) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

/// A privilege on an object; of a future grant, on the objects of a kind that a database or schema will have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) future: bool,
    pub(crate) on: String,
    pub(crate) path: Path,
    pub(crate) privilege: String,
    pub(crate) to: Grantee,
}

impl Grant {
    /// The role that it gives, if it is one.
    fn role(&self) -> Option<Grantee> {
        let is_role = !self.future && self.privilege == "USAGE" && (self.on == "ROLE" || self.on == "DATABASE ROLE");
        is_role.then(|| Grantee { kind: self.on.clone(), path: self.path.clone() })
    }
}

/// How it was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) option: bool,
    pub(crate) by: Option<Grantee>,
    pub(crate) created_ms: i64,
}

#[derive(Default)]
pub(crate) struct Account {
    name: String,
    edition: Edition,
    checks_privileges: bool,
    /// Credits that resource monitors are said to have seen used.
    used: BTreeMap<String, f64>,
    objects: BTreeMap<(String, Path), Object>,
    grants: BTreeMap<Grant, Given>,
    /// The roles that somebody was granted, one step down.
    granted: BTreeMap<Grantee, BTreeSet<Grantee>>,
    /// What the file does not have yet: an entry's name and text, or that it is gone.
    unsaved: Vec<(Entry, String, Option<String>)>,
}

/// What the account's own roles may do from the beginning.
const SYSTEM_ROLES: [(&str, &str, &[&str]); 5] = [
    ("ACCOUNTADMIN", "", &[]),
    ("SECURITYADMIN", "ACCOUNTADMIN", &["MANAGE GRANTS", "CREATE NETWORK POLICY", "ATTACH POLICY"]),
    ("USERADMIN", "SECURITYADMIN", &["CREATE ROLE", "CREATE USER"]),
    ("SYSADMIN", "ACCOUNTADMIN", &["CREATE DATABASE", "CREATE WAREHOUSE"]),
    ("PUBLIC", "", &[]),
];

impl Account {
    /// The account of the file; of an older file, with what it kept of one. Made if there is none.
    pub(crate) fn open(conn: &Connection, config: &Config) -> anyhow::Result<Self> {
        let mut account = Account {
            name: config.account.to_uppercase(),
            edition: config.edition,
            checks_privileges: config.checks_privileges,
            ..Account::default()
        };
        for (_, text) in catalogue::all(conn, Entry::Object)? {
            let object: Object = serde_json::from_str(&text)?;
            account.objects.insert((object.kind.clone(), object.path.clone()), object);
        }
        for (_, text) in catalogue::all(conn, Entry::Grant)? {
            let (grant, given) = serde_json::from_str(&text)?;
            account.set(grant, given);
        }
        account.unsaved.clear();
        account.begin(config);
        for (kind, name, text) in catalogue::take_old(conn)? {
            account.take_over(&kind, &name, &text);
        }
        account.adopt(conn).map_err(|failure| anyhow::anyhow!(failure.message))?;
        Ok(account)
    }

    pub(crate) fn is_standard(&self) -> bool {
        self.edition == Edition::Standard
    }

    pub(crate) fn checks_privileges(&self) -> bool {
        self.checks_privileges
    }

    /// Plays another edition, checks privileges, or has credits used, from now on.
    pub(crate) fn play(&mut self, edition: Edition, checks_privileges: bool, used: BTreeMap<String, f64>) {
        (self.edition, self.checks_privileges, self.used) = (edition, checks_privileges, used);
    }

    /// What every account has, and the users who are known from the beginning.
    fn begin(&mut self, config: &Config) {
        if self.object(Kind::of("ACCOUNT"), &[]).is_none() {
            self.put(new("ACCOUNT", Vec::new(), Settings::new(), None));
            for (role, parent, privileges) in SYSTEM_ROLES {
                self.put(new("ROLE", vec![role.to_owned()], Settings::new(), None));
                for privilege in privileges {
                    self.give("ACCOUNT", &[], privilege, Grantee::role(role), None);
                }
                if !parent.is_empty() {
                    self.give("ROLE", &[role.to_owned()], "USAGE", Grantee::role(parent), None);
                }
            }
            for privilege in &Kind::of("ACCOUNT").privileges {
                self.give("ACCOUNT", &[], privilege, Grantee::role("ACCOUNTADMIN"), None);
            }
            let origin =
                [("KIND", "APPLICATION")].map(|(name, text)| (name.to_owned(), Setting::Text(text.to_owned())));
            self.put(new("DATABASE", vec!["SNOWFLAKE".to_owned()], Settings::from(origin), None));
        }
        let reader = vec![usage::DATABASE.to_owned(), usage::READER.to_owned()];
        if self.object(Kind::of("DATABASE ROLE"), &reader).is_none() {
            self.put(new("DATABASE ROLE", reader, Settings::new(), None));
        }
        for user in &config.users {
            let path = vec![user.name.to_uppercase()];
            if self.object(Kind::of("USER"), &path).is_some() {
                continue;
            }
            let mut settings = vec![("TYPE", "SERVICE"), ("RSA_PUBLIC_KEY", user.public_key.as_str())];
            settings.extend(user.default_role.as_deref().map(|role| ("DEFAULT_ROLE", role)));
            let settings = settings.iter().map(|(name, text)| ((*name).to_owned(), Setting::Text((*text).to_owned())));
            let owner = Some(Grantee::role("USERADMIN"));
            self.put(new("USER", path.clone(), settings.collect(), owner.clone()));
            for role in user.roles.iter().map(|role| vec![role.to_uppercase()]) {
                if self.object(Kind::of("ROLE"), &role).is_none() {
                    self.put(new("ROLE", role.clone(), Settings::new(), owner.clone()));
                }
                self.give("ROLE", &role, "USAGE", Grantee::user(&path[0]), owner.clone());
            }
        }
    }

    /// An entry of an older version of the stand-in, which kept of each object what a load needs.
    fn take_over(&mut self, kind: &str, name: &str, definition: &str) {
        let kind = Kind::of(&kind.to_uppercase());
        let path: Path = name.splitn(kind.parts, '.').map(str::to_owned).collect();
        let text = |name: &str, text: &str| (name.to_owned(), Setting::Text(text.to_owned()));
        let settings = match kind.words {
            "STAGE" => vec![text("URL", definition)],
            "PIPE" => vec![text("DEFINITION", definition.find("COPY INTO").map_or("", |at| &definition[at..]))],
            "FILE FORMAT" => {
                let nulls = serde_json::from_str(definition).unwrap_or_else(|_| vec![r"\N".to_owned()]);
                let flags =
                    [("USE_LOGICAL_TYPE", "true"), ("BINARY_AS_TEXT", "false"), ("USE_VECTORIZED_SCANNER", "true")];
                let mut settings = flags.map(|(name, flag)| text(name, flag)).to_vec();
                settings.extend([text("TYPE", "PARQUET"), ("NULL_IF".to_owned(), Setting::List(nulls))]);
                settings
            }
            _ => Vec::new(),
        };
        self.put(new(kind.words, path, settings.into_iter().collect(), Some(Grantee::role("SYSADMIN"))));
    }

    /// Takes in the schemas, tables and views that another process (dbt) has made in the file, forgets those that it has
    /// dropped, and saves.
    pub(crate) fn adopt(&mut self, conn: &Connection) -> Result<(), Failure> {
        let mut found = BTreeSet::new();
        let founder = Some(Grantee::role("SYSADMIN"));
        let shared = format!("{}__", usage::DATABASE);
        for (kind, schema, table) in catalogue::listed(conn)?.into_iter().filter(|(_, it, _)| !it.starts_with(&shared))
        {
            let names = self.of("DATABASE").map(Object::name);
            let known = names.filter(|name| schema.starts_with(&format!("{name}__"))).max_by_key(|name| name.len());
            let Some(database) = known.or(schema.split_once("__").map(|(name, _)| name)).map(str::to_owned) else {
                continue;
            };
            let mut path = vec![database.clone()];
            let owner_of = |account: &Account, kind, path: &[String]| {
                account.object(Kind::of(kind), path).map_or(founder.clone(), |object| object.owner.clone())
            };
            if self.object(Kind::of("DATABASE"), &path).is_none() {
                self.create(Kind::of("DATABASE"), path.clone(), Settings::new(), founder.clone());
            }
            let mut owner = owner_of(self, "DATABASE", &path);
            path.push(schema[database.len() + 2..].to_owned());
            if kind != "SCHEMA" {
                owner = owner_of(self, "SCHEMA", &path);
                path.push(table);
                // dbt does not quote what it names: a name that no statement has made is in capitals, whatever the file says.
                if self.object(Kind::of(&kind), &path).is_none() {
                    path[2] = path[2].to_uppercase();
                }
            }
            if self.object(Kind::of(&kind), &path).is_none() {
                self.create(Kind::of(&kind), path.clone(), Settings::new(), owner);
            }
            found.insert((kind, path));
        }
        let is_lost = |key: &&(String, Path)| ["TABLE", "VIEW"].contains(&key.0.as_str()) && !found.contains(*key);
        for (kind, path) in self.objects.keys().filter(is_lost).cloned().collect::<Vec<_>>() {
            self.remove(Kind::of(&kind), &path);
        }
        self.save(conn)
    }

    /// Makes an object and gives what future grants say of it.
    pub(crate) fn create(&mut self, kind: &Kind, path: Path, settings: Settings, owner: Option<Grantee>) {
        if kind.words == "DATABASE" {
            let schema = |name: &str| vec![path[0].clone(), name.to_owned()];
            self.put(new("SCHEMA", schema("INFORMATION_SCHEMA"), Settings::new(), None));
        }
        self.put(new(kind.words, path.clone(), settings, owner.clone()));
        for (grant, given) in self.future_grants_for(kind, &path) {
            let external = self.object(kind, &path).is_some_and(|object| object.text("URL").is_some());
            match grant.privilege.as_str() {
                "OWNERSHIP" => {
                    if let Some(object) = self.objects.get(&(kind.words.to_owned(), path.clone())) {
                        self.put(Object { owner: Some(grant.to), ..object.clone() });
                    }
                }
                "READ" | "WRITE" if kind.words == "STAGE" && external => {}
                "USAGE" if kind.words == "STAGE" && !external => {}
                privilege => {
                    let given = Given { by: owner.clone(), created_ms: Utc::now().timestamp_millis(), ..given };
                    let (on, privilege) = (kind.words.to_owned(), privilege.to_owned());
                    self.set(Grant { future: false, on, path: path.clone(), privilege, to: grant.to }, given);
                }
            }
        }
    }

    /// One future grant of a kind at the level of the schema switches off all those at the level of the database.
    fn future_grants_for(&self, kind: &Kind, path: &[String]) -> Vec<(Grant, Given)> {
        let at = |container: &[String]| -> Vec<(Grant, Given)> {
            let of = |grant: &Grant| grant.future && grant.on == kind.words && grant.path == container;
            let grants = self.grants.iter().filter(|(grant, _)| of(grant));
            grants.map(|(grant, given)| (grant.clone(), given.clone())).collect()
        };
        if path.len() < 2 {
            return Vec::new();
        }
        let (of_schema, mut of_database) = (if path.len() > 2 { at(&path[..2]) } else { Vec::new() }, at(&path[..1]));
        if self.is_managed(path) {
            of_database.retain(|(grant, _)| grant.privilege != "OWNERSHIP");
        }
        if of_schema.is_empty() { of_database } else { of_schema }
    }

    /// Whether an object's schema has managed access.
    pub(crate) fn is_managed(&self, path: &[String]) -> bool {
        path.len() > 2 && self.object(Kind::of("SCHEMA"), &path[..2]).is_some_and(|schema| schema.is("MANAGED ACCESS"))
    }

    pub(crate) fn object(&self, kind: &Kind, path: &[String]) -> Option<&Object> {
        self.objects.get(&(kind.words.to_owned(), path.to_vec()))
    }

    pub(crate) fn existing(&self, kind: &Kind, path: &[String]) -> Result<&Object, Failure> {
        self.object(kind, path).ok_or_else(|| Failure::missing(&kind.spoken(), shown(path)))
    }

    pub(crate) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects.values().filter(move |object| object.kind == kind)
    }

    /// The grants on an object, without the future ones in it.
    pub(crate) fn grants_on<'a>(&'a self, kind: &str, path: &[String]) -> impl Iterator<Item = (&'a Grant, &'a Given)> {
        let to = Grantee { kind: String::new(), path: Vec::new() };
        let (on, path) = (kind.to_owned(), path.to_vec());
        let first = Grant { future: false, on: on.clone(), path: path.clone(), privilege: String::new(), to };
        self.grants.range(first..).take_while(move |(grant, _)| grant.on == on && grant.path == path && !grant.future)
    }

    pub(crate) fn put(&mut self, object: Object) {
        let name = format!("{} {}", object.kind, shown(&object.path));
        self.unsaved.push((Entry::Object, name, serde_json::to_string(&object).ok()));
        self.objects.insert((object.kind.clone(), object.path.clone()), object);
    }

    /// Drops an object, what is in it, and what was granted on it, in it or to it.
    pub(crate) fn remove(&mut self, kind: &Kind, path: &[String]) {
        let holds = |other: &Kind, inner: &[String]| {
            (other.words == kind.words && inner == path)
                || (["DATABASE", "SCHEMA"].contains(&kind.words) && other.parts > kind.parts && inner.starts_with(path))
        };
        let gone = |(words, inner): &&(String, Path)| holds(Kind::of(words), inner);
        for key in self.objects.keys().filter(gone).cloned().collect::<Vec<_>>() {
            self.unsaved.push((Entry::Object, format!("{} {}", key.0, shown(&key.1)), None));
            self.objects.remove(&key);
        }
        let in_it = |grant: &Grant| {
            grant.future && ["DATABASE", "SCHEMA"].contains(&kind.words) && grant.path.starts_with(path)
        };
        let gone = |grant: &&Grant| {
            holds(Kind::of(&grant.on), &grant.path) && !grant.future
                || in_it(grant)
                || holds(Kind::of(&grant.to.kind), &grant.to.path)
        };
        for grant in self.grants.keys().filter(gone).cloned().collect::<Vec<_>>() {
            self.unset(&grant);
        }
    }

    fn give(&mut self, on: &str, path: &[String], privilege: &str, to: Grantee, by: Option<Grantee>) {
        let grant =
            Grant { future: false, on: on.to_owned(), path: path.to_vec(), privilege: privilege.to_owned(), to };
        self.set(grant, Given { option: false, by, created_ms: Utc::now().timestamp_millis() });
    }

    pub(crate) fn set(&mut self, grant: Grant, given: Given) {
        self.unsaved.push((Entry::Grant, key(&grant), serde_json::to_string(&(&grant, &given)).ok()));
        if let Some(role) = grant.role() {
            self.granted.entry(grant.to.clone()).or_default().insert(role);
        }
        self.grants.insert(grant, given);
    }

    pub(crate) fn unset(&mut self, grant: &Grant) {
        if self.grants.remove(grant).is_some() {
            if let (Some(role), Some(granted)) = (grant.role(), self.granted.get_mut(&grant.to)) {
                granted.remove(&role);
            }
            self.unsaved.push((Entry::Grant, key(grant), None));
        }
    }

    /// What a table has besides what DuckDB keeps of it: its comment, and types that DuckDB does not know.
    pub(crate) fn set_on_table(&mut self, path: &[String], settings: impl IntoIterator<Item = (String, String)>) {
        if let Some(table) = self.object(Kind::of("TABLE"), path) {
            let mut table = table.clone();
            table.settings.extend(settings.into_iter().map(|(name, text)| (name, Setting::Text(text))));
            self.put(table);
        }
    }

    /// Writes what has changed into the file, all of it or nothing.
    pub(crate) fn save(&mut self, conn: &Connection) -> Result<(), Failure> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        catalogue::transaction(conn, || {
            for (entry, name, text) in &self.unsaved {
                match text {
                    Some(text) => catalogue::put(conn, *entry, name, text)?,
                    None => catalogue::delete(conn, *entry, name)?,
                }
            }
            Ok::<(), Failure>(())
        })?;
        self.unsaved.clear();
        Ok(())
    }

    /// A loaded table or a view has come or gone by a statement that is not the account's.
    pub(crate) fn made(&mut self, request: &Request<'_>, kind: &str, name: &Name) -> Result<(), Failure> {
        let (kind, path) = (Kind::of(kind), name.path());
        if self.object(kind, &path).is_none() {
            self.create(kind, path, Settings::new(), Some(Grantee::role(&request.caller.role)));
        }
        self.save(request.conn)
    }
}

fn new(kind: &str, path: Path, settings: Settings, owner: Option<Grantee>) -> Object {
    let now = Utc::now().timestamp_millis();
    Object { kind: kind.to_owned(), path, owner, created_ms: now, updated_ms: now, settings }
}

fn key(grant: &Grant) -> String {
    let Grant { future, on, path, privilege, to } = grant;
    format!("{privilege} ON {on} {} TO {} {} {future}", shown(path), to.kind, shown(&to.path))
}
