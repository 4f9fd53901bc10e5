//! Texts that are not what their encoding says.

use serde_json::json;

use crate::support::Database;

const SQL_ASCII: &str = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";

#[tokio::test]
async fn a_text_that_is_not_utf_8_is_rejected_alone_and_kept_in_hexadecimal() {
    let database = Database::of_its_own(SQL_ASCII).await;
    database
        .run("CREATE TABLE $.legacy (id bigint PRIMARY KEY, name text, code varchar(9), doc json, tags text[])")
        .await;
    database
        .run(
            "INSERT INTO $.legacy VALUES (1, 'plain', 'ü', '{}', '{a}'), (2, E'caf\\xe9', 'x', '{}', null), \
             (3, 'ok after', null, null, '{}'), (4, 'y', E'\\xff', null, ARRAY[E'\\xfe']), \
             (5, 'z', null, E'{\"a\": \"\\xe4\"}', null)",
        )
        .await;
    let columns = json!([
        { "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }, { "name": "code", "type": "text" },
        { "name": "doc", "type": "text" }, { "name": "tags", "type": "text" },
    ]);
    let table = database.table("legacy", columns);
    let (read, sink) = database.read(&table, None, 0).await.unwrap();
    assert_eq!(sink.ids(), [1, 3]);
    assert_eq!(sink.rows[0][2], "ü", "what is UTF-8 lands as it is");
    assert_eq!(
        sink.rejected,
        [
            r"2: name \x636166e9 is not UTF-8",
            r"4: code \xff is not UTF-8, tags \x7bfe7d is not UTF-8",
            r"5: doc \x7b2261223a2022e4227d is not UTF-8",
        ]
    );
    let (again, sink) = database.read(&table, read.cursor.as_ref(), 0).await.unwrap();
    assert_eq!((sink.rejected.len(), again.cursor), (0, read.cursor), "and it stops nothing later");
    database.drop().await;
}

/// In WIN1252 five bytes are no characters, and the server takes them all the same.
#[tokio::test]
async fn a_text_without_a_form_in_utf_8_is_rejected_and_kept_in_hexadecimal() {
    let database = Database::of_its_own("ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    database.run("CREATE TABLE $.legacy (id bigint PRIMARY KEY, name text, code varchar(9))").await;
    database.run("INSERT INTO $.legacy SELECT n, 'Zoë', 'ok' FROM generate_series(1, 500) AS n").await;
    database.run("SET client_encoding = 'WIN1252'; INSERT INTO $.legacy VALUES (600, E'caf\\x81', 'x'), (900, 'y', E'\\x8d')").await;
    database
        .run("RESET client_encoding; UPDATE $.legacy SET code = chr(144) || 'z', name = 'b' || chr(157) WHERE id = 77")
        .await;
    let columns = json!([
        { "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }, { "name": "code", "type": "text" },
    ]);
    let table = database.table("legacy", columns);
    let (read, mut sink) = database.read(&table, None, 0).await.unwrap();
    assert_eq!((sink.rows.len(), sink.rows[0][1].as_str()), (499, "Zoë"));
    sink.rejected.sort();
    let rule = "has a character without a form in UTF-8";
    assert_eq!(
        sink.rejected,
        [
            format!(r"600: name \x63616681 {rule}"),
            format!(r"77: name \x629d {rule}, code \x907a {rule}"),
            format!(r"900: code \x8d {rule}"),
        ]
    );
    let (again, sink) = database.read(&table, read.cursor.as_ref(), 0).await.unwrap();
    assert_eq!((sink.rejected.len(), again.cursor), (0, read.cursor));
    database.drop().await;
}

#[tokio::test]
async fn thousands_of_texts_without_a_form_in_utf_8_stop_no_other_row() {
    let database = Database::of_its_own("ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    database.run("CREATE TABLE $.legacy (id bigint, name text)").await;
    database
        .run("INSERT INTO $.legacy SELECT n, CASE WHEN n % 4 = 0 THEN 'ok' ELSE 'b' || chr(129) END FROM generate_series(1, 3000) AS n")
        .await;
    database.run("INSERT INTO $.legacy VALUES (null, 'good'), (null, chr(141)), (-7, 'first')").await;
    let columns = json!([{ "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }]);
    let table = database.table("legacy", columns);
    let (read, sink) = database.read(&table, None, 0).await.unwrap();
    let with_key = sink.ids().len();
    assert_eq!(with_key, 751, "each good row, once");
    let unconvertible = sink.rejected.iter().filter(|line| line.contains("without a form in UTF-8")).count();
    assert_eq!(unconvertible, 2_250 + 2, "each bad row, once, and those without a key");
    let (again, sink) = database.read(&table, read.cursor.as_ref(), 0).await.unwrap();
    assert_eq!((sink.rejected.len(), again.cursor), (0, read.cursor), "and they stop nothing later");
    database.drop().await;
}

#[tokio::test]
async fn rows_of_one_cursor_value_are_rejected_one_by_one() {
    let database = Database::of_its_own("ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    database.run("CREATE TABLE $.batches (id bigint NOT NULL, name text) PARTITION BY LIST (id)").await;
    database.run("CREATE TABLE $.one PARTITION OF $.batches FOR VALUES IN (1)").await;
    database.run("CREATE TABLE $.others PARTITION OF $.batches DEFAULT").await;
    database
        .run("INSERT INTO $.batches VALUES (1, 'a'), (1, 'b' || chr(129)), (1, 'c'), (2, chr(141)), (2, 'd'), (3, 'e')")
        .await;
    let columns = json!([{ "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }]);
    let (_, mut sink) = database.read(&database.table("batches", columns), None, 0).await.unwrap();
    assert_eq!(sink.ids(), [1, 1, 2, 3]);
    sink.rejected.sort();
    let rule = "has a character without a form in UTF-8";
    assert_eq!(sink.rejected, [format!(r"1: name \x6281 {rule}"), format!(r"2: name \x8d {rule}")]);
    database.drop().await;
}

#[tokio::test]
async fn thousands_of_bad_texts_of_one_cursor_value_reject_no_good_row() {
    let database = Database::of_its_own("ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    database.run("CREATE TABLE $.one (id bigint, part int, name text, code text)").await;
    database.run("CREATE TABLE $.many (id bigint, part int, name text, code text) PARTITION BY LIST (part)").await;
    database.run("CREATE TABLE $.many_0 PARTITION OF $.many FOR VALUES IN (0)").await;
    database.run("CREATE TABLE $.many_1 PARTITION OF $.many FOR VALUES IN (1)").await;
    database.run("CREATE TABLE $.many_2 PARTITION OF $.many DEFAULT").await;
    let columns = json!([
        { "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }, { "name": "code", "type": "text" },
    ]);
    for name in ["one", "many"] {
        // 2,500 bad and 700 good rows of the value 7, in every block; neighbours before and after, one of them bad.
        database
            .run(&format!(
                "INSERT INTO $.{name} SELECT 7, n % 3, CASE WHEN n % 32 < 7 THEN 'ok' || n ELSE n || chr(129) END, 'x' \
                 FROM generate_series(0, 3199) AS n; \
                 INSERT INTO $.{name} VALUES (-2, 0, 'a', 'x'), (6, 1, 'b', chr(141)), (8, 2, 'c', 'x'), (9, 0, 'd', 'x')"
            ))
            .await;
        let table = database.table(name, columns.clone());
        let (read, sink) = database.read(&table, None, 0).await.unwrap();
        let mut good: Vec<&str> = sink.rows.iter().map(|row| row[1].as_str()).collect();
        good.sort_unstable();
        let mut expected: Vec<String> = (0..3200).filter(|n| n % 32 < 7).map(|n| format!("ok{n}")).collect();
        expected.extend(["a", "c", "d"].map(String::from));
        expected.sort_unstable();
        assert_eq!(good, expected, "{name}: each good row, once");
        let mut rejected = sink.rejected.clone();
        rejected.sort_unstable();
        rejected.dedup();
        assert_eq!((sink.rejected.len(), rejected.len()), (2_501, 2_501), "{name}: each bad row, once");
        let (again, sink) = database.read(&table, read.cursor.as_ref(), 0).await.unwrap();
        assert_eq!((sink.rejected.len(), again.cursor), (0, read.cursor), "{name}: and they stop nothing later");
    }
    database.drop().await;
}
