//! What the dbt job is told to do. The only place that spells dbt commands.

use super::claim::{Claim, Start};

/// The steps of one start, in order; a step runs only if the one before it succeeded.
///
/// Unit tests judge models, not data: they run when a model changes. `--full-refresh` concerns incremental models and
/// seeds alone; a model that must survive it says so in its own configuration.
pub(super) fn steps(claim: &Claim, start: &Start) -> Vec<String> {
    let mut build = "dbt build --exclude-resource-type unit_test".to_owned();
    if claim.full_refresh {
        build.push_str(" --full-refresh");
    }
    if !start.selectors.is_empty() {
        build.push_str(" --select ");
        build.push_str(&start.selectors.join(" "));
    }
    vec![build]
}
