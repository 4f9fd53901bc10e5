//! The cells of an answer as values.

use std::{error, str::FromStr};

use sluice_core::{
    Error, Result,
    port::{Row, required},
};

/// What must be there: a number, or a time.
pub(crate) fn value<T: FromStr<Err: error::Error + Send + Sync + 'static>>(row: &Row, column: &str) -> Result<T> {
    parsed(required(row, column)?, column)
}

pub(crate) fn optional<T: FromStr<Err: error::Error + Send + Sync + 'static>>(
    row: &Row,
    column: &str,
) -> Result<Option<T>> {
    row.get(column).and_then(Option::as_deref).map(|text| parsed(text, column)).transpose()
}

pub(crate) fn text(row: &Row, column: &str) -> Option<String> {
    row.get(column).cloned().flatten()
}

fn parsed<T: FromStr<Err: error::Error + Send + Sync + 'static>>(text: &str, column: &str) -> Result<T> {
    text.parse().map_err(|error| {
        let text = "the warehouse's answer holds something else than a number or a time where one belongs";
        Error::internal(text).with("column", column).because(error)
    })
}
