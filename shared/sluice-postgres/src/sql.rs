//! Every statement that the source sends, as text. Names go through [`identifier`]; numbers are numbers; there is no
//! other way in.

use crate::{
    divide::Range,
    encoding::Untranslatable,
    lengths::Lengths,
    position::{Scope, Since, Transactions},
    type_map::Field,
};

/// Which cluster: transaction numbers of another one mean nothing.
pub(crate) const SYSTEM: &str = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";

/// Which of the cluster's timelines.
pub(crate) const TIMELINE: &str = "SELECT timeline_id::text FROM pg_catalog.pg_control_checkpoint()";

/// For how many seconds the oldest transaction that may have written has been open, a prepared one included; NULL when the
/// role may not see since when. The number of such a transaction is shown to every role.
pub(crate) const OLDEST_TRANSACTION: &str = "\
    SELECT extract(epoch FROM pg_catalog.clock_timestamp() - t.since)::bigint AS seconds FROM ( \
        SELECT backend_xid AS xid, xact_start AS since FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL \
        UNION ALL SELECT transaction, prepared FROM pg_catalog.pg_prepared_xacts \
    ) AS t ORDER BY pg_catalog.age(t.xid) DESC LIMIT 1";

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

/// The files that hold the table's rows, and whether some value is kept apart from its row. A row of 8 kB at most, in which
/// values are compressed, is short whatever it holds.
pub(crate) const FILES: &str = "\
    WITH RECURSIVE part(oid) AS ( \
        SELECT c.oid FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 \
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN part ON i.inhparent = part.oid \
    ) \
    SELECT string_agg(pg_relation_filenode(part.oid)::text, ',' ORDER BY part.oid) AS files, \
           bool_or(c.reltoastrelid <> 0 AND pg_relation_size(c.reltoastrelid) IS DISTINCT FROM 0) AS has_long_values \
    FROM part JOIN pg_catalog.pg_class AS c ON c.oid = part.oid";

/// The last number that the cursor column's sequence gave out; no row where it has none, or the role may not see it.
pub(crate) const SEQUENCE: &str = "\
    SELECT s.last_value FROM pg_catalog.pg_attribute AS a \
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass \
        AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i') \
    JOIN pg_catalog.pg_class AS q ON q.oid = d.objid AND q.relkind = 'S' \
    JOIN pg_catalog.pg_namespace AS m ON m.oid = q.relnamespace \
    JOIN pg_catalog.pg_sequences AS s ON s.schemaname = m.nspname AND s.sequencename = q.relname AND s.increment_by > 0 \
    WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND s.last_value IS NOT NULL LIMIT 1";

pub(crate) const COLUMNS: &str = "\
    SELECT a.attname::text AS name, a.attnotnull AS is_required FROM pg_catalog.pg_attribute AS a \
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// The transaction's snapshot, and how far the server's transaction counter is ahead of the snapshot's xmin.
pub(crate) const SNAPSHOT: &str = "\
    SELECT s::text AS snapshot, age(pg_catalog.pg_snapshot_xmin(s)::xid) AS age FROM pg_catalog.pg_current_snapshot() AS s";

/// A statement that a server may refuse, and what follows the refusal: the transaction goes on as if nothing had been asked.
pub(crate) const MAY_FAIL: &str = "SAVEPOINT may_fail";
pub(crate) const HAS_FAILED: &str = "ROLLBACK TO SAVEPOINT may_fail";

/// Texts are sent as the bytes that they are: where the server knows no encoding of its texts, it only checks them, and ends
/// the read at the first that is not UTF-8.
pub(crate) const AS_BYTES: &str = "SET LOCAL client_encoding = 'SQL_ASCII'";

/// Begins the read. Settings are local to the transaction, so that a connection from a pooler takes none of them along.
/// Row security is off: a policy that would hide rows becomes an error instead of a silent gap. No object of a user stands
/// in for one of the system. Texts of times, floats and bytes, where a contract asks for text, are those of ISO 8601 in UTC,
/// of the shortest exact number, and hexadecimal.
pub(crate) fn begin(statement_timeout_ms: u128, lock_timeout_ms: u128, idle_timeout_ms: u128) -> String {
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL statement_timeout = {statement_timeout_ms}; \
         SET LOCAL lock_timeout = {lock_timeout_ms}; \
         SET LOCAL idle_in_transaction_session_timeout = {idle_timeout_ms}; \
         SET LOCAL row_security = off; SET LOCAL search_path = pg_catalog; \
         SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1; \
         SET LOCAL bytea_output = 'hex'"
    )
}

/// A statement whose description tells the columns' types. It also takes the table's lock, for the rest of the
/// transaction: from here on its shape stands still.
pub(crate) fn describe<'a>(schema: &str, table: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let columns: Vec<String> = columns.map(identifier).collect();
    format!("SELECT {} FROM {}.{}", columns.join(", "), identifier(schema), identifier(table))
}

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

/// The rows of one cursor value of which some texts cannot be sent as they are: these come as the bytes of the database's
/// encoding, in hexadecimal.
pub(crate) fn copy_bytes(
    schema: &str,
    table: &str,
    fields: &[Field],
    cursor: &CursorColumn<'_>,
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
        "COPY (SELECT {} FROM {}.{} WHERE {} = ('{}'::bigint)) TO STDOUT (FORMAT binary)",
        columns.join(", "),
        identifier(schema),
        identifier(table),
        identifier(cursor.name),
        rows.cursor
    )
}

/// Counts texts once they have been converted to UTF-8; fails where one cannot be.
pub(crate) fn converted(
    schema: &str,
    table: &str,
    texts: &[&Field],
    cursor: &CursorColumn<'_>,
    scope: &Scope,
    range: Option<&Range>,
) -> String {
    let counts: Vec<String> =
        texts.iter().map(|field| format!("count(convert_to({}::text, 'UTF8'))", field.column())).collect();
    format!(
        "SELECT {} FROM {}.{}{}",
        counts.join(", "),
        identifier(schema),
        identifier(table),
        condition_within(cursor, scope, range)
    )
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

/// What a read would fetch, or a range of it: how many rows, and the range of their cursor values.
pub(crate) fn count(
    schema: &str,
    table: &str,
    cursor: &CursorColumn<'_>,
    scope: &Scope,
    range: Option<&Range>,
) -> String {
    let name = identifier(cursor.name);
    format!(
        "SELECT count(*), min({name})::bigint, max({name})::bigint FROM {}.{}{}",
        identifier(schema),
        identifier(table),
        condition_within(cursor, scope, range)
    )
}

/// Which rows a `COPY` sends.
pub(crate) struct Rows<'a> {
    pub scope: &'a Scope,
    pub range: Option<&'a Range>,
    /// But for those of these cursor values, which are read by themselves.
    pub without: &'a [i64],
}

impl Rows<'_> {
    fn condition(&self, cursor: &CursorColumn<'_>) -> String {
        let condition = condition_within(cursor, self.scope, self.range);
        if self.without.is_empty() {
            return condition;
        }
        let without: Vec<String> = self.without.iter().map(i64::to_string).collect();
        let name = identifier(cursor.name);
        let others = format!("({name} IS NULL OR {name} <> ALL ('{{{}}}'::bigint[]))", without.join(","));
        if condition.is_empty() { format!(" WHERE {others}") } else { format!("{condition} AND {others}") }
    }
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
        let recent = format!("(({xmax}::bigint - xmin::text::bigint) & 4294967295) <= {distance}");
        if since.seen.is_empty() {
            return recent;
        }
        let seen: Vec<String> = since.seen.iter().map(u32::to_string).collect();
        format!("({recent} AND xmin::text::bigint <> ALL ('{{{}}}'::bigint[]))", seen.join(","))
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
        let rows = Rows { scope, range: None, without: &[] };
        copy("s.p", "tab\"le", &fields(), &CursorColumn { name: HOSTILE, nullable }, &rows, None)
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
            (Since::default(), false, ""),
            (
                Since { above: Some(-5), ..Since::default() },
                false,
                r#" WHERE "a""; DROP TABLE x; --" > ('-5'::bigint)"#,
            ),
            (
                Since { transactions, seen: vec![4, 5], ..Since::default() },
                false,
                " WHERE (((7::bigint - xmin::text::bigint) & 4294967295) <= 3 AND xmin::text::bigint <> ALL ('{4,5}'::bigint[]))",
            ),
            (
                Since { transactions, ..Since::default() },
                true,
                " WHERE ((7::bigint - xmin::text::bigint) & 4294967295) <= 3",
            ),
            (
                Since { above: Some(i64::MIN), transactions, ..Since::default() },
                true,
                r#" WHERE ("a""; DROP TABLE x; --" > ('-9223372036854775808'::bigint) OR "a""; DROP TABLE x; --" IS NULL) AND ((7::bigint - xmin::text::bigint) & 4294967295) <= 3"#,
            ),
        ];
        for (since, nullable, expected) in cases {
            let cursor = CursorColumn { name: HOSTILE, nullable };
            let scope = Scope::Since(since);
            assert_eq!(condition(&cursor, &scope), expected, "{scope:?}");
            assert!(rendered(&scope, nullable).contains(expected));
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
            (Some(Since::default()), String::new()),
            (Some(Since { transactions, ..Since::default() }), format!(" WHERE ({from} OR {unseen})")),
            (Some(Since { above: Some(9), ..Since::default() }), format!(" WHERE ({from} OR {above})")),
            (
                Some(Since { above: Some(9), transactions, ..Since::default() }),
                format!(" WHERE ({from} OR ({above} AND {unseen}))"),
            ),
        ];
        for (since, expected) in cases {
            let scope = Scope::From(5, since);
            assert_eq!(condition(&cursor, &scope), expected);
            let count = format!("SELECT count(*), min(\"id\")::bigint, max(\"id\")::bigint FROM \"s\".\"t\"{expected}");
            assert_eq!(super::count("s", "t", &cursor, &scope, None), count);
        }
    }

    #[test]
    fn ranges_meet_without_a_gap_and_rows_without_a_value_belong_to_the_first() {
        let cursor = CursorColumn { name: "id", nullable: true };
        let scope = Scope::Since(Since { above: Some(3), ..Since::default() });
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
    fn rows_read_by_themselves_are_left_out_and_rows_without_a_value_not() {
        let cursor = CursorColumn { name: "id", nullable: true };
        let scope = Scope::Everything(Why::NoCursor);
        let condition = |range| Rows { scope: &scope, range, without: &[3, -4] }.condition(&cursor);
        let others = r#"("id" IS NULL OR "id" <> ALL ('{3,-4}'::bigint[]))"#;
        assert_eq!(condition(None), format!(" WHERE {others}"));
        let range = Range { above: Some(1), to: 9 };
        let within = condition(Some(&range));
        assert!(within.ends_with(&format!("\"id\" <= ('9'::bigint) AND {others}")), "{within}");
    }

    #[test]
    fn a_division_asks_for_the_rows_of_its_scope() {
        let cursor = CursorColumn { name: HOSTILE, nullable: false };
        let transactions = Some(Transactions { xmax: 7, distance: 3 });
        let unbounded = Scope::Since(Since { transactions, ..Since::default() });
        let bounded = Scope::Since(Since { above: Some(5), transactions, ..Since::default() });
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
