//! The statements that look at the table's rows.

use super::condition::{At, CursorColumn, Rows, Stretch, Untranslatable, condition, condition_at, condition_within};
use crate::{
    identifier::identifier,
    lengths::Lengths,
    position::{Scope, Since, Transactions},
    type_map::Field,
};

/// The read itself. No order: the first read follows the table, later ones the index on the cursor column. With
/// `lengths`, a row that is too long comes without its long values, and with the lengths of all in a last column; see
/// [`crate::lengths`].
pub(crate) fn copy(
    schema: &str,
    table: &str,
    fields: &[Field],
    cursor: &CursorColumn<'_>,
    rows: &Rows<'_>,
    lengths: Option<&Lengths>,
) -> String {
    let condition = rows.condition(cursor);
    let (schema, table) = (identifier(schema), identifier(table));
    let rows = match lengths {
        None => {
            let columns: Vec<String> = fields.iter().map(Field::expression).collect();
            format!("SELECT {} FROM {schema}.{table}{condition}", columns.join(", "))
        }
        Some(lengths) => {
            let columns: Vec<String> = fields.iter().map(Field::column).collect();
            lengths.select(fields, &format!("SELECT {} FROM {schema}.{table}{condition}", columns.join(", ")))
        }
    };
    format!("COPY ({rows}) TO STDOUT (FORMAT binary)")
}

/// The rows of the scope at one place of which some texts cannot be sent as they are: these come as the bytes of the database's
/// encoding, in hexadecimal.
pub(crate) fn copy_bytes(
    schema: &str,
    table: &str,
    fields: &[Field],
    cursor: &CursorColumn<'_>,
    scope: &Scope,
    rows: &Untranslatable,
) -> String {
    let column = |(at, field): (usize, &Field)| match rows.fields.contains(&at) {
        false => field.expression(),
        // Of a very long text, its beginning.
        true => {
            format!("'\\x' || encode(convert_to(left({}::text, 500000), getdatabaseencoding()), 'hex')", field.column())
        }
    };
    let columns: Vec<String> = fields.iter().enumerate().map(column).collect();
    format!(
        "COPY (SELECT {} FROM {}.{}{}) TO STDOUT (FORMAT binary)",
        columns.join(", "),
        identifier(schema),
        identifier(table),
        condition_at(cursor, scope, &rows.at)
    )
}

/// The places of the rows that meet a condition, at most this many: table, block and item.
pub(crate) fn places(schema: &str, table: &str, condition: &str, limit: Option<usize>) -> String {
    let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
    format!(
        "SELECT tableoid::bigint, {BLOCK}, (ctid::text::point)[1]::bigint FROM {}.{}{condition}{limit}",
        identifier(schema),
        identifier(table)
    )
}

/// Per table with rows of a cursor value, the first and the last block with such a row.
pub(crate) fn blocks(schema: &str, table: &str, cursor: &CursorColumn<'_>, scope: &Scope, value: i64) -> String {
    format!(
        "SELECT tableoid::bigint, min({BLOCK}), max({BLOCK}) FROM {}.{}{} GROUP BY 1 ORDER BY 1",
        identifier(schema),
        identifier(table),
        condition_at(cursor, scope, &At::Value(value))
    )
}

const BLOCK: &str = "(ctid::text::point)[0]::bigint";

/// Counts the texts of the rows that meet a condition once they have been converted to UTF-8; fails where one cannot be.
pub(crate) fn converted(schema: &str, table: &str, texts: &[&Field], condition: &str) -> String {
    let counts: Vec<String> =
        texts.iter().map(|field| format!("count(convert_to({}::text, 'UTF8'))", field.column())).collect();
    format!("SELECT {} FROM {}.{}{condition}", counts.join(", "), identifier(schema), identifier(table))
}

/// The first transaction that wrote a row with this cursor value.
pub(crate) fn writer(schema: &str, table: &str, cursor: &CursorColumn<'_>, value: i64) -> String {
    format!(
        "SELECT min(xmin::text::bigint) FROM {}.{} WHERE {} = ('{value}'::bigint)",
        identifier(schema),
        identifier(table),
        identifier(cursor.name)
    )
}

/// The largest cursor value of all rows, and whether there is a row at all.
pub(crate) fn extent(schema: &str, table: &str, cursor: &CursorColumn<'_>) -> String {
    let (schema, table, name) = (identifier(schema), identifier(table), identifier(cursor.name));
    format!("SELECT max({name})::bigint, EXISTS (SELECT 1 FROM {schema}.{table}) FROM {schema}.{table}")
}

/// The transactions, from the snapshot's xmin on, whose rows a read of this scope has seen.
pub(crate) fn seen(
    schema: &str,
    table: &str,
    cursor: &CursorColumn<'_>,
    above: Option<i64>,
    recent: Transactions,
    limit: usize,
) -> String {
    let scope = Scope::Since(Since { above, transactions: Some(recent), ..Since::default() });
    format!(
        "SELECT array_agg(xid) FROM (SELECT DISTINCT xmin::text::bigint AS xid FROM {}.{}{} LIMIT {limit}) AS t",
        identifier(schema),
        identifier(table),
        condition(cursor, &scope)
    )
}

/// How many rows the planner believes a read would fetch. It knows nothing of the transactions that wrote them and would
/// take a third, so they count only where there is no other bound.
pub(crate) fn estimate(schema: &str, table: &str, cursor: &CursorColumn<'_>, scope: &Scope) -> String {
    let bounded = |since: &Since| match since.above {
        Some(_) => Since { above: since.above, ..Since::default() },
        None => Since { seen: Vec::new(), ..since.clone() },
    };
    let scope = match scope {
        Scope::Everything(why) => Scope::Everything(*why),
        Scope::Since(since) => Scope::Since(bounded(since)),
        Scope::From(from, since) => Scope::From(*from, since.as_ref().map(bounded)),
        Scope::Behind(since) => Scope::Behind(since.clone()),
    };
    format!(
        "EXPLAIN (FORMAT JSON) SELECT 1 FROM {}.{}{}",
        identifier(schema),
        identifier(table),
        condition(cursor, &scope)
    )
}

/// The largest cursor value that a read would fetch.
pub(crate) fn largest(schema: &str, table: &str, cursor: &CursorColumn<'_>, scope: &Scope) -> String {
    let name = identifier(cursor.name);
    format!("SELECT max({name})::bigint FROM {}.{}{}", identifier(schema), identifier(table), condition(cursor, scope))
}

/// How many rows of a sample a read would fetch, and the cursor values that cut them into `parts` of about the same
/// number of rows. The sample is `percent` of the table's pages, the same ones each time as long as the table is.
pub(crate) fn boundaries(
    schema: &str,
    table: &str,
    cursor: &CursorColumn<'_>,
    scope: &Scope,
    parts: u32,
    percent: f64,
) -> String {
    let fractions: Vec<String> = (1..parts).map(|part| (f64::from(part) / f64::from(parts)).to_string()).collect();
    format!(
        "SELECT count(*), (percentile_disc('{{{}}}'::float8[]) WITHIN GROUP (ORDER BY {}))::bigint[] \
         FROM {}.{} TABLESAMPLE SYSTEM ({percent:.6}) REPEATABLE (0){}",
        fractions.join(","),
        identifier(cursor.name),
        identifier(schema),
        identifier(table),
        condition(cursor, scope)
    )
}

/// What a read would fetch, or a stretch of it: how many rows, and the range of their cursor values.
pub(crate) fn count(schema: &str, table: &str, cursor: &CursorColumn<'_>, scope: &Scope, stretch: &Stretch) -> String {
    let name = identifier(cursor.name);
    format!(
        "SELECT count(*), min({name})::bigint, max({name})::bigint FROM {}.{}{}",
        identifier(schema),
        identifier(table),
        condition_within(cursor, scope, stretch)
    )
}
