//! Puts the data set into the real sources: PostgreSQL rows, Kafka records, HubSpot contacts.
//!
//! Seeding again adds only what is not there yet, so a demo that was killed half way goes on where it stopped.

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sluice_kafka::{Message, Producer, partition_for_key};
use sluice_local::kafka_poller::PartitionStatus;
use sluice_testkit::generate::{Dataset, ProductChange, PurchaseRecord, decimal_text};
use tokio_postgres::{Client, NoTls, Transaction};

pub(crate) const TOPIC: &str = "purchases";

/// How many rows go into one INSERT.
const ROWS_PER_INSERT: usize = 1_000;

/// A connection to the shop's database with the table of product changes.
pub(crate) async fn shop(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("cannot connect to PostgreSQL")?;
    tokio::spawn(connection);
    client
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS raw_data;
             CREATE TABLE IF NOT EXISTS raw_data.products (
                 audit_id bigint PRIMARY KEY,
                 product_id bigint NOT NULL,
                 product_name text,
                 price_usd numeric(18, 4),
                 operation text NOT NULL,
                 valid_ts timestamp NOT NULL
             )",
        )
        .await
        .context("cannot create raw_data.products")?;
    Ok(client)
}

/// Inserts the changes that are not there yet. Those that commit late are inserted first, by a transaction that is left
/// open: the caller extracts meanwhile and then commits it.
pub(crate) async fn products<'a>(
    late: &'a mut Client,
    shop: &mut Client,
    changes: &[ProductChange],
) -> Result<Transaction<'a>> {
    let (delayed, prompt): (Vec<&ProductChange>, Vec<&ProductChange>) = changes.iter().partition(|c| c.commits_late);
    let open = late.transaction().await?;
    insert(&open, &delayed).await?;
    let transaction = shop.transaction().await?;
    insert(&transaction, &prompt).await?;
    transaction.commit().await?;
    Ok(open)
}

async fn insert(transaction: &Transaction<'_>, changes: &[&ProductChange]) -> Result<()> {
    for chunk in changes.chunks(ROWS_PER_INSERT) {
        let rows: Vec<String> = chunk.iter().map(|change| values(change)).collect::<Result<_>>()?;
        let statement = format!(
            "INSERT INTO raw_data.products (audit_id, product_id, product_name, price_usd, operation, valid_ts)
             VALUES {} ON CONFLICT (audit_id) DO NOTHING",
            rows.join(", ")
        );
        transaction.batch_execute(&statement).await.context("cannot insert product changes")?;
    }
    Ok(())
}

fn values(change: &ProductChange) -> Result<String> {
    let text = |value: &str| format!("'{}'", value.replace('\'', "''"));
    // As text, because PostgreSQL multiplies an interval by a float, which far years do not pass through unrounded.
    let valid = DateTime::from_timestamp_micros(change.valid_ts).context("a product's time is out of range")?;
    Ok(format!(
        "({}, {}, {}, {}, '{}', '{}')",
        change.audit_id,
        change.product_id,
        change.product_name.as_deref().map_or("NULL".to_owned(), text),
        change.price_usd.map_or("NULL".to_owned(), |price| decimal_text(price, 4)),
        change.operation.as_str(),
        valid.format("%Y-%m-%d %H:%M:%S%.6f")
    ))
}

/// Produces the purchases that the topic does not hold yet, each to the partition of its key. Returns how many.
///
/// The records of a partition are always produced in one order, so those that are missing are the ones past its end.
pub(crate) async fn purchases(bootstrap: &str, partitions: &[PartitionStatus], data: &Dataset) -> Result<usize> {
    let producer = Producer::connect(bootstrap).await?;
    // The shop publishes now: a broker's retention counts from a record's time. The order in time is the data's own.
    let newest = data.purchases.last().map_or(0, |record| record.timestamp_ms);
    let shift = Utc::now().timestamp_millis() - newest;
    let count = u32::try_from(partitions.len())?;
    let mut produced = 0;
    for partition in partitions {
        let number = u32::try_from(partition.partition)?;
        let own = data.purchases.iter().filter(|record| partition_for_key(record.key.as_bytes(), count) == number);
        let missing = own
            .skip(usize::try_from(partition.end_offset)?)
            .map(|record| message(record, shift))
            .collect::<Result<Vec<_>>>()?;
        produced += missing.len();
        producer.produce_to(TOPIC, partition.partition, missing).await?;
    }
    Ok(produced)
}

fn message(record: &PurchaseRecord, shift: i64) -> Result<Message> {
    let timestamp = DateTime::from_timestamp_millis(record.timestamp_ms + shift);
    Ok(Message {
        key: Some(Bytes::from(record.key.clone())),
        value: Some(Bytes::from(record.value.clone())),
        headers: Default::default(),
        timestamp: timestamp.context("a record's time is out of range")?,
    })
}

#[cfg(test)]
mod tests {
    use sluice_testkit::generate::Operation;

    use super::*;

    #[test]
    fn a_products_time_keeps_its_microseconds_in_every_year() {
        for time in ["0001-01-01 00:00:00.000001", "2026-03-04 12:00:00.000000", "9999-12-31 23:59:59.999999"] {
            let micros = chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f").unwrap().and_utc();
            let change = ProductChange {
                audit_id: 1,
                product_id: 7,
                product_name: Some("Mug's".to_owned()),
                price_usd: Some(125_000),
                operation: Operation::Insert,
                valid_ts: micros.timestamp_micros(),
                commits_late: false,
            };
            assert_eq!(values(&change).unwrap(), format!("(1, 7, 'Mug''s', 12.5, 'INSERT', '{time}')"));
        }
    }
}
