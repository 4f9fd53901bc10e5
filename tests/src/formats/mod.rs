//! The user's own data: `products.csv`, `contacts.csv`, `purchases.ndjson` and, if there is one, `rates.csv` in one
//! folder, as `docs/data-formats.md` describes them.
//!
//! Every bad line is named, not only the first. A bad line of a CSV file is an error, because the sources could never
//! hold it. A bad purchase is only listed: refusing such records is the platform's work, and the demo shows it.

mod purchases;
mod table;
mod tables;

use std::fmt;
use std::path::Path;

use crate::generate::{Dataset, RateTable};

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
        write!(f, "the data has {} bad lines", self.0.len())?;
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for BadLines {}

/// The user's data and the purchases that the platform will refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub dataset: Dataset,
    pub bad_purchases: Vec<BadLine>,
}

/// Reads the folder. `rates` are taken when it has no `rates.csv`.
pub fn load(folder: &Path, rates: RateTable) -> Result<Loaded, BadLines> {
    let mut problems = Vec::new();
    let products = tables::products(folder, &mut problems);
    let contacts = tables::contacts(folder, &mut problems);
    let rates = if folder.join(tables::RATES).exists() { tables::rates(folder, &mut problems) } else { rates };
    let (purchases, bad_purchases) = purchases::read(folder, &mut problems);
    if problems.is_empty() {
        return Ok(Loaded { dataset: Dataset { products, contacts, purchases, rates }, bad_purchases });
    }
    Err(BadLines(problems))
}

#[cfg(test)]
mod tests;
