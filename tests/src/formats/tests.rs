//! Good files become a data set; every bad line is named.

use std::path::PathBuf;

use super::*;
use crate::generate::{Operation, RATE_SCALE, Reason, parse_decimal};

/// The day on which the files are read.
const TODAY: &str = "2026-10-30";

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

    fn load(&self) -> Result<Loaded, BadLines> {
        load(&self.0, RateTable::invented(), TODAY.parse().unwrap())
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
    let loaded = folder.load().unwrap();
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
    let error = folder.load().unwrap_err().to_string();
    for line in [
        "products.csv:5: audit_id stands twice",
        "products.csv:6: audit_id is not a whole number",
        "products.csv:7: price_usd is negative",
        "products.csv:8: operation is none of INSERT, UPDATE, DELETE",
        "products.csv:9: has 2 fields, the header has 6",
        "products.csv:10: price_usd is not a plain decimal number",
        "products.csv:11: valid_ts is not a time such as 2026-03-04 or 2026-03-04T12:00:00+01:00",
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
    let loaded = folder.load().unwrap();
    assert_eq!(loaded.dataset.rates, RateTable::invented());
    assert_eq!(loaded.bad_purchases, []);
}

/// The smallest folder, with one file in another form.
fn folder_with(name: &str, content: &[u8]) -> Folder {
    let folder =
        Folder::new(&[("products.csv", PRODUCTS), ("contacts.csv", "id\n1\n"), ("purchases.ndjson", PURCHASE)]);
    std::fs::write(folder.0.join(name), content).unwrap();
    folder
}

#[test]
fn a_byte_order_mark_is_no_part_of_any_file() {
    let rates = "rate_date,base_currency,target_currency,rate\n2026-01-02,USD,GBP,0.75\n";
    for (name, text) in
        [("products.csv", PRODUCTS), ("contacts.csv", "id\n1\n"), ("rates.csv", rates), ("purchases.ndjson", PURCHASE)]
    {
        let text = format!("\u{feff}{}", text.trim_start_matches('\u{feff}'));
        let loaded = folder_with(name, text.as_bytes()).load().unwrap();
        assert_eq!((loaded.dataset.purchases.len(), loaded.bad_purchases), (1, vec![]), "{name}");
    }
}

#[test]
fn a_file_in_utf_16_is_named_with_what_to_do() {
    for name in ["products.csv", "contacts.csv", "rates.csv", "purchases.ndjson"] {
        let little: Vec<u8> = "id,email\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}id\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for content in [little, big] {
            let error = folder_with(name, &content).load().unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: is UTF-16 or UTF-32; save it as UTF-8")), "{error}");
        }
    }
}

#[test]
fn line_numbers_hold_with_carriage_returns_and_blank_lines() {
    let rows = ["id,email", "1,", "", "x,", "2,\"a\nb\"", "y,", "", "", "z"];
    for (end, numbers) in [("\n", [4, 7, 10]), ("\r\n", [4, 7, 10]), ("\r", [4, 7, 10])] {
        let error = folder_with("contacts.csv", rows.join(end).as_bytes()).load().unwrap_err();
        let lines: Vec<u64> = error.0.iter().filter_map(|bad| bad.line).collect();
        assert_eq!(lines, numbers, "{end:?}");
        if end != "\r" {
            let purchases = ["", PURCHASE, "", "{"].join(end);
            let loaded = folder_with("purchases.ndjson", purchases.as_bytes()).load().unwrap();
            assert_eq!(loaded.bad_purchases[0].line, Some(4), "{end:?}");
        }
    }
}

#[test]
fn a_column_that_stands_twice_is_named_unless_it_is_ignored() {
    for (file, header) in [
        ("contacts.csv", "id,email,Email \n1,a@x.com,b@x.com\n"),
        ("products.csv", "audit_id,audit_id,product_id,product_name,price_usd,operation,valid_ts\n"),
        ("rates.csv", "rate_date,base_currency,target_currency,rate,rate\n"),
    ] {
        let error = folder_with(file, header.as_bytes()).load().unwrap_err().to_string();
        assert!(error.contains(&format!("{file}:1: the header has the column ")), "{error}");
    }
    assert!(folder_with("contacts.csv", b"id,note,note,,\n1,a,b,c,d\n").load().is_ok());
}

#[test]
fn purchases_may_end_with_carriage_returns_alone() {
    let purchases = format!("{PURCHASE}\r\r{{\r{PURCHASE}\r");
    let loaded = folder_with("purchases.ndjson", purchases.as_bytes()).load().unwrap();
    assert_eq!(loaded.dataset.purchases.len(), 3);
    assert_eq!(loaded.bad_purchases[0].line, Some(3));
    let inside = format!("{{\r{}\n{PURCHASE}", &PURCHASE[1..]);
    let loaded = folder_with("purchases.ndjson", inside.as_bytes()).load().unwrap();
    assert_eq!((loaded.dataset.purchases.len(), loaded.bad_purchases.len()), (2, 0), "a blank inside of a line");
}

#[test]
fn whole_numbers_may_be_written_as_floats_are() {
    let products =
        "audit_id,product_id,product_name,price_usd,operation,valid_ts\n1.0,0007.00,Mug,9.9,INSERT,1999-01-01\n";
    let loaded = folder_with("products.csv", products.as_bytes()).load().unwrap();
    assert_eq!((loaded.dataset.products[0].audit_id, loaded.dataset.products[0].product_id), (1, 7));
    for id in ["7.5", "7.", "7e0", "85123A", ""] {
        let products = products.replace("0007.00", id);
        let error = folder_with("products.csv", products.as_bytes()).load().unwrap_err().to_string();
        assert!(error.contains("products.csv:2: product_id is"), "{id}: {error}");
    }
}

#[test]
fn a_rate_far_from_every_purchase_and_from_today_is_named() {
    let rates = |date: &str| format!("rate_date,base_currency,target_currency,rate\n{date},USD,GBP,0.75\n");
    for (date, problem) in [
        ("2206-03-04", "rate_date lies after 2026-10-30: after today and after the last purchase"),
        ("2026-10-31", "rate_date lies after 2026-10-30: after today and after the last purchase"),
        ("1969-12-31", "rate_date lies before 1970, where the times of the rates' source begin"),
        ("0202-03-04", "rate_date lies before 1970, where the times of the rates' source begin"),
    ] {
        let error = folder_with("rates.csv", rates(date).as_bytes()).load().unwrap_err().to_string();
        assert!(error.contains(&format!("rates.csv:2: {problem}")), "{error}");
    }
    let rate = parse_decimal("0.75", RATE_SCALE);
    for date in ["1970-01-01", "1998-07-01", TODAY] {
        let loaded = folder_with("rates.csv", rates(date).as_bytes()).load().unwrap();
        assert_eq!(loaded.dataset.rates.get(date.parse().unwrap(), "GBP"), rate);
    }
    let folder = folder_with("rates.csv", rates("2031-01-01").as_bytes());
    std::fs::write(folder.0.join("purchases.ndjson"), PURCHASE.replace("2026", "2031")).unwrap();
    assert!(folder.load().is_ok(), "invented purchases of the future may have rates of their time");
    let twice = rates("2026-01-02") + "2026-01-02,USD,GBP,0.76\n";
    let error = folder_with("rates.csv", twice.as_bytes()).load().unwrap_err().to_string();
    assert!(error.contains("rates.csv:3: this target_currency stands twice on this rate_date"), "{error}");
}

#[test]
fn what_no_source_could_hold_is_named_before_anything_starts() {
    let products = |row: &str| format!("audit_id,product_id,product_name,price_usd,operation,valid_ts\n{row}\n");
    for (file, content, problem) in [
        ("products.csv", products("1,7,M\0g,1,INSERT,2026-01-01"), "2: holds a NUL character"),
        ("products.csv", products("-1,7,Mug,1,INSERT,2026-01-01"), "2: audit_id is negative"),
        ("products.csv", products("1,7,Mug,9999999.0001,INSERT,2026-01-01"), "2: price_usd is more than 9,999,999"),
        (
            "products.csv",
            products(&format!("1,7,{},1,INSERT,2026-01-01", "é".repeat(8 << 20) + "x")),
            "2: holds a text of more than 16 MiB",
        ),
        (
            "purchases.ndjson",
            format!("{PURCHASE}\n{}", PURCHASE.replace("a@x.com", &"a".repeat(1_000_001))),
            "2: event_id or customer_email is longer than",
        ),
        (
            "products.csv",
            products("1,7,Mug,1,INSERT,+12026-01-01 00:00:00"),
            "2: valid_ts is not in the years 1 to 9999",
        ),
        ("products.csv", products("1;7;Mug;1;INSERT;2026-01-01").replace(',', ";"), "1: the header's names are not"),
        (
            "contacts.csv",
            "id,createdate\n1,1969-12-31\n".to_owned(),
            "2: createdate or lastmodifieddate lies before 1970",
        ),
        ("contacts.csv", "id\n-1\n".to_owned(), "2: id is negative"),
        ("purchases.ndjson", format!("[\n{PURCHASE},\n{PURCHASE},\n]"), "1: is one JSON array"),
        ("purchases.ndjson", format!("[\n{PURCHASE},\n{PURCHASE}\n]"), "1: is one JSON array"),
        ("purchases.ndjson", PURCHASE.replace('{', "{\n"), "1: begins an object that goes over"),
        (
            "contacts.csv",
            "id,email\n1,a@x.com\n2,\"b@x.com\n3,c@x.com\n".to_owned(),
            "3: opens a quote that is never closed",
        ),
        (
            "contacts.csv",
            "id,email,lastname\n1,\"a@x.com,A\n2,b@x.com,B\n".to_owned(),
            "2: opens a quote that is never",
        ),
    ] {
        let error = folder_with(file, content.as_bytes()).load().unwrap_err().to_string();
        assert!(error.contains(&format!("{file}:{problem}")), "{error}");
    }
}

#[test]
fn five_lines_of_each_problem_are_shown_and_the_others_counted() {
    let as_text = PURCHASE.replace(r#""product_id":7"#, r#""product_id":"7""#);
    let purchases = format!("{}{PURCHASE}\n{{\n", format!("{as_text}\n").repeat(1_000));
    let loaded = folder_with("purchases.ndjson", purchases.as_bytes()).load().unwrap();
    assert_eq!(
        summary(&loaded.bad_purchases),
        [
            "purchases.ndjson:1: product_id has the wrong type",
            "purchases.ndjson:2: product_id has the wrong type",
            "purchases.ndjson:3: product_id has the wrong type",
            "purchases.ndjson:4: product_id has the wrong type",
            "purchases.ndjson:5: product_id has the wrong type",
            "purchases.ndjson:1002: the record is not JSON",
            "purchases.ndjson: 1000 lines in all: product_id has the wrong type",
        ]
    );
    let contacts = format!("id\n{}", "x\n".repeat(10_000));
    let error = folder_with("contacts.csv", contacts.as_bytes()).load().unwrap_err().to_string();
    assert!(error.starts_with("the data has 10000 bad lines\n"), "{error}");
    assert_eq!(error.lines().count(), 7, "{error}");
}

#[test]
fn the_dates_of_purchases_are_utc_and_bad_records_have_none() {
    let at = |time: &str| PURCHASE.replace("2026-01-02T11:00:00Z", time);
    let bad = at("1900-01-01T00:00:00Z").replace(r#""quantity":1"#, r#""quantity":0"#);
    let purchases = [at("2011-12-09T23:30:00-05:00"), at("2009-12-01T00:30:00+01:00"), bad].join("\n");
    let loaded = folder_with("purchases.ndjson", purchases.as_bytes()).load().unwrap();
    let dates = purchase_dates(&loaded.dataset.purchases).unwrap();
    assert_eq!(dates, ("2009-11-30".parse().unwrap(), "2011-12-10".parse().unwrap()));
    assert_eq!(purchase_dates(&[]), None);
}
