//! What a run commits, refuses and rejects, and what it makes of a table that changes.

use serde_json::Value;
use sluice_core::{
    Commit, Kind, Result,
    extract::{ExtractSummary, Outcome},
};
use sluice_testkit::lake::Death;

use crate::shop::{SCHEDULED, Shop, WITH_KEY};

const FULL_REFRESH: &str = include_str!("../../../../events/extract-postgres/full-refresh.json");
const UNKNOWN_TABLE: &str = include_str!("../../../../events/extract-postgres/unknown-table.json");

async fn shop(name: &str) -> Shop {
    Shop::new(name, WITH_KEY).await
}

impl Shop {
    async fn insert(&self, rows: &str) {
        let columns = "product_id, product_name, price_usd, operation, valid_ts";
        self.sql(&format!("INSERT INTO $.products ({columns}) VALUES {rows}")).await;
    }

    async fn alter(&self, change: &str) {
        self.sql(&format!("ALTER TABLE $.products {change}")).await;
    }

    fn contract(&mut self, mode: &str) {
        let products = self.sources.tables.iter_mut().find(|table| table.table.table == "PRODUCTS").unwrap();
        products.contract = serde_json::from_value(mode.into()).unwrap();
    }

    async fn handle(&self, event: &str) -> Result<ExtractSummary> {
        self.invoke(event, &self.deps(Death::Never)).await.expect("alive")
    }

    /// The oldest first.
    fn commits(&self) -> Vec<Commit> {
        self.lake.commits(self.table()).unwrap()
    }

    /// The audit id and the price in ten-thousandths of every committed row, by the commits' order.
    fn rows(&self) -> Vec<(i64, Option<i64>)> {
        let number = |text: &String| text.parse().expect("a number");
        let rows = self.lake.committed_rows(self.table()).unwrap().into_iter();
        rows.map(|row| (number(row["audit_id"].as_ref().unwrap()), row["price_usd"].as_ref().map(number))).collect()
    }

    /// What the newest commit tells of drift: column, kind, action.
    fn drift(&self) -> Vec<String> {
        let word = |value: Value| value.as_str().unwrap().to_owned();
        let commits = self.commits();
        let changes = commits.last().unwrap().drift.iter().map(|change| {
            let kind = word(serde_json::to_value(change.kind).unwrap());
            let action = word(serde_json::to_value(change.action).unwrap());
            format!("{} {kind} {action}", change.column)
        });
        changes.collect()
    }
}

#[tokio::test]
async fn a_scheduled_run_commits_what_is_new_and_the_next_one_nothing() {
    let shop = shop("scheduled").await;
    shop.insert("(6, 'Mug', 12.99, 'INSERT', '2026-01-01 10:00'), (2, null, null, 'DELETE', '2026-02-01 09:00')").await;
    let first = shop.handle(SCHEDULED).await.unwrap();
    assert_eq!((first.outcome, first.rows, first.rejected, first.files), (Outcome::Committed, 2, 0, 1));
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().outcome, Outcome::NothingNew);
    shop.insert("(6, 'Mug', 15.99, 'UPDATE', '2026-02-01 14:30')").await;
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().rows, 1);

    let [oldest, newest] = &shop.commits()[..] else { panic!("two commits") };
    assert_eq!((oldest.rows, newest.rows), (2, 1));
    assert_eq!(shop.rows(), [(1, Some(129_900)), (2, None), (3, Some(159_900))]);
    assert_eq!(newest.cursor_from, oldest.cursor_to);
    assert!(newest.source_facts.contains_key("snapshot"));
    shop.close().await;
}

#[tokio::test]
async fn a_full_refresh_reads_everything_again() {
    let shop = shop("refresh").await;
    shop.insert("(6, 'Mug', 12.99, 'INSERT', '2026-01-01 10:00'), (7, 'Cup', 1, 'INSERT', '2026-01-01 10:00')").await;
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().rows, 2);
    assert_eq!(shop.handle(FULL_REFRESH).await.unwrap().rows, 2);
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().outcome, Outcome::NothingNew);
    shop.close().await;
}

#[tokio::test]
async fn rows_that_break_the_contract_are_kept_and_the_rest_is_committed() {
    let shop = shop("rejects").await;
    shop.insert(
        "(1, 'Mug', -0.01, 'INSERT', '2026-01-01'), (2, 'Cup', 'NaN', 'INSERT', '2026-01-01'), \
         (3, 'Pot', 1, 'UPSERT', '2026-01-01'), (4, 'Pan', 1, 'INSERT', 'infinity'), (5, 'Jar', 2, 'INSERT', '2026-01-01')",
    )
    .await;
    let summary = shop.handle(SCHEDULED).await.unwrap();
    assert_eq!((summary.rows, summary.rejected), (1, 4));
    let [commit] = &shop.commits()[..] else { panic!("one commit") };
    assert_eq!(shop.rows(), [(5, Some(20_000))]);

    let path = &commit.rejected.as_ref().unwrap().path;
    let text = zstd::decode_all(&shop.lake.objects()[path][..]).unwrap();
    let lines: Vec<Value> =
        std::str::from_utf8(&text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept: Vec<(i64, &str)> = lines
        .iter()
        .map(|line| (line["row"]["audit_id"].as_i64().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        kept,
        [
            (1, "price_usd: is below 0"),
            (2, "price_usd: is not a finite number"),
            (3, "operation: is none of INSERT, UPDATE, DELETE"),
            (4, "valid_ts: is infinite"),
        ]
    );
    assert_eq!((&lines[0]["row"]["price_usd"], &lines[1]["row"]["price_usd"]), (&"-0.0100".into(), &"NaN".into()));
    assert_eq!(lines[3]["row"]["valid_ts"], "infinity");
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().outcome, Outcome::NothingNew, "rejects are not read again");
    shop.close().await;
}

#[tokio::test]
async fn a_table_that_is_not_in_the_sources_is_refused_before_anything_is_read() {
    let shop = shop("unknown").await;
    let error = shop.handle(UNKNOWN_TABLE).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("NO_SUCH_TABLE"), "{error}");
    assert!(shop.lake.is_empty());
    shop.close().await;
}

#[tokio::test]
async fn dates_and_tables_of_other_sources_are_refused_by_name() {
    let shop = shop("refused").await;
    let dated = SCHEDULED.replace("\"table\"", "\"from\": \"2026-01-01\", \"table\"");
    let foreign = SCHEDULED.replace("DLT.APPLICATION_DATA.PRODUCTS", "AIRBYTE.HUBSPOT.CONTACTS");
    for (event, kind, part) in [(dated, Kind::Unsupported, "full_refresh"), (foreign, Kind::Config, "not postgres")] {
        let error = shop.handle(&event).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    shop.close().await;
}

#[tokio::test]
async fn an_evolving_table_takes_new_columns_of_every_type() {
    let mut shop = shop("evolve").await;
    shop.contract("evolve");
    shop.insert("(1, 'Mug', 1, 'INSERT', '2026-01-01')").await;
    shop.handle(SCHEDULED).await.unwrap();
    shop.alter(
        "ADD stock int4, ADD weight numeric(6,3), ADD born date, ADD note varchar(9), ADD ratio float8, ADD \"Odd\" int",
    )
    .await;
    shop.sql(
        "INSERT INTO $.products (product_id, operation, valid_ts, stock, weight, born, note, ratio) \
         VALUES (2, 'INSERT', '2026-01-02', 7, 1.250, '2026-01-03', 'new', 0.1)",
    )
    .await;
    let deps = shop.deps(Death::Never);
    assert_eq!(shop.invoke(SCHEDULED, &deps).await.expect("alive").unwrap().rows, 1);
    let commits = shop.commits();
    let newest = commits.last().unwrap();
    assert!(
        newest.schema.fingerprint().ends_with("stock:bigint,weight:decimal(6,3),born:date,note:text,ratio:text"),
        "{}",
        newest.schema.fingerprint()
    );
    assert_eq!(
        shop.drift(),
        [
            "stock new evolved",
            "weight new evolved",
            "born new evolved",
            "note new evolved",
            "ratio new evolved",
            "Odd new ignored"
        ]
    );
    let told: Vec<_> = deps.bus.announced.borrow().iter().map(|event| event.detail_type).collect();
    assert_eq!(told, ["DriftDetected"]);
    shop.close().await;
}

#[tokio::test]
async fn a_frozen_table_stops_at_any_change_and_goes_on_when_it_is_undone() {
    let mut shop = shop("freeze").await;
    shop.contract("freeze");
    shop.insert("(1, 'Mug', 1, 'INSERT', '2026-01-01')").await;
    shop.handle(SCHEDULED).await.unwrap();
    for (change, undo, named) in [
        ("ADD stock int", "DROP stock", "'stock' is new (integer)"),
        ("RENAME product_name TO title", "RENAME title TO product_name", "probably renamed: 'title'"),
        ("ALTER price_usd TYPE numeric(20,4)", "ALTER price_usd TYPE float", "'price_usd' is wider"),
        ("ALTER product_id TYPE text", "ALTER product_id TYPE bigint USING product_id::bigint", "another type"),
    ] {
        shop.alter(change).await;
        let before = shop.lake.objects();
        let error = shop.handle(SCHEDULED).await.unwrap_err();
        assert_eq!(error.kind(), Kind::SchemaMismatch, "{change}");
        assert!(error.to_string().contains(named), "{change}: {error}");
        assert_eq!(shop.lake.objects(), before, "{change}: something was written");
        shop.alter(undo).await;
    }
    shop.insert("(2, 'Cup', 1, 'INSERT', '2026-01-01')").await;
    // A change of type rewrites the table: its rows count as written again, and the merge finds them there already.
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().rows, 2);
    shop.close().await;
}

#[tokio::test]
async fn a_rejecting_table_reads_without_lost_columns_and_rejects_bad_rows() {
    let shop = shop("reject").await;
    shop.alter("ALTER price_usd TYPE numeric(18,4)").await;
    shop.insert("(1, 'Mug', 1, 'INSERT', '2026-01-01')").await;
    shop.handle(SCHEDULED).await.unwrap();
    shop.alter("DROP product_name, ADD stock int, ALTER price_usd TYPE numeric(20,5), ALTER product_id TYPE int4")
        .await;
    shop.sql(
        "INSERT INTO $.products (product_id, price_usd, operation, valid_ts) \
         VALUES (2, 1.5, 'INSERT', '2026-01-02'), (3, 1.00001, 'INSERT', '2026-01-02'), \
                    (4, 100000000000000, 'INSERT', '2026-01-02')",
    )
    .await;
    let summary = shop.handle(SCHEDULED).await.unwrap();
    // The row of the first run is read again: a change of type has rewritten it.
    assert_eq!((summary.rows, summary.rejected), (2, 2));
    assert_eq!(
        shop.drift(),
        ["product_id narrowed fits", "product_name dropped nulled", "price_usd widened rejected", "stock new ignored"]
    );
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().outcome, Outcome::NothingNew);
    shop.close().await;
}

#[tokio::test]
async fn a_row_whose_key_is_null_is_rejected_and_a_key_that_may_be_null_is_told() {
    let shop = shop("null_key").await;
    shop.insert("(1, 'Mug', 1, 'INSERT', '2026-01-01')").await;
    shop.handle(SCHEDULED).await.unwrap();
    shop.alter("DROP CONSTRAINT products_pkey, ALTER audit_id DROP NOT NULL, ALTER audit_id DROP DEFAULT").await;
    shop.insert("(2, 'Cup', 1, 'INSERT', '2026-01-01')").await;
    let summary = shop.handle(SCHEDULED).await.unwrap();
    assert_eq!((summary.rows, summary.rejected), (0, 1));
    assert_eq!(shop.drift(), ["audit_id nullable rejected"]);
    shop.close().await;
}
