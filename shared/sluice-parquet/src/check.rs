//! The contract, checked column by column on a whole batch.
//!
//! It is the same contract as [`contract::check`] states for one row: this module only finds the rows that may break
//! it, in long loops over a column's values, and each of those is then judged and named by that function.

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray,
    cast::AsArray,
    types::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType},
};
use arrow_select::filter::filter;
use sluice_core::{
    Cell, Column, ColumnType, Error, Result, Schema,
    contract::{FIRST_DAY, FIRST_MICROS, LAST_DAY, LAST_MICROS, MAX_TEXT_BYTES, range},
};

/// The rows that break the rules of some column, in order; mostly none.
pub(crate) fn suspects(contract: &Schema, columns: &[ArrayRef]) -> Result<Vec<usize>> {
    let mut rows = Vec::new();
    for (column, values) in contract.columns().iter().zip(columns) {
        suspects_of(column, &Values::of(column, values)?, &mut rows);
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

fn suspects_of(column: &Column, values: &Values<'_>, rows: &mut Vec<usize>) {
    if column.required && values.nulls() > 0 {
        rows.extend((0..values.len()).filter(|row| values.is_null(*row)));
    }
    match values {
        Values::Bigint(array) => {
            let range = range(column);
            match (i64::try_from(*range.start()), i64::try_from(*range.end())) {
                (Ok(i64::MIN), Ok(i64::MAX)) => {}
                (Ok(least), Ok(most)) => outside(array.values(), least, most, rows),
                // Nothing is in the range.
                _ => rows.extend(0..array.len()),
            }
        }
        // Values of nulls are zero or were never read: they may be suspected, and are then found innocent.
        Values::Decimal(array) => {
            let range = range(column);
            outside(array.values(), *range.start(), *range.end(), rows);
        }
        Values::Text(array) if !column.one_of.is_empty() => {
            let allowed = |text: &str| column.one_of.iter().any(|option| option == text);
            rows.extend((0..array.len()).filter(|row| array.is_valid(*row) && !allowed(array.value(*row))));
        }
        // Only a batch with more text than that can hold one that is too long.
        Values::Text(array) if array.value_data().len() > MAX_TEXT_BYTES => {
            rows.extend((0..array.len()).filter(|row| array.value(*row).len() > MAX_TEXT_BYTES));
        }
        Values::Timestamp(array) => outside(array.values(), FIRST_MICROS, LAST_MICROS, rows),
        Values::Date(array) => outside(array.values(), FIRST_DAY, LAST_DAY, rows),
        Values::Text(_) | Values::Boolean(_) => {}
    }
}

fn outside<T: Copy + PartialOrd>(values: &[T], least: T, most: T, rows: &mut Vec<usize>) {
    let is_outside = |value: T| (value < least) | (value > most);
    // Without a branch per value first: nearly always no value is outside.
    if values.iter().fold(false, |found, value| found | is_outside(*value)) {
        rows.extend(values.iter().enumerate().filter(|(_, value)| is_outside(**value)).map(|(row, _)| row));
    }
}

/// The row's cells, as a source would have given them one by one.
pub(crate) fn row<'a>(contract: &Schema, columns: &'a [ArrayRef], row: usize) -> Result<Vec<Cell<'a>>> {
    let cells = contract.columns().iter().zip(columns);
    cells.map(|(column, values)| Values::of(column, values).map(|values| values.cell(row))).collect()
}

/// The batch without these rows.
pub(crate) fn without(columns: &[ArrayRef], rows: impl Iterator<Item = usize>) -> Result<Vec<ArrayRef>> {
    let mut keep = vec![true; columns.first().map_or(0, |column| column.len())];
    for row in rows {
        keep[row] = false;
    }
    let keep = BooleanArray::from(keep);
    let failed = |error| Error::internal("cannot take rejected rows out of a batch").because(error);
    columns.iter().map(|column| filter(column, &keep).map_err(failed)).collect()
}

/// A column's values under their type.
enum Values<'a> {
    Bigint(&'a Int64Array),
    Text(&'a StringArray),
    Decimal(&'a Decimal128Array),
    Timestamp(&'a TimestampMicrosecondArray),
    Date(&'a Date32Array),
    Boolean(&'a BooleanArray),
}

impl<'a> Values<'a> {
    fn of(column: &Column, values: &'a ArrayRef) -> Result<Self> {
        let found = match column.column_type {
            ColumnType::Bigint => values.as_primitive_opt::<Int64Type>().map(Values::Bigint),
            ColumnType::Text => values.as_string_opt::<i32>().map(Values::Text),
            ColumnType::Decimal(..) => values.as_primitive_opt::<Decimal128Type>().map(Values::Decimal),
            ColumnType::Timestamp => values.as_primitive_opt::<TimestampMicrosecondType>().map(Values::Timestamp),
            ColumnType::Date => values.as_primitive_opt::<Date32Type>().map(Values::Date),
            ColumnType::Boolean => values.as_boolean_opt().map(Values::Boolean),
        };
        found.ok_or_else(|| {
            Error::internal("a source made an array of another type than its column").with("column", &column.name)
        })
    }

    fn array(&self) -> &dyn Array {
        match self {
            Values::Bigint(array) => array,
            Values::Text(array) => array,
            Values::Decimal(array) => array,
            Values::Timestamp(array) => array,
            Values::Date(array) => array,
            Values::Boolean(array) => array,
        }
    }

    fn len(&self) -> usize {
        self.array().len()
    }

    fn nulls(&self) -> usize {
        self.array().null_count()
    }

    fn is_null(&self, row: usize) -> bool {
        self.array().is_null(row)
    }

    fn cell(&self, row: usize) -> Cell<'a> {
        if self.is_null(row) {
            return Cell::Null;
        }
        match self {
            Values::Bigint(array) => Cell::Bigint(array.value(row)),
            Values::Text(array) => Cell::Text(array.value(row)),
            Values::Decimal(array) => Cell::Decimal(array.value(row)),
            Values::Timestamp(array) => Cell::Timestamp(array.value(row)),
            Values::Date(array) => Cell::Date(array.value(row)),
            Values::Boolean(array) => Cell::Boolean(array.value(row)),
        }
    }
}
