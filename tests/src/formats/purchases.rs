//! `purchases.ndjson`: one Kafka record a line, in the order of production.

use std::path::Path;

use super::{BadLine, text};
use crate::generate::{FIRST_RECORD_MS, PurchaseRecord};
use crate::oracle;

const FILE: &str = "purchases.ndjson";

/// The bytes of the longest text of a purchase here. The platform refuses a row by its size when it is packed, which only the
/// platform can tell; no row of two such texts is near that.
const LONGEST: usize = 1_000_000;

/// Every line that is not blank becomes a record, a bad one too; bad ones are also listed.
pub(super) fn read(folder: &Path, problems: &mut Vec<BadLine>) -> (Vec<PurchaseRecord>, Vec<BadLine>) {
    let text = text::read(folder, FILE, problems).unwrap_or_default();
    let (mut records, mut bad) = (Vec::new(), Vec::new());
    // JSON takes a carriage return for a blank, so it ends a line only where nothing else does.
    let end = if text.contains(&b'\n') { b'\n' } else { b'\r' };
    for (line, value) in (1..).zip(text.split(|byte| *byte == end).map(<[u8]>::trim_ascii)) {
        if value.is_empty() {
            continue;
        }
        let event = oracle::parse(value);
        match &event {
            Err(refusal) => bad.push(BadLine { file: FILE, line: Some(line), problem: refusal.to_string() }),
            Ok(event) if event.event_id.len().max(event.customer_email.len()) > LONGEST => {
                let problem = "event_id or customer_email is longer than 1,000,000 bytes".to_owned();
                problems.push(BadLine { file: FILE, line: Some(line), problem });
            }
            Ok(_) => {}
        }
        records.push(PurchaseRecord {
            invalid: event.as_ref().err().map(|refusal| refusal.reason),
            key: event.map(|event| event.customer_email).unwrap_or_default(),
            value: value.to_vec(),
            timestamp_ms: FIRST_RECORD_MS + records.len() as i64 + 1,
        });
    }
    // The last object of an array that has one a line has no comma behind it, and is a purchase by itself.
    let begins_an_array = records.first().is_some_and(|first| first.value.starts_with(b"[") && first.invalid.is_some());
    if begins_an_array && (bad.len() == records.len() || records[0].value == b"[") {
        let problem = "is one JSON array; write its objects one to a line, without commas between them".to_owned();
        problems.push(BadLine { file: FILE, line: Some(1), problem });
    }
    if bad.len() == records.len() && records.first().is_some_and(|first| first.value == b"{") {
        let problem = "begins an object that goes over several lines; write each purchase on one".to_owned();
        problems.push(BadLine { file: FILE, line: Some(1), problem });
    }
    (records, bad)
}
