//! A statement's answer as rows of readable text.
//!
//! On the wire every cell is a text whose meaning hangs on the column's type: a date is a number of days, a timestamp a
//! number of seconds. Here dates become ISO 8601 and timestamps RFC 3339 in UTC with microseconds.

use std::io::Read;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, de::IgnoredAny};
use sluice_core::{Error, Kind, Result, port::Row};
use sluice_http::Response;
use sluice_pipeline::observe::{AnswerColumn, AnswerKind};

/// A decompressed partition may be this large and no larger: a function has a fixed memory.
const MAX_PARTITION_BYTES: u64 = 256 << 20;

/// A row as it arrives.
pub(crate) type Cells = Vec<Option<String>>;

/// The first answer to a statement that has ended well: its columns, its first rows, and how many more parts there are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResultSet {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) statement_handle: String,
    #[serde(default)]
    pub(crate) result_set_meta_data: MetaData,
    #[serde(default)]
    pub(crate) data: Vec<Cells>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MetaData {
    row_type: Vec<ColumnType>,
    partition_info: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct ColumnType {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
}

impl MetaData {
    /// The parts after the first, which came with the answer.
    pub(crate) fn further_partitions(&self) -> std::ops::Range<usize> {
        1..self.partition_info.len().max(1)
    }

    pub(crate) fn columns(&self) -> Vec<AnswerColumn> {
        let kind = |data_type: &str| match data_type.to_ascii_lowercase().as_str() {
            "fixed" | "real" => AnswerKind::Number,
            "boolean" => AnswerKind::Boolean,
            _ => AnswerKind::Text,
        };
        let column = |column: &ColumnType| AnswerColumn { name: column.name.clone(), kind: kind(&column.data_type) };
        self.row_type.iter().map(column).collect()
    }

    pub(crate) fn rows(&self, data: Vec<Cells>) -> Result<Vec<Row>> {
        let row = |cells| {
            let names = self.row_type.iter().map(|column| column.name.to_lowercase());
            Ok(names.zip(self.cells(cells)?).collect())
        };
        data.into_iter().map(row).collect()
    }

    /// The cells of a row as they are read.
    pub(crate) fn cells(&self, cells: Cells) -> Result<Cells> {
        if cells.len() != self.row_type.len() {
            return Err(Error::invalid_data(
                "a row of the warehouse's answer has another number of cells than columns",
            )
            .with("cells", cells.len())
            .with("columns", self.row_type.len()));
        }
        let read = |(column, cell): (&ColumnType, Option<String>)| {
            let Some(text) = cell else { return Ok(None) };
            readable(&column.data_type, text).map(Some).ok_or_else(|| {
                Error::invalid_data("a cell of the warehouse's answer is not what its column says")
                    .with("column", &column.name)
                    .with("type", &column.data_type)
            })
        };
        self.row_type.iter().zip(cells).map(read).collect()
    }
}

/// The rows of a partition after the first. Those arrive compressed, whatever the request said.
pub(crate) fn partition(response: &Response) -> Result<Vec<Cells>> {
    #[derive(Deserialize)]
    struct Partition {
        data: Vec<Cells>,
    }
    let compressed = response.header("content-encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip"));
    if !compressed {
        return Ok(response.json::<Partition>()?.data);
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(response.body.as_ref())
        .take(MAX_PARTITION_BYTES + 1)
        .read_to_end(&mut plain)
        .map_err(|error| {
            Error::new(Kind::Unavailable, "a partition of the answer does not decompress").because(error)
        })?;
    if plain.len() as u64 > MAX_PARTITION_BYTES {
        return Err(
            Error::unsupported("a partition of the answer is too large").with("limit_bytes", MAX_PARTITION_BYTES)
        );
    }
    Ok(Response::new(response.status, plain).json::<Partition>()?.data)
}

fn readable(data_type: &str, text: String) -> Option<String> {
    match data_type.to_ascii_lowercase().as_str() {
        "date" => date(&text),
        "time" => time(&text),
        "timestamp_ntz" | "timestamp_ltz" => timestamp(&text),
        // The offset says where the clock stood; the instant does not depend on it.
        "timestamp_tz" => timestamp(text.split(' ').next()?),
        _ => Some(text),
    }
}

fn date(days: &str) -> Option<String> {
    let date = NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(TimeDelta::try_days(days.parse().ok()?)?)?;
    Some(date.format("%Y-%m-%d").to_string())
}

fn time(seconds: &str) -> Option<String> {
    let micros = micros(seconds)?;
    let whole = u32::try_from(micros.div_euclid(1_000_000)).ok()?;
    let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1_000).ok()?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(whole, nanos)?;
    Some(time.format("%H:%M:%S%.6f").to_string())
}

fn timestamp(seconds: &str) -> Option<String> {
    let at: DateTime<Utc> = DateTime::from_timestamp_micros(micros(seconds)?)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// Decimal seconds with up to nine places, to microseconds; exact, and cut off below them.
fn micros(seconds: &str) -> Option<i64> {
    let (negative, digits) = seconds.strip_prefix('-').map_or((false, seconds), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let micros = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)?;
    Some(if negative { -micros } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_becomes_readable() {
        let cases = [
            ("fixed", "12.30", Some("12.30")),
            ("text", "as it is", Some("as it is")),
            ("boolean", "true", Some("true")),
            ("date", "0", Some("1970-01-01")),
            ("date", "-1", Some("1969-12-31")),
            ("date", "20750", Some("2026-10-24")),
            ("DATE", "20750", Some("2026-10-24")),
            ("timestamp_ntz", "1767225600.123456789", Some("2026-01-01T00:00:00.123456Z")),
            ("timestamp_ntz", "1767225600", Some("2026-01-01T00:00:00.000000Z")),
            ("timestamp_ltz", "-0.500000000", Some("1969-12-31T23:59:59.500000Z")),
            ("timestamp_tz", "1767225600.000000000 1500", Some("2026-01-01T00:00:00.000000Z")),
            ("time", "3661.000001000", Some("01:01:01.000001")),
            ("date", "2026-01-01", None),
            ("timestamp_ntz", "2026-01-01", None),
            ("timestamp_ntz", ".5", None),
            ("timestamp_ntz", "", None),
            ("time", "-1", None),
            ("time", "90000", None),
        ];
        for (data_type, text, expected) in cases {
            assert_eq!(readable(data_type, text.to_owned()).as_deref(), expected, "{data_type} {text}");
        }
    }

    #[test]
    fn a_cell_or_row_of_another_shape_is_refused_by_column_not_by_value() {
        let meta: MetaData =
            serde_json::from_value(serde_json::json!({"rowType": [{"name": "D", "type": "date"}]})).expect("meta data");
        let error = meta.rows(vec![vec![Some("s3cret".into())]]).expect_err("no date");
        assert!(error.chain().contains("column=D") && !error.chain().contains("s3cret"), "{error}");
        assert!(meta.rows(vec![vec![None, None]]).is_err());
        assert_eq!(meta.rows(vec![vec![None]]).expect("a NULL")[0].get("d"), Some(&None));
    }
}
