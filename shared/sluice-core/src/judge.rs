//! What every file that a team edits is judged by: each problem is told at once, with its line and column.

mod fields;
mod report;

pub use fields::{Count, Fields, List, Setting, Word};
pub use report::Report;

use crate::yaml::{self, Node};

/// Reads a file's text and tells what is wrong with it as YAML. `None` when there is no tree to judge any further.
pub fn tree(text: &str, report: &mut Report) -> Option<Option<Node>> {
    let yaml::Document { root, faults } = yaml::parse(text);
    let is_cut_short = root.is_none() && !faults.is_empty();
    for fault in faults {
        let text = match is_cut_short {
            true => format!("this is no YAML: {}; indent with spaces, and quote a text that holds ': '", fault.value),
            false => fault.value,
        };
        report.add(fault.place, text);
    }
    (!is_cut_short).then_some(root)
}
