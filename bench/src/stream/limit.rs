//! The limit: the same work by a program that knows one kind of record, its fields and their order of importance, and
//! nothing of channels, contracts, dead letters or other topics. It checks what the contract of purchases demands.

use std::io::Write;

use anyhow::{Result, bail, ensure};
use base64_simd::{Out, STANDARD};
use serde::Deserialize;

use crate::{Output, event, ours};

const PIECE_BYTES: usize = 128 << 10;
/// As long as a checksum.
const UNKNOWN: &str = "????????";

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    records: Topics<'a>,
}

#[derive(Deserialize)]
struct Topics<'a> {
    #[serde(borrow, rename = "purchases-3")]
    partition: Vec<Record<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    offset: i64,
    timestamp: i64,
    key: &'a str,
    value: &'a str,
}

struct Purchase<'a> {
    event_id: &'a [u8],
    customer_email: &'a [u8],
    product_id: i64,
    quantity: i64,
    purchase_ts: &'a [u8],
    schema_version: i64,
}

/// Reads the fields where this one producer writes them.
fn purchase(value: &[u8]) -> Option<Purchase<'_>> {
    let rest = value.strip_prefix(br#"{"event_id":""#)?;
    let (event_id, rest) = text(rest)?;
    let (customer_email, rest) = text(rest.strip_prefix(br#","customer_email":""#)?)?;
    let (product_id, rest) = number(rest.strip_prefix(br#","product_id":"#)?);
    let (quantity, rest) = number(rest.strip_prefix(br#","quantity":"#)?);
    let (purchase_ts, rest) = text(rest.strip_prefix(br#","purchase_ts":""#)?)?;
    let (schema_version, rest) = number(rest.strip_prefix(br#","schema_version":"#)?);
    (rest == b"}").then_some(Purchase { event_id, customer_email, product_id, quantity, purchase_ts, schema_version })
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    let (text, rest) = bytes.split_at(end);
    Some((text, rest.strip_prefix(b"\"")?))
}

fn number(bytes: &[u8]) -> (i64, &[u8]) {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(digits);
    (number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), rest)
}

pub(crate) fn run(text: &str) -> Result<Output> {
    let mut text = text.as_bytes().to_vec();
    let Event { records: Topics { partition: records } } = simd_json::serde::from_slice(&mut text)?;
    let (Some(first), Some(last)) = (records.first(), records.last()) else { bail!("no records") };
    let (topic, partition) = (event::TOPIC, event::PARTITION);
    let creation = sluice_core::lake::digest(&[b"main"]);
    let (first, last) = (first.offset, last.offset);
    // The archive's name ends in its checksum, which is known when the last record has been packed.
    let archive = format!("archive/{topic}/2025-10-31/{creation}/{partition}-{first}-{last}-{UNKNOWN}.ndjson.zst");
    let constants = format!(
        r#","_SLUICE_RUN_ID":"lake_main_{topic}_{partition}/{}","_SLUICE_LOADED_AT":"2025-11-01 00:00:00.000000","_SLUICE_SOURCE_FILE":"{archive}","_KAFKA_TOPIC":"{topic}","_KAFKA_PARTITION":{partition},"_SLUICE_SEQUENCE":"#,
        ours::RUN_ID
    );
    let Some(checksum_at) = constants.find(UNKNOWN) else { bail!("the archive's name has no checksum") };
    let mut checksums = Vec::with_capacity(records.len());
    let begin = format!(r#"{{"topic":"{topic}","partition":{partition},"offset":"#);

    let mut rows = Vec::with_capacity(records.len() * 600);
    let mut packer = zstd::stream::Encoder::new(Vec::new(), 1)?;
    packer.include_checksum(true)?;
    let mut lines = Vec::with_capacity(PIECE_BYTES * 2);
    let mut scratch = [0_u8; 4_096];
    let mut digits = itoa::Buffer::new();
    for (i, record) in records.iter().enumerate() {
        ensure!(record.value.len() < scratch.len(), "a record is larger than this program expects");
        let value: &[u8] = match STANDARD.decode(record.value.as_bytes(), Out::from_slice(&mut scratch)) {
            Ok(value) => value,
            Err(_) => bail!("a value is not base64"),
        };
        let Some(purchase) = purchase(value) else { bail!("a purchase has another form") };
        ensure!(std::str::from_utf8(value).is_ok(), "a purchase is not UTF-8");
        ensure!(purchase.quantity >= 1 && purchase.schema_version >= 1, "a purchase breaks the contract");
        let at = purchase.purchase_ts;
        ensure!(at.len() == 20 && at[10] == b'T' && at[19] == b'Z', "a time has another form");
        ensure!(
            at.iter().enumerate().all(|(i, byte)| match i {
                4 | 7 => *byte == b'-',
                10 | 19 => true,
                13 | 16 => *byte == b':',
                _ => byte.is_ascii_digit(),
            }),
            "a time has another form"
        );

        rows.extend_from_slice(br#"{"EVENT_ID":""#);
        rows.extend_from_slice(purchase.event_id);
        rows.extend_from_slice(br#"","CUSTOMER_EMAIL":""#);
        rows.extend_from_slice(purchase.customer_email);
        rows.extend_from_slice(br#"","PRODUCT_ID":"#);
        rows.extend_from_slice(digits.format(purchase.product_id).as_bytes());
        rows.extend_from_slice(br#","QUANTITY":"#);
        rows.extend_from_slice(digits.format(purchase.quantity).as_bytes());
        rows.extend_from_slice(br#","PURCHASE_TS":""#);
        rows.extend_from_slice(&at[..10]);
        rows.push(b' ');
        rows.extend_from_slice(&at[11..19]);
        rows.extend_from_slice(br#".000000","SCHEMA_VERSION":"#);
        rows.extend_from_slice(digits.format(purchase.schema_version).as_bytes());
        checksums.push(rows.len() + checksum_at);
        rows.extend_from_slice(constants.as_bytes());
        rows.extend_from_slice(digits.format(record.offset).as_bytes());
        rows.extend_from_slice(br#","_KAFKA_OFFSET":"#);
        rows.extend_from_slice(digits.format(record.offset).as_bytes());
        rows.extend_from_slice(br#","_SLUICE_ROW_NUMBER":"#);
        rows.extend_from_slice(digits.format(i + 1).as_bytes());
        rows.extend_from_slice(br#","_KAFKA_TIMESTAMP":""#);
        write_millis(record.timestamp, &mut rows);
        rows.extend_from_slice(b"\"}\n");

        lines.extend_from_slice(begin.as_bytes());
        lines.extend_from_slice(digits.format(record.offset).as_bytes());
        lines.extend_from_slice(br#","timestamp":"#);
        lines.extend_from_slice(digits.format(record.timestamp).as_bytes());
        lines.extend_from_slice(br#","key":""#);
        // The event's own base64.
        lines.extend_from_slice(record.key.as_bytes());
        lines.extend_from_slice(br#"","value":""#);
        lines.extend_from_slice(record.value.as_bytes());
        lines.extend_from_slice(b"\",\"headers\":[]}\n");
        if lines.len() >= PIECE_BYTES {
            packer.write_all(&lines)?;
            lines.clear();
        }
    }
    packer.write_all(&lines)?;
    let packed_archive = packer.finish()?;
    let Some(checksum) = packed_archive.last_chunk() else { bail!("the archive is empty") };
    let checksum = format!("{:08x}", u32::from_le_bytes(*checksum));
    for at in checksums {
        rows[at..at + UNKNOWN.len()].copy_from_slice(checksum.as_bytes());
    }
    let packed_rows = zstd::bulk::compress(&rows, 1)?.len();
    Ok(Output { rows, packed_rows, packed_archive })
}

/// A time of 31 October 2025, which all of this event's are.
fn write_millis(millis: i64, out: &mut Vec<u8>) {
    const DAY: i64 = 1_761_868_800_000;

    let of_day = millis - DAY;
    let mut text = *b"2025-10-31 00:00:00.000000";
    let mut two = |at: usize, number: i64| {
        text[at] = b'0' + (number / 10 % 10) as u8;
        text[at + 1] = b'0' + (number % 10) as u8;
    };
    two(11, of_day / 3_600_000);
    two(14, of_day / 60_000 % 60);
    two(17, of_day / 1_000 % 60);
    two(20, of_day % 1_000 / 10);
    text[22] = b'0' + (of_day % 10) as u8;
    out.extend_from_slice(&text);
}
