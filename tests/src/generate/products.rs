//! The shop's product log: price changes, deletions, ties, rows that commit late, and a few that break the contract.

use super::dataset::{Operation, ProductChange, SECOND, YEAR_END, YEAR_START};
use super::random::Random;

const ADJECTIVES: [&str; 10] =
    ["Blue", "Brushed", "Café", "Crème", "Große", "Handmade", "Little", "Nordic", "Très chic", "木の"];
const NOUNS: [&str; 10] = [
    "Backpack",
    "Desk lamp 💡",
    "Jalapeño",
    "Kettle",
    "Notebook",
    "O'Hare mug",
    "Ring \"Luna\"",
    "Sneakers",
    "Teapot 🫖",
    "Åre scarf",
];
const HOUR: i64 = 3600 * SECOND;

/// A quarter of the rows are insertions; updates and deletions of those products are spread over the year.
pub(super) fn generate(random: &mut Random, changes: usize) -> Vec<ProductChange> {
    let products = (changes / 4).max(1);
    let mut rows: Vec<ProductChange> = Vec::with_capacity(changes);
    let mut lives: Vec<(i64, i64)> = Vec::with_capacity(products);
    for i in 0..products {
        // Most products are there from the first hour; the rest arrive during the year.
        let latest = if random.chance(85.0) { YEAR_START + HOUR } else { YEAR_END - 24 * HOUR };
        let born = random.between(YEAR_START, latest) / SECOND * SECOND;
        let died = if random.chance(10.0) { random.between(born + 2 * HOUR, YEAR_END) } else { YEAR_END };
        lives.push((born, died));
        rows.push(change(random, 1_000 + i as i64, Operation::Insert, born));
        if died < YEAR_END {
            rows.push(change(random, 1_000 + i as i64, Operation::Delete, died));
        }
    }
    while rows.len() < changes {
        let i = random.index(products);
        let at = random.between(lives[i].0 + SECOND, lives[i].1);
        let row = change(random, 1_000 + i as i64, Operation::Update, at);
        // Two changes at one moment: the higher audit id is the one that counts.
        if random.chance(1.0) && rows.len() + 1 < changes {
            rows.push(change(random, row.product_id, Operation::Update, at));
        }
        rows.push(row);
    }
    number(random, &mut rows);
    rows
}

fn change(random: &mut Random, product_id: i64, operation: Operation, valid_ts: i64) -> ProductChange {
    let gone = operation == Operation::Delete;
    let name = format!("{} {}", random.pick(&ADJECTIVES), random.pick(&NOUNS));
    ProductChange {
        audit_id: 0,
        product_id,
        product_name: (!gone).then_some(name),
        price_usd: (!gone).then(|| price(random)),
        operation,
        valid_ts,
        commits_late: false,
    }
}

/// From 0.50 to 500 dollars, cheap ones more often, mostly whole cents, now and then up to four decimals.
fn price(random: &mut Random) -> i128 {
    let ceiling = *random.pick(&[10, 30, 80, 150, 500]);
    let fine = i128::from(random.between(5_000, ceiling * 10_000));
    let step = *random.pick(&[1_000, 100, 100, 100, 10, 1]);
    fine / step * step
}

/// Numbers the rows in the order of their time, but for some that swapped places, and marks those that commit late and
/// those that break the contract. Late rows stand in the first half, so that an extraction has passed them.
fn number(random: &mut Random, rows: &mut [ProductChange]) {
    random.shuffle(rows);
    rows.sort_by_key(|row| row.valid_ts);
    for _ in 0..rows.len() / 50 {
        let i = random.index(rows.len() - 1);
        if rows[i].product_id != rows[i + 1].product_id {
            rows.swap(i, i + 1);
        }
    }
    let mut audit_id = 0;
    for row in rows.iter_mut() {
        // Rolled-back transactions leave gaps in a sequence.
        audit_id += if random.chance(2.0) { random.between(2, 9) } else { 1 };
        row.audit_id = audit_id;
    }
    let (half, updates) = (rows.len() / 2, |row: &ProductChange| row.operation == Operation::Update);
    for _ in 0..(rows.len() / 200).max(3) {
        let i = half / 2 + random.index((half / 2).max(1));
        rows[i].commits_late = true;
    }
    for _ in 0..(rows.len() / 1_000).max(3) {
        let start = random.index(rows.len());
        if let Some(row) = rows[start..].iter_mut().find(|row| updates(row)) {
            row.price_usd = row.price_usd.map(|price| -price.abs());
        }
    }
}
