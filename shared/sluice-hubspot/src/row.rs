//! One record of HubSpot as one row of the table.
//!
//! A column takes the property of its own name, or of its `source_name`, so a team adds a property by adding a column. Two
//! columns are no property: `id` and `archived` are the record's own. Two have names of their own: `merged_ids` is
//! `hs_merged_object_ids`, `additional_emails` is `hs_additional_emails`.

use chrono::DateTime;
use serde_json::{Map, Value};
use sluice_core::{Cell, Column, ColumnType, Schema, number, time};

use crate::{
    client::Record,
    properties::{MERGED_IDS, property_of},
};

/// The property that orders the changes of a contact.
pub(crate) const MODIFIED: &str = "lastmodifieddate";

/// One contact, its values in the order of the table's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub(crate) id: i64,
    /// What the row has as its version, in microseconds.
    pub(crate) modified: i64,
    pub(crate) archived: bool,
    values: Vec<Owned>,
}

/// A record that cannot be a row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid {
    /// The record's values by column, as HubSpot wrote them.
    pub original: Value,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Null,
    Bigint(i64),
    Text(String),
    Decimal(i128),
    Timestamp(i64),
    Date(i32),
    Boolean(bool),
}

impl Row {
    /// The row as the contract and the file take it.
    pub fn cells(&self) -> Vec<Cell<'_>> {
        self.values
            .iter()
            .map(|value| match value {
                Owned::Null => Cell::Null,
                Owned::Bigint(value) => Cell::Bigint(*value),
                Owned::Text(value) => Cell::Text(value),
                Owned::Decimal(value) => Cell::Decimal(*value),
                Owned::Timestamp(value) => Cell::Timestamp(*value),
                Owned::Date(value) => Cell::Date(*value),
                Owned::Boolean(value) => Cell::Boolean(*value),
            })
            .collect()
    }

    /// Whether this version of a contact replaces another one. A tombstone wins a draw.
    pub(crate) fn supersedes(&self, other: &Row) -> bool {
        (self.modified, self.archived) > (other.modified, other.archived)
    }
}

/// When a record was last changed, in microseconds; `None` if it does not say so readably.
pub(crate) fn modified(record: &Record) -> Option<i64> {
    timestamp(&text(record, MODIFIED)?)
}

/// When a record was archived, in microseconds.
pub(crate) fn archived_at(record: &Record) -> Option<i64> {
    timestamp(record.archived_at.as_deref()?)
}

/// Reads a record. A tombstone's version is the time of its archiving, so that it wins over the contact's last version.
pub(crate) fn decode(columns: &Schema, record: &Record) -> Result<Row, Invalid> {
    let invalid = |column: &str, problem: &str| Invalid {
        original: original(columns, record),
        reason: format!("{column}: {problem}"),
    };
    let id = record.id.parse().map_err(|_| invalid("id", "is not a bigint"))?;
    let changed = modified(record).ok_or_else(|| invalid(MODIFIED, "is not a timestamp"))?;
    let version = match record.archived {
        true => archived_at(record).ok_or_else(|| invalid("archivedAt", "is not a timestamp"))?.max(changed),
        false => changed,
    };
    let mut values = Vec::with_capacity(columns.columns().len());
    for column in columns.columns() {
        values.push(match column.source() {
            "id" => Owned::Bigint(id),
            "archived" => Owned::Boolean(record.archived),
            MODIFIED => Owned::Timestamp(version),
            _ => match property_of(column).and_then(|property| text(record, property)) {
                None => Owned::Null,
                Some(text) => convert(column, text).map_err(|problem| invalid(&column.name, &problem))?,
            },
        });
    }
    Ok(Row { id, modified: version, archived: record.archived, values })
}

/// The tombstones of the records that merges made part of this one. HubSpot shows such a record nowhere any more, so its
/// last row would stay as if it were alive. A tombstone's version is the survivor's, which the merge has moved past every
/// version of the record. A column that must have a value takes the survivor's; all others are null.
pub(crate) fn consumed(columns: &Schema, record: &Record, survivor: &Row) -> Vec<Row> {
    let mut ids = merged_ids(record);
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| *id != survivor.id);
    let tombstone = |id: i64| {
        let value = |(column, value): (&Column, &Owned)| match column.source() {
            "id" => Owned::Bigint(id),
            "archived" => Owned::Boolean(true),
            name if name == MODIFIED || column.required => value.clone(),
            _ => Owned::Null,
        };
        let values = columns.columns().iter().zip(&survivor.values).map(value).collect();
        Row { id, modified: survivor.modified, archived: true, values }
    };
    ids.into_iter().map(tombstone).collect()
}

/// The tombstone of a contact that the account has no more, in any form: all that is left of it is its id. A column that must
/// have a value takes the time at which it was missed, or its type's smallest value.
pub(crate) fn vanished(columns: &Schema, id: i64, noticed: i64) -> Row {
    let days = DateTime::from_timestamp_micros(noticed).map_or(0, |time| time.date_naive().to_epoch_days());
    let value = |column: &Column| match (column.source(), column.column_type) {
        ("id", _) => Owned::Bigint(id),
        ("archived", _) => Owned::Boolean(true),
        (MODIFIED, _) => Owned::Timestamp(noticed),
        _ if !column.required => Owned::Null,
        (_, ColumnType::Bigint) => Owned::Bigint(0),
        (_, ColumnType::Text) => Owned::Text(String::new()),
        (_, ColumnType::Decimal(..)) => Owned::Decimal(0),
        (_, ColumnType::Timestamp) => Owned::Timestamp(noticed),
        (_, ColumnType::Date) => Owned::Date(days),
        (_, ColumnType::Boolean) => Owned::Boolean(false),
    };
    Row { id, modified: noticed, archived: true, values: columns.columns().iter().map(value).collect() }
}

/// The records that merges made part of this one.
pub(crate) fn merged_ids(record: &Record) -> Vec<i64> {
    let ids = text(record, MERGED_IDS).unwrap_or_default();
    ids.split(';').filter_map(|id| id.trim().parse().ok()).collect()
}

/// A property's text. HubSpot clears a property to an empty text or to null; neither is a value.
fn text(record: &Record, property: &str) -> Option<String> {
    match record.properties.get(property)? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        // Documented as text; a bare number or boolean says the same.
        other => Some(other.to_string()),
    }
}

/// The error is the rule that the text breaks.
fn convert(column: &Column, text: String) -> Result<Owned, String> {
    let broken = |invalid: number::Invalid| invalid.rule().to_owned();
    let other = || format!("is not a {}", column.column_type);
    Ok(match column.column_type {
        ColumnType::Text => Owned::Text(text),
        ColumnType::Bigint => Owned::Bigint(number::integer(&text).map_err(broken)?),
        ColumnType::Decimal(_, scale) => Owned::Decimal(number::decimal(&text, scale).map_err(broken)?),
        ColumnType::Timestamp => Owned::Timestamp(timestamp(&text).ok_or_else(other)?),
        ColumnType::Boolean => Owned::Boolean(text.parse().map_err(|_| other())?),
        ColumnType::Date => Owned::Date(date(&text).ok_or_else(other)?),
    })
}

fn date(text: &str) -> Option<i32> {
    let midnight = || DateTime::from_timestamp_micros(timestamp(text)?).map(|time| time.date_naive());
    Some(time::day(text).or_else(midnight)?.to_epoch_days())
}

/// ISO 8601 with or without a fraction, or milliseconds since 1970: HubSpot reads both and has written both.
fn timestamp(text: &str) -> Option<i64> {
    if let Some(at) = time::instant(text) {
        return Some(at.timestamp_micros());
    }
    text.parse::<i64>().ok()?.checked_mul(1_000)
}

fn original(columns: &Schema, record: &Record) -> Value {
    let value = |column: &Column| match column.source() {
        "id" => Value::from(record.id.clone()),
        "archived" => Value::from(record.archived),
        _ => property_of(column).and_then(|property| record.properties.get(property)).cloned().unwrap_or_default(),
    };
    let mut values: Map<String, Value> =
        columns.columns().iter().map(|column| (column.name.clone(), value(column))).collect();
    if let Some(at) = &record.archived_at {
        values.insert("archivedAt".to_owned(), Value::from(at.clone()));
    }
    Value::Object(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns() -> Schema {
        let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
        let all = json!([
            column("id", "bigint"),
            column("email", "text"),
            column("archived", "boolean"),
            column("merged_ids", "text"),
            column("lastmodifieddate", "timestamp"),
            column("score", "decimal(6,2)"),
            column("birthday", "date"),
            column("opted_out", "boolean"),
            column("additional_emails", "text"),
            column("visits", "bigint"),
        ]);
        serde_json::from_value(all).expect("columns")
    }

    fn record(change: impl Fn(&mut Value)) -> Record {
        let mut record = json!({
            "id": "7", "archived": false, "createdAt": "2026-01-01T00:00:00.000Z",
            "properties": {
                "email": "a@b.c", "hs_merged_object_ids": "3;4", "lastmodifieddate": "2026-01-02T00:00:00.5Z",
                "score": "1.5", "birthday": "2000-02-29", "opted_out": "true", "hs_additional_emails": "c@b.c;d@b.c",
            },
        });
        change(&mut record);
        serde_json::from_value(record).expect("a record")
    }

    const AT: i64 = 1_767_312_000_500_000;

    #[test]
    fn a_column_takes_the_property_of_its_name() {
        let row = decode(&columns(), &record(|_| {})).expect("a row");
        let expected = [
            Cell::Bigint(7),
            Cell::Text("a@b.c"),
            Cell::Boolean(false),
            Cell::Text("3;4"),
            Cell::Timestamp(AT),
            Cell::Decimal(150),
            Cell::Date(11_016),
            Cell::Boolean(true),
            Cell::Text("c@b.c;d@b.c"),
            Cell::Null,
        ];
        assert_eq!(row.cells(), expected);
    }

    #[test]
    fn a_column_takes_the_property_that_its_source_name_says() {
        let columns: Schema = serde_json::from_value(json!([
            {"name": "contact_id", "source_name": "id", "type": "bigint"},
            {"name": "born", "source_name": "birthday", "type": "date"},
            {"name": "birthday", "source_name": "email", "type": "text"},
            {"name": "changed", "source_name": "lastmodifieddate", "type": "timestamp"},
        ]))
        .expect("columns");
        let row = decode(&columns, &record(|_| {})).expect("a row");
        let expected = [Cell::Bigint(7), Cell::Date(11_016), Cell::Text("a@b.c"), Cell::Timestamp(AT)];
        assert_eq!(row.cells(), expected);
        let invalid =
            decode(&columns, &record(|r| r["properties"]["birthday"] = json!("29 Feb"))).expect_err("no date");
        assert_eq!((invalid.reason.as_str(), &invalid.original["born"]), ("born: is not a date", &json!("29 Feb")));
        let buried = consumed(&columns, &record(|_| {}), &row);
        assert_eq!(buried[0].cells()[0], Cell::Bigint(3), "{:?}", buried[0]);
    }

    #[test]
    fn a_number_property_is_read_by_the_one_rule_of_numbers() {
        for (text, expected) in [("12", 12), ("12.0", 12), ("1.2E7", 12_000_000), (" 5 ", 5), ("-0", 0)] {
            let row = decode(&columns(), &record(|r| r["properties"]["visits"] = json!(text))).expect("a row");
            assert_eq!(row.cells()[9], Cell::Bigint(expected), "{text}");
        }
    }

    #[test]
    fn of_a_contact_that_is_gone_only_its_id_is_left() {
        let mut columns = columns();
        columns.0.push(Column { required: true, ..Column::optional("createdate", ColumnType::Timestamp) });
        let row = vanished(&columns, 7, AT);
        let cells = row.cells();
        let left = columns.columns().iter().zip(&cells).filter(|(_, cell)| **cell != Cell::Null);
        let left: Vec<_> = left.map(|(column, cell)| (column.name.as_str(), *cell)).collect();
        let (id, archived) = (("id", Cell::Bigint(7)), ("archived", Cell::Boolean(true)));
        let times = [("lastmodifieddate", Cell::Timestamp(AT)), ("createdate", Cell::Timestamp(AT))];
        assert_eq!(left, [id, archived, times[0], times[1]]);
    }

    #[test]
    fn absent_empty_and_null_properties_are_null() {
        for empty in [json!(null), json!("")] {
            let row = decode(&columns(), &record(|r| r["properties"]["email"] = empty.clone())).expect("a row");
            assert_eq!(row.cells()[1], Cell::Null);
        }
        let row = decode(&columns(), &record(|r| drop(r["properties"].as_object_mut().map(|p| p.remove("email")))));
        assert_eq!(row.expect("a row").cells()[1], Cell::Null);
    }

    #[test]
    fn times_come_with_and_without_a_fraction_and_in_milliseconds() {
        for (text, expected) in [
            ("2026-01-02T00:00:00.500Z", Some(AT)),
            ("2026-01-02T00:00:00Z", Some(AT - 500_000)),
            ("2026-01-02T01:00:00+01:00", Some(AT - 500_000)),
            ("2026-01-02T01:00:00\u{2212}01:00", None),
            ("1767312000500", Some(AT)),
            ("yesterday", None),
            ("2026-13-01T00:00:00Z", None),
            ("9223372036854775807", None),
        ] {
            assert_eq!(timestamp(text), expected, "{text}");
        }
    }

    #[test]
    fn a_tombstones_version_is_the_time_of_its_archiving() {
        let tombstone = |at: &str| {
            record(|r| {
                r["archived"] = json!(true);
                r["archivedAt"] = json!(at);
            })
        };
        let row = decode(&columns(), &tombstone("2026-01-03T00:00:00Z")).expect("a row");
        assert_eq!(row.cells()[4], Cell::Timestamp(AT + 86_399_500_000));
        let same_time = decode(&columns(), &tombstone("2026-01-02T00:00:00Z")).expect("a row");
        let live = decode(&columns(), &record(|_| {})).expect("a row");
        assert!(same_time.supersedes(&live) && !live.supersedes(&same_time));
    }

    #[test]
    fn a_survivor_buries_what_it_consumed_and_never_itself() {
        let columns = columns();
        let record = record(|r| r["properties"]["hs_merged_object_ids"] = json!("3; 4;7;x;;4"));
        let survivor = decode(&columns, &record).expect("a row");
        let buried = consumed(&columns, &record, &survivor);
        assert_eq!(buried.iter().map(|row| row.id).collect::<Vec<_>>(), [3, 4]);
        let expected = [
            Cell::Bigint(3),
            Cell::Null,
            Cell::Boolean(true),
            Cell::Null,
            Cell::Timestamp(AT),
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
        ];
        assert_eq!(buried[0].cells(), expected);
    }

    #[test]
    fn a_value_of_another_type_makes_the_record_invalid_and_names_the_column() {
        for (change, reason) in [
            (&(|r: &mut Value| r["id"] = json!("x")) as &dyn Fn(&mut Value), "id: is not a bigint"),
            (&|r| r["properties"]["lastmodifieddate"] = json!("soon"), "lastmodifieddate: is not a timestamp"),
            (&|r| r["properties"]["lastmodifieddate"] = json!(null), "lastmodifieddate: is not a timestamp"),
            (&|r| r["archived"] = json!(true), "archivedAt: is not a timestamp"),
            (&|r| r["properties"]["score"] = json!("high"), "score: is not a number"),
            (&|r| r["properties"]["score"] = json!("10.005"), "score: has more decimals than its column"),
            (&|r| r["properties"]["score"] = json!("1e999999999"), "score: does not fit its column"),
            (&|r| r["properties"]["visits"] = json!("7.5"), "visits: has more decimals than its column"),
            (&|r| r["properties"]["birthday"] = json!("29 Feb"), "birthday: is not a date"),
            (&|r| r["properties"]["opted_out"] = json!("maybe"), "opted_out: is not a boolean"),
        ] {
            let invalid = decode(&columns(), &record(change)).expect_err(reason);
            assert_eq!(invalid.reason, reason);
            assert_eq!(invalid.original["email"], "a@b.c");
        }
    }
}
