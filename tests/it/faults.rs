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

#[test]
fn every_fault_names_tests_that_exist() {
    let known = tests();
    assert!(known.len() > 100, "only {} tests were found: this test would check nothing", known.len());
    let page = read("docs/faults.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() >= 10, "docs/faults.md has only {} rows", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let named: Vec<&str> = cells.last().map_or(Vec::new(), |cell| cell.split('`').skip(1).step_by(2).collect());
        assert!(!named.is_empty(), "no test stands in the last column of: {row}");
        for name in named {
            assert!(known.contains(name), "docs/faults.md names the test {name}, which does not exist");
        }
    }
}
