//! dbt Projects on Snowflake: run one, find its runs again, take what it left.

use sluice_core::TableId;

use super::{OBSERVABILITY, quote};

/// Runs dbt inside Snowflake with a command line, such as `build --select sales`, as one long statement.
pub fn execute(project: &TableId, arguments: &str) -> String {
    format!("EXECUTE DBT PROJECT {} ARGS = {}", quote::table(project), quote::literal(arguments))
}

/// This user's runs of dbt projects of the last day whose query tag begins so, newest first, as QUERY_ID and QUERY_TAG.
/// The statements that dbt itself sends bear the tag too, so the text decides.
pub fn runs(project: &TableId, tag: &str) -> String {
    format!(
        "SELECT QUERY_ID, QUERY_TAG FROM TABLE({}.INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER(\
         END_TIME_RANGE_START => DATEADD(HOUR, -24, CURRENT_TIMESTAMP()), RESULT_LIMIT => 10000))\n\
         WHERE LEFT(QUERY_TAG, {}) = {} AND LEFT(QUERY_TEXT, 20) = 'EXECUTE DBT PROJECT '\n\
         ORDER BY START_TIME DESC",
        quote::identifier(&project.database),
        tag.chars().count(),
        quote::literal(tag)
    )
}

/// Where a run's files lie, as LOCATION.
pub fn locate(query: &str) -> String {
    format!("SELECT SYSTEM$LOCATE_DBT_ARTIFACTS({}) AS LOCATION", quote::literal(query))
}

/// Copies one file of a run into a folder of the lake: a statement's answer cannot carry a file.
pub fn copy_artifact(location: &str, folder: &str, name: &str) -> String {
    let location = format!("{}/target/", location.trim_end_matches('/'));
    format!(
        "COPY FILES INTO {} FROM {} FILES = ({})",
        quote::literal(&format!("@{OBSERVABILITY}.LAKE/{folder}/")),
        quote::literal(&location),
        quote::literal(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn the_statements_about_dbt_projects() {
        let project: TableId = "ADMIN.DBT.SLUICE".parse().expect("a project's name");
        let query = "01bf3f5a-010b-4d87-0000-53493abb7cce";
        let location = "snow://dbt/ADMIN.DBT.SLUICE/results/query_id_01bf3f5a-010b-4d87-0000-53493abb7cce/";
        snapshot::check(
            "dbt",
            &[
                execute(&project, "build --exclude-resource-type unit_test --select source:a_b.c+ sales"),
                execute(&project, r#"build --vars '{"path": "C:\\x"}'"#),
                runs(&project, "sluice dispatch 7 (it's run 1) start 2: "),
                locate(query),
                copy_artifact(
                    location,
                    "dbt/artifacts/snowflake/01bf3f5a-010b-4d87-0000-53493abb7cce",
                    "manifest.json",
                ),
            ],
        );
    }
}
