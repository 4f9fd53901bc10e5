//! A tile's rows as CSV.

use super::tile::{Column, Tile};

/// RFC 4180, with the values as the warehouse has told them. A NULL is empty, an empty text is quoted, and so is everything
/// that is no number. A text that a spreadsheet would take for a formula gets an apostrophe.
pub fn of(tile: &Tile) -> String {
    let mut csv = String::new();
    let heading = |column: &Column| quoted(&column.label);
    csv.push_str(&tile.columns.iter().map(heading).collect::<Vec<_>>().join(","));
    csv.push_str("\r\n");
    for row in &tile.rows {
        let cells = row.iter().zip(&tile.columns).map(|(cell, column)| match &cell.value {
            None => String::new(),
            Some(value) if column.is_number && is_number(value) => value.clone(),
            Some(value) => quoted(value),
        });
        csv.push_str(&cells.collect::<Vec<_>>().join(","));
        csv.push_str("\r\n");
    }
    csv
}

/// Digits with at most a sign, a point and an exponent.
fn is_number(text: &str) -> bool {
    !text.starts_with('+') && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn quoted(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if is_formula { "'" } else { "" }, text.replace('"', "\"\""))
}
