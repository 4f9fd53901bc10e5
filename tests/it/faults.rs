//! docs/faults.md names a test for each fault; each of those tests exists.

use std::collections::BTreeSet;

use crate::project::{files, read};

/// Every test function of the project, by `crate folder::name`: the name alone must be unique enough to be found.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files(".rs") {
        let text = read(&path);
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if is_test && !line.starts_with("#[") {
                let name =
                    line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
                names.extend(name.map(str::to_owned));
                is_test = false;
            }
        }
    }
    names
}

/// The rows of the page's tables as cells.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let tables = page.split("\n\n").filter(|block| block.starts_with('|'));
    let rows = tables.flat_map(|table| table.lines().skip(2));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Said of a fault of a part that this platform does not have, with the reason.
const NOT_HERE: &str = "not here: ";

#[test]
fn every_fault_names_tests_that_exist() {
    let known = tests();
    assert!(known.len() > 100, "only {} tests were found: this test would check nothing", known.len());
    let page = read("docs/faults.md");
    let rows = rows(&page);
    assert!(rows.len() >= 40, "docs/faults.md has only {} rows", rows.len());
    for cells in rows {
        let named: Vec<&str> = cells.last().map_or(Vec::new(), |cell| cell.split('`').skip(1).step_by(2).collect());
        let is_not_here = cells.iter().any(|cell| cell.starts_with(NOT_HERE) && cell.len() > NOT_HERE.len());
        assert!(!named.is_empty() || is_not_here, "no test and no reason stands in the row {cells:?}");
        for name in named {
            assert!(known.contains(name), "docs/faults.md names the test {name}, which does not exist");
        }
    }
}

#[test]
fn each_of_the_numbered_faults_has_a_row() {
    let page = read("docs/faults.md");
    let numbers: BTreeSet<u32> = rows(&page).iter().filter_map(|cells| cells.first()?.parse().ok()).collect();
    assert_eq!(numbers, (1..=25).collect());
}
