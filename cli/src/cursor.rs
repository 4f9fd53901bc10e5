//! Cursors in words. Each source writes its own; what a commit keeps beside the position is for the source alone, and `--json`
//! shows it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

/// Where an extract stands. A form that is not known here is shown as it is.
pub(crate) fn in_words(cursor: &Value) -> String {
    let known = [table, list, days, contacts].into_iter().find_map(|form| form(cursor));
    known.unwrap_or_else(|| if cursor.is_null() { "none: from the beginning".to_owned() } else { cursor.to_string() })
}

/// A database's table, by an increasing number.
fn table(cursor: &Value) -> Option<String> {
    cursor.get("snapshot")?;
    let Some(read_to) = cursor["read_to"].as_i64() else { return Some("no row read yet".to_owned()) };
    let complete = match cursor["high"].as_i64() {
        Some(high) if high >= read_to => "complete".to_owned(),
        Some(high) => format!("complete to {high}; the next run looks for rows between"),
        None => "the next run finds out whether a row is missing".to_owned(),
    };
    Some(format!("read to {read_to}, {complete}"))
}

/// A list that is compared as a whole.
fn list(cursor: &Value) -> Option<String> {
    let digest = cursor.get("list")?.as_str()?;
    Some(format!("the list with the digest {digest}"))
}

/// Days, of which each is done or not.
fn days(cursor: &Value) -> Option<String> {
    let (base, ranges) = (cursor.get("base")?.as_str()?, cursor.get("done")?.as_array()?);
    let day = |value: &Value| value.as_str().map(str::to_owned);
    let first = ranges.first().and_then(|range| day(range.get(0)?));
    let last = ranges.last().and_then(|range| day(range.get(1)?));
    let (Some(first), Some(last)) = (first, last) else { return Some(format!("{base}: no day done yet")) };
    let gaps = match ranges.len() - 1 {
        0 => String::new(),
        1 => ", 1 gap".to_owned(),
        gaps => format!(", {gaps} gaps"),
    };
    let absent = cursor["unavailable"].as_object().map_or(0, serde_json::Map::len);
    let absent = if absent == 0 { String::new() } else { format!(", {absent} asked for in vain") };
    let provisional = cursor["provisional"]["date"].as_str();
    let provisional = provisional.map_or_else(String::new, |date| format!(", provisional for {date}"));
    Some(format!("{base}: {first} to {last}{gaps}{absent}{provisional}"))
}

/// Contacts, by the time of their change and of their archiving.
fn contacts(cursor: &Value) -> Option<String> {
    let time = |mark: &Value| {
        let at: DateTime<Utc> = DateTime::from_timestamp_micros(mark.get("at")?.as_i64()?)?;
        Some(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    };
    let (changed, archived) = (cursor.get("changed")?, cursor.get("archived")?);
    let changed = time(changed).map_or_else(|| "no change yet".to_owned(), |at| format!("changes to {at}"));
    let archived = time(archived).map_or_else(String::new, |at| format!(", archived to {at}"));
    let behind = if cursor["behind"] == true { "; the next run goes on from there" } else { "" };
    Some(format!("{changed}{archived}{behind}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_sources_cursor_is_told_in_words() {
        for (cursor, words) in [
            (Value::Null, "none: from the beginning"),
            (json!({"high": 225, "read_to": 225, "snapshot": "766:766:"}), "read to 225, complete"),
            (
                json!({"high": 197, "read_to": 225, "snapshot": "766:766:"}),
                "read to 225, complete to 197; the next run looks for rows between",
            ),
            (
                json!({"high": null, "read_to": 225, "snapshot": "766:766:"}),
                "read to 225, the next run finds out whether a row is missing",
            ),
            (json!({"high": null, "read_to": null, "snapshot": "1:1:"}), "no row read yet"),
            (json!({"list": "37ed"}), "the list with the digest 37ed"),
            (json!({"base": "USD", "done": []}), "USD: no day done yet"),
            (
                json!({"base": "USD", "done": [["2026-01-01", "2026-01-05"], ["2026-01-07", "2026-01-09"]],
                       "unavailable": {"2026-01-06": "2026-01-08"}, "provisional": {"date": "2026-01-10"}}),
                "USD: 2026-01-01 to 2026-01-09, 1 gap, 1 asked for in vain, provisional for 2026-01-10",
            ),
            (
                json!({"changed": {"at": 1_791_613_542_592_000_i64}, "archived": {}, "behind": true}),
                "changes to 2026-10-10T06:25:42.592Z; the next run goes on from there",
            ),
            (json!({"changed": {}, "archived": {}}), "no change yet"),
            (json!({"audit_id": 7}), "{\"audit_id\":7}"),
        ] {
            assert_eq!(in_words(&cursor), words);
        }
    }
}
