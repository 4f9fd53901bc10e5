//! Which rows a read is about: what came since a position, from a value on, within a range.

use super::reads::Untranslatable;
use crate::{
    identifier::identifier,
    position::{Range, Scope, Since, Transactions},
};

/// Which rows a `COPY` sends.
pub(crate) struct Rows<'a> {
    pub scope: &'a Scope,
    pub range: Option<&'a Range>,
    /// But for those of these cursor values, which are read by themselves.
    pub without: &'a [Untranslatable],
}

impl Rows<'_> {
    pub(super) fn condition(&self, cursor: &CursorColumn<'_>) -> String {
        let condition = condition_within(cursor, self.scope, self.range);
        if self.without.is_empty() {
            return condition;
        }
        let without: Vec<String> = self.without.iter().flat_map(|rows| rows.cursor).map(|at| at.to_string()).collect();
        let name = identifier(cursor.name);
        let others = format!("{name} <> ALL ('{{{}}}'::bigint[])", without.join(","));
        let others = match self.without.iter().any(|rows| rows.cursor.is_none()) {
            true => format!("({name} IS NOT NULL AND {others})"),
            false => format!("({name} IS NULL OR {others})"),
        };
        and(condition, others)
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
    condition_within(cursor, scope, None)
}

/// The rows of the scope with this cursor value, or with none.
pub(super) fn condition_of(cursor: &CursorColumn<'_>, scope: &Scope, value: Option<i64>) -> String {
    let name = identifier(cursor.name);
    let is = match value {
        Some(value) => format!("{name} = ('{value}'::bigint)"),
        None => format!("{name} IS NULL"),
    };
    and(condition(cursor, scope), is)
}

pub(super) fn condition_within(cursor: &CursorColumn<'_>, scope: &Scope, range: Option<&Range>) -> String {
    let mut terms: Vec<String> = match scope {
        Scope::Everything(_) => Vec::new(),
        Scope::Since(since) => [above(cursor, since), inserted_since(since)].into_iter().flatten().collect(),
        Scope::From(from, since) => starting_at(cursor, *from, since.as_ref()),
    };
    if let Some(Range { above, to }) = range {
        let name = identifier(cursor.name);
        match above {
            Some(above) => terms.push(format!("{name} > ('{above}'::bigint) AND {name} <= ('{to}'::bigint)")),
            // The first range, which the rows without a value belong to.
            None => terms.push(compared(cursor, "<=", *to)),
        }
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
