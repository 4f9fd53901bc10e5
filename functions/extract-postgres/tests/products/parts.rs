//! Reads that are partitioned.

use std::collections::BTreeSet;

use sluice_core::{
    Kind, Result,
    extract::{ExtractSummary, Outcome},
    split::SplitMessage,
};
use sluice_pipeline::split::Outcome as Served;
use sluice_postgres::Options;
use sluice_testkit::lake::{Death, death};
use tokio_postgres::Client;

use crate::shop::{SCHEDULED, Shop};

const SEED: u64 = 20_261_105;
const SPLIT_ROWS: u64 = 6_000;

/// No primary key: a row may come without a number, and is then kept as rejected.
const WITHOUT_KEY: &str = "CREATE TABLE $.products (audit_id bigint, product_id bigint, product_name text, \
                           price_usd float, operation text, valid_ts timestamp); CREATE INDEX ON $.products (audit_id)";

async fn shop(name: &str) -> Shop {
    let mut shop = Shop::new(name, WITHOUT_KEY).await;
    shop.options = Options { split_rows: SPLIT_ROWS, ..Options::default() };
    shop
}

impl Shop {
    /// Rows whose numbers are what an expression makes of 1 to `rows`.
    async fn insert_numbers(&self, client: &Client, number: &str, rows: u64) {
        self.on(
            client,
            &format!(
                "INSERT INTO $.products SELECT {number}, n, 'product ' || n, 1.25, 'INSERT', timestamp '2026-10-01' \
                 FROM generate_series(1, {rows}) AS n"
            ),
        )
        .await;
    }

    /// One run, and the messages that it sends.
    async fn run(&self) -> Result<(ExtractSummary, Vec<SplitMessage>)> {
        let deps = self.deps(Death::Never);
        let summary = self.invoke(SCHEDULED, &deps).await.expect("alive")?;
        let sent = deps.queue.sent.take();
        Ok((summary, sent.into_iter().map(|(body, _)| serde_json::from_value(body).unwrap()).collect()))
    }

    async fn numbers(&self) -> BTreeSet<i64> {
        let rows = self.query("SELECT audit_id FROM $.products WHERE audit_id IS NOT NULL").await;
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn loaded(&self) -> BTreeSet<i64> {
        let rows = self.lake.loaded(self.table()).unwrap();
        rows.into_keys().map(|key| key[0].parse().unwrap()).collect()
    }
}

#[tokio::test]
async fn parts_that_die_and_come_twice_during_writes_make_one_commit() {
    let shop = shop("parts").await;
    // Dense, sparse, far away and below zero; some without a number.
    shop.insert_numbers(&shop.admin, "n", 25_000).await;
    shop.insert_numbers(&shop.admin, "100000 + n * 1000", 15_000).await;
    shop.insert_numbers(&shop.admin, "9000000000000000000 + n", 9_980).await;
    shop.insert_numbers(&shop.admin, "-n * 7", 500).await;
    shop.insert_numbers(&shop.admin, "NULL", 20).await;
    shop.sql("ANALYZE $.products").await;
    // Rows between the others that are written before the plan: some are committed when half of the parts are read, some
    // when all are.
    let (late, last) = (shop.session().await, shop.session().await);
    for (session, number) in [(&late, "100500 + n * 100000"), (&last, "100501 + n * 100000")] {
        shop.on(session, "BEGIN").await;
        shop.insert_numbers(session, number, 100).await;
    }

    let (summary, messages) = shop.run().await.unwrap();
    assert_eq!((summary.outcome, summary.sequence.map(|sequence| sequence.0)), (Outcome::InParts, Some(1)));
    let mut parts: Vec<SplitMessage> = messages.into_iter().filter(|message| message.part.is_some()).collect();
    let count = parts.len();
    assert!((9..=10).contains(&count), "{count} parts for 50,500 rows");
    let (mut attempts, mut deaths, mut commits) = (0, 0, 0);
    let replayed = parts.clone();
    while let Some(message) = parts.pop() {
        attempts += 1;
        assert!(attempts < 500, "{} parts are left", parts.len());
        // A part takes more calls and wakings than such a death waits for, so one attempt of three is spared.
        let fate = if attempts % 3 == 0 { Death::Never } else { death(SEED, attempts) };
        match shop.serve(&message, fate).await {
            None => {
                deaths += 1;
                parts.insert(0, message);
            }
            Some(served) => commits += usize::from(matches!(served.unwrap(), Served::Committed(_))),
        }
        if parts.len() == count / 2 {
            // Done again, it does nothing.
            shop.on(&late, "COMMIT").await;
        }
        if attempts % 5 == 0 {
            shop.insert_numbers(&shop.admin, &format!("50000 + {attempts} * 10 + n"), 3).await;
        }
    }
    assert!(deaths >= 5, "only {deaths} of {attempts} attempts died");
    assert!(commits <= 1, "{commits} commits");
    for message in &replayed {
        assert_eq!(shop.serve(message, Death::Never).await.expect("alive").unwrap(), Served::Over);
    }

    let [commit] = &shop.lake.commits(shop.table()).unwrap()[..] else { panic!("one commit") };
    let rejected = commit.rejected.as_ref().expect("rows without a number");
    assert_eq!((rejected.rows, rejected.files.len()), (20, 1), "they belong to one part");
    let longest = commit.files.iter().map(|file| file.rows).max();
    assert!(longest < Some(SPLIT_ROWS * 5 / 4), "parts follow the rows: {longest:?}");
    let rows = shop.lake.committed_rows(shop.table()).unwrap().len();
    assert_eq!(rows, shop.loaded().len(), "no row is twice in the commit");
    shop.on(&last, "COMMIT").await;
    let missing = shop.numbers().await.difference(&shop.loaded()).count();
    assert!(missing >= 100, "{missing} rows are the next run's");

    let (next, _) = shop.run().await.unwrap();
    assert_eq!(next.outcome, Outcome::Committed);
    assert_eq!(shop.loaded(), shop.numbers().await);
    let (last, _) = shop.run().await.unwrap();
    assert_eq!(last.outcome, Outcome::NothingNew);
    shop.close().await;
}

#[tokio::test]
async fn a_table_created_again_between_parts_is_read_from_the_beginning() {
    let shop = shop("again").await;
    shop.insert_numbers(&shop.admin, "n", 20_000).await;
    shop.sql("ANALYZE $.products").await;
    let (_, messages) = shop.run().await.unwrap();
    let parts: Vec<&SplitMessage> = messages.iter().filter(|message| message.part.is_some()).collect();
    shop.serve(parts[0], Death::Never).await.expect("alive").unwrap();
    shop.sql("DROP TABLE $.products").await;
    shop.sql(WITHOUT_KEY).await;
    shop.insert_numbers(&shop.admin, "n * 2", 1_000).await;
    let refused = shop.serve(parts[1], Death::Never).await.expect("alive").unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "{refused}");
    assert_eq!(shop.serve(parts[2], Death::Never).await.expect("alive").unwrap(), Served::Over);
    let (next, _) = shop.run().await.unwrap();
    assert_eq!((next.outcome, next.rows), (Outcome::Committed, 1_000));
    assert_eq!(shop.loaded(), shop.numbers().await);
    shop.close().await;
}

#[tokio::test]
async fn a_later_read_is_partitioned_too_and_reads_only_what_is_new() {
    let shop = shop("later").await;
    shop.insert_numbers(&shop.admin, "n", 4_000).await;
    shop.sql("ANALYZE $.products").await;
    assert_eq!(shop.run().await.unwrap().0.outcome, Outcome::Committed);
    shop.insert_numbers(&shop.admin, "100000 + n", 30_000).await;
    shop.sql("ANALYZE $.products").await;
    let (summary, messages) = shop.run().await.unwrap();
    assert_eq!(summary.outcome, Outcome::InParts);
    for message in messages.iter().filter(|message| message.part.is_some()) {
        shop.serve(message, Death::Never).await.expect("alive").unwrap();
    }
    let commits = shop.lake.commits(shop.table()).unwrap();
    assert_eq!(commits.iter().map(|commit| commit.rows).collect::<Vec<_>>(), [4_000, 30_000]);
    assert_eq!(shop.loaded(), shop.numbers().await);
    assert_eq!(shop.run().await.unwrap().0.outcome, Outcome::NothingNew);
    shop.close().await;
}
