//! Runs that die at random points, alone and two at once, while rows are written: in the end the table is the source.

use std::collections::BTreeMap;

use futures::join;
use sluice_core::{Result, extract::ExtractSummary};
use sluice_testkit::lake::{Death, death};

use crate::shop::{SCHEDULED, Shop, WITH_KEY};

const SEED: u64 = 20_251_101;

impl Shop {
    async fn insert_many(&self, rows: u64) {
        let insert = format!(
            "INSERT INTO $.products (product_id, product_name, price_usd, operation, valid_ts) \
             SELECT n, 'product ' || n, n * 0.25, 'INSERT', timestamp '2026-10-01' FROM generate_series(1, {rows}) AS n"
        );
        self.sql(&insert).await;
    }

    async fn run_until(&self, death: Death) -> Option<Result<ExtractSummary>> {
        self.invoke(SCHEDULED, &self.deps(death)).await
    }

    /// Each row's id and price at four decimals, as the database has it.
    async fn prices(&self) -> BTreeMap<i64, i64> {
        let rows = self.query("SELECT audit_id, (price_usd * 10000)::bigint FROM $.products").await;
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

#[tokio::test]
async fn killed_a_hundred_times_and_two_at_once_the_table_equals_the_source() {
    let shop = Shop::new("killed", WITH_KEY).await;
    let (mut deaths, mut round) = (0, 0);
    while deaths < 100 {
        assert!(round < 400, "only {deaths} of {round} runs died");
        shop.insert_many(round % 17).await;
        if round % 4 == 3 {
            let ends = join!(shop.run_until(death(SEED, round)), shop.run_until(death(!SEED, round)));
            deaths += usize::from(ends.0.is_none()) + usize::from(ends.1.is_none());
        } else {
            deaths += usize::from(shop.run_until(death(SEED, round)).await.is_none());
        }
        round += 1;
    }
    shop.run_until(Death::Never).await.expect("alive").expect("a run");

    let loaded = shop.lake.loaded(shop.table()).unwrap().into_values();
    let number = |text: &Option<String>| text.as_deref().expect("a value").parse::<i64>().unwrap();
    let loaded: BTreeMap<i64, i64> = loaded.map(|row| (number(&row["audit_id"]), number(&row["price_usd"]))).collect();
    let expected = shop.prices().await;
    assert!(expected.len() > 500, "only {} rows", expected.len());
    assert_eq!(loaded, expected);
    shop.close().await;
}
