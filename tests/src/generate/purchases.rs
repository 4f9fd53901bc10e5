//! The purchase records as the shop's producer sends them: skewed, out of order, sometimes twice, sometimes broken.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, SecondsFormat};
use serde_json::json;
use uuid::Uuid;

use super::contacts::disguise;
use super::dataset::{
    Contact, FIRST_RECORD_MS, Operation, ProductChange, PurchaseRecord, Reason, YEAR_END, YEAR_START,
};
use super::random::{Popularity, Random};

/// Key, value and the reason for which it is invalid.
type Event = (String, Vec<u8>, Option<Reason>);

/// One purchase before it is written as JSON.
#[derive(Clone)]
struct Purchase {
    event_id: Uuid,
    email: String,
    product_id: i64,
    quantity: i64,
    at: i64,
}

pub(super) fn generate(
    random: &mut Random,
    count: usize,
    products: &[ProductChange],
    contacts: &[Contact],
) -> Vec<PurchaseRecord> {
    let invalid = broken(random);
    // One in two hundred is sent twice.
    let good = count - invalid.len() - count / 200;
    let mut purchases = draw(random, good, products, contacts);
    purchases.sort_by_key(|purchase| purchase.at);
    for _ in 0..good / 20 {
        let from = random.index(good);
        let to = (from + random.index(500)).min(good - 1);
        purchases.swap(from, to);
    }
    // Each record has a place in the order of production: the good ones the even places, all others an odd one.
    let mut events: Vec<(usize, Event)> = Vec::with_capacity(count);
    for (i, purchase) in purchases.iter().enumerate() {
        events.push((2 * i, event(random, purchase)));
    }
    for _ in 0..count / 200 {
        let first = random.index(good);
        let mut again = purchases[first].clone();
        // A producer that retries after a restart may send other numbers under the same id: the first one counts.
        again.quantity += random.between(0, 2);
        let later = first + random.index(good - first);
        events.push((2 * later + 1, event(random, &again)));
    }
    for (value, reason) in invalid {
        let place = 2 * random.index(good) + 1;
        events.push((place, (format!("broken{place}@example.com"), value, Some(reason))));
    }
    events.sort_by_key(|(place, _)| *place);
    let mut timestamp_ms = FIRST_RECORD_MS;
    let record = |(_, (key, value, invalid))| {
        timestamp_ms += random.between(1, 4);
        PurchaseRecord { key, value, timestamp_ms, invalid }
    };
    events.into_iter().map(record).collect()
}

fn draw(random: &mut Random, count: usize, products: &[ProductChange], contacts: &[Contact]) -> Vec<Purchase> {
    let when = |operation| move |row: &&ProductChange| row.operation == operation;
    let deleted: BTreeMap<i64, i64> =
        products.iter().filter(when(Operation::Delete)).map(|row| (row.product_id, row.valid_ts)).collect();
    let life = |row: &ProductChange| (row.product_id, row.valid_ts, *deleted.get(&row.product_id).unwrap_or(&YEAR_END));
    let mut lives: Vec<(i64, i64, i64)> = products.iter().filter(when(Operation::Insert)).map(life).collect();
    let mut emails: Vec<&str> = contacts.iter().filter_map(|contact| contact.email.as_deref()).map(str::trim).collect();
    random.shuffle(&mut lives);
    random.shuffle(&mut emails);
    // The last tenth of the contacts never buys.
    emails.truncate((emails.len() * 9 / 10).max(1));
    let (popular, loyal) = (Popularity::new(lives.len(), 0.9), Popularity::new(emails.len(), 0.4));
    let purchase = |_| {
        let (product_id, born, died) = lives[popular.draw(random)];
        // A few come before the product's first price or after its end.
        let at = if random.chance(98.5) { random.between(born, died) } else { random.between(YEAR_START, YEAR_END) };
        let email = emails[loyal.draw(random)].to_ascii_lowercase();
        let email = if random.chance(1.0) { format!("stranger{}@example.com", random.index(90)) } else { email };
        Purchase {
            event_id: random.uuid(),
            email: disguise(random, &email),
            product_id: if random.chance(0.5) { 900_000 + random.between(0, 50) } else { product_id },
            quantity: *random.pick(&[1, 1, 1, 1, 1, 2, 2, 3, 5, 12]),
            at,
        }
    };
    (0..count).map(purchase).collect()
}

fn event(random: &mut Random, purchase: &Purchase) -> Event {
    let value = json!({
        "event_id": purchase.event_id,
        "customer_email": purchase.email,
        "product_id": purchase.product_id,
        "quantity": purchase.quantity,
        "purchase_ts": timestamp(random, purchase.at),
        "schema_version": 1,
    });
    (purchase.email.clone(), value.to_string().into_bytes(), None)
}

/// RFC 3339 as different producers write it: with `Z` or an offset, with no to nine digits of a second.
fn timestamp(random: &mut Random, at: i64) -> String {
    let minutes = *random.pick(&[0, 0, 0, 60, -300, 330, 765]);
    let digits =
        *random.pick(&[SecondsFormat::Secs, SecondsFormat::Millis, SecondsFormat::Micros, SecondsFormat::Nanos]);
    let utc = DateTime::from_timestamp_micros(at).unwrap_or_default();
    let offset = FixedOffset::east_opt(minutes * 60).map_or(utc.fixed_offset(), |offset| utc.with_timezone(&offset));
    offset.to_rfc3339_opts(digits, random.chance(50.0))
}

/// 25 records that the platform must refuse, each with the reason.
fn broken(random: &mut Random) -> Vec<(Vec<u8>, Reason)> {
    let good = || {
        json!({"event_id": "", "customer_email": "broken@example.com", "product_id": 1001, "quantity": 1,
               "purchase_ts": "2026-05-05T05:05:05Z", "schema_version": 1})
    };
    let cases = [
        ("event_id", json!(17), Reason::WrongType),
        ("customer_email", json!(null), Reason::MissingField),
        ("customer_email", json!(["a@example.com"]), Reason::WrongType),
        ("product_id", json!("one"), Reason::WrongType),
        ("product_id", json!(10.5), Reason::WrongType),
        ("quantity", json!(0), Reason::OutOfRange),
        ("quantity", json!(-3), Reason::OutOfRange),
        ("quantity", json!("two"), Reason::WrongType),
        ("quantity", json!(i64::MAX), Reason::OutOfRange),
        ("purchase_ts", json!("yesterday"), Reason::BadTimestamp),
        ("purchase_ts", json!("2026-02-30T10:00:00Z"), Reason::BadTimestamp),
        ("purchase_ts", json!("2026-03-01T10:00:00"), Reason::BadTimestamp),
        ("purchase_ts", json!(1_772_359_200), Reason::WrongType),
        ("schema_version", json!(0), Reason::OutOfRange),
    ];
    let mut records: Vec<(Vec<u8>, Reason)> = Vec::new();
    let mut put = |field: &str, value: Option<serde_json::Value>, reason| {
        let mut event = good();
        event["event_id"] = json!(random.uuid());
        match (value, event.as_object_mut()) {
            (None, Some(fields)) => drop(fields.remove(field)),
            (value, _) => event[field] = json!(value),
        }
        records.push((event.to_string().into_bytes(), reason));
    };
    for (field, value, reason) in cases {
        put(field, Some(value), reason);
    }
    for field in ["event_id", "customer_email", "product_id", "quantity", "purchase_ts", "schema_version"] {
        put(field, None, Reason::MissingField);
    }
    let raw: [&[u8]; 5] = [b"", b"{\"event_id\": \"cut o", b"not json", b"\xff\xfe\x00", b"[1, 2, 3]"];
    for bytes in raw {
        let reason = if bytes.starts_with(b"[") { Reason::WrongType } else { Reason::NotJson };
        records.push((bytes.to_vec(), reason));
    }
    records
}
