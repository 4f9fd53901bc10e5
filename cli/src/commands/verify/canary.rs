//! The canary: a table that is replaced whole is read again, and its rows are followed into the warehouse. No row is added.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;
use sluice_core::{Disposition, Sequence, Sources, Table};
use sluice_pipeline::{log, observe::Question};

use super::finding::Finding;
use crate::{
    commands::run::loaded,
    failure::{Failure, Outcome},
    platform::{Platform, extractor},
    warehouse::{Observe, verify},
};

/// Snowpipe and a warehouse that has to start take minutes at most.
const LOADED_WITHIN: Duration = Duration::from_secs(900);

pub(super) async fn run(platform: &Platform, named: Option<&str>) -> Outcome<Finding> {
    let table = table(platform, named)?;
    let Some((table, function)) = table.and_then(|table| Some((table, extractor(table)?))) else {
        return Ok(Finding::Unseen("no table of sources.yaml is replaced whole; name one with --table".to_owned()));
    };
    let id = &table.table;
    let begun = Instant::now();
    let extract = platform.invoke(function, &json!({"time": Utc::now(), "table": id, "full_refresh": true})).await?;
    let committed = begun.elapsed();
    let Some(sequence) = extract["sequence"].as_u64().map(Sequence) else {
        let seen = format!("{function} has read {id} and made no commit: {}", extract["outcome"]);
        return Ok(Finding::Otherwise { seen, fix: format!("`sluice logs {function}` says why") });
    };
    let warehouse = platform.warehouse().await?;
    let load = loaded(&warehouse, id, sequence, LOADED_WITHIN).await?;
    let statement = verify::rows_of_commit(id, sequence);
    let answer = warehouse.ask(&Question { statement, role: None, rows: 1 }).await?;
    let held = answer.rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
    let rows = extract["rows"].as_u64().unwrap_or_default();
    let newest = log::newest_commit(&platform.store()?, id).await?.map_or(sequence, |commit| commit.sequence);
    if newest > sequence && held == "0" {
        return Ok(Finding::Unseen(format!("{id} #{newest} has replaced #{sequence} meanwhile; ask again")));
    }
    Ok(judge(&format!("{id} #{sequence}"), rows, &held, committed, load.seconds))
}

/// The table that is named, if it may be read again, or the first that may.
fn table<'a>(platform: &'a Platform, named: Option<&str>) -> Outcome<Option<&'a Table>> {
    let Some(named) = named else { return Ok(canaries(&platform.place.sources).next()) };
    let found = platform.table(named)?;
    if canaries(&platform.place.sources).any(|table| table.table == found.table) {
        return Ok(Some(found));
    }
    let may: Vec<String> = canaries(&platform.place.sources).map(|table| table.table.to_string()).collect();
    Err(Failure::usage(format!("{} is not replaced whole, so that a canary would add rows", found.table))
        .hint(format!("there are {}", may.join(", "))))
}

/// The tables that a canary may read again without a row more: they are replaced whole each time.
fn canaries(sources: &Sources) -> impl Iterator<Item = &Table> {
    sources.tables.iter().filter(|table| table.disposition == Disposition::Replace && extractor(table).is_some())
}

fn judge(commit: &str, rows: u64, held: &str, committed: Duration, loaded: f64) -> Finding {
    if rows == 0 {
        return Finding::Unseen(format!("{commit} has no rows; name another table with --table"));
    }
    if held == rows.to_string() {
        let committed = committed.as_secs_f64();
        return Finding::AsWanted(format!(
            "{rows} rows of {commit}: committed in {committed:.1} s, in the table {loaded:.1} s later"
        ));
    }
    Finding::Otherwise {
        seen: format!("{commit} has {rows} rows, and its table holds {held} of them"),
        fix: "`sluice prove` says which rows differ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_without_all_of_its_rows_in_the_table_is_no_proof() {
        let judged = |held| judge("A.B.C #7", 31, held, Duration::from_millis(1_250), 3.46);
        let whole = "31 rows of A.B.C #7: committed in 1.2 s, in the table 3.5 s later";
        assert_eq!(judged("31"), Finding::AsWanted(whole.to_owned()));
        let Finding::Otherwise { seen, fix } = judged("30") else { panic!("no difference") };
        assert!(seen.contains("holds 30") && fix.contains("sluice prove"), "{seen} {fix}");
        assert!(matches!(judged(""), Finding::Otherwise { .. }));
        assert!(matches!(judge("A.B.C #8", 0, "0", Duration::ZERO, 0.1), Finding::Unseen(_)));
    }
}
