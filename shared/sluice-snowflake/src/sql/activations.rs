//! What destinations are known to hold: a row for each record, and the published models that are sent.

use chrono::{DateTime, Utc};
use sluice_core::{LakeId, TableId};
use sluice_pipeline::activate::Entry;

use super::{OBSERVABILITY, STATEMENT_BYTES, quote};

/// The table's name.
pub(crate) const TABLE: &str = "ACTIVATIONS";

/// Between the rows of VALUES.
const SEPARATOR: &str = ",\n  ";

pub(crate) const COLUMNS: [&str; 9] = [
    "LAKE_ID VARCHAR NOT NULL",
    "DESTINATION VARCHAR NOT NULL",
    "RECORD_ID VARCHAR NOT NULL",
    "STATE VARCHAR NOT NULL",
    "DIGESTS VARCHAR NOT NULL",
    "REASON VARCHAR",
    "ATTEMPTS NUMBER(10,0) NOT NULL",
    "WRITTEN_AT TIMESTAMP_NTZ(6)",
    "CHANGED_AT TIMESTAMP_NTZ(6) NOT NULL",
];

/// Every row of a published model.
pub fn model(model: &TableId) -> String {
    format!("SELECT * FROM {}", quote::table(model))
}

/// The column of [`size`] that no property is called.
pub(crate) const ROWS: &str = "_SLUICE_ROWS";

/// A row of a published model, for its columns, with the number of all; none of an empty one.
pub fn size(model: &TableId) -> String {
    format!("SELECT *, COUNT(*) OVER () AS {ROWS} FROM {} LIMIT 1", quote::table(model))
}

/// ENTRIES: of how many records something is known.
pub fn count(lake: &LakeId, destination: &str) -> String {
    format!("SELECT COUNT(*) AS ENTRIES FROM {OBSERVABILITY}.{TABLE} WHERE {}", is_of(lake, destination))
}

/// What a destination is known to hold: RECORD_ID, STATE, DIGESTS, REASON, ATTEMPTS, WRITTEN_AT.
pub fn entries(lake: &LakeId, destination: &str) -> String {
    format!(
        "SELECT RECORD_ID, STATE, DIGESTS, REASON, ATTEMPTS, WRITTEN_AT FROM {OBSERVABILITY}.{TABLE} WHERE {}",
        is_of(lake, destination)
    )
}

/// What it does not take, the newest first: RECORD_ID, STATE, REASON, CHANGED_AT.
pub fn failures(lake: &LakeId, destination: &str) -> String {
    format!(
        "SELECT RECORD_ID, STATE, REASON, CHANGED_AT FROM {OBSERVABILITY}.{TABLE} WHERE {} AND STATE <> 'held'\n\
         ORDER BY CHANGED_AT DESC",
        is_of(lake, destination)
    )
}

/// Keeps these entries in place of those of the same records, by as many statements as their texts take.
pub fn keep(lake: &LakeId, destination: &str, entries: &[(String, Entry)]) -> Vec<String> {
    let merge = |rows: &str| merge(lake, destination, rows);
    let empty = merge("").len();
    let (mut statements, mut rows) = (Vec::new(), String::new());
    for (id, entry) in entries {
        let row = row(id, entry);
        if !rows.is_empty() && empty + rows.len() + SEPARATOR.len() + row.len() > STATEMENT_BYTES {
            statements.push(merge(&std::mem::take(&mut rows)));
        }
        if !rows.is_empty() {
            rows.push_str(SEPARATOR);
        }
        rows.push_str(&row);
    }
    if !rows.is_empty() {
        statements.push(merge(&rows));
    }
    statements
}

fn merge(lake: &LakeId, destination: &str, rows: &str) -> String {
    format!(
        "MERGE INTO {OBSERVABILITY}.{TABLE} t\n\
         USING (SELECT * FROM (VALUES\n  {rows}\n) AS v (RECORD_ID, STATE, DIGESTS, REASON, ATTEMPTS, WRITTEN_AT)) s\n\
         ON t.LAKE_ID = {lake} AND t.DESTINATION = {destination} AND t.RECORD_ID = s.RECORD_ID\n\
         WHEN MATCHED THEN UPDATE SET STATE = s.STATE, DIGESTS = s.DIGESTS, REASON = s.REASON, ATTEMPTS = s.ATTEMPTS, \
         WRITTEN_AT = s.WRITTEN_AT, CHANGED_AT = SYSDATE()\n\
         WHEN NOT MATCHED THEN INSERT (LAKE_ID, DESTINATION, RECORD_ID, STATE, DIGESTS, REASON, ATTEMPTS, WRITTEN_AT, \
         CHANGED_AT)\n  \
         VALUES ({lake}, {destination}, s.RECORD_ID, s.STATE, s.DIGESTS, s.REASON, s.ATTEMPTS, s.WRITTEN_AT, SYSDATE())",
        lake = quote::literal(&lake.0),
        destination = quote::literal(destination),
    )
}

fn row(id: &str, entry: &Entry) -> String {
    // Serialising texts cannot fail.
    let digests = serde_json::to_string(&entry.digests).unwrap_or_default();
    format!(
        "({}, '{}', {}, {}, {}, {})",
        quote::literal(id),
        entry.state.as_str(),
        quote::literal(&digests),
        // A column of nulls has no type of its own.
        format_args!("{}::VARCHAR", quote::literal_or_null(entry.reason.as_deref())),
        entry.attempts,
        timestamp(entry.written_at),
    )
}

fn timestamp(at: Option<DateTime<Utc>>) -> String {
    let text = at.map_or_else(|| "NULL".to_owned(), |at| format!("'{}'", at.format("%Y-%m-%d %H:%M:%S%.6f")));
    format!("{text}::TIMESTAMP_NTZ(6)")
}

fn is_of(lake: &LakeId, destination: &str) -> String {
    format!("LAKE_ID = {} AND DESTINATION = {}", quote::literal(&lake.0), quote::literal(destination))
}

#[cfg(test)]
mod tests {
    use sluice_pipeline::activate::State;

    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn what_is_said_of_activations() {
        let lake = LakeId("sluice-dev".into());
        let digests = [("lifetime_value".to_owned(), "6ba7b8109dad11d180b400c04fd430c8".to_owned())].into();
        let held =
            Entry { state: State::Held, digests, reason: None, attempts: 1, written_at: Some(DateTime::UNIX_EPOCH) };
        let reason = Some(r"it's \ refused".to_owned());
        let refused = Entry { state: State::Refused, digests: [].into(), reason, attempts: 2, written_at: None };
        let published = "ANALYTICS.REPORTING.CUSTOMER_ACTIVATION".parse().expect("a table");
        let mut statements = vec![
            size(&published),
            model(&published),
            count(&lake, "hubspot"),
            entries(&lake, "hubspot"),
            failures(&lake, "o'brien"),
        ];
        statements.extend(keep(&lake, "hubspot", &[("101".into(), held), (r"o'x\".into(), refused)]));
        snapshot::check("activations", &statements);
    }

    #[test]
    fn many_entries_take_as_many_statements_as_fit_and_each_entry_one() {
        let digests = (0..30).map(|number| (format!("property_{number}"), "d".repeat(32))).collect();
        let entry = Entry { state: State::Held, digests, reason: None, attempts: 1, written_at: None };
        let entries: Vec<_> = (0..4_000).map(|id| (format!("<{id}>"), entry.clone())).collect();
        let statements = keep(&LakeId("it's".into()), "o'brien", &entries);
        assert!(statements.iter().all(|statement| statement.len() <= STATEMENT_BYTES));
        let bytes: usize = statements.iter().map(String::len).sum();
        assert_eq!(statements.len(), bytes.div_ceil(STATEMENT_BYTES), "none is shorter than it has to be");
        let rows = statements.iter().flat_map(|statement| statement.split("('<").skip(1));
        let ids: Vec<usize> =
            rows.map(|row| row.split('>').next().expect("an id").parse().expect("a number")).collect();
        assert_eq!(ids, (0..4_000).collect::<Vec<_>>());
        assert!(keep(&LakeId("lake".into()), "hubspot", &[]).is_empty());
    }
}
