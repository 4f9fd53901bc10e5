//! Values on their way into the lake, and the check that each row keeps its table's contract.
//!
//! How a text becomes a number of a column is in [`number`](crate::number).

use std::ops::RangeInclusive;

use crate::schema::{Column, ColumnType, Schema};

/// One value, borrowed from its source. The variant must match the column's type; `Null` fits every optional column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bigint(i64),
    Text(&'a str),
    /// The unscaled value at the column's scale: 12.30 at scale 2 is 1230.
    Decimal(i128),
    /// Microseconds since 1970-01-01 UTC.
    Timestamp(i64),
    /// Days since 1970-01-01.
    Date(i32),
    Boolean(bool),
}

/// The longest text that a raw table's column takes, in bytes of UTF-8: that of Snowflake's VARCHAR without a length. A
/// longer one would stop the load of its whole commit.
pub const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// Years 1 to 9999, in days since 1970-01-01. Sources know more; warehouses do not, and a single such row would stop the
/// load of its whole commit.
pub const FIRST_DAY: i32 = -719_162;
pub const LAST_DAY: i32 = 2_932_896;
/// The same in microseconds.
pub const FIRST_MICROS: i64 = FIRST_DAY as i64 * 86_400_000_000;
pub const LAST_MICROS: i64 = (LAST_DAY as i64 + 1) * 86_400_000_000 - 1;
pub const CALENDAR_RULE: &str = "is outside of the years 1 to 9999";

/// Why a row was rejected. Names the column and the rule, never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub column: String,
    pub rule: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.column, self.rule)
    }
}

/// Checks one row against its table's schema; the first broken rule wins.
pub fn check(schema: &Schema, row: &[Cell<'_>]) -> Result<(), Violation> {
    debug_assert_eq!(schema.columns().len(), row.len(), "a row has one cell per column");
    for (column, cell) in schema.columns().iter().zip(row) {
        if let Some(rule) = broken_rule(column, *cell) {
            return Err(Violation { column: column.name.clone(), rule });
        }
    }
    Ok(())
}

fn broken_rule(column: &Column, cell: Cell<'_>) -> Option<String> {
    match (cell, column.column_type) {
        (Cell::Null, _) => column.required.then(|| "is required and was null".to_owned()),
        (Cell::Bigint(value), ColumnType::Bigint) => broken_bound(column, i128::from(value), 0),
        (Cell::Decimal(value), ColumnType::Decimal(precision, scale)) => {
            if value.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
                return Some(format!("does not fit {}", column.column_type));
            }
            broken_bound(column, value, scale)
        }
        (Cell::Text(value), ColumnType::Text) => {
            let allowed = column.one_of.is_empty() || column.one_of.iter().any(|option| option == value);
            if !allowed {
                return Some(format!("is none of {}", column.one_of.join(", ")));
            }
            (value.len() > MAX_TEXT_BYTES).then(|| format!("is longer than {MAX_TEXT_BYTES} bytes"))
        }
        (Cell::Timestamp(micros), ColumnType::Timestamp) => {
            (!(FIRST_MICROS..=LAST_MICROS).contains(&micros)).then(|| CALENDAR_RULE.to_owned())
        }
        (Cell::Date(days), ColumnType::Date) => {
            (!(FIRST_DAY..=LAST_DAY).contains(&days)).then(|| CALENDAR_RULE.to_owned())
        }
        (Cell::Boolean(_), ColumnType::Boolean) => None,
        (_, expected) => Some(format!("is not a {expected}")),
    }
}

fn broken_bound(column: &Column, value: i128, scale: i8) -> Option<String> {
    if let Some(minimum) = column.minimum.filter(|minimum| value < unscaled(*minimum, scale)) {
        return Some(format!("is below {minimum}"));
    }
    if let Some(bound) = column.exclusive_minimum.filter(|bound| value <= unscaled(*bound, scale)) {
        return Some(format!("is not above {bound}"));
    }
    column.maximum.filter(|maximum| value > unscaled(*maximum, scale)).map(|maximum| format!("is above {maximum}"))
}

/// The numbers that a column takes, as its cells hold them. For checks of many values at once.
pub fn range(column: &Column) -> RangeInclusive<i128> {
    let (least, most, scale) = match column.column_type {
        ColumnType::Decimal(precision, scale) => {
            let limit = 10_i128.pow(u32::from(precision));
            (1 - limit, limit - 1, scale)
        }
        _ => (i128::from(i64::MIN), i128::from(i64::MAX), 0),
    };
    let minimum = column.minimum.map(|bound| unscaled(bound, scale));
    let above = column.exclusive_minimum.map(|bound| unscaled(bound, scale).saturating_add(1));
    let least = [minimum, above].into_iter().flatten().fold(least, i128::max);
    least..=column.maximum.map_or(most, |bound| unscaled(bound, scale).min(most))
}

/// A bound as a cell would hold it; one that no cell can reach stays out of reach.
fn unscaled(bound: i64, scale: i8) -> i128 {
    i128::from(bound).saturating_mul(10_i128.pow(u32::from(scale.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, column_type: &str) -> Column {
        Column::optional(name, column_type.parse().expect("a known type"))
    }

    #[test]
    fn each_rule_rejects_and_names_its_column() {
        let schema = Schema(vec![
            Column { required: true, ..column("id", "bigint") },
            Column { minimum: Some(0), ..column("price", "decimal(6,2)") },
            Column { one_of: vec!["A".into(), "B".into()], ..column("kind", "text") },
        ]);
        let good = [Cell::Bigint(1), Cell::Decimal(0), Cell::Text("A")];
        assert_eq!(check(&schema, &good), Ok(()));
        let cases = [
            ([Cell::Null, good[1], good[2]], "id: is required and was null"),
            ([Cell::Text("1"), good[1], good[2]], "id: is not a bigint"),
            ([good[0], Cell::Decimal(-1), good[2]], "price: is below 0"),
            ([good[0], Cell::Decimal(1_000_000), good[2]], "price: does not fit decimal(6,2)"),
            ([good[0], good[1], Cell::Text("C")], "kind: is none of A, B"),
        ];
        for (row, expected) in cases {
            assert_eq!(check(&schema, &row).map_err(|v| v.to_string()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn bounds_are_exact_at_every_scale_and_need_not_be_reachable() {
        let bounded = |column_type: &str, bounds: [Option<i64>; 3], cell: Cell<'_>| {
            let [minimum, exclusive_minimum, maximum] = bounds;
            let column = Column { minimum, exclusive_minimum, maximum, ..column("n", column_type) };
            let value = match cell {
                Cell::Bigint(value) => i128::from(value),
                Cell::Decimal(value) => value,
                _ => unreachable!("only numbers have bounds"),
            };
            let broken = check(&Schema(vec![column.clone()]), &[cell]).err().map(|violation| violation.rule);
            assert_eq!(range(&column).contains(&value), broken.is_none(), "{column:?} {value}");
            broken
        };
        let whole = [Some(1), None, Some(9)];
        let above = [None, Some(0), None];
        let widest = [Some(i64::MIN), None, Some(i64::MAX)];
        for (column_type, bounds, cell, expected) in [
            ("bigint", whole, Cell::Bigint(1), None),
            ("bigint", whole, Cell::Bigint(0), Some("is below 1")),
            ("bigint", whole, Cell::Bigint(9), None),
            ("bigint", whole, Cell::Bigint(10), Some("is above 9")),
            ("bigint", whole, Cell::Bigint(i64::MAX), Some("is above 9")),
            ("decimal(6,2)", whole, Cell::Decimal(99), Some("is below 1")),
            ("decimal(6,2)", whole, Cell::Decimal(100), None),
            ("decimal(6,2)", whole, Cell::Decimal(901), Some("is above 9")),
            ("decimal(18,10)", above, Cell::Decimal(1), None),
            ("decimal(18,10)", above, Cell::Decimal(0), Some("is not above 0")),
            ("decimal(18,10)", above, Cell::Decimal(-1), Some("is not above 0")),
            ("bigint", above, Cell::Bigint(0), Some("is not above 0")),
            ("decimal(38,38)", widest, Cell::Decimal(10_i128.pow(38) - 1), None),
            ("decimal(38,38)", widest, Cell::Decimal(1 - 10_i128.pow(38)), None),
            ("decimal(38,38)", whole, Cell::Decimal(10_i128.pow(38) - 1), Some("is below 1")),
            ("bigint", widest, Cell::Bigint(i64::MIN), None),
        ] {
            assert_eq!(bounded(column_type, bounds, cell).as_deref(), expected, "{column_type} {bounds:?} {cell:?}");
        }
    }

    #[test]
    fn a_text_or_a_time_that_no_warehouse_holds_is_rejected() {
        let broken = |column_type: &str, cell: Cell<'_>| {
            check(&Schema(vec![column("c", column_type)]), &[cell]).err().map(|violation| violation.rule)
        };
        let longest = "ä".repeat(MAX_TEXT_BYTES / 2);
        assert_eq!(broken("text", Cell::Text(&longest)), None);
        let longer = format!("{longest}a");
        assert_eq!(broken("text", Cell::Text(&longer)).as_deref(), Some("is longer than 16777216 bytes"));

        let day = |text: &str| text.parse::<chrono::NaiveDate>().expect("a date");
        assert_eq!((day("0001-01-01").to_epoch_days(), day("9999-12-31").to_epoch_days()), (FIRST_DAY, LAST_DAY));
        for (cell, column_type, expected) in [
            (Cell::Date(FIRST_DAY), "date", None),
            (Cell::Date(FIRST_DAY - 1), "date", Some(CALENDAR_RULE)),
            (Cell::Date(LAST_DAY), "date", None),
            (Cell::Date(LAST_DAY + 1), "date", Some(CALENDAR_RULE)),
            (Cell::Timestamp(FIRST_MICROS), "timestamp", None),
            (Cell::Timestamp(FIRST_MICROS - 1), "timestamp", Some(CALENDAR_RULE)),
            (Cell::Timestamp(LAST_MICROS), "timestamp", None),
            (Cell::Timestamp(LAST_MICROS + 1), "timestamp", Some(CALENDAR_RULE)),
            (Cell::Timestamp(i64::MIN), "timestamp", Some(CALENDAR_RULE)),
        ] {
            assert_eq!(broken(column_type, cell).as_deref(), expected, "{cell:?}");
        }
    }
}
