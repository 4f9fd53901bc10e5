//! The user's own data: `products.csv`, `contacts.csv`, `purchases.ndjson` and, if there is one, `rates.csv` in one
//! folder, as `docs/data-formats.md` describes them.
//!
//! Every bad line is named, not only the first. A bad line of a CSV file is an error, because the sources could never
//! hold it. A bad purchase is only listed: refusing such records is the platform's work, and the demo shows it.

mod purchases;
mod table;
mod tables;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use chrono::{DateTime, NaiveDate};

use crate::generate::{Dataset, PurchaseRecord, RateTable};
use crate::oracle;

/// How many lines are shown of those that have the same problem; the others are counted.
const SHOWN: usize = 5;

/// A line, or a whole file, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    pub file: &'static str,
    /// The first line is 1; `None` when the file as a whole is the problem.
    pub line: Option<u64>,
    pub problem: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.problem),
            None => write!(f, "{}: {}", self.file, self.problem),
        }
    }
}

/// Every line that keeps the data from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLines(pub Vec<BadLine>);

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the data has {} bad line{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        summary(&self.0).iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for BadLines {}

/// The lines in words: the first five of each problem, then how many there are of those that have more.
pub fn summary(lines: &[BadLine]) -> Vec<String> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut words = Vec::new();
    for line in lines {
        let count = counts.entry((line.file, &line.problem)).or_default();
        *count += 1;
        if *count <= SHOWN {
            words.push(line.to_string());
        }
    }
    let more = counts.into_iter().filter(|(_, count)| *count > SHOWN);
    words.extend(more.map(|((file, problem), count)| format!("{file}: {count} lines in all: {problem}")));
    words
}

/// The user's data and the purchases that the platform will refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub dataset: Dataset,
    pub bad_purchases: Vec<BadLine>,
}

/// Reads the folder. `rates` are taken when it has no `rates.csv`; no rate may be for a day after `today` unless purchases
/// are as late.
pub fn load(folder: &Path, rates: RateTable, today: NaiveDate) -> Result<Loaded, BadLines> {
    let mut problems = Vec::new();
    let products = tables::products(folder, &mut problems);
    let contacts = tables::contacts(folder, &mut problems);
    let (purchases, bad_purchases) = purchases::read(folder, &mut problems);
    let has_rates = folder.join(tables::RATES).exists();
    let last = || purchase_dates(&purchases).map_or(today, |(_, last)| last.max(today));
    let rates = if has_rates { tables::rates(folder, last(), &mut problems) } else { rates };
    if problems.is_empty() {
        return Ok(Loaded { dataset: Dataset { products, contacts, purchases, rates }, bad_purchases });
    }
    Err(BadLines(problems))
}

/// The UTC dates of the first and the last purchase among those that are no bad records.
pub fn purchase_dates(purchases: &[PurchaseRecord]) -> Option<(NaiveDate, NaiveDate)> {
    let events = purchases.iter().filter_map(|record| oracle::parse(&record.value).ok());
    let mut dates = events.filter_map(|event| Some(DateTime::from_timestamp_micros(event.purchase_ts)?.date_naive()));
    let first = dates.next()?;
    Some(dates.fold((first, first), |(first, last), date| (first.min(date), last.max(date))))
}

#[cfg(test)]
mod tests;
