//! No row is missed and none is read twice without need, whatever other transactions do meanwhile.

use std::collections::BTreeSet;

use sluice_core::Secret;
use sluice_postgres::PostgresConfig;

use crate::support::{Database, Session, read_as};

#[tokio::test]
async fn a_second_read_brings_what_is_new_and_a_third_nothing() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run("INSERT INTO $.changes (name) VALUES ('a'), ('b'), ('c')").await;
    assert_eq!(reader.ids().await, [1, 2, 3]);
    assert_eq!(reader.position().high, Some(3));
    database.run("INSERT INTO $.changes (name) VALUES ('d')").await;
    assert_eq!(reader.ids().await, [4]);
    let standing = reader.cursor.clone();
    assert!(reader.ids().await.is_empty());
    assert_eq!(reader.cursor, standing, "a read of nothing leaves the cursor, so that nothing is committed");
    database.drop().await;
}

#[tokio::test]
async fn an_empty_table_has_no_cursor_yet() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    assert!(reader.ids().await.is_empty());
    assert_eq!(reader.cursor, None);
    database.drop().await;
}

#[tokio::test]
async fn a_row_that_commits_after_larger_ones_were_read_is_read() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    let late = database.session().await;
    late.run("BEGIN; INSERT INTO $.changes (name) VALUES ('late')").await;
    database.run("INSERT INTO $.changes (name) VALUES ('b'), ('c')").await;
    assert_eq!(reader.ids().await, [2, 3]);
    database.run("INSERT INTO $.changes (name) VALUES ('d')").await;
    assert!(reader.ids().await.contains(&4));
    assert_eq!(reader.position().high, None, "nothing is complete while the first row may still come");
    late.run("COMMIT").await;
    assert!(reader.ids().await.contains(&1));
    database.run("INSERT INTO $.changes (name) VALUES ('e')").await;
    assert_eq!(reader.ids().await, [5]);
    assert_eq!(reader.position().high, Some(5));
    database.drop().await;
}

#[tokio::test]
async fn a_transaction_that_the_snapshot_does_not_list_is_waited_for() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    let (first, second) = (database.session().await, database.session().await);
    // The first takes its transaction number before the second and its row's number after: when only the first has
    // committed, the snapshot reads as if nothing were in flight.
    first.run("BEGIN; SELECT pg_current_xact_id()").await;
    second.run("BEGIN; INSERT INTO $.changes (name) VALUES ('in flight')").await;
    first.run("INSERT INTO $.changes (name) VALUES ('committed'); COMMIT").await;
    assert_eq!(reader.ids().await, [2]);
    let position = reader.position();
    let (xmin, rest) = position.snapshot.split_once(':').unwrap();
    assert_eq!(rest, format!("{xmin}:"), "the snapshot lists nothing");
    assert_eq!(position.high, None);
    second.run("COMMIT").await;
    assert_eq!(reader.ids().await, [1]);
    database.drop().await;
}

#[tokio::test]
async fn a_row_of_a_savepoint_in_flight_is_read_once_it_commits() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    let late = database.session().await;
    late.run("BEGIN; INSERT INTO $.changes (name) VALUES ('outer')").await;
    late.run("SAVEPOINT s; INSERT INTO $.changes (name) VALUES ('inner'); RELEASE s").await;
    database.run("INSERT INTO $.changes (name) VALUES ('c')").await;
    assert_eq!(reader.ids().await, [3]);
    late.run("COMMIT").await;
    let ids = reader.ids().await;
    assert!(ids.contains(&1) && ids.contains(&2), "{ids:?}");
    database.drop().await;
}

#[tokio::test]
async fn a_rolled_back_row_never_comes_and_holds_nothing_up() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    let other = database.session().await;
    other.run("BEGIN; INSERT INTO $.changes (name) VALUES ('never')").await;
    database.run("INSERT INTO $.changes (name) VALUES ('b')").await;
    assert_eq!(reader.ids().await, [2]);
    other.run("ROLLBACK").await;
    database.run("INSERT INTO $.changes (name) VALUES ('c')").await;
    assert!(reader.ids().await.contains(&3));
    assert_eq!(reader.position().high, Some(3));
    assert!(reader.ids().await.is_empty());
    database.drop().await;
}

#[tokio::test]
async fn a_number_drawn_long_before_its_row_is_found_by_the_look_back() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    reader.lookback = 100;
    let early = database.session().await;
    early.run("SELECT nextval('$.changes_id_seq')").await;
    database.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 50)").await;
    assert_eq!(reader.ids().await, (2..=51).collect::<Vec<i64>>());
    assert_eq!(reader.position().high, Some(51), "the early session has no transaction that could be seen");
    early.run("INSERT INTO $.changes (id, name) VALUES (1, 'drawn early')").await;
    assert_eq!(reader.ids().await, [1], "and what the look-back scans again is not read again");
    database.drop().await;
}

#[tokio::test]
async fn freezing_changes_nothing() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    reader.lookback = 1_000;
    database.run("INSERT INTO $.changes (name) VALUES ('a')").await;
    assert_eq!(reader.ids().await, [1]);
    database.run("INSERT INTO $.changes (name) VALUES ('b')").await;
    database.run("VACUUM (FREEZE) $.changes").await;
    assert_eq!(reader.ids().await, [2]);
    database.run("INSERT INTO $.changes (name) VALUES ('c')").await;
    database.run("VACUUM (FULL, FREEZE) $.changes").await;
    assert_eq!(reader.ids().await, [3]);
    database.drop().await;
}

#[tokio::test]
async fn a_table_that_was_made_again_is_read_from_its_beginning() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run("INSERT INTO $.changes (name) VALUES ('a'), ('b')").await;
    assert_eq!(reader.ids().await, [1, 2]);
    database.run("CREATE TABLE $.copy AS SELECT * FROM $.changes; DROP TABLE $.changes").await;
    database.run("ALTER TABLE $.copy RENAME TO changes").await;
    assert_eq!(reader.ids().await, [1, 2]);
    assert!(reader.ids().await.is_empty());
    database.drop().await;
}

#[tokio::test]
async fn a_partition_that_arrives_with_old_rows_is_read() {
    let database = Database::new().await;
    database.run("CREATE TABLE $.p (id bigint, name text) PARTITION BY LIST (name)").await;
    database.run("CREATE TABLE $.p_a PARTITION OF $.p FOR VALUES IN ('a'); CREATE TABLE $.p_b (LIKE $.p)").await;
    database.run("INSERT INTO $.p_b VALUES (1, 'b')").await;
    database.run("INSERT INTO $.p VALUES (2, 'a')").await;
    let columns = serde_json::json!([{ "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }]);
    let table = database.table("p", columns);
    let mut reader = database.reader(&table).await;
    assert_eq!(reader.ids().await, [2]);
    database.run("ALTER TABLE $.p ATTACH PARTITION $.p_b FOR VALUES IN ('b')").await;
    assert_eq!(reader.ids().await, [1, 2]);
    assert!(reader.ids().await.is_empty());
    database.drop().await;
}

#[tokio::test]
async fn a_cursor_of_another_history_is_not_trusted() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run("INSERT INTO $.changes (name) VALUES ('a')").await;
    assert_eq!(reader.ids().await, [1]);
    for change in [("source", "another/1/1".into()), ("snapshot", "900000000000:900000000000:".into())] {
        let mut cursor = reader.cursor.clone().unwrap();
        cursor.0[change.0] = serde_json::Value::String(change.1);
        let (_, sink) = database.read(&table, Some(&cursor), 0).await.unwrap();
        assert_eq!(sink.rows.len(), 1, "{}", change.0);
    }
    database.drop().await;
}

#[tokio::test]
async fn a_transaction_open_across_many_runs_is_read_when_it_ends() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    reader.lookback = 10;
    let (old, older) = (database.session().await, database.session().await);
    older.run("BEGIN; INSERT INTO $.changes (name) VALUES ('older')").await;
    old.run("BEGIN; INSERT INTO $.changes (name) VALUES ('old')").await;
    let mut seen = BTreeSet::new();
    for _ in 0..6 {
        database.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 100)").await;
        seen.extend(reader.ids().await);
        assert_eq!(reader.position().high, None, "nothing is complete while the first rows may still come");
    }
    assert_eq!(seen, (3..=602).collect());
    old.run("COMMIT").await;
    assert!(reader.ids().await.contains(&2), "six hundred values below the newest, sixty times the look-back");
    for _ in 0..3 {
        database.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 100)").await;
        reader.ids().await;
    }
    older.run("COMMIT").await;
    assert!(reader.ids().await.contains(&1));
    database.run("INSERT INTO $.changes (name) VALUES ('last')").await;
    assert_eq!(reader.ids().await, [903]);
    assert_eq!(reader.position().high, Some(903));
    database.drop().await;
}

#[tokio::test]
async fn rows_beside_an_open_transaction_are_read_once_and_its_age_is_told() {
    const SECONDS: &str = "oldest_transaction_seconds";
    let (database, table) = Database::with_changes().await;
    let config = database.config();
    let mut cursor = None;
    let mut read = async || {
        let (read, sink) = read_as(&config, &table, cursor.as_ref(), 0).await.unwrap();
        cursor = read.cursor;
        (sink.ids(), read.facts.get(SECONDS).cloned())
    };
    database.run("INSERT INTO $.changes (name) VALUES ('a')").await;
    assert_eq!(read().await, (vec![1], None), "nobody else writes");
    let open = database.session().await;
    open.run("BEGIN; INSERT INTO $.changes (name) VALUES ('open')").await;
    database.run("INSERT INTO $.changes (name) VALUES ('c')").await;
    for expected in [vec![3], vec![], vec![]] {
        let (ids, seconds) = read().await;
        assert_eq!(ids, expected);
        assert!(seconds.is_some_and(|seconds| seconds.as_i64() < Some(600)), "a number of seconds");
    }
    open.run("COMMIT").await;
    assert_eq!(read().await, (vec![2], None), "the first run after its end");
    assert_eq!(read().await, (vec![], None));
    database.drop().await;
}

#[tokio::test]
async fn a_role_that_sees_no_other_sessions_reads_without_their_age() {
    let (database, table) = Database::with_changes().await;
    let role = format!("{}_reader", database.schema);
    database.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'reader'; GRANT USAGE ON SCHEMA $ TO {role}")).await;
    database.run(&format!("GRANT SELECT ON $.changes TO {role}")).await;
    let open = database.session().await;
    open.run("BEGIN; INSERT INTO $.changes (name) VALUES ('open')").await;
    database.run("INSERT INTO $.changes (name) VALUES ('b')").await;
    let config = PostgresConfig { username: role.clone(), password: Secret::new("reader"), ..database.config() };
    let (read, sink) = read_as(&config, &table, None, 0).await.unwrap();
    assert_eq!((sink.ids(), read.facts["in_flight"].as_bool()), (vec![2], Some(true)));
    assert!(!read.facts.contains_key("oldest_transaction_seconds"), "{:?}", read.facts);
    open.run("ROLLBACK").await;
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    database.drop().await;
}

/// Every transaction inserts a pair of rows. A read while many of them commit must never bring half a pair.
#[tokio::test]
async fn a_read_sees_whole_transactions_only() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    let writer = database.session().await;
    let writing = async {
        for pair in 0..400 {
            writer.run(&format!("BEGIN; INSERT INTO $.changes (name) VALUES ('{pair}')")).await;
            writer.run(&format!("INSERT INTO $.changes (name) VALUES ('{pair}'); COMMIT")).await;
        }
    };
    let reading = async {
        let mut halves = 0_usize;
        for _ in 0..40 {
            let (read, sink) = database.read(&table, None, 0).await.unwrap();
            drop(read);
            let mut pairs = std::collections::BTreeMap::<String, usize>::new();
            for row in sink.rows {
                *pairs.entry(row[1].clone()).or_default() += 1;
            }
            halves += pairs.values().filter(|count| **count != 2).count();
        }
        halves
    };
    let ((), halves) = futures::future::join(writing, reading).await;
    assert_eq!(halves, 0);
    assert_eq!(reader.ids().await.len(), 800);
    database.drop().await;
}

/// Many transactions, opened, written to in and out of savepoints, committed and rolled back in every order, with reads
/// between: in the end every row of the table has been read, though no read looks back.
#[tokio::test]
async fn no_interleaving_of_transactions_loses_a_row() {
    let (database, table) = Database::with_changes().await;
    let mut sessions: Vec<(Session, bool)> = Vec::new();
    for _ in 0..6 {
        sessions.push((database.session().await, false));
    }
    // A fixed sequence of choices: a failure repeats itself.
    let mut state = 0x5EED_u64;
    let mut choose = |among: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % among
    };
    let mut reader = database.reader(&table).await;
    let mut seen = BTreeSet::new();
    for _ in 0..1_500 {
        let (session, in_transaction) = &mut sessions[choose(6) as usize];
        match (choose(10), *in_transaction) {
            (0..=1, false) => session.run("BEGIN; SELECT pg_current_xact_id()").await,
            (2..=3, false) => session.run("BEGIN").await,
            (4..=5, false) => {
                session.run("INSERT INTO $.changes (name) VALUES ('alone')").await;
                continue;
            }
            (0..=3, true) => {
                session.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 3)").await;
                continue;
            }
            (4, true) => {
                session.run("SAVEPOINT s; INSERT INTO $.changes (name) VALUES ('kept'); RELEASE s").await;
                continue;
            }
            (5, true) => {
                session.run("SAVEPOINT s; INSERT INTO $.changes (name) VALUES ('undone'); ROLLBACK TO s").await;
                continue;
            }
            (6..=7, true) => session.run("COMMIT").await,
            (8, true) => session.run("ROLLBACK").await,
            _ => {
                seen.extend(reader.ids().await);
                continue;
            }
        }
        *in_transaction = !*in_transaction;
    }
    for (session, in_transaction) in &sessions {
        if *in_transaction {
            session.run("COMMIT").await;
        }
    }
    seen.extend(reader.ids().await);
    let (_, everything) = database.read(&table, None, 0).await.unwrap();
    let all: BTreeSet<i64> = everything.rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(all.len() > 300, "{} rows", all.len());
    assert_eq!(all.difference(&seen).collect::<Vec<_>>(), Vec::<&i64>::new(), "rows that were never read");
    assert_eq!(seen.difference(&all).collect::<Vec<_>>(), Vec::<&i64>::new(), "rows that were never committed");
    database.drop().await;
}
