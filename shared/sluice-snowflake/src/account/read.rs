//! Reading an account: few requests, several at once.
//!
//! Three rounds: what there is; what the objects that matter are like; and what their roles hold. SHOW and DESC need no
//! warehouse; what only a query tells is asked in a warehouse that is there, and stays unknown where none answers. An answer
//! of as many rows as Snowflake gives at most is refused where there is no further page: a plan made of half an account
//! would be wrong.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use sluice_core::{Error, Kind as ErrorKind, Result, port::Row};

use self::objects::Details;
use super::{
    kinds::{ACCOUNTADMIN, Kind, SECURITYADMIN, SYSADMIN, USERADMIN},
    name::Name,
    port::Account,
    render::{is_system, pipe_status},
    state::{Grantee, State, Target, role_word},
};
use crate::sql::quote;

mod grants;
mod objects;

/// Requests under way at once.
const AT_ONCE: usize = 10;

/// As many rows as SHOW answers at most.
const MOST_ROWS: usize = 10_000;

/// A question for rows that ends so has no warehouse that answers it: there is none, or its quota is used up.
const UNANSWERED: [ErrorKind; 4] = [ErrorKind::Config, ErrorKind::Auth, ErrorKind::NotFound, ErrorKind::RateLimited];

/// What of an account is read to its last field.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'s> {
    /// What these objects and grants need.
    Named(&'s State),
    Everything,
}

impl Scope<'_> {
    fn has(&self, kind: Kind, name: &Name) -> bool {
        match self {
            Scope::Named(state) => state.has(kind, name),
            Scope::Everything => true,
        }
    }

    fn is_named(&self) -> bool {
        matches!(self, Scope::Named(_))
    }

    /// Whether somebody is to have something on all tables or views there.
    fn lists(&self, schema: &Name) -> bool {
        let Scope::Named(state) = self else { return true };
        let has_table = state.names(Kind::Table).any(|table| table.is_within(schema));
        has_table
            || state.grants.keys().any(|grant| match &grant.target {
                Target::Current(word, container) => {
                    matches!(word.as_str(), "TABLE" | "VIEW" | "MATERIALIZED VIEW") && schema.is_within(container)
                }
                _ => false,
            })
    }

    fn has_tags(&self) -> bool {
        match self {
            Scope::Named(state) => state.names(Kind::Tag).next().is_some(),
            Scope::Everything => true,
        }
    }
}

/// One request.
struct Ask {
    about: About,
    statement: String,
    /// Whether further pages can be asked for by the last name.
    pages: bool,
    /// Whether it reads rows: then it needs a warehouse, and what it asks for stays unknown where there is none.
    rows: bool,
}

/// What an answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    Kind(Kind),
    Details(Kind, Name),
    Parameters(Kind, Name),
    Attached(Name),
    Running(Name),
    Tags(Kind, Name),
    DatabaseRoles(Name),
    Tables,
    Views,
    Future(Name),
    Grants(Grantee),
    Holders(Name),
}

impl Ask {
    fn of(about: About, statement: impl Into<String>) -> Self {
        Ask { about, statement: statement.into(), pages: false, rows: false }
    }

    fn of_rows(about: About, statement: String) -> Self {
        Ask { about, statement, pages: false, rows: true }
    }

    fn paged(mut self) -> Self {
        self.pages = true;
        self
    }
}

/// Everything of an account that a file can name, to explain or to import it.
pub async fn whole(account: &impl Account, enterprise: bool, tag: &str) -> Result<State> {
    Reader { account, tag, enterprise }.read(Scope::Everything).await
}

pub(crate) struct Reader<'a, A> {
    pub account: &'a A,
    pub tag: &'a str,
    pub enterprise: bool,
}

impl<A: Account> Reader<'_, A> {
    pub(crate) async fn read(&self, scope: Scope<'_>) -> Result<State> {
        let mut state = State::default();
        let mut rows: BTreeMap<(Kind, Name), Row> = BTreeMap::new();
        for (about, answer) in self.ask(self.first(), &[]).await? {
            if let (About::Kind(kind), Ok(answer)) = (about, answer) {
                rows.extend(answer.into_iter().filter_map(|row| Some(((kind, objects::name(kind, &row)?), row))));
            }
        }
        let mut found: BTreeMap<(Kind, Name), Details> = BTreeMap::new();
        for ((kind, name), row) in rows {
            found.insert((kind, name), Details { row, ..Details::default() });
        }
        found.insert((Kind::Account, Name::default()), Details::default());
        objects::drop_foreign(&mut found);
        let warehouses = found.keys().filter(|(kind, _)| *kind == Kind::Warehouse);
        let warehouses: Vec<Name> = warehouses.map(|(_, name)| name.clone()).collect();
        let warehouses: Vec<&Name> = warehouses.iter().collect();
        for round in [Reader::second, Reader::third] {
            for (about, answer) in self.ask(round(self, scope, &found), &warehouses).await? {
                match answer {
                    Ok(answer) => self.take(&mut state, &mut found, about, answer),
                    Err(error) => unread(&mut state, &mut found, &about, &error),
                }
            }
        }
        for ((kind, name), details) in found {
            let mut object = objects::object(kind, &details, self.enterprise, scope.has_tags());
            object.unknown.extend(&details.unread);
            // Tables that nobody has named are dbt's, or somebody's.
            if kind != Kind::Table || scope.has(kind, &name) {
                state.objects.insert((kind, name), object);
            }
        }
        Ok(state)
    }

    /// What there is.
    fn first(&self) -> Vec<Ask> {
        let kinds = Kind::ALL.into_iter().filter(|kind| self.enterprise || !kind.spec().enterprise);
        kinds
            .filter_map(|kind| {
                objects::show(kind).map(|(show, pages)| Ask { pages, ..Ask::of(About::Kind(kind), show) })
            })
            .collect()
    }

    /// What the named objects are like.
    fn second(&self, scope: Scope<'_>, found: &BTreeMap<(Kind, Name), Details>) -> Vec<Ask> {
        let mut asks = vec![Ask::of(About::Parameters(Kind::Account, Name::default()), "SHOW PARAMETERS IN ACCOUNT")];
        asks.extend([SYSADMIN, SECURITYADMIN].map(|role| grants_to(Grantee::role(&Name::of([role])))));
        if scope.is_named() {
            asks.push(grants_to(Grantee::role(&Name::of(["PUBLIC"]))));
            let of_system = [ACCOUNTADMIN, SYSADMIN, SECURITYADMIN, USERADMIN].map(|role| holders(&Name::of([role])));
            asks.extend(of_system);
        }
        for (kind, name) in found.keys().filter(|(kind, name)| scope.has(*kind, name)) {
            let details = About::Details(*kind, name.clone());
            let parameters = About::Parameters(*kind, name.clone());
            match kind {
                Kind::Warehouse => asks.push(Ask::of(parameters, format!("SHOW PARAMETERS IN WAREHOUSE {name}"))),
                Kind::User => {
                    asks.push(Ask::of(details, format!("DESC USER {name}")));
                    asks.push(Ask::of(parameters, format!("SHOW PARAMETERS IN USER {name}")));
                    asks.push(grants_to(Grantee::User(name.clone())));
                }
                Kind::Role => {
                    asks.push(grants_to(Grantee::role(name)));
                    asks.extend(scope.is_named().then(|| holders(name)));
                }
                Kind::Database => {
                    asks.push(
                        Ask::of(About::DatabaseRoles(name.clone()), format!("SHOW DATABASE ROLES IN DATABASE {name}"))
                            .paged(),
                    );
                    let future = About::Future(name.clone());
                    asks.push(Ask::of(future, format!("SHOW FUTURE GRANTS IN DATABASE {name}")));
                }
                Kind::Pipe => asks.push(Ask::of_rows(About::Running(name.clone()), pipe_status(name))),
                Kind::StorageIntegration => asks.push(Ask::of(details, format!("DESC INTEGRATION {name}"))),
                Kind::NetworkPolicy
                | Kind::NetworkRule
                | Kind::AuthenticationPolicy
                | Kind::MaskingPolicy
                | Kind::Stage => {
                    asks.push(Ask::of(details, format!("DESC {} {name}", kind.word())));
                }
                _ => {}
            }
            if scope.has_tags()
                && matches!(kind, Kind::Warehouse | Kind::Database | Kind::Schema)
                && found.contains_key(&(Kind::Database, Name::of(["ADMIN"])))
            {
                asks.push(Ask::of_rows(About::Tags(*kind, name.clone()), tags_of(*kind, name)));
            }
        }
        for (_, policy) in found.keys().filter(|(kind, _)| *kind == Kind::AuthenticationPolicy) {
            asks.push(Ask::of_rows(About::Attached(policy.clone()), attached(policy)));
        }
        // Future grants in a schema switch off those in its database, also those of other roles.
        for (_, schema) in
            found.keys().filter(|(kind, schema)| *kind == Kind::Schema && scope.has(Kind::Database, &schema.up_to(1)))
        {
            asks.push(Ask::of(About::Future(schema.clone()), format!("SHOW FUTURE GRANTS IN SCHEMA {schema}")));
            if scope.lists(schema) {
                asks.push(Ask::of(About::Tables, format!("SHOW TABLES IN SCHEMA {schema}")).paged());
                asks.push(Ask::of(About::Views, format!("SHOW VIEWS IN SCHEMA {schema}")).paged());
            }
        }
        asks
    }

    /// What the roles of databases hold, and the columns of tables.
    fn third(&self, scope: Scope<'_>, found: &BTreeMap<(Kind, Name), Details>) -> Vec<Ask> {
        let of = |kind: Kind| found.keys().filter(move |(of, name)| *of == kind && scope.has(kind, name));
        let is_named = scope.is_named();
        let roles = of(Kind::DatabaseRole)
            .flat_map(|(_, role)| [Some(grants_to(Grantee::role(role))), is_named.then(|| holders(role))])
            .flatten();
        let tables = of(Kind::Table)
            .filter(|_| is_named)
            .map(|(kind, table)| Ask::of(About::Details(*kind, table.clone()), format!("DESC TABLE {table}")));
        roles.chain(tables).collect()
    }

    fn take(&self, state: &mut State, found: &mut BTreeMap<(Kind, Name), Details>, about: About, answer: Vec<Row>) {
        match about {
            About::Kind(_) => {}
            About::Details(kind, name) => {
                if let Some(details) = found.get_mut(&(kind, name)) {
                    details.describe(kind, answer);
                }
            }
            About::Parameters(kind, name) => {
                if let Some(details) = found.get_mut(&(kind, name)) {
                    details.parameters = objects::own_parameters(kind, &answer);
                }
            }
            About::Attached(policy) => {
                for user in answer.iter().filter_map(|row| objects::cell(row, "ref_entity_name")) {
                    if let Some(details) = found.get_mut(&(Kind::User, Name::of([user]))) {
                        details.policy = Some(policy.to_string());
                    }
                }
            }
            About::Running(pipe) => {
                if let Some(details) = found.get_mut(&(Kind::Pipe, pipe)) {
                    details.running = answer.first().map(objects::is_running);
                }
            }
            About::Tags(kind, name) => {
                if let Some(details) = found.get_mut(&(kind, name)) {
                    details.tags = objects::tags(kind, &answer);
                }
            }
            About::DatabaseRoles(database) => {
                for row in answer {
                    let Some(role) = objects::cell(&row, "name") else { continue };
                    let name = database.with(role);
                    found.insert((Kind::DatabaseRole, name), Details { row, ..Details::default() });
                }
            }
            About::Tables | About::Views => {
                for row in answer {
                    let Some((word, name)) = objects::relation(&about, &row) else { continue };
                    let owner = objects::cell(&row, "owner").unwrap_or_default().to_owned();
                    state.present.entry(word.to_owned()).or_default().insert(name.clone(), owner);
                    if word == "TABLE" {
                        found.insert((Kind::Table, name), Details { row, ..Details::default() });
                    }
                }
            }
            About::Future(container) => grants::future(state, &container, &answer),
            About::Grants(grantee) => grants::held(state, &grantee, &answer),
            About::Holders(role) => grants::holders(state, &role, &answer),
        }
    }

    /// The answers in the order of the questions. An object that has gone since it was seen has none.
    async fn ask(&self, asks: Vec<Ask>, warehouses: &[&Name]) -> Result<Vec<(About, Result<Vec<Row>>)>> {
        let answers = stream::iter(asks).map(|ask| async move {
            let rows = match ask.rows {
                true => self.account.ask(warehouses, ACCOUNTADMIN, &ask.statement, self.tag).await,
                false => self.pages(&ask).await,
            };
            match rows {
                Ok(rows) => Ok(Some((ask.about, Ok(rows)))),
                Err(error) if ask.rows && UNANSWERED.contains(&error.kind()) => Ok(Some((ask.about, Err(error)))),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.with("statement", &ask.statement)),
            }
        });
        let answers: Vec<Option<_>> = answers.buffered(AT_ONCE).try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn pages(&self, ask: &Ask) -> Result<Vec<Row>> {
        let mut rows = self.account.run(ACCOUNTADMIN, &ask.statement, self.tag).await?;
        // An answer with more rows than that was not cut.
        let mut is_full = rows.len() == MOST_ROWS;
        while is_full {
            let last = rows.last().and_then(|row| objects::cell(row, "name")).unwrap_or_default().to_owned();
            if !ask.pages || last.is_empty() {
                let error = Error::new(
                    ErrorKind::Unsupported,
                    "the account's answer may be cut short: it has as many rows as there are at most",
                );
                return Err(error.with("rows", rows.len()));
            }
            let statement = format!("{} LIMIT {MOST_ROWS} FROM {}", ask.statement, quote::literal(&last));
            let next = self.account.run(ACCOUNTADMIN, &statement, self.tag).await?;
            is_full = next.len() == MOST_ROWS;
            rows.extend(next);
        }
        Ok(rows)
    }
}

/// What a question was about stays unknown: it took a warehouse, and there is none that answers.
fn unread(state: &mut State, found: &mut BTreeMap<(Kind, Name), Details>, about: &About, error: &Error) {
    let (kind, name, field) = match about {
        About::Attached(_) => (Kind::User, None, "authentication_policy"),
        About::Running(pipe) => (Kind::Pipe, Some(pipe), "running"),
        About::Tags(kind, name) => (*kind, Some(name), "tags"),
        _ => return,
    };
    for (_, details) in found.iter_mut().filter(|((of, own), _)| *of == kind && name.is_none_or(|name| name == own)) {
        details.unread.insert(field);
    }
    let word = kind.word().to_lowercase();
    state.unread.insert(format!("`{field}` of a {word} could not be read and is not compared: {error}"));
}

fn grants_to(grantee: Grantee) -> Ask {
    let statement = format!("SHOW GRANTS TO {}", grantee.sql());
    Ask::of(About::Grants(grantee), statement)
}

/// Who has a role, also somebody who is asked about by nothing else.
fn holders(role: &Name) -> Ask {
    Ask::of(About::Holders(role.clone()), format!("SHOW GRANTS OF {} {role}", role_word(role)))
}

/// The users that a policy is attached to: REF_ENTITY_NAME.
fn attached(policy: &Name) -> String {
    format!(
        "SELECT REF_ENTITY_NAME FROM TABLE({}.INFORMATION_SCHEMA.POLICY_REFERENCES(POLICY_NAME => {})) \
         WHERE REF_ENTITY_DOMAIN = 'USER'",
        policy.up_to(1),
        quote::literal(&policy.to_string())
    )
}

/// An object's tags: TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE and LEVEL, which is the object's kind for its own.
fn tags_of(kind: Kind, name: &Name) -> String {
    format!(
        "SELECT TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE, LEVEL \
         FROM TABLE(ADMIN.INFORMATION_SCHEMA.TAG_REFERENCES({}, {}))",
        quote::literal(&name.to_string()),
        quote::literal(kind.word())
    )
}

/// The objects of an account that a person has made, of the kinds that a file names.
pub(crate) fn is_own(kind: Kind, name: &Name) -> bool {
    match kind {
        Kind::Role => !is_system(name),
        Kind::Schema => name.last() != "INFORMATION_SCHEMA",
        Kind::User => name.last() != "SNOWFLAKE",
        _ => true,
    }
}
