//! Rows that a merge without versions has not taken: nothing fails, and they are not there.

use sluice_pipeline::observe::Untaken;

use super::Check;
use crate::{failure::Outcome, platform::Platform, warehouse::Observe};

/// A line for each table that has not taken rows lately.
pub(super) async fn checks(platform: &Platform) -> Vec<Check> {
    match found(platform).await {
        Ok(checks) => checks,
        Err(failure) => vec![Check::of("rows not taken", Err(failure), "check the grants on the ledger")],
    }
}

async fn found(platform: &Platform) -> Outcome<Vec<Check>> {
    let untaken = platform.warehouse().await?.untaken().await?;
    Ok(untaken.iter().map(|(table, untaken)| check(table, untaken)).collect())
}

fn check(table: &str, Untaken { sequence, reason, .. }: &Untaken) -> Check {
    let fix = "give its entry in platform/sources.yaml a `version_column`, or `disposition: replace`";
    Check::warning(format!("{table} #{sequence}"), reason, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Health;

    #[test]
    fn rows_that_a_table_has_not_taken_are_a_warning_with_a_fix() {
        let found = check("A.B.C", &Untaken { sequence: 7, reason: "rows not taken: 3".into(), at: None });
        assert_eq!((found.what.as_str(), found.health), ("A.B.C #7", Health::Warning));
        assert!(found.detail == "rows not taken: 3" && found.fix.is_some_and(|fix| fix.contains("version_column")));
    }
}
