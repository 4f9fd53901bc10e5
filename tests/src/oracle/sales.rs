//! The rules of `sales`, one function each.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Days, NaiveDate};

use super::event::{self, Event};
use crate::generate::{Contact, Dataset, Operation, ProductChange, RATE_SCALE, RateTable, Reason, rescale};

/// The member that takes the purchases of customers whom HubSpot does not know.
pub const UNKNOWN_CUSTOMER: &str = "-1";
/// Prices are ten-thousandths of a dollar.
const PRICE_SCALE: u32 = 4;
const CENTS: u32 = 2;
/// A line of this many ten-thousandths of a dollar or more has no amount.
const LINE_LIMIT: i128 = 10_i128.pow(12 + PRICE_SCALE);
/// In dollars; a dearer product breaks the contract.
const HIGHEST_PRICE: i128 = 9_999_999;
/// A rate older than this is no rate.
const RATE_LOOK_BACK_DAYS: u64 = 7;

/// One row of the mart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SalesRow {
    pub customer_id: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// A to Z in lower case and without spaces around it.
    pub email: Option<String>,
    pub total_transactions: i64,
    /// Wider than a quantity, of which each may be as large as its type.
    pub total_items: i128,
    /// Cents.
    pub total_usd: i128,
    /// Pence; `None` if there are priced lines and none of them has a rate.
    pub total_gbp: Option<i128>,
    /// Microseconds since 1970 UTC.
    pub first_purchase_at: Option<i64>,
    pub last_purchase_at: Option<i64>,
    /// Lines of products without a price at that moment, or beyond the limit; they add nothing to either total.
    pub unpriced_lines: i64,
    /// Priced lines without a rate; they are missing from `total_gbp`.
    pub unconverted_lines: i64,
}

/// Lines that the totals leave out or cannot give to a customer, of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    pub lines: i64,
    /// Cents; 0 of lines without a price.
    pub usd: i128,
}

/// The mart and what did not get into it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sales {
    /// In the order of `customer_id` as text.
    pub rows: Vec<SalesRow>,
    pub unpriced: LeftOut,
    pub unconverted: LeftOut,
    pub unknown_customer: LeftOut,
    /// Index into the data set's purchases, and why.
    pub rejected_purchases: Vec<(usize, Reason)>,
    /// Records whose event id had been seen.
    pub duplicates: usize,
    /// Product rows that break the contract.
    pub rejected_products: usize,
}

/// Computes the mart.
pub fn sales(data: &Dataset) -> Sales {
    let mut rows = customers(data);
    let by_email = match_emails(data);
    let (prices, rejected_products) = price_history(&data.products);
    let mut result = Sales { rejected_products, ..Sales::default() };
    let mut seen: HashSet<String> = HashSet::new();
    for i in in_production_order(data) {
        let event = match event::parse(&data.purchases[i].value) {
            Ok(event) => event,
            Err(refusal) => {
                result.rejected_purchases.push((i, refusal.reason));
                continue;
            }
        };
        if !seen.insert(event.event_id.clone()) {
            result.duplicates += 1;
            continue;
        }
        let customer = by_email.get(&normalise(&event.customer_email)).map_or(UNKNOWN_CUSTOMER, String::as_str);
        if let Some(row) = rows.get_mut(customer) {
            let line = Line::of(&event, price_at(&prices, &event), &data.rates);
            result.count(&line, customer);
            add(row, &event, &line);
        }
    }
    result.rejected_purchases.sort_unstable();
    result.rows = rows.into_values().collect();
    for row in &mut result.rows {
        // Where all that could be converted has no rate, 0.00 would be wrong.
        if row.total_gbp.is_none() && row.unconverted_lines == 0 {
            row.total_gbp = Some(0);
        }
    }
    result
}

/// Every live contact has a row, with purchases or not, and so has the unknown member.
fn customers(data: &Dataset) -> BTreeMap<String, SalesRow> {
    let unknown = SalesRow {
        customer_id: UNKNOWN_CUSTOMER.to_owned(),
        first_name: Some("Unknown".to_owned()),
        last_name: Some("Customer".to_owned()),
        email: Some("unknown".to_owned()),
        ..SalesRow::default()
    };
    let rows = live(data).map(|contact| SalesRow {
        customer_id: contact.id.to_string(),
        first_name: contact.firstname.as_deref().map(trimmed),
        last_name: contact.lastname.as_deref().map(trimmed),
        email: contact.email.as_deref().map(normalise),
        ..SalesRow::default()
    });
    rows.chain([unknown]).map(|row| (row.customer_id.clone(), row)).collect()
}

/// The customer that an e-mail belongs to: the one whose own it is, else the one that it came to by a merge; of several
/// the one with the lowest id.
fn match_emails(data: &Dataset) -> HashMap<String, String> {
    let customers: HashSet<i64> = live(data).map(|contact| contact.id).collect();
    let merged = data.merged_into();
    let (mut own, mut inherited): (HashMap<String, i64>, HashMap<String, i64>) = Default::default();
    for contact in &data.contacts {
        let Some(email) = contact.email.as_deref().map(normalise).filter(|email| !email.is_empty()) else { continue };
        let survivor = survivor(contact.id, &merged);
        if !customers.contains(&survivor) {
            continue;
        }
        let owners = if survivor == contact.id { &mut own } else { &mut inherited };
        owners.entry(email).and_modify(|id| *id = (*id).min(survivor)).or_insert(survivor);
    }
    inherited.extend(own);
    inherited.into_iter().map(|(email, id)| (email, id.to_string())).collect()
}

/// Who a contact has become over all merges. Contacts that name each other have become nobody.
fn survivor(mut id: i64, merged: &BTreeMap<i64, i64>) -> i64 {
    for _ in 0..merged.len() {
        match merged.get(&id) {
            Some(kept) => id = *kept,
            None => break,
        }
    }
    id
}

fn live(data: &Dataset) -> impl Iterator<Item = &Contact> {
    let merged = data.merged_into();
    data.contacts.iter().filter(move |contact| !contact.archived && !merged.contains_key(&contact.id))
}

/// Only A to Z have another case: engines do not agree on other letters.
fn normalise(email: &str) -> String {
    trimmed(email).to_ascii_lowercase()
}

/// Without the blanks, tabs and line ends around it; other white space is part of the text.
fn trimmed(text: &str) -> String {
    text.trim_matches([' ', '\t', '\n', '\r']).to_owned()
}

/// The first record of an event id counts, so records are taken by their time; places break ties.
fn in_production_order(data: &Dataset) -> Vec<usize> {
    let mut order: Vec<usize> = (0..data.purchases.len()).collect();
    order.sort_by_key(|i| (data.purchases[*i].timestamp_ms, *i));
    order
}

/// Per product its changes, oldest first, of one moment the higher audit id last; and how many rows broke the contract.
type PriceHistory<'a> = HashMap<i64, Vec<&'a ProductChange>>;

fn price_history(products: &[ProductChange]) -> (PriceHistory<'_>, usize) {
    let mut history: PriceHistory<'_> = HashMap::new();
    let prices = 0..=HIGHEST_PRICE * 10_i128.pow(PRICE_SCALE);
    let keeps_contract = |row: &&ProductChange| row.price_usd.is_none_or(|price| prices.contains(&price));
    for row in products.iter().filter(keeps_contract) {
        history.entry(row.product_id).or_default().push(row);
    }
    for changes in history.values_mut() {
        changes.sort_by_key(|row| (row.valid_ts, row.audit_id));
    }
    let kept: usize = history.values().map(Vec::len).sum();
    (history, products.len() - kept)
}

/// What the newest change up to the purchase says; a deleted product has no price.
fn price_at(history: &PriceHistory<'_>, event: &Event) -> Option<i128> {
    let changes = history.get(&event.product_id)?;
    let after = changes.partition_point(|row| row.valid_ts <= event.purchase_ts);
    let newest = changes[..after].last().filter(|row| row.operation != Operation::Delete)?;
    newest.price_usd
}

/// The amounts of one line, in cents and pence.
pub(super) struct Line {
    pub usd: Option<i128>,
    pub gbp: Option<i128>,
}

impl Line {
    pub(super) fn of(event: &Event, price: Option<i128>, rates: &RateTable) -> Self {
        let exact = price.map(|price| i128::from(event.quantity) * price).filter(|exact| *exact < LINE_LIMIT);
        let pounds = |exact| Some(rescale(exact * rate_of(rates, event.purchase_ts)?, PRICE_SCALE + RATE_SCALE, CENTS));
        Line { usd: exact.map(|exact| rescale(exact, PRICE_SCALE, CENTS)), gbp: exact.and_then(pounds) }
    }

    fn is_unconverted(&self) -> bool {
        self.usd.is_some() && self.gbp.is_none()
    }
}

impl Sales {
    fn count(&mut self, line: &Line, customer: &str) {
        for (reason, applies) in [
            (&mut self.unpriced, line.usd.is_none()),
            (&mut self.unconverted, line.is_unconverted()),
            (&mut self.unknown_customer, customer == UNKNOWN_CUSTOMER),
        ] {
            if applies {
                reason.lines += 1;
                reason.usd += line.usd.unwrap_or_default();
            }
        }
    }
}

fn add(row: &mut SalesRow, event: &Event, line: &Line) {
    row.total_transactions += 1;
    row.total_items += i128::from(event.quantity);
    row.first_purchase_at = Some(row.first_purchase_at.map_or(event.purchase_ts, |at| at.min(event.purchase_ts)));
    row.last_purchase_at = row.last_purchase_at.max(Some(event.purchase_ts));
    row.unpriced_lines += i64::from(line.usd.is_none());
    row.unconverted_lines += i64::from(line.is_unconverted());
    row.total_usd += line.usd.unwrap_or_default();
    if let Some(pence) = line.gbp {
        *row.total_gbp.get_or_insert(0) += pence;
    }
}

/// Pounds per dollar on the purchase's UTC date, else on the latest earlier date within the look-back.
fn rate_of(rates: &RateTable, purchase_ts: i64) -> Option<i128> {
    let date: NaiveDate = DateTime::from_timestamp_micros(purchase_ts)?.date_naive();
    let usable = |days| rates.get(date.checked_sub_days(Days::new(days))?, "GBP").filter(|rate| *rate > 0);
    (0..=RATE_LOOK_BACK_DAYS).find_map(usable)
}
