//! The comparison as a table that fits a terminal, and a sentence on what was done.

use sluice_pipeline::replay::{Outcome, Partition, Report};

use crate::output::{self, Side, WIDTH, shortened, thousands};

pub(super) fn text(report: &Report) -> String {
    let title = format!("{} from the archive of '{}'", report.table, report.topic);
    let [from, to] = [report.from, report.to].map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string());
    let mut parts = vec![format!("{}\n{from} to {to} UTC", shortened(&title, WIDTH))];
    if !report.partitions.is_empty() {
        parts.push(partitions(&report.partitions));
    }
    parts.push(sentence(report));
    if let Some(problem) = &report.files_problem {
        parts.push(format!("warning: data files are left in the lake\n{}", shortened(problem, WIDTH)));
    }
    parts.join("\n\n")
}

fn partitions(partitions: &[Partition]) -> String {
    let columns =
        ["PART", "FIRST", "LAST", "RECORDS", "BAD", "GAPS", "ROWS", "TABLE", "+ARCHIVE", "+TABLE", "DIFFER", "TWICE"];
    let columns = columns.map(|heading| (heading, Side::Right));
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), thousands);
    let row = |partition: &Partition| {
        let compared = partition.compared;
        vec![
            partition.partition.to_string(),
            number(partition.first),
            number(partition.last),
            thousands(partition.records),
            thousands(partition.dead_letters),
            thousands(partition.absent),
            thousands(partition.rows),
            count(compared.held),
            count(compared.only_archived),
            count(compared.only_held),
            count(compared.differing),
            count(compared.twice),
        ]
    };
    output::table(&columns, &partitions.iter().map(row).collect::<Vec<_>>())
}

fn sentence(report: &Report) -> String {
    let changes = thousands(report.changes());
    match (report.outcome, &report.side_table) {
        (Some(Outcome::NothingArchived), _) => "the archive holds nothing of that time that is committed".to_owned(),
        (Some(Outcome::DryRun), _) => "dry run: nothing was written".to_owned(),
        (Some(Outcome::NothingToChange), _) => "the table is what the archive says".to_owned(),
        (Some(Outcome::Refused | Outcome::Declined), _) => "nothing was changed".to_owned(),
        (Some(Outcome::Compared), Some(side)) => {
            format!("{changes} rows differ; the archive's rows are left in\n{side}")
        }
        (Some(Outcome::Replayed), _) => format!("{changes} rows changed; the table is what the archive says"),
        (None | Some(Outcome::Compared), _) => format!("{changes} rows would change"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use sluice_pipeline::replay::Compared;

    use super::*;

    fn report(partitions: Vec<Partition>) -> Report {
        Report {
            table: "STREAMING.PUBLIC.PURCHASES".parse().expect("a table"),
            topic: "purchases".into(),
            from: DateTime::UNIX_EPOCH,
            to: DateTime::UNIX_EPOCH,
            outcome: Some(Outcome::DryRun),
            side_table: None,
            files_problem: None,
            partitions,
        }
    }

    #[test]
    fn the_comparison_fits_a_hundred_columns() {
        let partition = Partition {
            partition: 12,
            first: Some(123_456_789),
            last: Some(123_556_789),
            records: 100_001,
            rows: 99_990,
            dead_letters: 11,
            compared: Compared {
                held: Some(99_000),
                only_archived: Some(990),
                only_held: Some(0),
                differing: Some(3),
                twice: Some(1),
            },
            ..Partition::default()
        };
        let text = text(&report(vec![partition, Partition::default()]));
        assert!(
            text.contains("123456789  123556789  100,001   11     0  99,990  99,000       990       0       3      1"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("0          -          -        0    0     0       0       -"), "{text}");
    }

    fn differing(rows: u64) -> Partition {
        let compared = Compared { differing: Some(rows), ..Compared::default() };
        Partition { compared, ..Partition::default() }
    }

    #[test]
    fn each_outcome_has_its_word_and_its_sentence() {
        let mut found = report(vec![differing(1_234)]);
        found.side_table = Some("A.B.C__REPLAY_1".parse().expect("a table"));
        for (outcome, word, part) in [
            (Outcome::NothingArchived, "nothing archived", "nothing of that time"),
            (Outcome::DryRun, "dry run", "nothing was written"),
            (Outcome::NothingToChange, "nothing to change", "is what the archive says"),
            (Outcome::Refused, "refused", "nothing was changed"),
            (Outcome::Declined, "refused", "nothing was changed"),
            (Outcome::Compared, "compared", "1,234 rows differ; the archive's rows are left in\nA.B.C__REPLAY_1"),
            (Outcome::Replayed, "replayed", "1,234 rows changed"),
        ] {
            found.outcome = Some(outcome);
            assert!(text(&found).contains(part), "{outcome:?}");
            let json = serde_json::to_value(&found).expect("JSON");
            assert_eq!((&json["outcome"], &json["partitions"][0]["differing"]), (&word.into(), &1_234.into()));
        }
        found.outcome = None;
        assert!(text(&found).contains("1,234 rows would change"), "asked before the swap");
    }

    #[test]
    fn files_that_are_left_are_a_warning_beside_the_outcome() {
        let mut found = report(vec![differing(1)]);
        found.outcome = Some(Outcome::Replayed);
        assert!(!text(&found).contains("warning"), "{}", text(&found));
        let key = "raw/STREAMING/PUBLIC/PURCHASES/data/replay-1/part-00000.parquet";
        found.files_problem = Some(format!("cannot delete an object of the lake (code=AccessDenied, key={key})"));
        let text = text(&found);
        assert!(
            text.contains("1 rows changed; the table is what the archive says\n\nwarning: data files are left"),
            "{text}"
        );
        assert!(text.contains("AccessDenied") && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
