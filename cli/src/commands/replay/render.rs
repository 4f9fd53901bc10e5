//! The comparison as a table that fits a terminal, and a sentence on what was done.

use super::{Answer, Partition};
use crate::output::{self, Side, WIDTH, shortened, thousands};

pub fn text(answer: &Answer) -> String {
    let title = format!("{} from the archive of '{}'", answer.table, answer.topic);
    let [from, to] = [answer.from, answer.to].map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string());
    let mut parts = vec![format!("{}\n{from} to {to} UTC", shortened(&title, WIDTH))];
    if !answer.partitions.is_empty() {
        parts.push(partitions(&answer.partitions));
    }
    parts.push(sentence(answer));
    if let Some(problem) = &answer.files_problem {
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
        vec![
            partition.partition.to_string(),
            number(partition.first),
            number(partition.last),
            thousands(partition.records),
            thousands(partition.dead_letters),
            thousands(partition.absent),
            thousands(partition.rows),
            count(partition.held),
            count(partition.only_archived),
            count(partition.only_held),
            count(partition.differing),
            count(partition.twice),
        ]
    };
    output::table(&columns, &partitions.iter().map(row).collect::<Vec<_>>())
}

fn sentence(answer: &Answer) -> String {
    let changes = thousands(answer.changes());
    match (answer.outcome, &answer.side_table) {
        ("nothing archived", _) => "the archive holds nothing of that time that is committed".to_owned(),
        ("dry run", _) => "dry run: nothing was written".to_owned(),
        ("nothing to change", _) => "the table is what the archive says".to_owned(),
        ("refused", _) => "nothing was changed".to_owned(),
        ("compared", Some(side)) => format!("{changes} rows differ; the archive's rows are left in\n{side}"),
        ("replayed", _) => format!("{changes} rows changed; the table is what the archive says"),
        _ => format!("{changes} rows would change"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::DateTime;

    use super::*;

    pub(in super::super) fn answer(partitions: Vec<Partition>) -> Answer {
        Answer {
            table: "STREAMING.PUBLIC.PURCHASES".parse().expect("a table"),
            topic: "purchases".into(),
            from: DateTime::UNIX_EPOCH,
            to: DateTime::UNIX_EPOCH,
            outcome: "dry run",
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
            held: Some(99_000),
            only_archived: Some(990),
            only_held: Some(0),
            differing: Some(3),
            twice: Some(1),
            ..Partition::default()
        };
        let text = text(&answer(vec![partition, Partition::default()]));
        assert!(
            text.contains("123456789  123556789  100,001   11     0  99,990  99,000       990       0       3      1"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("0          -          -        0    0     0       0       -"), "{text}");
    }

    #[test]
    fn each_outcome_has_its_sentence() {
        let partition = Partition { differing: Some(1_234), ..Partition::default() };
        let mut found = answer(vec![partition]);
        found.side_table = Some("A.B.C__REPLAY_1".parse().expect("a table"));
        for (outcome, part) in [
            ("nothing archived", "nothing of that time"),
            ("dry run", "nothing was written"),
            ("nothing to change", "is what the archive says"),
            ("refused", "nothing was changed"),
            ("compared", "1,234 rows differ; the archive's rows are left in\nA.B.C__REPLAY_1"),
            ("replayed", "1,234 rows changed"),
            ("", "1,234 rows would change"),
        ] {
            found.outcome = outcome;
            assert!(text(&found).contains(part), "{outcome}");
        }
    }

    #[test]
    fn files_that_are_left_are_a_warning_beside_the_outcome() {
        let mut found = answer(vec![Partition { differing: Some(1), ..Partition::default() }]);
        found.outcome = "replayed";
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
