//! Loads side by side: each table has a lock of its own, and no commit is loaded twice, whatever a session can see.

use std::time::Duration;

use futures::future;
use serde_json::json;
use sluice_core::{Commit, Disposition, Kind, LakeId, Retry, Sources};
use sluice_snowflake::sql::lock;

use crate::support::{LAKE, Warehouse, foundation, sources, table_id};

const PRODUCTS: &str = "DLT.APPLICATION_DATA.PRODUCTS";
const CURRENCIES: &str = "DLT.OPEN_EXCHANGE_RATES.CURRENCIES";
const COUNT: &str = "SELECT count(*) FROM DLT__APPLICATION_DATA.PRODUCTS";

fn product(id: u32) -> String {
    format!(
        "SELECT {id}::BIGINT AS audit_id, 1::BIGINT AS product_id, 'a' AS product_name, \
         1.5::DECIMAL(18,4) AS price_usd, 'INSERT' AS operation, TIMESTAMP '2026-01-01 00:00:00' AS valid_ts"
    )
}

fn append(warehouse: &Warehouse, sequence: u64) -> Commit {
    let commit = warehouse.commit(PRODUCTS, sequence, 1, &product(1));
    Commit { disposition: Disposition::Append, ..commit }
}

/// How many tables there are of one kind.
fn many(count: u32) -> Sources {
    let entry = |number: u32| {
        format!(
            "  - table: DLT.MANY.T{number}\n    description: One of many.\n    source: {{ kind: postgres, schema: s, table: t{number}, cursor: id }}\n    \
             loader: copy\n    disposition: merge\n    key: [id]\n    columns:\n      - {{ name: id, type: bigint, required: true }}\n"
        )
    };
    let entries: String = (0..count).map(entry).collect();
    Sources::parse(&format!("tables:\n{entries}")).expect("valid sources")
}

#[tokio::test]
async fn twenty_tables_load_at_once_and_none_waits_for_another() {
    let sources = many(20);
    let warehouse = Warehouse::empty().await.found(&sources).await;
    let commits: Vec<Commit> =
        sources.tables.iter().map(|table| warehouse.commit_of(table, 1, 1, "SELECT 1::BIGINT AS id")).collect();
    warehouse.hold(Some("raw/DLT/MANY/"));
    let mut loads = Box::pin(future::join_all(commits.iter().map(|commit| warehouse.load(commit))));
    // Each has its table's lock and has come to its file, while all others have theirs.
    let all_under_way = future::join_all(commits.iter().map(|commit| warehouse.asked_for(&commit.files[0].path)));
    tokio::select! {
        ended = &mut loads => panic!("their files are held: {ended:?}"),
        _ = all_under_way => {}
    }
    warehouse.hold(None);
    for answer in loads.await {
        assert_eq!(answer.expect("a load"), "loaded");
    }
    assert_eq!(warehouse.emulator.lock_waits(), 0);

    // A table's own loads do stand in line, and that is counted.
    let second = warehouse.commit_of(&sources.tables[0], 2, 1, "SELECT 2::BIGINT AS id");
    let held = &second.files[0].path;
    warehouse.hold(Some(held));
    let mut first = Box::pin(warehouse.load(&second));
    tokio::select! {
        ended = &mut first => panic!("its file is held: {ended:?}"),
        () = warehouse.asked_for(held) => {}
    }
    let mut again = Box::pin(warehouse.load(&second));
    while warehouse.emulator.lock_waits() == 0 {
        tokio::select! {
            ended = &mut first => panic!("its file is held: {ended:?}"),
            ended = &mut again => panic!("the table is locked: {ended:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    warehouse.hold(None);
    let (first, again) = future::join(first, again).await;
    assert_eq!(
        (first.expect("a load"), again.expect("a delivery")),
        ("loaded".to_owned(), "already loaded".to_owned())
    );
}

#[tokio::test]
async fn twenty_tables_load_while_the_load_of_another_is_under_way() {
    let sources = many(21);
    let warehouse = Warehouse::empty().await.found(&sources).await;
    let commits: Vec<Commit> =
        sources.tables.iter().map(|table| warehouse.commit_of(table, 1, 1, "SELECT 1::BIGINT AS id")).collect();
    let held = &commits[0].files[0].path;
    warehouse.hold(Some(held));
    let mut first = Box::pin(warehouse.load(&commits[0]));
    tokio::select! {
        ended = &mut first => panic!("its file is held: {ended:?}"),
        () = warehouse.asked_for(held) => {}
    }
    let others = future::join_all(commits[1..].iter().map(|commit| warehouse.load(commit)));
    let answers = tokio::select! {
        ended = &mut first => panic!("its file is held: {ended:?}"),
        answers = others => answers,
    };
    assert_eq!(answers.len(), 20);
    for answer in answers {
        assert_eq!(answer.expect("a load"), "loaded");
    }
    warehouse.hold(None);
    assert_eq!(first.await.expect("a load"), "loaded");
}

#[tokio::test]
async fn a_load_waits_for_another_of_its_table_and_no_longer_than_lock_timeout() {
    let warehouse = Warehouse::with_lock_timeout(Duration::from_millis(300)).await.found(&sources()).await;
    let commit = warehouse.commit(PRODUCTS, 1, 1, &product(1));
    let held = &commit.files[0].path;
    warehouse.hold(Some(held));
    let mut first = Box::pin(warehouse.load(&commit));
    tokio::select! {
        ended = &mut first => panic!("its file is held: {ended:?}"),
        () = warehouse.asked_for(held) => {}
    }
    let second = tokio::select! {
        ended = &mut first => panic!("its file is held: {ended:?}"),
        second = warehouse.load(&commit) => second.expect_err("the table is locked"),
    };
    assert_eq!((second.kind(), second.retry(), second.is_final()), (Kind::Unavailable, Retry::Transient, false));
    assert!(format!("{second:?}").contains("000625"), "{second:?}");
    warehouse.hold(None);
    assert_eq!(first.await.expect("a load"), "loaded");
    assert_eq!(warehouse.load(&commit).await.expect("a delivery"), "already loaded");
}

#[tokio::test]
async fn a_commit_that_a_session_cannot_see_yet_is_not_loaded_again() {
    let warehouse = Warehouse::founded().await;
    let commit = append(&warehouse, 1);
    warehouse.order("/api/v2/statements", 1, json!({"fault": "unseen_commit"})).await;
    assert_eq!(warehouse.load(&commit).await.expect("a load"), "loaded");
    assert_eq!(warehouse.load(&commit).await.expect("a second delivery"), "look again");
    assert_eq!(warehouse.load(&commit).await.expect("a third delivery"), "already loaded");
    assert_eq!(warehouse.column(COUNT).await, ["1"]);
}

#[tokio::test]
async fn commits_load_once_each_in_any_order_and_however_often_they_come() {
    let warehouse = Warehouse::founded().await;
    let commits: Vec<Commit> = [3, 12, 1, 2, 11].map(|sequence| append(&warehouse, sequence)).into();
    for round in 0..2 {
        let answers = future::join_all(commits.iter().chain(&commits).map(|commit| warehouse.load(commit))).await;
        let loaded = answers.iter().filter(|answer| answer.as_deref().is_ok_and(|answer| answer == "loaded")).count();
        assert_eq!(
            (answers.iter().filter(|answer| answer.is_err()).count(), loaded),
            (0, if round == 0 { 5 } else { 0 })
        );
    }
    assert_eq!(warehouse.column(COUNT).await, ["5"]);
}

#[tokio::test]
async fn a_load_that_fails_gives_its_lock_and_its_claim_back() {
    let warehouse = Warehouse::founded().await;
    let commit = append(&warehouse, 1);
    warehouse.deny_the_lake(true);
    let error = warehouse.load(&commit).await.expect_err("no lake");
    assert_eq!((error.kind(), error.is_final()), (Kind::Config, false));
    assert!(error.chain().contains("Access Denied") && error.hint().is_some(), "{error:?}");
    warehouse.deny_the_lake(false);
    assert_eq!(warehouse.load(&commit).await.expect("a load"), "loaded");
    assert_eq!(warehouse.column(COUNT).await, ["1"]);
}

#[tokio::test]
async fn a_stack_of_an_earlier_version_gets_its_locks_from_its_ledger() {
    let warehouse = Warehouse::empty().await;
    let lake = LakeId(LAKE.into());
    for statement in foundation(&sources()).await {
        if !statement.contains("LOCK_") {
            warehouse.run(&statement).await.expect("what an earlier version has made");
        }
    }
    let list = |code: &str| format!("SELECT '{code}' AS code, 'x' AS name");
    let old = |table: &str, sequence: u64| {
        format!(
            "INSERT INTO ADMIN.OBSERVABILITY.LOADS VALUES ('{LAKE}', '{table}', {sequence}, 'r', 'loaded', 'copy', 1, 1, NULL, \
             SYSDATE())"
        )
    };
    warehouse.run(&old(CURRENCIES, 5)).await.expect("an earlier load");
    warehouse.run(&old(PRODUCTS, 1)).await.expect("an earlier load");
    let overtaken = warehouse.commit(CURRENCIES, 4, 1, &list("OLD"));
    assert_eq!(warehouse.load(&overtaken).await.expect_err("there is no lock").kind(), Kind::NotFound);
    for _ in 0..2 {
        for table in [CURRENCIES, PRODUCTS] {
            warehouse.run(&lock::create(&lake, &table_id(table))).await.expect("a lock");
        }
    }
    assert_eq!(warehouse.load(&append(&warehouse, 1)).await.expect("a delivery"), "already loaded");
    assert_eq!(warehouse.load(&overtaken).await.expect("a load"), "loaded");
    assert_eq!(warehouse.column("SELECT count(*) FROM DLT__OPEN_EXCHANGE_RATES.CURRENCIES").await, ["0"], "5 is newer");
    assert_eq!(warehouse.load(&warehouse.commit(CURRENCIES, 6, 1, &list("EUR"))).await.expect("a load"), "loaded");
    assert_eq!(warehouse.column("SELECT CODE FROM DLT__OPEN_EXCHANGE_RATES.CURRENCIES").await, ["EUR"]);
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_can_be_cancelled() {
    let warehouse = Warehouse::founded().await;
    let commit = warehouse.commit(PRODUCTS, 1, 1, &product(1));
    let held = &commit.files[0].path;
    warehouse.hold(Some(held));
    let mut first = Box::pin(warehouse.load(&commit));
    tokio::select! {
        ended = &mut first => panic!("its file is held: {ended:?}"),
        () = warehouse.asked_for(held) => {}
    }
    let statement = json!({"statement": sluice_snowflake::sql::load::render(&commit).expect("a block")});
    let token = crate::support::token();
    let (status, body) = warehouse.post("/api/v2/statements?async=true", &token, statement).await;
    assert_eq!(status, 202, "{body}");
    let url = body["statementStatusUrl"].as_str().expect("an address").to_owned();
    let (status, _) = warehouse.post(&format!("{url}/cancel"), &token, json!({})).await;
    assert_eq!(status, 200);
    let ended = async {
        loop {
            let request = warehouse.http.get(format!("{}{url}", warehouse.url)).bearer_auth(&token);
            let answer = request.header("accept", "*/*").send().await.expect("an answer");
            if answer.status().as_u16() != 202 {
                return answer.json::<serde_json::Value>().await.expect("json");
            }
        }
    };
    let ended = tokio::select! {
        ended = &mut first => panic!("its file is held: {ended:?}"),
        ended = ended => ended,
    };
    assert_eq!(ended["code"], "000604", "{ended}");
    warehouse.hold(None);
    assert_eq!(first.await.expect("a load"), "loaded");
}
