use std::cell::RefCell;

use futures::executor::block_on;
use sluice_core::{Kind, Sources};

use super::*;

fn table(name: &str) -> Table {
    let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
    sources.tables.into_iter().find(|table| table.table.table == name).expect("a table")
}

#[test]
fn a_key_has_one_form_whatever_was_typed() {
    let key = |table_name: &str, text: &str| RowKey::parse(&table(table_name), text).map(|key| key.text);
    for (name, typed, kept) in [
        ("PRODUCTS", " 0042 ", "42"),
        ("PURCHASES", "a/b%c", "a/b%c"),
        ("EXCHANGE_RATES", "2026-01-05/USD/GBP/final", "2026-01-05/USD/GBP/final"),
        ("EXCHANGE_RATES", "2026-01-05/U%2FS%25D/GBP/final", "2026-01-05/U%2FS%25D/GBP/final"),
    ] {
        let kept = kept.to_owned();
        assert_eq!(key(name, typed).expect("a key"), kept);
        assert_eq!(key(name, &kept).expect("what is shown can be typed"), kept);
    }
    let rates = RowKey::parse(&table("EXCHANGE_RATES"), "2026-01-05/U%2FS%25D/GBP/final").expect("a key");
    assert_eq!(rates.values[1].text, "U/S%D");
}

#[test]
fn a_value_of_another_type_or_a_wrong_number_of_values_is_refused() {
    for (name, typed) in [
        ("PRODUCTS", "seven"),
        ("PRODUCTS", "9223372036854775808"),
        ("EXCHANGE_RATES", "2026-01-05/USD/GBP"),
        ("EXCHANGE_RATES", "5 January/USD/GBP/final"),
    ] {
        let error = RowKey::parse(&table(name), typed).expect_err(typed);
        assert_eq!(error.kind(), Kind::Config, "{error}");
    }
    let keyless = Table { key: Vec::new(), ..table("PRODUCTS") };
    assert_eq!(RowKey::parse(&keyless, "1").expect_err("no key").kind(), Kind::Unsupported);
}

#[test]
fn no_two_keys_look_alike() {
    let rates = table("EXCHANGE_RATES");
    let parts = ["a", "/", "%", "%2F", "a/", "/a", "%25", ""];
    let mut seen = BTreeMap::new();
    for base in parts {
        for target in parts {
            let key = RowKey::of_values(&rates, &["2026-01-05", base, target, "final"]).expect("a key");
            let read = RowKey::parse(&rates, &key.text).expect("reads back");
            assert_eq!(read, key, "{base} {target}");
            assert_eq!(seen.insert(key.text.clone(), (base, target)), None, "{}", key.text);
        }
    }
}

/// A raw table of one row at one place, and the list.
struct Fake {
    row: &'static str,
    also_at_its_place: Option<&'static str>,
    listed: RefCell<Vec<String>>,
}

impl Aside for Fake {
    async fn rows_with(&self, _: &Table, key: &RowKey) -> Result<u64> {
        Ok(u64::from(key.text == self.row))
    }

    async fn keys_at(&self, table: &Table, partition: i32, offset: i64) -> Result<Vec<RowKey>> {
        let here = ((partition, offset) == (1, 7)).then_some(self.row);
        here.into_iter().chain(self.also_at_its_place).map(|key| RowKey::parse(table, key)).collect()
    }

    async fn put_aside(&self, _: &TableId, key: &RowKey, _: &str, _: &str) -> Result<bool> {
        let is_new = !self.listed.borrow().contains(&key.text);
        self.listed.borrow_mut().push(key.text.clone());
        Ok(is_new)
    }

    async fn take_back(&self, _: &TableId, key: &RowKey, _: &str, _: &str) -> Result<bool> {
        let before = self.listed.borrow().len();
        self.listed.borrow_mut().retain(|listed| *listed != key.text);
        Ok(before > self.listed.borrow().len())
    }

    async fn aside(&self, _: &TableId, _: usize) -> Result<Vec<AsideRow>> {
        Ok(Vec::new())
    }

    async fn asides(&self) -> Result<BTreeMap<String, AsideCount>> {
        Ok(BTreeMap::new())
    }
}

#[test]
fn a_row_is_found_by_its_key_or_by_its_place() {
    let fake = Fake { row: "e-1", also_at_its_place: None, listed: RefCell::default() };
    let purchases = table("PURCHASES");
    let find_it = |wanted| block_on(find(&fake, &purchases, wanted)).map(|(key, rows)| (key.text, rows));
    assert_eq!(find_it(Wanted::Key("e-1")).expect("found"), ("e-1".to_owned(), 1));
    assert_eq!(find_it(Wanted::Key("e-2")).expect("asked"), ("e-2".to_owned(), 0));
    assert_eq!(find_it(Wanted::Place { partition: 1, offset: 7 }).expect("found"), ("e-1".to_owned(), 1));
    let nobody = find_it(Wanted::Place { partition: 1, offset: 8 }).expect_err("nothing there");
    assert_eq!(nobody.kind(), Kind::NotFound);
    let products = table("PRODUCTS");
    let no_offsets = block_on(find(&fake, &products, Wanted::Place { partition: 1, offset: 7 }));
    assert_eq!(no_offsets.expect_err("no stream").kind(), Kind::Config);
}

#[test]
fn an_offset_of_two_creations_of_a_topic_names_no_row() {
    let fake = Fake { row: "e-1", also_at_its_place: Some("e-2"), listed: RefCell::default() };
    let found = block_on(find(&fake, &table("PURCHASES"), Wanted::Place { partition: 1, offset: 7 }));
    assert!(found.expect_err("two rows").chain().contains("several creations"));
}
