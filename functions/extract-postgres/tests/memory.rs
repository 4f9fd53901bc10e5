//! A test with a process of its own: what it measures is its whole memory.

#[allow(dead_code, reason = "the other tests use the rest of it")]
#[path = "products/shop.rs"]
mod shop;

use shop::{SCHEDULED, Shop};
use sluice_core::extract::Outcome;
use sluice_testkit::lake::Death;

const MIB: usize = 1024 * 1024;

/// The function has more, and its runtime and the SDK take some of it.
const MOST: usize = 256 * MIB;

/// What the process has had at most since it began, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Values that the server cannot even send, others that come near the limit, and rows of many that are long together.
#[tokio::test]
async fn memory_does_not_grow_with_a_row() {
    let more: Vec<String> = (0..40).map(|n| format!("c{n} text")).collect();
    let create = format!(
        "CREATE TABLE $.products (audit_id bigserial PRIMARY KEY, product_id bigint, product_name text, price_usd float, \
         operation text, valid_ts timestamp, blob bytea, {})",
        more.join(", ")
    );
    let mut shop = Shop::new("memory", &create).await;
    let products = shop.sources.tables.iter_mut().find(|table| table.table.table == "PRODUCTS").unwrap();
    for name in (0..40).map(|n| format!("c{n}")).chain(["blob".to_owned()]) {
        products.columns.0.push(sluice_core::Column::optional(&name, sluice_core::ColumnType::Text));
    }
    let row = "1, 'INSERT', '2026-01-01 10:00'";
    let insert = async |columns: &str, values: String| {
        let columns = format!("product_id, operation, valid_ts, {columns}");
        shop.sql(&format!("INSERT INTO $.products ({columns}) SELECT {row}, {values}")).await;
    };
    insert("product_name", "'Mug' FROM generate_series(1, 1000)".into()).await;
    for length in [200_000_000, 540_000_000] {
        insert("product_name", format!("repeat('x', {length})")).await;
        insert("blob", format!("repeat('x', {length})::bytea")).await;
    }
    // Eight rows that fit just so, one after the other. They compress well: what lies in the lake of the test is its memory too.
    for n in 0..8 {
        let text = |n| format!("repeat(md5('{n}'), 500000)");
        insert("product_name, c0", format!("{}, {}", text(n), text(n + 100))).await;
    }
    let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    insert(&names.join(", "), vec![format!("repeat('y', {})", 15 * MIB); 40].join(", ")).await;
    insert("product_name", "'last'".into()).await;

    let before = peak();
    let deps = shop.deps(Death::Never);
    let summary = shop.invoke(SCHEDULED, &deps).await.expect("alive").expect("a run");
    assert_eq!((summary.outcome, summary.rows, summary.rejected), (Outcome::Committed, 1_009, 5));
    assert!(peak() <= MOST, "{} MiB, {} of them before the run", peak() / MIB, before / MIB);
    shop.close().await;
}
