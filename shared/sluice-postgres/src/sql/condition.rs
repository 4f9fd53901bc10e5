//! Which rows a read is about: what came since a position, from a value on, within a range.

use std::fmt;

use crate::{
    identifier::identifier,
    position::{Range, Scope, Since, Transactions},
};

/// Which rows a `COPY` sends.
pub(crate) struct Rows<'a> {
    pub scope: &'a Scope,
    pub stretch: &'a Stretch,
    /// But for these, which are read by themselves.
    pub without: &'a [Untranslatable],
    /// And all rows of these cursor values.
    pub without_values: &'a [i64],
}

/// A part of what a read is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stretch {
    All,
    Range(Range),
    Blocks(Blocks),
}

/// The rows of one cursor value in these blocks of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub value: i64,
    pub table: i64,
    pub first: i64,
    pub last: i64,
}

impl Stretch {
    /// Whether the rows without a cursor value belong to it.
    pub(crate) fn is_first(&self) -> bool {
        matches!(self, Stretch::All | Stretch::Range(Range { above: None, .. }))
    }

    /// From one value, or block, to another.
    pub(crate) fn part(&self, first: i64, last: i64) -> Stretch {
        match self {
            Stretch::Blocks(blocks) => Stretch::Blocks(Blocks { first, last, ..*blocks }),
            Stretch::All | Stretch::Range(_) => Stretch::Range(Range { above: first.checked_sub(1), to: last }),
        }
    }

    /// What there is of it up to a value, or a block, and what comes after.
    pub(crate) fn cut(&self, at: i64) -> (Stretch, Stretch) {
        let up_to = |above| Stretch::Range(Range { above, to: at });
        let after = |to| Stretch::Range(Range { above: Some(at), to });
        match self {
            Stretch::All => (up_to(None), after(i64::MAX)),
            Stretch::Range(range) => (up_to(range.above), after(range.to)),
            Stretch::Blocks(blocks) => (self.part(blocks.first, at), self.part(at + 1, blocks.last)),
        }
    }
}

/// Rows with fields that cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untranslatable {
    pub at: At,
    pub fields: Vec<usize>,
}

/// Where rows are that are read by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// All of one cursor value.
    Value(i64),
    /// All without one.
    NoValue,
    /// One among others of its cursor value: its table, and its block and item there, which stay within a transaction.
    Row(Place),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub table: i64,
    pub block: i64,
    pub item: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { table, block, item } = self;
        write!(f, "({table}::bigint, '({block},{item})'::tid)")
    }
}

impl Rows<'_> {
    pub(super) fn condition(&self, cursor: &CursorColumn<'_>) -> String {
        let mut condition = condition_within(cursor, self.scope, self.stretch);
        let name = identifier(cursor.name);
        let mut values: Vec<String> = self.without_values.iter().map(i64::to_string).collect();
        let mut rows = Vec::new();
        for at in self.without.iter().map(|rows| &rows.at) {
            match at {
                At::Value(value) => values.push(value.to_string()),
                At::NoValue => condition = and(condition, format!("{name} IS NOT NULL")),
                At::Row(place) => rows.push(place.to_string()),
            }
        }
        if !values.is_empty() {
            let values = values.join(",");
            condition = and(condition, format!("({name} IS NULL OR {name} <> ALL ('{{{values}}}'::bigint[]))"));
        }
        if !rows.is_empty() {
            condition = and(condition, format!("(tableoid::bigint, ctid) NOT IN ({})", rows.join(", ")));
        }
        condition
    }
}

fn and(condition: String, term: String) -> String {
    if condition.is_empty() { format!(" WHERE {term}") } else { format!("{condition} AND {term}") }
}

pub(crate) struct CursorColumn<'a> {
    pub name: &'a str,
    /// A row without a cursor value is above no bound; where the table allows one, it is read and rejected, not lost.
    pub nullable: bool,
}

pub(super) fn condition(cursor: &CursorColumn<'_>, scope: &Scope) -> String {
    condition_within(cursor, scope, &Stretch::All)
}

/// The rows of the scope there.
pub(crate) fn condition_at(cursor: &CursorColumn<'_>, scope: &Scope, at: &At) -> String {
    let name = identifier(cursor.name);
    let is = match at {
        At::Value(value) => format!("{name} = ('{value}'::bigint)"),
        At::NoValue => format!("{name} IS NULL"),
        At::Row(place) => format!("(tableoid::bigint, ctid) = {place}"),
    };
    and(condition(cursor, scope), is)
}

/// The rows of the scope within a stretch of it.
pub(crate) fn condition_within(cursor: &CursorColumn<'_>, scope: &Scope, stretch: &Stretch) -> String {
    let mut terms: Vec<String> = match scope {
        Scope::Everything(_) => Vec::new(),
        Scope::Since(since) => [above(cursor, since), inserted_since(since)].into_iter().flatten().collect(),
        Scope::From(from, since) => starting_at(cursor, *from, since.as_ref()),
        Scope::Behind(since) => vec![behind(cursor, since)],
    };
    let name = identifier(cursor.name);
    match stretch {
        Stretch::All => {}
        Stretch::Range(Range { above: Some(above), to }) => {
            terms.push(format!("{name} > ('{above}'::bigint) AND {name} <= ('{to}'::bigint)"));
        }
        // The first range, which the rows without a value belong to.
        Stretch::Range(Range { above: None, to }) => terms.push(compared(cursor, "<=", *to)),
        Stretch::Blocks(Blocks { value, table, first, last }) => terms.push(format!(
            "{name} = ('{value}'::bigint) AND tableoid::bigint = {table} AND ctid >= '({first},0)'::tid AND ctid < '({},0)'::tid",
            last + 1
        )),
    }
    if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) }
}

fn starting_at(cursor: &CursorColumn<'_>, from: i64, since: Option<&Since>) -> Vec<String> {
    let from = compared(cursor, ">=", from);
    match since {
        None => vec![from],
        Some(since) => match (above(cursor, since), inserted_since(since)) {
            (None, None) => vec![],
            (None, Some(unseen)) => vec![format!("({from} OR {unseen})")],
            (Some(above), None) => vec![format!("({from} OR {above})")],
            (Some(above), Some(unseen)) => vec![format!("({from} OR ({above} AND {unseen}))")],
        },
    }
}

fn behind(cursor: &CursorColumn<'_>, since: &Since) -> String {
    let ahead: Vec<String> = [above(cursor, since), inserted_since(since)].into_iter().flatten().collect();
    if ahead.is_empty() { "false".to_owned() } else { format!("NOT ({})", ahead.join(" AND ")) }
}

fn above(cursor: &CursorColumn<'_>, since: &Since) -> Option<String> {
    since.above.map(|value| compared(cursor, ">", value))
}

fn compared(cursor: &CursorColumn<'_>, operator: &str, value: i64) -> String {
    let name = identifier(cursor.name);
    // In parentheses and with its type: a bare -9223372036854775808 is parsed as a sign before too large a number.
    let compared = format!("{name} {operator} ('{value}'::bigint)");
    if cursor.nullable { format!("({compared} OR {name} IS NULL)") } else { compared }
}

fn inserted_since(since: &Since) -> Option<String> {
    since.transactions.map(|Transactions { xmax, distance }| {
        let recent = format!("(({xmax}::bigint - xmin::text::bigint) & 4294967295) <= {distance}");
        if since.seen.is_empty() {
            return recent;
        }
        let seen: Vec<String> = since.seen.iter().map(u32::to_string).collect();
        format!("({recent} AND xmin::text::bigint <> ALL ('{{{}}}'::bigint[]))", seen.join(","))
    })
}
