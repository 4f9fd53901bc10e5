//! However the archive is cut, each record comes once and in order, and a range never says more than the archive knows.

use std::collections::BTreeSet;

use futures::executor::block_on;
use sluice_core::{DataFile, Kind};

use super::*;
use crate::{
    fakes::{MemoryStore, Random},
    replay::fakes::{Asked, DAY, JsonAlone, keep, record},
};

fn count(lake: &MemoryStore, prefix: &str) -> usize {
    lake.objects.borrow().keys().filter(|key| key.starts_with(prefix)).count()
}

/// The rows' offsets, and the whole of the last row.
#[derive(Default)]
struct Taken {
    offsets: Vec<i64>,
    last: String,
}

impl Files for Taken {
    async fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        let [.., Cell::Bigint(offset), Cell::Timestamp(_)] = row else { panic!("{row:?}") };
        self.offsets.push(*offset);
        self.last = format!("{row:?}");
        Ok(())
    }

    async fn finish(self) -> Result<Vec<DataFile>> {
        Ok(Vec::new())
    }
}

fn replay(lake: &MemoryStore, request: &Request<'_>, committed: Option<i64>) -> Result<(Archived, Taken)> {
    block_on(async {
        let found = find(lake, request).await?;
        let archives = found.get(&2).map(Vec::as_slice).unwrap_or_default();
        let mut taken = Taken::default();
        let archived = read(lake, &JsonAlone, request, (2, archives), committed, &mut taken, || {}).await?;
        Ok((archived, taken))
    })
}

#[test]
fn a_record_that_comes_days_late_makes_no_hole_in_the_range() {
    let lake = MemoryStore::default();
    // A record of the asked day lies under offset 20, after those of four days later.
    for (offsets, day) in [(0..10, 0), (10..20, 4), (20..21, 0), (21..30, 4), (30..40, 9)] {
        let records: Vec<Record> = offsets.map(|offset| record(offset, day * DAY, true)).collect();
        keep(&lake, "cluster", 2, &records);
    }
    let (archived, taken) = replay(&lake, &Asked::new().request(), Some(100)).expect("a replay");
    assert_eq!((archived.range, archived.absent()), (Some((0, 20)), 0));
    assert_eq!(taken.offsets, (0..21).collect::<Vec<_>>());
}

#[test]
fn however_the_archive_is_cut_each_record_comes_once_and_in_order() {
    for seed in 1..=300_u64 {
        let mut random = Random::new(seed);
        let lake = MemoryStore::default();
        let mut offset = 0;
        let records: Vec<Record> = (0..60)
            .map(|i| {
                offset += 1 + random.below(8) as i64 / 7;
                record(offset, i * 1_000, !random.percent(15))
            })
            .collect();
        // Deliveries go back, come again, cut differently, and together they leave nothing out.
        let mut reached = 0;
        while reached < records.len() {
            let from = reached.saturating_sub(random.below(12));
            let to = (from + 1 + random.below(20)).min(records.len());
            keep(&lake, "cluster", 2, &records[from..to]);
            reached = reached.max(to);
        }
        let committed = records[30 + random.below(30)].offset;
        let asked = Asked::new();
        let (archived, taken) = replay(&lake, &asked.request(), Some(committed)).expect("read");

        let due: Vec<&Record> = records.iter().filter(|record| record.offset <= committed).collect();
        let is_good =
            |record: &&&Record| record.value.as_ref().is_some_and(|v| !v.windows(12).any(|w| w == b"\"quantity\":0"));
        let good: Vec<i64> = due.iter().filter(is_good).map(|record| record.offset).collect();
        assert_eq!(taken.offsets, good, "seed {seed}");
        assert_eq!(archived.range, Some((records[0].offset, committed)), "seed {seed}");
        assert_eq!((archived.records, archived.rows), (due.len() as u64, good.len() as u64), "seed {seed}");
        assert_eq!(archived.dead_letters, archived.records - archived.rows, "seed {seed}");
        let span = (committed - records[0].offset + 1) as u64;
        assert_eq!(archived.absent(), span - due.len() as u64, "seed {seed}");
        assert_eq!(count(&lake, "dead-letter/"), archived.dead_letters as usize, "seed {seed}");
    }
}

#[test]
fn the_range_holds_the_asked_time_and_what_lies_between() {
    let lake = MemoryStore::default();
    let records =
        [record(1, -1, true), record(2, 5, true), record(3, DAY + 5, true), record(4, 9, true), record(5, DAY, true)];
    keep(&lake, "cluster", 2, &records);
    let asked = Asked::new();
    let (archived, taken) = replay(&lake, &asked.request(), Some(99)).expect("read");
    assert_eq!(archived.range, Some((2, 4)), "a record that is late stands between two of the time");
    assert_eq!((archived.records, archived.rows), (3, 3));
    assert_eq!(taken.offsets[..3], [2, 3, 4]);

    let narrow = Request { offsets: (3, 3), ..asked.request() };
    assert_eq!(replay(&lake, &narrow, Some(99)).expect("read").0.range, None, "3 is of another day");
    let narrow = Request { offsets: (2, 3), ..asked.request() };
    assert_eq!(replay(&lake, &narrow, Some(99)).expect("read").0.range, Some((2, 2)));
    assert_eq!(replay(&lake, &asked.request(), Some(3)).expect("read").0.range, Some((2, 2)), "4 is not committed");
    let (archived, taken) = replay(&lake, &asked.request(), None).expect("read");
    assert_eq!((archived.range, taken.offsets.len()), (None, 0), "nothing is committed");
    let other = Request { partition: Some(1), ..asked.request() };
    assert_eq!(replay(&lake, &other, Some(99)).expect("read").0.range, None);
}

#[test]
fn another_creation_of_the_topic_is_not_read_and_a_hidden_one_refused() {
    let lake = MemoryStore::default();
    keep(&lake, "cluster", 2, &[record(1, 0, true)]);
    keep(&lake, "cluster-2", 2, &[Record { value: None, ..record(1, 0, true) }, record(2, 1, true)]);
    let asked = Asked::new();
    let (archived, taken) = replay(&lake, &asked.request(), Some(99)).expect("read");
    assert_eq!((archived.range, taken.offsets), (Some((1, 1)), vec![1]));

    let key = keep(&lake, "cluster", 2, &[Record { value: None, ..record(1, 2, true) }]);
    assert_eq!(count(&lake, "archive/"), 3, "nothing was overwritten");
    let error = replay(&lake, &asked.request(), Some(99)).map(|_| ()).expect_err("two records of one offset");
    assert_eq!(error.kind(), Kind::InvalidData);
    assert!(error.to_string().contains(&key), "{error}");
}

#[test]
fn names_of_the_earlier_form_are_read_too() {
    let lake = MemoryStore::default();
    let key = keep(&lake, "cluster", 2, &[record(1, 0, true), record(2, 1, false)]);
    let archive = Archive { creation: None, checksum: None, ..Archive::parse("purchases", &key).expect("a name") };
    let body = lake.objects.borrow_mut().remove(&key).expect("the archive");
    lake.objects.borrow_mut().insert(archive.key("purchases"), body);
    let asked = Asked::new();
    let silent = Request { mode: Mode::DryRun, ..asked.request() };
    let (archived, taken) = replay(&lake, &silent, Some(99)).expect("read");
    assert_eq!((archived.rows, archived.dead_letters, taken.offsets), (1, 1, vec![1]));
    assert_eq!(count(&lake, "dead-letter/"), 0, "a look keeps nothing");
}

#[test]
fn a_row_has_the_columns_that_it_says_and_knows_where_it_came_from() {
    let lake = MemoryStore::default();
    let key = keep(&lake, "cluster", 2, &[record(7, 1, true)]);
    let asked = Asked::new();
    let (_, taken) = replay(&lake, &asked.request(), Some(7)).expect("read");
    let columns = columns(asked.request().table);
    assert_eq!(taken.last.matches('(').count(), columns.columns().len());
    let names: BTreeSet<&str> = columns.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names.len(), columns.columns().len());
    for part in
        [r#"Text("lake_cluster_purchases_2/replay-1")"#, &format!("Text({key:?}), Bigint(1), Text(\"purchases\")")]
    {
        assert!(taken.last.contains(part), "{part} is missing in {}", taken.last);
    }
}

#[test]
fn an_archive_that_is_not_of_its_name_is_refused() {
    let lake = MemoryStore::default();
    let key = keep(&lake, "cluster", 2, &[record(7, 1, true)]);
    let asked = Asked::new();
    for body in [Bytes::from_static(b"torn"), packed_line(r#"{"topic":"purchases","partition":3}"#)] {
        lake.objects.borrow_mut().insert(key.clone(), body);
        let error = replay(&lake, &asked.request(), Some(7)).map(|_| ()).expect_err("no archive");
        assert_eq!(error.kind(), Kind::InvalidData);
        assert!(error.to_string().contains(&key), "{error}");
    }
}

fn packed_line(line: &str) -> Bytes {
    zstd::bulk::compress(line.as_bytes(), 1).expect("packs").into()
}
