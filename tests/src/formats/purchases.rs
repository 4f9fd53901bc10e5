//! `purchases.ndjson`: one Kafka record a line, in the order of production.

use std::path::Path;

use super::BadLine;
use crate::generate::{FIRST_RECORD_MS, PurchaseRecord};
use crate::oracle;

const FILE: &str = "purchases.ndjson";

/// Every line that is not blank becomes a record, a bad one too; bad ones are also listed.
pub(super) fn read(folder: &Path, problems: &mut Vec<BadLine>) -> (Vec<PurchaseRecord>, Vec<BadLine>) {
    let text = std::fs::read(folder.join(FILE)).unwrap_or_else(|error| {
        problems.push(BadLine { file: FILE, line: None, problem: format!("cannot be read: {error}") });
        Vec::new()
    });
    let (mut records, mut bad) = (Vec::new(), Vec::new());
    for (line, value) in (1..).zip(text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)) {
        if value.is_empty() {
            continue;
        }
        let event = oracle::parse(value);
        if let Err(refusal) = &event {
            bad.push(BadLine { file: FILE, line: Some(line), problem: refusal.to_string() });
        }
        records.push(PurchaseRecord {
            invalid: event.as_ref().err().map(|refusal| refusal.reason),
            key: event.map(|event| event.customer_email).unwrap_or_default(),
            value: value.to_vec(),
            timestamp_ms: FIRST_RECORD_MS + records.len() as i64 + 1,
        });
    }
    (records, bad)
}
