//! Servers that refuse what a read asks beside its rows, as managed ones do.

use sluice_core::{Cursor, Secret, Table};
use sluice_postgres::{PostgresConfig, position::Position};

use crate::support::{Database, read_as};

/// The system's functions that a read asks by name and can do without, with what they answer.
const ASKED: [(&str, &str); 4] = [
    ("pg_control_system()", "TABLE(system_identifier bigint)"),
    ("pg_control_checkpoint()", "TABLE(timeline_id integer)"),
    ("pg_relation_filenode(regclass)", "oid"),
    ("pg_relation_size(regclass)", "bigint"),
];

/// In a database of its own the system's functions may be others: here, ones that answer with an error.
async fn refuse(database: &Database, (function, answer): (&str, &str), sqlstate: &str) {
    let name = function.split('(').next().unwrap();
    let body = format!("BEGIN RAISE EXCEPTION ''not here'' USING ERRCODE = ''{sqlstate}''; END");
    database
        .run(&format!(
            "SET allow_system_table_mods = on; \
             ALTER FUNCTION pg_catalog.{function} RENAME TO {name}_of_the_system; \
             CREATE FUNCTION pg_catalog.{function} RETURNS {answer} LANGUAGE plpgsql AS '{body}'"
        ))
        .await;
}

async fn changes(database: &Database) -> Table {
    database.run("CREATE TABLE $.changes (id bigserial PRIMARY KEY, name text)").await;
    database.run("INSERT INTO $.changes (name) VALUES ('a'), (repeat('b', 100000))").await;
    let columns = serde_json::json!([{ "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }]);
    database.table("changes", columns)
}

/// A role that may only read the table, and what it connects with.
async fn reader(database: &Database) -> PostgresConfig {
    let role = format!("{}_reader", database.schema);
    database.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'reader'; GRANT USAGE ON SCHEMA $ TO {role}")).await;
    database.run(&format!("GRANT SELECT ON $.changes TO {role}")).await;
    PostgresConfig { username: role, password: Secret::new("reader"), ..database.config() }
}

async fn without(database: Database, role: PostgresConfig) {
    database.run(&format!("DROP OWNED BY {0}; DROP ROLE {0}", role.username)).await;
    database.drop().await;
}

/// Cluster, timeline and tables, as the cursor names them.
fn source(cursor: Option<&Cursor>) -> Vec<String> {
    let position: Position = cursor.unwrap().decode().unwrap();
    position.source.split('/').map(str::to_owned).collect()
}

#[tokio::test]
async fn a_server_that_refuses_its_system_functions_is_read_as_any_other() {
    for sqlstate in ["55000", "0A000", "42501", "XX000"] {
        let database = Database::of_its_own("").await;
        let table = changes(&database).await;
        for function in ASKED {
            refuse(&database, function, sqlstate).await;
        }
        let mut reader = database.reader(&table).await;
        assert_eq!(reader.ids().await, [1, 2], "{sqlstate}");
        assert_eq!(source(reader.cursor.as_ref())[0], "unknown", "{sqlstate}");
        database.run("INSERT INTO $.changes (name) VALUES ('c')").await;
        assert_eq!(reader.ids().await, [3], "{sqlstate}");
        database.run("TRUNCATE $.changes RESTART IDENTITY; INSERT INTO $.changes (name) VALUES ('d')").await;
        assert_eq!(reader.ids().await, [1], "{sqlstate}: the last row is missed, whatever the server does not tell");
        database.drop().await;
    }
}

/// Aurora knows its system and refuses the control file's checkpoint.
#[tokio::test]
async fn a_refused_timeline_leaves_the_system_known() {
    let database = Database::of_its_own("").await;
    let table = changes(&database).await;
    let whole = source(database.read(&table, None, 0).await.unwrap().0.cursor.as_ref());
    refuse(&database, ASKED[1], "55000").await;
    let without = source(database.read(&table, None, 0).await.unwrap().0.cursor.as_ref());
    assert_eq!(without, [&whole[0], "unknown", &whole[2]]);
    database.drop().await;
}

#[tokio::test]
async fn a_role_without_a_right_to_any_system_function_reads() {
    let database = Database::of_its_own("").await;
    let table = changes(&database).await;
    let role = reader(&database).await;
    let others = ["pg_prepared_xact()", "pg_sequence_last_value(regclass)", "pg_stat_get_activity(integer)"];
    for function in ASKED.iter().map(|(function, _)| *function).chain(others) {
        database.run(&format!("REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC")).await;
    }
    database.run("REVOKE SELECT ON pg_catalog.pg_stat_activity, pg_catalog.pg_sequences FROM PUBLIC").await;
    let (read, sink) = read_as(&role, &table, None, 0).await.unwrap();
    assert_eq!(sink.ids(), [1, 2]);
    let (again, sink) = read_as(&role, &table, read.cursor.as_ref(), 0).await.unwrap();
    assert_eq!((sink.rows.len(), again.cursor), (0, read.cursor));
    without(database, role).await;
}

/// No object of a user is taken for one of the system, whatever the role's search path says.
#[tokio::test]
async fn a_role_whose_search_path_hides_the_system_reads_the_same() {
    let database = Database::of_its_own("").await;
    let table = changes(&database).await;
    let role = reader(&database).await;
    let body = "BEGIN RAISE EXCEPTION ''of a user''; END";
    for (function, answer) in ASKED.into_iter().chain([
        ("pg_relation_filenode(oid)", "text"),
        ("octet_length(text)", "bigint"),
        ("clock_timestamp()", "timestamptz"),
        ("age(xid)", "integer"),
    ]) {
        let create = format!("CREATE FUNCTION $.{function} RETURNS {answer} LANGUAGE plpgsql AS '{body}'");
        database.run(&create).await;
    }
    database.run(&format!("ALTER ROLE {} SET search_path = $, pg_catalog", role.username)).await;
    let (read, sink) = read_as(&role, &table, None, 0).await.unwrap();
    assert_eq!(sink.ids(), [1, 2]);
    let source = source(read.cursor.as_ref());
    assert!(!source.iter().any(|part| part == "unknown"), "{source:?}");
    without(database, role).await;
}

#[tokio::test]
async fn texts_are_the_same_whatever_settings_a_role_has() {
    let database = Database::of_its_own("").await;
    database.run("CREATE TABLE $.changes (id bigint, b bytea, i interval, t timestamptz, f float8, r regclass)").await;
    let values = "'\\x00ff', '1 year 2 days 03:04:05', '2026-01-02 12:04:05+09', 0.1, 'pg_catalog.pg_class'";
    database.run(&format!("INSERT INTO $.changes VALUES (1, {values})")).await;
    let text = |name: &str| serde_json::json!({ "name": name, "type": "text" });
    let columns = ["b", "i", "t", "f", "r"].map(text);
    let columns: Vec<_> = [serde_json::json!({ "name": "id", "type": "bigint" })].into_iter().chain(columns).collect();
    let table = database.table("changes", columns.into());
    let role = reader(&database).await;
    for setting in [
        "bytea_output = 'escape'",
        "intervalstyle = 'sql_standard'",
        "datestyle = 'German'",
        "timezone = 'Asia/Tokyo'",
        "extra_float_digits = -15",
        "quote_all_identifiers = on",
    ] {
        database.run(&format!("ALTER ROLE {} SET {setting}", role.username)).await;
    }
    let (_, sink) = read_as(&role, &table, None, 0).await.unwrap();
    let expected = ["1", "\\x00ff", "1 year 2 days 03:04:05", "2026-01-02 03:04:05+00", "0.1", "pg_class"];
    assert_eq!(sink.rows, [expected]);
    without(database, role).await;
}
