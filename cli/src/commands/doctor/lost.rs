//! Values that an earlier version has lost: it folded the letters of a column's name beyond ASCII otherwise than the load, so
//! the raw table has NULL there. Commits of that version do not count their values, so no load has noticed.

use sluice_core::{Commit, Loader, commit};
use sluice_pipeline::{erase, log};

use super::Check;
use crate::{failure::Outcome, platform::Platform};

/// A line for each table that has to be read again.
pub(super) async fn checks(platform: &Platform) -> Vec<Check> {
    match found(platform).await {
        Ok(checks) => checks,
        Err(failure) => vec![Check::of("lost values", Err(failure), "check s3:GetObject on the lake's commits")],
    }
}

async fn found(platform: &Platform) -> Outcome<Vec<Check>> {
    let (store, mut checks) = (platform.store()?, Vec::new());
    for table in platform.place.sources.tables.iter().filter(|table| table.loader != Loader::Streaming) {
        let newest = log::newest_commit(&store, &table.table).await?;
        if newest.is_some_and(|newest| newest.raw_columns().any(|column| !column.name.is_ascii())) {
            let whole = erase::plan(&store, table).await?.read_whole;
            checks.extend(check(&log::read_commit(&store, &table.table, whole).await?));
        }
    }
    Ok(checks)
}

/// Of the commit of the table's newest read from its beginning.
fn check(whole: &Commit) -> Option<Check> {
    let is_counted = whole.files.is_empty() || commit::values(&whole.files).is_some();
    let names = whole.schema.columns().iter().map(|column| column.name.as_str()).filter(|name| !name.is_ascii());
    let names: Vec<&str> = names.collect();
    if is_counted || names.is_empty() {
        return None;
    }
    let table = &whole.table;
    let detail = format!("an earlier version has loaded NULL for each value of: {}", names.join(", "));
    let fix =
        format!("`sluice run {table} --full-refresh`; without a version_column, delete the raw table's rows first");
    Some(Check::warning(table.to_string(), detail, fix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::doctor::Health;

    fn of(column: &str, values: &[u64]) -> Option<Check> {
        let commit = json!({
            "format_version": 1, "lake_id": "l", "table": "A.B.C", "sequence": 1, "run_id": "r", "loader": "copy",
            "disposition": "merge", "key": [], "schema": [{"name": column, "type": "text"}], "schema_fingerprint": "",
            "rows": 3, "files": [{"path": "raw/A/B/C/data/r/x", "rows": 3, "bytes": 1, "checksum": "c", "values": values}],
            "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:00Z"
        });
        check(&serde_json::from_value(commit).expect("a commit"))
    }

    #[test]
    fn values_that_an_earlier_version_has_lost_are_a_warning_with_a_fix() {
        let lost = of("größe", &[]).expect("a warning");
        assert_eq!((lost.what.as_str(), lost.health), ("A.B.C", Health::Warning));
        assert!(lost.detail.contains("größe") && lost.fix.is_some_and(|fix| fix.contains("--full-refresh")));
        assert!(of("größe", &[3]).is_none(), "a load has counted them");
        assert!(of("groesse", &[]).is_none());
    }
}
