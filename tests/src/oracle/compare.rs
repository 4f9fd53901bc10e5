//! What is different between the mart as it should be and as it is, in words.

use std::collections::BTreeMap;
use std::fmt;

use super::SalesRow;
use crate::generate::decimal_text;

/// One cell, or one whole row, that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub customer_id: String,
    pub column: &'static str,
    pub expected: String,
    pub actual: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { customer_id, column, expected, actual } = self;
        write!(f, "customer {customer_id}: {column} should be {expected} and is {actual}")
    }
}

/// Every difference, in the order of `customer_id`; none means that both are the same, row by row.
pub fn compare(expected: &[SalesRow], actual: &[SalesRow]) -> Vec<Difference> {
    let by_id = |rows: &[SalesRow]| {
        let mut map: BTreeMap<String, Vec<SalesRow>> = BTreeMap::new();
        for row in rows {
            map.entry(row.customer_id.clone()).or_default().push(row.clone());
        }
        map
    };
    let (expected, actual) = (by_id(expected), by_id(actual));
    let ids: std::collections::BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
    let mut differences = Vec::new();
    for id in ids {
        let rows = |map: &BTreeMap<String, Vec<SalesRow>>| map.get(id).cloned().unwrap_or_default();
        match (rows(&expected).as_slice(), rows(&actual).as_slice()) {
            ([expected], [actual]) => differences.extend(cells(expected, actual)),
            (expected, actual) => differences.push(Difference {
                customer_id: id.clone(),
                column: "number of rows",
                expected: expected.len().to_string(),
                actual: actual.len().to_string(),
            }),
        }
    }
    differences
}

/// The first `most` differences, one to a line, and how many more there are.
pub fn report(differences: &[Difference], most: usize) -> String {
    let mut lines: Vec<String> = differences.iter().take(most).map(ToString::to_string).collect();
    if differences.len() > most {
        lines.push(format!("and {} more", differences.len() - most));
    }
    lines.join("\n")
}

fn cells(expected: &SalesRow, actual: &SalesRow) -> Vec<Difference> {
    let columns = rendered(expected).into_iter().zip(rendered(actual));
    let differing = columns.filter(|((_, expected), (_, actual))| expected != actual);
    differing
        .map(|((column, expected_text), (_, actual))| Difference {
            customer_id: expected.customer_id.clone(),
            column,
            expected: expected_text,
            actual,
        })
        .collect()
}

fn rendered(row: &SalesRow) -> [(&'static str, String); 11] {
    let text = |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |value| format!("{value:?}"));
    let moment = |micros: Option<i64>| {
        let time = micros.and_then(chrono::DateTime::from_timestamp_micros);
        time.map_or("NULL".to_owned(), |time| time.to_rfc3339())
    };
    [
        ("first_name", text(&row.first_name)),
        ("last_name", text(&row.last_name)),
        ("email", text(&row.email)),
        ("total_transactions", row.total_transactions.to_string()),
        ("total_items", row.total_items.to_string()),
        ("total_usd", decimal_text(row.total_usd, 2)),
        ("total_gbp", row.total_gbp.map_or("NULL".to_owned(), |pence| decimal_text(pence, 2))),
        ("first_purchase_at", moment(row.first_purchase_at)),
        ("last_purchase_at", moment(row.last_purchase_at)),
        ("unpriced_lines", row.unpriced_lines.to_string()),
        ("unconverted_lines", row.unconverted_lines.to_string()),
    ]
}
