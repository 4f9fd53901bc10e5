//! An account in which Snowflake runs dbt: the shipped file with the lines of docs/running-dbt.md.

use crate::{
    acceptance::{account, account_of, code},
    earlier::SHIPPED,
};

const PAGE: &str = include_str!("../../../../../docs/running-dbt.md");

/// The shipped file with the page's lines, each at its place; a setting that is there already is replaced.
fn with_the_lines_of_the_page() -> String {
    let (before, rest) = PAGE.split_once("```yaml\n").expect("lines of a file");
    let margin = before.rsplit('\n').next().unwrap_or_default();
    let block = rest.split("```").next().unwrap_or_default();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let key = |line: &str| line.split_once(':').map_or_else(String::new, |(key, _)| format!("{key}:"));
    let mut lines: Vec<String> = SHIPPED.lines().map(str::to_owned).collect();
    // The line below which the next one belongs.
    let mut above = 0;
    for line in block.lines().filter_map(|line| line.strip_prefix(margin)).filter(|line| !line.is_empty()) {
        let from = if indent(line) == 0 { 0 } else { above + 1 };
        let is_inside = |found: &&String| found.is_empty() || indent(found) >= indent(line);
        let inside = || lines[from..].iter().take_while(is_inside);
        if line.ends_with(':') {
            above = from + inside().position(|found| found == line).unwrap_or_else(|| panic!("{line} is not there"));
            continue;
        }
        let is_item = line.trim_start().starts_with('-');
        match inside().position(|found| !is_item && key(found) == key(line)) {
            Some(at) => lines[from + at] = line.to_owned(),
            None => lines.insert(from, line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[tokio::test]
async fn with_the_pages_lines_the_functions_user_runs_dbt_as_svc_dbt() {
    let make = "CREATE TABLE IF NOT EXISTS ANALYTICS.MARTS.T (A VARCHAR)";
    let as_dbt = async |warehouse: &_| code(warehouse, "sluice_loader", "SVC_DBT", "TRANSFORMING", make).await;
    assert_ne!(as_dbt(&account("dev").await).await, "done", "without the lines");
    let yaml = with_the_lines_of_the_page();
    for environment in ["local", "dev", "staging", "prod"] {
        // Which also means that a second plan is empty.
        let warehouse = account_of(&yaml, environment).await;
        assert_eq!(as_dbt(&warehouse).await, "done", "{environment}");
        let write = "INSERT INTO ANALYTICS.MARTS.T (A) VALUES ('x')";
        let by_itself = code(&warehouse, "sluice_loader", "SLUICE_LOADER", "LOADING", write).await;
        assert_ne!(by_itself, "done", "the functions' own role has no more than before");
        let given = warehouse.admin("SHOW FUTURE GRANTS IN SCHEMA ADMIN.DBT").await;
        let given = given.cells(&["privilege", "grant_on", "grantee_name"]);
        assert_eq!(given, ["MONITOR|DBT_PROJECT|SLUICE_LOADER", "USAGE|DBT_PROJECT|SLUICE_LOADER"], "{environment}");
        let of_profile = warehouse.admin("SHOW GRANTS ON SCHEMA ANALYTICS.SCRATCH").await;
        let of_profile = of_profile.cells(&["privilege", "grantee_name"]);
        assert!(of_profile.contains(&"USAGE|ANALYTICS_TRANSFORMER".to_owned()), "{of_profile:?}");
    }
}
