//! The three CSV files of the user's data.

use std::collections::HashSet;
use std::path::Path;

use chrono::NaiveDate;

use super::BadLine;
use super::table::{Row, read};
use crate::generate::{Contact, Operation, ProductChange, RATE_SCALE, RateTable, YEAR_START, parse_decimal};

pub(super) const RATES: &str = "rates.csv";
/// The warehouse keeps prices as decimal(18,4).
const PRICE_SCALE: u32 = 4;
const DIGITS: u32 = 18;
/// The contract of products takes no more.
const HIGHEST_PRICE: i128 = 9_999_999 * 10_i128.pow(PRICE_SCALE);

pub(super) fn products(folder: &Path, problems: &mut Vec<BadLine>) -> Vec<ProductChange> {
    let mut seen = HashSet::new();
    let required = ["audit_id", "product_id", "product_name", "price_usd", "operation", "valid_ts"];
    let mut rows = read(folder, "products.csv", &required, &[], problems, |row| {
        let operation = match row.required("operation")?.to_uppercase().as_str() {
            "INSERT" => Operation::Insert,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            _ => return Err("operation is none of INSERT, UPDATE, DELETE".to_owned()),
        };
        let kept = operation != Operation::Delete;
        Ok(ProductChange {
            audit_id: unique(row, "audit_id", &mut seen)?,
            product_id: row.number("product_id")?,
            product_name: row.text("product_name").filter(|_| kept).map(str::to_owned),
            price_usd: if kept { Some(price(row)?) } else { None },
            operation,
            valid_ts: row.moment("valid_ts")?,
            commits_late: false,
        })
    });
    rows.sort_by_key(|row| row.audit_id);
    rows
}

pub(super) fn contacts(folder: &Path, problems: &mut Vec<BadLine>) -> Vec<Contact> {
    let mut seen = HashSet::new();
    let optional = [
        "email",
        "firstname",
        "lastname",
        "lifecyclestage",
        "createdate",
        "lastmodifieddate",
        "archived",
        "merged_ids",
    ];
    let mut rows = read(folder, "contacts.csv", &["id"], &optional, problems, |row| {
        let owned = |column| row.text(column).map(str::to_owned);
        // HubSpot keeps milliseconds.
        let moment = |column, default| match row.text(column) {
            Some(_) => row.moment(column).map(|micros| micros.div_euclid(1_000) * 1_000),
            None => Ok(default),
        };
        let createdate = moment("createdate", YEAR_START)?;
        let lastmodifieddate = moment("lastmodifieddate", createdate)?;
        if createdate.min(lastmodifieddate) < 0 {
            return Err("createdate or lastmodifieddate lies before 1970, where HubSpot's times begin".to_owned());
        }
        Ok(Contact {
            id: unique(row, "id", &mut seen)?,
            email: owned("email"),
            firstname: owned("firstname"),
            lastname: owned("lastname"),
            lifecyclestage: owned("lifecyclestage"),
            createdate,
            lastmodifieddate,
            archived: match row.text("archived").unwrap_or("false").trim().to_lowercase().as_str() {
                "true" => true,
                "false" => false,
                _ => return Err("archived is neither true nor false".to_owned()),
            },
            merged_ids: merged_ids(row.text("merged_ids").unwrap_or_default())?,
        })
    });
    rows.sort_by_key(|row| row.id);
    rows
}

/// `last` is the last day that a rate may be for: one further on is a slip of the pen.
pub(super) fn rates(folder: &Path, last: NaiveDate, problems: &mut Vec<BadLine>) -> RateTable {
    let mut seen = HashSet::new();
    let required = ["rate_date", "base_currency", "target_currency", "rate"];
    let rows = read(folder, RATES, &required, &[], problems, |row| {
        let date = row.required("rate_date")?.parse();
        let date: NaiveDate = date.map_err(|_| "rate_date is not a date such as 2026-03-04".to_owned())?;
        if date < NaiveDate::default() {
            return Err("rate_date lies before 1970, where the times of the rates' source begin".to_owned());
        }
        if date > last {
            return Err(format!("rate_date lies after {last}: after today and after the last purchase"));
        }
        if row.required("base_currency")? != "USD" {
            return Err("base_currency is not USD".to_owned());
        }
        let target = row.required("target_currency")?.to_owned();
        if target.len() != 3 || !target.bytes().all(|letter| letter.is_ascii_uppercase()) {
            return Err("target_currency is not three capital letters".to_owned());
        }
        let rate = match decimal(row, "rate", RATE_SCALE)? {
            0 => return Err("rate is zero".to_owned()),
            rate => rate,
        };
        if !seen.insert((date, target.clone())) {
            return Err("this target_currency stands twice on this rate_date".to_owned());
        }
        Ok((date, target, rate))
    });
    let mut table = RateTable::default();
    for (date, target, rate) in rows {
        table.insert(date, &target, rate);
    }
    table
}

/// A number that stands once. Below 0 are the warehouse's own members, such as the unknown customer.
fn unique(row: &Row<'_>, column: &str, seen: &mut HashSet<i64>) -> Result<i64, String> {
    match row.number(column)? {
        negative if negative < 0 => Err(format!("{column} is negative")),
        again if !seen.insert(again) => Err(format!("{column} stands twice")),
        number => Ok(number),
    }
}

fn price(row: &Row<'_>) -> Result<i128, String> {
    match decimal(row, "price_usd", PRICE_SCALE)? {
        dear if dear > HIGHEST_PRICE => Err("price_usd is more than 9,999,999".to_owned()),
        price => Ok(price),
    }
}

fn decimal(row: &Row<'_>, column: &str, scale: u32) -> Result<i128, String> {
    let value = parse_decimal(row.required(column)?, scale);
    match value.ok_or_else(|| format!("{column} is not a plain decimal number"))? {
        negative if negative < 0 => Err(format!("{column} is negative")),
        large if large >= 10_i128.pow(DIGITS) => Err(format!("{column} is too large")),
        value => Ok(value),
    }
}

fn merged_ids(text: &str) -> Result<Vec<i64>, String> {
    let ids = text.split(';').map(str::trim).filter(|id| !id.is_empty()).map(str::parse);
    ids.collect::<Result<_, _>>().map_err(|_| "merged_ids is not a list of ids separated by semicolons".to_owned())
}
