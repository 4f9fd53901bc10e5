//! Compares the `sales` mart in the warehouse with the oracle's, to the cent.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use sluice_testkit::{
    generate::{Dataset, parse_decimal},
    oracle::{self, LeftOut, Sales, SalesRow},
};
use snowflake_emulator::Emulator;

/// The mart as dbt publishes it.
pub(crate) const SALES: &str = "ANALYTICS__MARTS.sales";

/// What its totals leave out, as dbt publishes it.
pub(crate) const LEFT_OUT: &str = "ANALYTICS__MARTS.sales_left_out";

/// How many differences are shown.
const SHOWN: usize = 10;

/// What was compared, and what of the sources could not be taken.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub customers: usize,
    pub transactions: i64,
    pub usd_cents: i128,
    pub gbp_cents: i128,
    /// Records whose event id had come before.
    pub repeated: usize,
    pub refused: Vec<Refused>,
}

/// Lines of one source that break its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub source: &'static str,
    pub lines: usize,
    pub of: usize,
    /// How many lines there are of each reason, the most frequent first.
    pub reasons: Vec<(String, usize)>,
}

impl Refused {
    /// A run that refuses more than one line in twenty is no success: the platform is right, and the data is not.
    pub(crate) fn is_too_much(&self) -> bool {
        self.lines * 20 > self.of
    }
}

/// Fails with the first differences when the mart is not what the data says.
pub(crate) async fn sales(warehouse: &Emulator, data: &Dataset) -> Result<Verified> {
    let expected = oracle::sales(data);
    let actual = read(warehouse).await?;
    let differences = oracle::compare(&expected.rows, &actual);
    if !differences.is_empty() {
        bail!(
            "the sales mart is not what the sources say ({} differences):\n{}",
            differences.len(),
            oracle::report(&differences, SHOWN)
        );
    }
    left_out(warehouse, &expected).await?;
    Ok(Verified {
        customers: actual.len(),
        transactions: actual.iter().map(|row| row.total_transactions).sum(),
        usd_cents: actual.iter().map(|row| row.total_usd).sum(),
        gbp_cents: actual.iter().filter_map(|row| row.total_gbp).sum(),
        repeated: expected.duplicates,
        refused: refused(data, &expected),
    })
}

fn refused(data: &Dataset, expected: &Sales) -> Vec<Refused> {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (i, _) in &expected.rejected_purchases {
        if let Err(refusal) = oracle::parse(&data.purchases[*i].value) {
            *reasons.entry(refusal.to_string()).or_default() += 1;
        }
    }
    let mut reasons: Vec<(String, usize)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let purchases =
        Refused { source: "purchases", lines: expected.rejected_purchases.len(), of: data.purchases.len(), reasons };
    let lines = expected.rejected_products;
    let reasons = if lines > 0 { vec![("price_usd is negative".to_owned(), lines)] } else { Vec::new() };
    let products = Refused { source: "products", lines, of: data.products.len(), reasons };
    vec![purchases, products]
}

/// Fails when the mart says otherwise than the data what its totals leave out.
async fn left_out(warehouse: &Emulator, expected: &Sales) -> Result<()> {
    let expected = [
        ("unconverted", &expected.unconverted),
        ("unknown customer", &expected.unknown_customer),
        ("unpriced", &expected.unpriced),
    ];
    let query = format!("SELECT reason, lines, coalesce(usd, 0) FROM {LEFT_OUT} ORDER BY reason");
    let rows = warehouse.query(&query).await.context("cannot read what the sales mart leaves out")?;
    let mut actual = Vec::new();
    for row in &rows {
        let [Some(reason), Some(lines), usd] = row.as_slice() else { bail!("{LEFT_OUT} has a row without a reason") };
        actual.push((reason.as_str(), LeftOut { lines: lines.parse()?, usd: cents(usd)? }));
    }
    if !actual.iter().map(|(reason, found)| (*reason, found)).eq(expected) {
        bail!("{LEFT_OUT} is not what the sources say: it has {actual:?}, expected {expected:?}");
    }
    Ok(())
}

async fn read(warehouse: &Emulator) -> Result<Vec<SalesRow>> {
    let rows = warehouse
        .query(&format!(
            "SELECT customer_id, first_name, last_name, email, total_transactions, total_items, total_usd, total_gbp,
                    epoch_us(first_purchase_at), epoch_us(last_purchase_at), unpriced_lines, unconverted_lines
             FROM {SALES} ORDER BY customer_id"
        ))
        .await
        .context("cannot read the sales mart")?;
    rows.iter().map(|row| row_of(row)).collect()
}

fn row_of(row: &[Option<String>]) -> Result<SalesRow> {
    let [id, first, last, email, transactions, items, usd, gbp, earliest, latest, unpriced, unconverted] = row else {
        bail!("the sales mart has other columns than the demo knows");
    };
    let number = |text: &Option<String>| -> Result<i64> { Ok(text.as_deref().context("a count is NULL")?.parse()?) };
    let time = |text: &Option<String>| text.as_deref().map(str::parse).transpose();
    Ok(SalesRow {
        customer_id: id.clone().context("customer_id is NULL")?,
        first_name: first.clone(),
        last_name: last.clone(),
        email: email.clone(),
        total_transactions: number(transactions)?,
        total_items: items.as_deref().context("a count is NULL")?.parse()?,
        total_usd: cents(usd)?,
        total_gbp: gbp.is_some().then(|| cents(gbp)).transpose()?,
        first_purchase_at: time(earliest)?,
        last_purchase_at: time(latest)?,
        unpriced_lines: number(unpriced)?,
        unconverted_lines: number(unconverted)?,
    })
}

fn cents(text: &Option<String>) -> Result<i128> {
    parse_decimal(text.as_deref().context("an amount is NULL")?, 2).context("an amount is no decimal")
}

#[cfg(test)]
mod tests {
    use sluice_testkit::generate::{RateTable, Scale, generate};

    use super::*;

    #[test]
    fn more_than_one_line_in_twenty_refused_is_too_much() {
        let refused = |lines, of| Refused { source: "purchases", lines, of, reasons: Vec::new() };
        assert!(!refused(0, 0).is_too_much() && !refused(5, 100).is_too_much());
        assert!(refused(6, 100).is_too_much() && refused(1, 1).is_too_much());
    }

    #[test]
    fn refused_lines_are_counted_by_their_reasons() {
        let mut data = generate(1, Scale::times(0.01), RateTable::invented());
        for record in &mut data.purchases {
            record.value = br#"{"product_id":"7"}"#.to_vec();
        }
        data.purchases[0].value = b"{".to_vec();
        let [purchases, _] = &refused(&data, &oracle::sales(&data))[..] else { panic!("two sources") };
        let count = data.purchases.len();
        assert!(purchases.is_too_much() && (purchases.lines, purchases.of) == (count, count));
        let counts: Vec<usize> = purchases.reasons.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [count - 1, 1], "{:?}", purchases.reasons);
    }
}
