//! The list of what one machine cannot prove, as ARCHITECTURE.md has it: there is no second one.

/// One row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub claim: String,
    pub command: String,
    /// The probe that proves it; `None` where a person has to.
    pub probe: Option<String>,
}

const HEADING: &str = "## What cannot be proven on one machine";
const HEAD: &str = "| Not proven here |";
/// How a row names its probe.
const NAMES: &str = "--only ";

pub(super) fn rows(architecture: &str) -> Vec<Row> {
    let section = architecture.split_once(HEADING).map_or("", |(_, rest)| rest);
    section.lines().filter(|line| line.starts_with("| ") && !line.starts_with(HEAD)).filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let (claim, command) = line.trim_start_matches("| ").trim_end_matches(" |").split_once(" | ")?;
    let probe = command.contains("sluice verify").then(|| command.split_once(NAMES)).flatten();
    let probe = probe.and_then(|(_, rest)| rest.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next());
    Some(Row { claim: claim.to_owned(), command: command.to_owned(), probe: probe.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::commands::verify::probes::PROBES;

    fn shipped() -> Vec<Row> {
        rows(include_str!("../../../../ARCHITECTURE.md"))
    }

    #[test]
    fn every_probe_has_one_row_of_the_list_and_each_row_that_names_one_has_it() {
        let named: Vec<String> = shipped().into_iter().filter_map(|row| row.probe).collect();
        let distinct: BTreeSet<&str> = named.iter().map(String::as_str).collect();
        assert_eq!(distinct.len(), named.len(), "a probe stands twice: {named:?}");
        assert_eq!(distinct, PROBES.iter().map(|probe| probe.id).collect::<BTreeSet<_>>());
    }

    #[test]
    fn every_row_names_a_command_or_what_to_do() {
        let rows = shipped();
        assert!(rows.len() > 40, "only {} rows are read", rows.len());
        for Row { claim, command, .. } in rows {
            assert!(!claim.is_empty() && command.contains('`'), "{claim} names no command: {command}");
        }
    }

    #[test]
    fn a_row_is_read_with_its_probe() {
        let text = format!(
            "{HEADING}\n\n{HEAD} How |\n|---|---|\n| a \\| b | `tools/sluice verify --env dev --only two-words` |\n| c | `d` |\n"
        );
        let [one, two] = &rows(&text)[..] else { panic!("{:?}", rows(&text)) };
        assert_eq!((&*one.claim, one.probe.as_deref()), ("a \\| b", Some("two-words")));
        assert_eq!((&*two.command, two.probe.as_deref()), ("`d`", None));
    }
}
