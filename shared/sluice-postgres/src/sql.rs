//! Every statement that the source sends, as text. Names go through [`identifier`]; numbers are numbers; there is no
//! other way in.

use crate::{
    divide::Range,
    position::{Scope, Since, Transactions},
    type_map::Field,
};

/// Which cluster and which of its timelines: transaction numbers of another one mean nothing. Not every managed service
/// lets a plain role ask.
pub(crate) const SERVER: &str = "SELECT s.system_identifier::text || '/' || c.timeline_id \
     FROM pg_catalog.pg_control_system() AS s, pg_catalog.pg_control_checkpoint() AS c";

/// For how many seconds the oldest transaction that may have written has been open, a prepared one included; NULL when the
/// role may not see since when. The number of such a transaction is shown to every role.
pub(crate) const OLDEST_TRANSACTION: &str = "\
    SELECT extract(epoch FROM clock_timestamp() - t.since)::bigint AS seconds FROM ( \
        SELECT backend_xid AS xid, xact_start AS since FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL \
        UNION ALL SELECT transaction, prepared FROM pg_catalog.pg_prepared_xacts \
    ) AS t ORDER BY age(t.xid) DESC LIMIT 1";

/// The table, the tables that hold its rows (partitions, inheriting tables), and whether one of those is foreign.
pub(crate) const RELATION: &str = "\
    WITH RECURSIVE part(oid) AS ( \
        SELECT c.oid FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 \
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN part ON i.inhparent = part.oid \
    ) \
    SELECT string_agg(part.oid::text, ',' ORDER BY part.oid) AS tables, \
           bool_and(c.relkind IN ('r', 'p')) AS has_transactions \
    FROM part JOIN pg_catalog.pg_class AS c ON c.oid = part.oid";

pub(crate) const COLUMNS: &str = "\
    SELECT a.attname::text AS name, a.attnotnull AS is_required FROM pg_catalog.pg_attribute AS a \
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// The transaction's snapshot, and how far the server's transaction counter is ahead of the snapshot's xmin.
pub(crate) const SNAPSHOT: &str = "\
    SELECT s::text AS snapshot, age(pg_catalog.pg_snapshot_xmin(s)::xid) AS age FROM pg_catalog.pg_current_snapshot() AS s";

/// Begins the read. Settings are local to the transaction, so that a connection from a pooler takes none of them along.
/// Row security is off: a policy that would hide rows becomes an error instead of a silent gap. Texts of times and
/// floats, where a contract asks for text, are those of ISO 8601 in UTC and of the shortest exact number.
pub(crate) fn begin(statement_timeout_ms: u128, lock_timeout_ms: u128, idle_timeout_ms: u128) -> String {
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL statement_timeout = {statement_timeout_ms}; \
         SET LOCAL lock_timeout = {lock_timeout_ms}; \
         SET LOCAL idle_in_transaction_session_timeout = {idle_timeout_ms}; \
         SET LOCAL row_security = off; \
         SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1"
    )
}

/// A statement whose description tells the columns' types. It also takes the table's lock, for the rest of the
/// transaction: from here on its shape stands still.
pub(crate) fn describe<'a>(schema: &str, table: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let columns: Vec<String> = columns.map(identifier).collect();
    format!("SELECT {} FROM {}.{}", columns.join(", "), identifier(schema), identifier(table))
}

/// The read itself. No order: the first read follows the table, later ones the index on the cursor column.
pub(crate) fn copy(
    schema: &str,
    table: &str,
    fields: &[Field],
    cursor: &CursorColumn<'_>,
    scope: &Scope,
    range: Option<&Range>,
) -> String {
    let columns: Vec<String> = fields.iter().map(Field::expression).collect();
    format!(
        "COPY (SELECT {} FROM {}.{}{}) TO STDOUT (FORMAT binary)",
        columns.join(", "),
        identifier(schema),
        identifier(table),
        condition_within(cursor, scope, range)
    )
}

/// How many rows the planner believes a read would fetch. It knows nothing of the transactions that wrote them and would
/// take a third, so they count only where there is no other bound.
pub(crate) fn estimate(schema: &str, table: &str, cursor: &CursorColumn<'_>, scope: &Scope) -> String {
    let bounded = |since: Since| if since.above.is_some() { Since { transactions: None, ..since } } else { since };
    let scope = match scope {
        Scope::Everything(why) => Scope::Everything(*why),
        Scope::Since(since) => Scope::Since(bounded(*since)),
        Scope::From(from, since) => Scope::From(*from, since.map(bounded)),
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

/// How many rows of a sample a read would fetch, and the cursor values that cut them into so many parts of about the same
/// number of rows. The sample is so many percent of the table's pages, the same ones each time as long as the table is.
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

/// What a read would fetch: how many rows, and the range of their cursor values.
pub(crate) fn count(schema: &str, table: &str, cursor: &CursorColumn<'_>, scope: &Scope) -> String {
    let name = identifier(cursor.name);
    format!(
        "SELECT count(*), min({name})::bigint, max({name})::bigint FROM {}.{}{}",
        identifier(schema),
        identifier(table),
        condition(cursor, scope)
    )
}

pub(crate) struct CursorColumn<'a> {
    pub name: &'a str,
    /// A row without a cursor value is above no bound; where the table allows one, it is read and rejected, not lost.
    pub nullable: bool,
}

fn condition(cursor: &CursorColumn<'_>, scope: &Scope) -> String {
    condition_within(cursor, scope, None)
}

fn condition_within(cursor: &CursorColumn<'_>, scope: &Scope, range: Option<&Range>) -> String {
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
        format!("(({xmax}::bigint - xmin::text::bigint) & 4294967295) <= {distance}")
    })
}

/// A quoted identifier. PostgreSQL takes any character but NUL, which cannot reach it in a message.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::types::Type;

    use super::*;
    use crate::position::Why;

    const HOSTILE: &str = "a\"; DROP TABLE x; --";

    fn fields() -> Vec<Field> {
        let column = |name: &str, column_type: &str| {
            serde_json::from_value(serde_json::json!({ "name": name, "type": column_type })).unwrap()
        };
        vec![
            Field::new(&column(HOSTILE, "bigint"), &Type::INT8).unwrap(),
            Field::new(&column("π", "text"), &Type::UUID).unwrap(),
        ]
    }

    fn rendered(scope: &Scope, nullable: bool) -> String {
        copy("s.p", "tab\"le", &fields(), &CursorColumn { name: HOSTILE, nullable }, scope, None)
    }

    #[test]
    fn hostile_names_stay_names() {
        assert_eq!(
            rendered(&Scope::Everything(Why::NoCursor), false),
            r#"COPY (SELECT "a""; DROP TABLE x; --", "π"::text FROM "s.p"."tab""le") TO STDOUT (FORMAT binary)"#
        );
        assert_eq!(describe("S", "t", ["a\"b"].into_iter()), r#"SELECT "a""b" FROM "S"."t""#);
    }

    #[test]
    fn the_condition_follows_the_scope() {
        let transactions = Some(Transactions { xmax: 7, distance: 3 });
        let cases = [
            (Since { above: None, transactions: None }, false, ""),
            (
                Since { above: Some(-5), transactions: None },
                false,
                r#" WHERE "a""; DROP TABLE x; --" > ('-5'::bigint)"#,
            ),
            (Since { above: None, transactions }, true, " WHERE ((7::bigint - xmin::text::bigint) & 4294967295) <= 3"),
            (
                Since { above: Some(i64::MIN), transactions },
                true,
                r#" WHERE ("a""; DROP TABLE x; --" > ('-9223372036854775808'::bigint) OR "a""; DROP TABLE x; --" IS NULL) AND ((7::bigint - xmin::text::bigint) & 4294967295) <= 3"#,
            ),
        ];
        for (since, nullable, expected) in cases {
            let cursor = CursorColumn { name: HOSTILE, nullable };
            assert_eq!(condition(&cursor, &Scope::Since(since)), expected, "{since:?}");
            assert!(rendered(&Scope::Since(since), nullable).contains(expected));
        }
    }

    #[test]
    fn a_value_to_start_from_widens_what_a_position_would_read_and_never_narrows_it() {
        let transactions = Some(Transactions { xmax: 7, distance: 3 });
        let unseen = "((7::bigint - xmin::text::bigint) & 4294967295) <= 3";
        let from = "\"id\" >= ('5'::bigint)";
        let above = "\"id\" > ('9'::bigint)";
        let cursor = CursorColumn { name: "id", nullable: false };
        let cases = [
            (None, format!(" WHERE {from}")),
            (Some(Since { above: None, transactions: None }), String::new()),
            (Some(Since { above: None, transactions }), format!(" WHERE ({from} OR {unseen})")),
            (Some(Since { above: Some(9), transactions: None }), format!(" WHERE ({from} OR {above})")),
            (Some(Since { above: Some(9), transactions }), format!(" WHERE ({from} OR ({above} AND {unseen}))")),
        ];
        for (since, expected) in cases {
            let scope = Scope::From(5, since);
            assert_eq!(condition(&cursor, &scope), expected);
            let count = format!("SELECT count(*), min(\"id\")::bigint, max(\"id\")::bigint FROM \"s\".\"t\"{expected}");
            assert_eq!(super::count("s", "t", &cursor, &scope), count);
        }
    }

    #[test]
    fn ranges_meet_without_a_gap_and_rows_without_a_value_belong_to_the_first() {
        let cursor = CursorColumn { name: "id", nullable: true };
        let scope = Scope::Since(Since { above: Some(3), transactions: None });
        let within = |above, to| condition_within(&cursor, &scope, Some(&Range { above, to }));
        let scoped = r#" WHERE ("id" > ('3'::bigint) OR "id" IS NULL) AND "#;
        assert_eq!(within(None, 9), format!(r#"{scoped}("id" <= ('9'::bigint) OR "id" IS NULL)"#));
        assert_eq!(within(Some(9), 20), format!(r#"{scoped}"id" > ('9'::bigint) AND "id" <= ('20'::bigint)"#));
        let required = CursorColumn { name: "id", nullable: false };
        let everything =
            condition_within(&required, &Scope::Everything(Why::NoCursor), Some(&Range { above: None, to: -1 }));
        assert_eq!(everything, r#" WHERE "id" <= ('-1'::bigint)"#);
    }

    #[test]
    fn a_division_asks_for_the_rows_of_its_scope() {
        let cursor = CursorColumn { name: HOSTILE, nullable: false };
        let transactions = Some(Transactions { xmax: 7, distance: 3 });
        let unbounded = Scope::Since(Since { above: None, transactions });
        let bounded = Scope::Since(Since { above: Some(5), transactions });
        let name = r#""a""; DROP TABLE x; --""#;
        let unseen = "((7::bigint - xmin::text::bigint) & 4294967295) <= 3";
        assert_eq!(
            estimate("s", "t", &cursor, &bounded),
            format!(r#"EXPLAIN (FORMAT JSON) SELECT 1 FROM "s"."t" WHERE {name} > ('5'::bigint)"#)
        );
        assert_eq!(
            estimate("s", "t", &cursor, &unbounded),
            format!(r#"EXPLAIN (FORMAT JSON) SELECT 1 FROM "s"."t" WHERE {unseen}"#)
        );
        assert_eq!(
            boundaries("s", "t", &cursor, &bounded, 4, 2.5),
            format!(
                r#"SELECT count(*), (percentile_disc('{{0.25,0.5,0.75}}'::float8[]) WITHIN GROUP (ORDER BY {name}))::bigint[] FROM "s"."t" TABLESAMPLE SYSTEM (2.500000) REPEATABLE (0) WHERE {name} > ('5'::bigint) AND {unseen}"#
            )
        );
        assert_eq!(
            largest("s", "t", &cursor, &bounded),
            format!(r#"SELECT max({name})::bigint FROM "s"."t" WHERE {name} > ('5'::bigint) AND {unseen}"#)
        );
    }
}
