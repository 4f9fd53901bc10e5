//! Reading an account: few requests, several at once.
//!
//! Three rounds: what there is; what the objects that matter are like; and what their roles hold. SHOW and DESC need no
//! warehouse; what only a query tells is asked in a warehouse that is there, and stays unknown where none answers. An answer
//! of as many rows as Snowflake gives at most is refused where there is no further page: a plan made of half an account
//! would be wrong.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use sluice_core::{Error, Kind as ErrorKind, Result, port::Row};

use self::{ask::Ask, objects::Details};
use super::{
    kinds::{ACCOUNTADMIN, Kind},
    name::Name,
    port::Account,
    render::is_system,
    state::{Grantee, State, Target},
};
use crate::sql::quote;

mod ask;
mod grants;
mod objects;

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

/// What the account has said, object by object.
type Found = BTreeMap<(Kind, Name), Details>;

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
        for (about, answer) in self.ask(ask::first(self.enterprise), &[]).await? {
            if let (About::Kind(kind), Ok(answer)) = (about, answer) {
                rows.extend(answer.into_iter().filter_map(|row| Some(((kind, objects::name(kind, &row)?), row))));
            }
        }
        let mut found = Found::new();
        for ((kind, name), row) in rows {
            found.insert((kind, name), Details { row, ..Details::default() });
        }
        found.insert((Kind::Account, Name::default()), Details::default());
        objects::drop_foreign(&mut found);
        let warehouses = found.keys().filter(|(kind, _)| *kind == Kind::Warehouse);
        let warehouses: Vec<Name> = warehouses.map(|(_, name)| name.clone()).collect();
        let warehouses: Vec<&Name> = warehouses.iter().collect();
        for round in [ask::second, ask::third] {
            for (about, answer) in self.ask(round(scope, &found), &warehouses).await? {
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

    fn take(&self, state: &mut State, found: &mut Found, about: About, answer: Vec<Row>) {
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
fn unread(state: &mut State, found: &mut Found, about: &About, error: &Error) {
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

/// The objects of an account that a person has made, of the kinds that a file names.
pub(crate) fn is_own(kind: Kind, name: &Name) -> bool {
    match kind {
        Kind::Role => !is_system(name),
        Kind::Schema => name.last() != "INFORMATION_SCHEMA",
        Kind::User => name.last() != "SNOWFLAKE",
        _ => true,
    }
}
