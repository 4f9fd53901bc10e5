//! Daily exchange rates: units of a currency per US dollar, with the gaps that weekends and holidays leave.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use chrono::{Datelike, NaiveDate, Weekday};

use super::decimal::{divide_half_up, parse_decimal};

/// Rates are integers of 10^-10, as fine as the warehouse's column.
pub const RATE_SCALE: u32 = 10;
const ONE: i128 = 10_i128.pow(RATE_SCALE);

/// Units per US dollar by date and currency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RateTable(BTreeMap<NaiveDate, BTreeMap<String, i128>>);

impl RateTable {
    /// Reads what `tools/rates/export.py` writes: `date,currency,eur_rate`, units per euro. Every day with a dollar
    /// rate is rebased to the dollar; the euro is added.
    pub fn from_ecb_csv(text: &str) -> Result<Self> {
        let mut days: BTreeMap<NaiveDate, BTreeMap<&str, i128>> = BTreeMap::new();
        for (i, line) in text.lines().enumerate().skip(1) {
            let mut fields = line.split(',');
            let (Some(date), Some(currency), Some(rate), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                bail!("line {} of the euro rates does not have three fields", i + 1);
            };
            let date = date.parse().with_context(|| format!("line {} of the euro rates: bad date", i + 1))?;
            let rate = parse_decimal(rate, RATE_SCALE).filter(|rate| *rate > 0);
            let rate = rate.with_context(|| format!("line {} of the euro rates: bad rate", i + 1))?;
            days.entry(date).or_default().insert(currency, rate);
        }
        let mut table = RateTable::default();
        for (date, mut day) in days {
            let Some(dollar) = day.get("USD").copied() else { continue };
            day.insert("EUR", ONE);
            for (currency, rate) in day {
                table.insert(date, currency, rebase(rate, dollar));
            }
        }
        Ok(table)
    }

    /// Invented rates for tests that need no real ones: every weekday of the data's year, moving a little each day.
    pub fn invented() -> Self {
        let mut table = RateTable::default();
        let start = NaiveDate::from_ymd_opt(2025, 10, 30).unwrap_or_default();
        for date in start.iter_days().take(365).filter(|d| !matches!(d.weekday(), Weekday::Sat | Weekday::Sun)) {
            let wave = i128::from(date.ordinal() % 29);
            table.insert(date, "USD", ONE);
            table.insert(date, "EUR", 8_700_000_000 + wave * 12_345_671);
            table.insert(date, "GBP", 7_400_000_000 + wave * 9_876_543);
            table.insert(date, "JPY", 1_500_000_000_000 + wave * 123_450_000);
        }
        table
    }

    pub fn insert(&mut self, date: NaiveDate, currency: &str, rate: i128) {
        self.0.entry(date).or_default().insert(currency.to_owned(), rate);
    }

    /// The rate of exactly this date.
    pub fn get(&self, date: NaiveDate, currency: &str) -> Option<i128> {
        self.0.get(&date)?.get(currency).copied()
    }

    /// All rates of one date.
    pub fn day(&self, date: NaiveDate) -> Option<&BTreeMap<String, i128>> {
        self.0.get(&date)
    }

    /// Every date with rates, oldest first.
    pub fn dates(&self) -> impl DoubleEndedIterator<Item = NaiveDate> + '_ {
        self.0.keys().copied()
    }

    /// Only the dates from `first` to `last`: what a platform can know that looks no further.
    #[must_use]
    pub fn between(mut self, first: NaiveDate, last: NaiveDate) -> Self {
        self.0.retain(|date, _| (first..=last).contains(date));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Units per dollar from units per euro, as precise as Open Exchange Rates publishes them: 6 decimals from 1 up, 10
/// below.
fn rebase(rate: i128, dollar: i128) -> i128 {
    if rate >= dollar {
        return divide_half_up(rate * 1_000_000, dollar) * (ONE / 1_000_000);
    }
    divide_half_up(rate * ONE, dollar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::decimal_text;

    #[test]
    fn euro_rates_are_rebased_to_the_dollar() {
        let csv = "date,currency,eur_rate\n2026-10-29,USD,1.113\n2026-10-29,GBP,0.83578\n2026-10-29,JPY,175.92\n\
                   2026-10-28,GBP,1\n";
        let rates = RateTable::from_ecb_csv(csv).unwrap();
        let text = |currency| decimal_text(rates.get("2026-10-29".parse().unwrap(), currency).unwrap(), RATE_SCALE);
        assert_eq!(text("USD"), "1");
        assert_eq!(text("EUR"), "0.8984725966"); // 1 / 1.113 = 0.89847259658…
        assert_eq!(text("GBP"), "0.7509254268"); // 0.83578 / 1.113 = 0.75092542677…
        assert_eq!(text("JPY"), "158.059299"); // 175.92 / 1.113 = 158.05929919…
        assert_eq!(rates.dates().count(), 1, "a day without a dollar rate cannot be rebased");
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let error = RateTable::from_ecb_csv("h\n2026-10-29,USD,x\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
