//! Good files become a data set; every bad line is named.

use std::path::PathBuf;

use super::*;
use crate::generate::{Operation, Reason};

/// A folder with the given files, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("sluice-formats-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        for (name, text) in files {
            std::fs::write(path.join(name), text).unwrap();
        }
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const PRODUCTS: &str = "\u{feff}audit_id,product_id,product_name,price_usd,operation,valid_ts
2,7,\"Mug, \"\"big\"\"\",12.50,update,2026-01-02 10:00:00
1,7,Mug,9.9,INSERT,2026-01-01T01:00:00+01:00
3,7,,,DELETE,2026-01-03
";
const BAD_PRODUCTS: &str = "2,8,Cup,1,INSERT,2026-01-01
x,8,Cup,1,INSERT,2026-01-01
4,8,Cup,-1,INSERT,2026-01-01
5,8,Cup,1,UPSERT,2026-01-01
6,8
7,8,Cup,1e3,UPDATE,2026-01-01
8,8,Cup,1,UPDATE,soon
";
const PURCHASE: &str = concat!(
    r#"{"event_id":"e","customer_email":"a@x.com","product_id":7,"quantity":1,"#,
    r#""purchase_ts":"2026-01-02T11:00:00Z","schema_version":1}"#
);

#[test]
fn good_files_become_a_data_set() {
    let purchases = format!("{PURCHASE}\n\n{{\"event_id\":\"f\"}}\r\n");
    let folder = Folder::new(&[
        ("products.csv", PRODUCTS),
        ("contacts.csv", "id,email,merged_ids\n5,a@x.com,3; 4\n2,,\n"),
        ("purchases.ndjson", &purchases),
        ("rates.csv", "rate_date,base_currency,target_currency,rate\n2026-01-02,USD,GBP,0.75\n"),
    ]);
    let loaded = load(&folder.0, RateTable::invented()).unwrap();
    let data = loaded.dataset;
    let prices: Vec<_> = data.products.iter().map(|row| (row.audit_id, row.price_usd, row.operation)).collect();
    assert_eq!(
        prices,
        [(1, Some(99_000), Operation::Insert), (2, Some(125_000), Operation::Update), (3, None, Operation::Delete)]
    );
    assert_eq!(data.products[1].product_name.as_deref(), Some("Mug, \"big\""));
    assert_eq!(data.products[0].valid_ts, 1_767_225_600_000_000, "2026-01-01T00:00:00Z");
    assert_eq!((data.contacts[0].id, data.contacts[1].merged_ids.as_slice()), (2, [3, 4].as_slice()));
    assert_eq!(data.rates.get("2026-01-02".parse().unwrap(), "GBP"), Some(7_500_000_000));
    assert_eq!(data.purchases.len(), 2, "the bad one is there for the platform to refuse");
    assert_eq!(data.purchases[1].invalid, Some(Reason::MissingField));
    let bad: Vec<String> = loaded.bad_purchases.iter().map(ToString::to_string).collect();
    assert_eq!(bad, ["purchases.ndjson:3: schema_version is missing"]);
}

#[test]
fn every_bad_line_is_named_with_its_file_and_number() {
    let folder = Folder::new(&[
        ("products.csv", &format!("{PRODUCTS}{BAD_PRODUCTS}")),
        ("contacts.csv", "email\na@x.com\n"),
        ("rates.csv", "rate_date,base_currency,target_currency,rate\n2026-01-02,EUR,GBP,0.75\n2026-01-02,USD,GBP,0\n"),
    ]);
    let error = load(&folder.0, RateTable::default()).unwrap_err().to_string();
    for line in [
        "products.csv:5: audit_id stands twice",
        "products.csv:6: audit_id is not a whole number",
        "products.csv:7: price_usd is negative",
        "products.csv:8: operation is none of INSERT, UPDATE, DELETE",
        "products.csv:9: has 2 fields, the header has 6",
        "products.csv:10: price_usd is not a plain decimal number",
        "products.csv:11: valid_ts is not a time",
        "contacts.csv:1: the header lacks the column id",
        "rates.csv:2: base_currency is not USD",
        "rates.csv:3: rate is zero",
        "purchases.ndjson: cannot be read",
    ] {
        assert!(error.contains(line), "{line} is not in {error}");
    }
    assert!(error.starts_with("the data has 11 bad lines"), "{error}");
}

#[test]
fn without_a_rates_file_the_given_rates_are_taken() {
    let folder =
        Folder::new(&[("products.csv", PRODUCTS), ("contacts.csv", "id\n1\n"), ("purchases.ndjson", PURCHASE)]);
    let loaded = load(&folder.0, RateTable::invented()).unwrap();
    assert_eq!(loaded.dataset.rates, RateTable::invented());
    assert_eq!(loaded.bad_purchases, []);
}
