//! What was refused, read back from where the lake keeps it: rows that broke a contract, records that became dead letters,
//! and what a warehouse refused of a channel.

use std::io::{BufRead, BufReader};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_core::{Column, ColumnType, Error, Result, Table, lake};

use crate::stream::record::Kept;

/// A run keeps at most this many bytes of rejected rows compressed; what unpacks to more than this is no file of one.
const MOST_UNPACKED_BYTES: u64 = 4 << 30;

/// What stands for a value that is not shown.
pub const MASKED: &str = "***";

/// One refused row or record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    pub reason: String,
    /// When the row was rejected; of a record its own time.
    pub at: Option<DateTime<Utc>>,
    /// Of a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The row, or the record's value where that is JSON; otherwise what can be said of it.
    pub row: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
}

/// Rows that the warehouse has refused of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedByWarehouse {
    pub channel: String,
    /// Since the channel was made.
    pub refused: u64,
    /// The warehouse's words, which may quote a value.
    pub reason: Option<String>,
    pub first_offset: Option<i64>,
    pub last_offset: Option<i64>,
}

/// Goes through the file of a run's rejected rows.
pub fn each_row(packed: &[u8], mut each: impl FnMut(Refusal)) -> Result<()> {
    #[derive(Deserialize)]
    struct Line {
        reason: String,
        rejected_at: DateTime<Utc>,
        row: Value,
    }
    let unpacking = |error: std::io::Error| Error::invalid_data("a file of rejects cannot be unpacked").because(error);
    let unpacked = zstd::stream::Decoder::new(packed).map_err(unpacking)?;
    let unpacked = std::io::Read::take(unpacked, MOST_UNPACKED_BYTES);
    for (line, number) in BufReader::new(unpacked).split(b'\n').zip(1_u64..) {
        let line = line.map_err(unpacking)?;
        let Line { reason, rejected_at, row } = serde_json::from_slice(&line).map_err(|error| {
            let bad = Error::invalid_data("a line of a file of rejects does not parse").with("line", number);
            bad.because(format!("column {}", error.column()))
        })?;
        each(Refusal { reason, at: Some(rejected_at), place: None, row });
    }
    Ok(())
}

/// Reads a dead letter. A value that is no JSON is told by its length.
pub fn dead_letter(body: &[u8]) -> Result<Refusal> {
    let (reason, partition, record) = Kept::read_letter(body)?;
    let row = match &record.value {
        None => Value::Null,
        Some(value) => serde_json::from_slice(value).unwrap_or_else(|_| not_json(value)),
    };
    let at = DateTime::from_timestamp_millis(record.timestamp_ms);
    Ok(Refusal { reason, at, place: Some(Place { partition, offset: record.offset }), row })
}

/// What the lake keeps of the rows that a warehouse has refused, in the order of the keys, of the channels of one topic.
pub fn of_topic<'a>(keys: &'a [String], lake_id: &str, topic: &str) -> Vec<&'a str> {
    let is_of_topic = |key: &&String| {
        let channel =
            key.strip_prefix(lake::REFUSED_PREFIX).and_then(|rest| rest.rsplit_once('/')).map(|(name, _)| name);
        let named = channel.and_then(|name| name.rsplit_once('_')).map(|(name, _)| name);
        named.is_some_and(|name| name.starts_with(&format!("{lake_id}_")) && name.ends_with(&format!("_{topic}")))
    };
    keys.iter().filter(is_of_topic).map(String::as_str).collect()
}

fn not_json(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => Value::from(text),
        Err(_) => {
            let mut text = format!("{} bytes:", value.len());
            value.iter().for_each(|byte| text.push_str(&format!(" {byte:02x}")));
            Value::from(text)
        }
    }
}

/// Takes out what may be about a person: values of columns that the table marks as personal, fields that it does not know with
/// their names, texts under a column of another type, texts that hold an address, and whatever is no object of fields.
pub fn mask(table: &Table, row: Value) -> Value {
    let Value::Object(fields) = row else {
        return if row.is_null() { row } else { MASKED.into() };
    };
    let mut shown = Map::new();
    for (name, value) in fields {
        // A row is in the source's names or in the contract's, so a name may be that of two columns.
        let columns = table.columns.columns().iter().filter(|column| column.name == name || column.source() == name);
        let columns: Vec<&Column> = columns.collect();
        let is_harmless = !columns.iter().any(|column| column.pii);
        let are_texts = columns.iter().all(|column| column.column_type == ColumnType::Text);
        let value = match value {
            Value::Null => Value::Null,
            Value::String(text) if is_harmless && are_texts && !text.contains('@') => text.into(),
            Value::Number(_) | Value::Bool(_) if is_harmless => value,
            _ => MASKED.into(),
        };
        match columns.is_empty() {
            true => shown.insert(MASKED.to_owned(), MASKED.into()),
            false => shown.insert(name, value),
        };
    }
    shown.into()
}

/// A row's key, unless it may name a person.
pub fn masked_key<'a>(table: &Table, key: &'a str) -> &'a str {
    let is_personal = |column: &&Column| column.pii && table.key.contains(&column.name);
    if table.columns.columns().iter().any(|column| is_personal(&column)) { MASKED } else { key }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_core::Sources;

    use super::*;

    fn table(name: &str) -> Table {
        let sources = Sources::parse(include_str!("../../../platform/sources.yaml")).expect("valid sources");
        sources.tables.into_iter().find(|table| table.table.table == name).expect("a table")
    }

    #[test]
    fn a_file_of_rejects_is_read_line_by_line() {
        let lines = "{\"reason\":\"a\",\"rejected_at\":\"2026-01-01T00:00:00Z\",\"row\":{\"id\":1}}\n\
                     {\"reason\":\"b\",\"rejected_at\":\"2026-01-01T00:00:00Z\",\"row\":{\"id\":2}}\n";
        let packed = zstd::encode_all(lines.as_bytes(), 3).expect("compressed");
        let mut read = Vec::new();
        each_row(&packed, |refusal| read.push((refusal.reason, refusal.row))).expect("a file");
        assert_eq!(read, [("a".to_owned(), json!({"id": 1})), ("b".to_owned(), json!({"id": 2}))]);
        let torn = zstd::encode_all(&lines.as_bytes()[..100], 3).expect("compressed");
        let error = each_row(&torn, |_| ()).expect_err("half a line");
        assert!(error.chain().contains("line=2"), "{error}");
        assert!(each_row(b"no zstd", |_| ()).is_err());
    }

    #[test]
    fn nothing_personal_is_shown_unasked() {
        let contacts = table("CONTACTS");
        let row = json!({
            "id": "ada@example.com", "email": "ada@example.com", "firstname": null, "lifecyclestage": "lead",
            "archived": true, "nickname": "ada", "merged_ids": ["1"],
        });
        let shown = json!({
            "id": MASKED, "email": MASKED, "firstname": null, "lifecyclestage": "lead", "archived": true,
            MASKED: MASKED, "merged_ids": MASKED,
        });
        assert_eq!(mask(&contacts, row), shown);
        let hidden = json!({"ada lovelace": 1, "createdate": "Ada Lovelace", "archived": "ada"});
        assert_eq!(mask(&contacts, hidden), json!({MASKED: MASKED, "createdate": MASKED, "archived": MASKED}));
        assert_eq!(mask(&contacts, json!("ada")), json!(MASKED));
        assert_eq!(mask(&contacts, json!(["ada"])), json!(MASKED));
        assert_eq!(mask(&contacts, Value::Null), Value::Null);
    }

    #[test]
    fn a_name_that_a_personal_column_also_has_hides_its_value() {
        let yaml = "tables: [{table: A.B.C, description: d, source: {kind: postgres, schema: s, table: t, cursor: id}, loader: copy,
            disposition: merge, key: [contact], columns: [{name: id, type: bigint, required: true}, {name: contact, type: text,
            source_name: who, required: true, pii: true}, {name: who, type: text, source_name: code}]}]";
        let table = Sources::parse(yaml).expect("valid sources").tables.remove(0);
        let row = json!({"id": 1, "who": "Ada", "code": "x", "contact": "Ada"});
        assert_eq!(mask(&table, row), json!({"id": 1, "who": MASKED, "code": "x", "contact": MASKED}));
        assert_eq!(masked_key(&table, "Ada"), MASKED);
        assert_eq!(masked_key(&super::tests::table("PRODUCTS"), "7"), "7");
    }

    #[test]
    fn what_a_warehouse_refused_belongs_to_the_topic_of_its_channel() {
        let key = |channel: &str| lake::refused_key(channel, 3);
        let keys = ["l_kafka_orders_0", "l_kafka_orders_12", "l_kafka_reorders_0", "m_kafka_orders_0"].map(key);
        let found = of_topic(&keys, "l", "orders");
        assert_eq!(found, [keys[0].as_str(), keys[1].as_str()]);
    }

    #[test]
    fn a_value_that_is_no_json_is_told_as_it_is() {
        assert_eq!(not_json(b"plain"), json!("plain"));
        assert_eq!(not_json(&[0xff, 0x00]), json!("2 bytes: ff 00"));
    }
}
