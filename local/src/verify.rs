//! Compares the `sales` mart in the warehouse with the oracle's, to the cent.

use anyhow::{Context, Result, bail};
use sluice_testkit::{
    generate::{Dataset, parse_decimal},
    oracle::{self, SalesRow},
};
use standin_snowflake::Standin;

/// The mart as dbt publishes it.
pub const SALES: &str = "ANALYTICS__MARTS.sales";

/// So many differences are shown.
const SHOWN: usize = 10;

/// What was compared.
#[derive(Debug, Clone, Copy)]
pub struct Verified {
    pub customers: usize,
    pub transactions: i64,
    pub usd_cents: i128,
    pub gbp_cents: i128,
}

/// Fails with the first differences when the mart is not what the data says.
pub async fn sales(warehouse: &Standin, data: &Dataset) -> Result<Verified> {
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
    Ok(Verified {
        customers: actual.len(),
        transactions: actual.iter().map(|row| row.total_transactions).sum(),
        usd_cents: actual.iter().map(|row| row.total_usd).sum(),
        gbp_cents: actual.iter().map(|row| row.total_gbp).sum(),
    })
}

async fn read(warehouse: &Standin) -> Result<Vec<SalesRow>> {
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
    let cents = |text: &Option<String>| -> Result<i128> {
        parse_decimal(text.as_deref().context("an amount is NULL")?, 2).context("an amount is no decimal")
    };
    let time = |text: &Option<String>| text.as_deref().map(str::parse).transpose();
    Ok(SalesRow {
        customer_id: id.clone().context("customer_id is NULL")?,
        first_name: first.clone(),
        last_name: last.clone(),
        email: email.clone(),
        total_transactions: number(transactions)?,
        total_items: number(items)?,
        total_usd: cents(usd)?,
        total_gbp: cents(gbp)?,
        first_purchase_at: time(earliest)?,
        last_purchase_at: time(latest)?,
        unpriced_lines: number(unpriced)?,
        unconverted_lines: number(unconverted)?,
    })
}
