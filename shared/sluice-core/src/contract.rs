//! Values on their way into the lake, and the check that each row keeps its table's contract.

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
    let number = match (cell, column.column_type) {
        (Cell::Null, _) => return column.required.then(|| "is required and was null".to_owned()),
        (Cell::Bigint(value), ColumnType::Bigint) => Some((i128::from(value), 0)),
        (Cell::Decimal(value), ColumnType::Decimal(precision, scale)) => {
            if value.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
                return Some(format!("does not fit {}", column.column_type));
            }
            Some((value, u32::from(scale.unsigned_abs())))
        }
        (Cell::Text(value), ColumnType::Text) => {
            let allowed = column.one_of.is_empty() || column.one_of.iter().any(|option| option == value);
            if !allowed {
                return Some(format!("is none of {}", column.one_of.join(", ")));
            }
            return (value.len() > MAX_TEXT_BYTES).then(|| format!("is longer than {MAX_TEXT_BYTES} bytes"));
        }
        (Cell::Timestamp(micros), ColumnType::Timestamp) => {
            return (!(FIRST_MICROS..=LAST_MICROS).contains(&micros)).then(|| CALENDAR_RULE.to_owned());
        }
        (Cell::Date(days), ColumnType::Date) => {
            return (!(FIRST_DAY..=LAST_DAY).contains(&days)).then(|| CALENDAR_RULE.to_owned());
        }
        (Cell::Boolean(_), ColumnType::Boolean) => None,
        (_, expected) => return Some(format!("is not a {expected}")),
    };
    let (value, scale) = number?;
    let minimum = column.minimum?;
    (value < i128::from(minimum) * 10_i128.pow(scale)).then(|| format!("is below {minimum}"))
}

/// Parses a decimal text to its unscaled value at `scale`, rounding half away from zero. `None` if it is no number or
/// does not fit 38 digits. Exponents are accepted (`1e-6`), because JSON numbers may carry them.
pub fn decimal_from_text(text: &str, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit()) {
        return None;
    }
    // The value is `all` × 10^-(fraction digits) × 10^exponent; bring it to 10^-scale.
    let mut unscaled: i128 = 0;
    let shift = i64::from(scale) - fraction.len() as i64 + i64::from(exponent);
    let all = whole.chars().chain(fraction.chars());
    let keep = (whole.len() + fraction.len()) as i64 + shift.min(0);
    for (i, digit) in all.enumerate() {
        let digit = i128::from(digit.to_digit(10)?);
        match (i as i64).cmp(&keep) {
            std::cmp::Ordering::Less => unscaled = unscaled.checked_mul(10)?.checked_add(digit)?,
            std::cmp::Ordering::Equal => unscaled = unscaled.checked_add(i128::from(digit >= 5))?,
            std::cmp::Ordering::Greater => {}
        }
    }
    if shift > 0 && unscaled != 0 {
        unscaled = unscaled.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    }
    (unscaled < 10_i128.pow(38)).then_some(if negative { -unscaled } else { unscaled })
}

/// Parses the text of a JSON number that is whole: `7`, `7.0` and `70e-1` are the same number, as in JSON Schema, `7.5` is
/// none. No digit passes through a float.
pub fn integer_from_text(text: &str) -> Option<i64> {
    const MOST_DIGITS: i64 = 19;

    if let Ok(plain) = text.parse() {
        return Some(plain);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = [whole, fraction].concat();
    if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent.parse().ok()?)?;
    let significant = all.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // Below zero a fraction remains; above the most digits no bigint is left.
    let zeros = point.checked_sub(i64::try_from(significant.len()).ok()?)?;
    let zeros = usize::try_from(zeros.min(MOST_DIGITS)).ok()?;
    format!("{sign}{significant}{}", "0".repeat(zeros)).parse().ok()
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

    #[test]
    fn decimals_are_read_exactly_from_text() {
        let cases = [
            ("1", 2, Some(100)),
            ("-12.345", 2, Some(-1235)),
            ("12.344", 2, Some(1234)),
            ("0.000035538428", 10, Some(355_384)),
            ("1.5e-3", 4, Some(15)),
            ("1E2", 0, Some(100)),
            (".5", 1, Some(5)),
            ("5.", 1, Some(50)),
            ("1e-40", 2, Some(0)),
            ("0", 10, Some(0)),
            ("", 2, None),
            (".", 2, None),
            ("1.2.3", 2, None),
            ("NaN", 2, None),
            ("1e60", 2, None),
        ];
        for (text, scale, expected) in cases {
            assert_eq!(decimal_from_text(text, scale), expected, "{text} at scale {scale}");
        }
    }

    #[test]
    fn whole_numbers_are_read_exactly_however_they_are_written() {
        for (text, expected) in [
            ("7842", Some(7842)),
            ("7842.0", Some(7842)),
            ("-7.00", Some(-7)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9223372036854775807.000", Some(i64::MAX)),
            ("-9223372036854775808.0", Some(i64::MIN)),
            ("9223372036854775808.0", None),
            ("70e-1", Some(7)),
            ("1.5E+1", Some(15)),
            ("1e18", Some(1_000_000_000_000_000_000)),
            ("1e19", None),
            ("1e999999999", None),
            ("1e99999999999999999999", None),
            ("0.0", Some(0)),
            ("0e999", Some(0)),
            ("-0.0", Some(0)),
            ("7.5", None),
            ("7.00000000000000000000001", None),
            ("1e-1", None),
            ("\"7\"", None),
            ("true", None),
            ("", None),
            (".5", None),
        ] {
            assert_eq!(integer_from_text(text), expected, "{text}");
        }
    }
}
