//! A row as JSON, for the reject file: a person must be able to read what the source had sent.

use chrono::{DateTime, Days, NaiveDate, SecondsFormat};
use serde_json::{Map, Value};
use sluice_core::{Cell, ColumnType, Schema};

/// The row's values by column name. Decimals and times are texts, so that nothing is lost to a JSON number.
pub fn original(schema: &Schema, row: &[Cell<'_>]) -> Map<String, Value> {
    let columns = schema.columns().iter().zip(row);
    columns.map(|(column, cell)| (column.name.clone(), value(column.column_type, *cell))).collect()
}

fn value(column_type: ColumnType, cell: Cell<'_>) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bigint(number) => number.into(),
        Cell::Text(text) => text.into(),
        Cell::Boolean(truth) => truth.into(),
        Cell::Decimal(unscaled) => match column_type {
            ColumnType::Decimal(_, scale) => decimal_text(unscaled, scale).into(),
            _ => unscaled.to_string().into(),
        },
        // Outside of what the calendar type holds, the raw count is still the original value.
        Cell::Timestamp(micros) => match DateTime::from_timestamp_micros(micros) {
            Some(time) => time.to_rfc3339_opts(SecondsFormat::Micros, true).into(),
            None => micros.into(),
        },
        Cell::Date(days) => match date(days) {
            Some(date) => date.to_string().into(),
            None => days.into(),
        },
    }
}

fn date(days: i32) -> Option<NaiveDate> {
    let distance = Days::new(days.unsigned_abs().into());
    let epoch = NaiveDate::default();
    if days < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) }
}

fn decimal_text(unscaled: i128, scale: i8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = usize::from(scale.unsigned_abs());
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_as_a_person_would_write_it() {
        let decimal = ColumnType::Decimal(18, 4);
        let cases = [
            (ColumnType::Bigint, Cell::Null, "null"),
            (ColumnType::Bigint, Cell::Bigint(-7), "-7"),
            (ColumnType::Text, Cell::Text("a\"b"), r#""a\"b""#),
            (ColumnType::Boolean, Cell::Boolean(true), "true"),
            (decimal, Cell::Decimal(-5), r#""-0.0005""#),
            (decimal, Cell::Decimal(129_900), r#""12.9900""#),
            (ColumnType::Decimal(38, 0), Cell::Decimal(3), r#""3""#),
            (ColumnType::Timestamp, Cell::Timestamp(-1), r#""1969-12-31T23:59:59.999999Z""#),
            (ColumnType::Date, Cell::Date(-1), r#""1969-12-31""#),
            (ColumnType::Date, Cell::Date(i32::MIN), "-2147483648"),
        ];
        for (column_type, cell, expected) in cases {
            assert_eq!(value(column_type, cell).to_string(), expected, "{cell:?} as {column_type}");
        }
    }
}
