//! The data set holds every case that it promises, and what is invalid in it is invalid to the oracle.

use std::collections::HashSet;

use super::*;
use crate::oracle;

fn small() -> Dataset {
    generate(7, Scale::times(0.05), RateTable::invented())
}

#[test]
fn the_same_seed_gives_the_same_data_at_the_size_asked_for() {
    let (one, two) = (small(), small());
    assert_eq!(one, two);
    assert_ne!(one.purchases, generate(8, Scale::times(0.05), RateTable::invented()).purchases);
    assert_eq!((one.purchases.len(), one.products.len(), one.contacts.len()), (5_000, 500, 200));
}

#[test]
fn the_oracle_refuses_exactly_the_records_that_were_broken_on_purpose() {
    let data = small();
    let planned = data.purchases.iter().enumerate().filter_map(|(i, record)| Some((i, record.invalid?)));
    let planned: Vec<(usize, Reason)> = planned.collect();
    assert_eq!(planned.len(), 25);
    assert_eq!(oracle::sales(&data).rejected_purchases, planned);
}

#[test]
fn every_rule_of_the_mart_has_its_cases() {
    let data = small();
    let result = oracle::sales(&data);
    assert_eq!(result.duplicates, 25);
    assert_eq!(result.rejected_products, 3);
    assert!(result.rows.iter().any(|row| row.total_transactions == 0));
    assert!(result.rows.iter().any(|row| row.email.is_none()));
    assert!(result.rows.iter().map(|row| row.unpriced_lines).sum::<i64>() > 10);
    assert!(result.rows[0].customer_id == oracle::UNKNOWN_CUSTOMER && result.rows[0].total_transactions > 10);
    assert_eq!(result.rows.iter().map(|row| row.unconverted_lines).sum::<i64>(), 0, "the demo has a rate for each day");
    let total: i64 = result.rows.iter().map(|row| row.total_transactions).sum();
    assert_eq!(total as usize, 5_000 - 25 - 25, "no purchase is lost");
    assert!(data.contacts.iter().any(|contact| contact.archived) && !data.merged_into().is_empty());
    let merged = data.merged_into();
    assert!(merged.values().any(|survivor| merged.contains_key(survivor)), "a chain of merges");
    let operations: HashSet<&str> = data.products.iter().map(|row| row.operation.as_str()).collect();
    assert_eq!(operations.len(), 3);
}

#[test]
fn records_and_rows_are_ordered_and_late_rows_lie_below_others() {
    let data = small();
    assert!(data.purchases.is_sorted_by(|a, b| a.timestamp_ms < b.timestamp_ms));
    assert!(data.products.is_sorted_by(|a, b| a.audit_id < b.audit_id));
    assert!(data.contacts.is_sorted_by(|a, b| a.id < b.id));
    let late = data.products.iter().filter(|row| row.commits_late).count();
    assert!(late >= 3 && data.products.last().is_some_and(|row| !row.commits_late));
    let events: Vec<_> = data.purchases.iter().filter_map(|record| oracle::parse(&record.value).ok()).collect();
    assert!(!events.is_sorted_by_key(|event| event.purchase_ts), "some come out of order");
}
