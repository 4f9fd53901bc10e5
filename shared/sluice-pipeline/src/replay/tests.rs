//! However the archive is cut, each record comes once and in order, and a range never says more than the archive knows.

use std::{cell::RefCell, collections::BTreeSet};

use futures::executor::block_on;
use sluice_core::{
    Kind, Sources,
    port::{PutIfAbsent, Stored},
};

use super::*;
use crate::fakes::LIMITS;

const DAY: i64 = 86_400_000;
/// 2025-10-31 UTC.
const START: i64 = 1_761_868_800_000;

#[derive(Default)]
struct Lake(RefCell<BTreeMap<String, Bytes>>);

impl Lake {
    fn keep(&self, cluster: &str, records: &[Record]) -> String {
        let (key, body) = record::archive(cluster, "purchases", 2, records).expect("an archive");
        self.0.borrow_mut().insert(key.clone(), body);
        key
    }

    fn count(&self, prefix: &str) -> usize {
        self.0.borrow().keys().filter(|key| key.starts_with(prefix)).count()
    }
}

impl Listing for Lake {
    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.0.borrow().keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }
}

impl ObjectStore for Lake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.0.borrow_mut().insert(key.to_owned(), body);
        Ok(Stored { checksum: String::new() })
    }

    async fn put_if_absent(&self, key: &str, _: Bytes) -> Result<PutIfAbsent> {
        Err(Error::unsupported("a replay puts nothing conditionally").with("key", key))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.borrow().get(key).cloned())
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        Ok(self.keys(prefix).await?.into_iter().next())
    }
}

/// Every topic here is in JSON.
impl Decode for Lake {
    async fn decode(&self, topic: &str, _: &Bytes) -> Result<Result<Bytes, String>> {
        Err(Error::unsupported("no format but JSON").with("topic", topic))
    }
}

/// The rows' offsets, and the whole of the last row.
#[derive(Default)]
struct Taken {
    offsets: Vec<i64>,
    last: String,
}

impl Rows for Taken {
    async fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        let [.., Cell::Bigint(offset), Cell::Timestamp(_)] = row else { panic!("{row:?}") };
        self.offsets.push(*offset);
        self.last = format!("{row:?}");
        Ok(())
    }
}

fn record(offset: i64, at: i64, good: bool) -> Record {
    let quantity = i32::from(good);
    let value = format!(
        r#"{{"event_id":"e{offset}","customer_email":"a@example.com","product_id":1,"quantity":{quantity},
        "purchase_ts":"2025-10-31T00:00:00Z","schema_version":1}}"#
    );
    Record { offset, timestamp_ms: START + at, key: None, value: Some(value.into()), headers: Vec::new() }
}

struct Asked {
    lake: LakeId,
    run: RunId,
    sources: Sources,
}

impl Asked {
    fn new() -> Self {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        Asked { lake: LakeId("lake".into()), run: RunId("replay-1".into()), sources }
    }

    /// The records of the last day of October.
    fn request(&self) -> Request<'_> {
        let time = |millis| DateTime::from_timestamp_millis(millis).expect("a time");
        Request {
            table: self.sources.topic("purchases").expect("a table"),
            topic: "purchases",
            lake_id: &self.lake,
            cluster_id: "cluster",
            run_id: &self.run,
            from: time(START),
            to: time(START + DAY),
            partition: None,
            offsets: (0, i64::MAX),
            keep_dead_letters: true,
            limits: LIMITS,
        }
    }
}

fn replay(lake: &Lake, request: &Request<'_>, committed: Option<i64>) -> Result<(Archived, Taken)> {
    block_on(async {
        let found = find(lake, request).await?;
        let archives = found.get(&2).map(Vec::as_slice).unwrap_or_default();
        let mut taken = Taken::default();
        let archived = read(lake, lake, request, (2, archives), committed, &mut taken, || {}).await?;
        Ok((archived, taken))
    })
}

/// A xorshift generator: a failing seed fails again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % bound as u64) as usize
    }
}

#[test]
fn a_record_that_comes_days_late_makes_no_hole_in_the_range() {
    let lake = Lake::default();
    // A record of the asked day lies under offset 20, after those of four days later.
    for (offsets, day) in [(0..10, 0), (10..20, 4), (20..21, 0), (21..30, 4), (30..40, 9)] {
        let records: Vec<Record> = offsets.map(|offset| record(offset, day * DAY, true)).collect();
        lake.keep("cluster", &records);
    }
    let (archived, taken) = replay(&lake, &Asked::new().request(), Some(100)).expect("a replay");
    assert_eq!((archived.range, archived.absent()), (Some((0, 20)), 0));
    assert_eq!(taken.offsets, (0..21).collect::<Vec<_>>());
}

#[test]
fn however_the_archive_is_cut_each_record_comes_once_and_in_order() {
    for seed in 1..=300_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let lake = Lake::default();
        let mut offset = 0;
        let records: Vec<Record> = (0..60)
            .map(|i| {
                offset += 1 + random.below(8) as i64 / 7;
                record(offset, i * 1_000, random.below(100) >= 15)
            })
            .collect();
        // Deliveries go back, come again, cut differently, and together they leave nothing out.
        let mut reached = 0;
        while reached < records.len() {
            let from = reached.saturating_sub(random.below(12));
            let to = (from + 1 + random.below(20)).min(records.len());
            lake.keep("cluster", &records[from..to]);
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
        assert_eq!(lake.count("dead-letter/"), archived.dead_letters as usize, "seed {seed}");
    }
}

#[test]
fn the_range_holds_the_asked_time_and_what_lies_between() {
    let lake = Lake::default();
    let records =
        [record(1, -1, true), record(2, 5, true), record(3, DAY + 5, true), record(4, 9, true), record(5, DAY, true)];
    lake.keep("cluster", &records);
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
    let lake = Lake::default();
    lake.keep("cluster", &[record(1, 0, true)]);
    lake.keep("cluster-2", &[Record { value: None, ..record(1, 0, true) }, record(2, 1, true)]);
    let asked = Asked::new();
    let (archived, taken) = replay(&lake, &asked.request(), Some(99)).expect("read");
    assert_eq!((archived.range, taken.offsets), (Some((1, 1)), vec![1]));

    let key = lake.keep("cluster", &[Record { value: None, ..record(1, 2, true) }]);
    assert_eq!(lake.count("archive/"), 3, "nothing was overwritten");
    let error = replay(&lake, &asked.request(), Some(99)).map(|_| ()).expect_err("two records of one offset");
    assert_eq!(error.kind(), Kind::InvalidData);
    assert!(error.to_string().contains(&key), "{error}");
}

#[test]
fn names_of_the_earlier_form_are_read_too() {
    let lake = Lake::default();
    let key = lake.keep("cluster", &[record(1, 0, true), record(2, 1, false)]);
    let archive = Archive { creation: None, checksum: None, ..Archive::parse("purchases", &key).expect("a name") };
    let body = lake.0.borrow_mut().remove(&key).expect("the archive");
    lake.0.borrow_mut().insert(archive.key("purchases"), body);
    let asked = Asked::new();
    let silent = Request { keep_dead_letters: false, ..asked.request() };
    let (archived, taken) = replay(&lake, &silent, Some(99)).expect("read");
    assert_eq!((archived.rows, archived.dead_letters, taken.offsets), (1, 1, vec![1]));
    assert_eq!(lake.count("dead-letter/"), 0, "a look keeps nothing");
}

#[test]
fn a_row_has_the_columns_that_it_says_and_knows_where_it_came_from() {
    let lake = Lake::default();
    let key = lake.keep("cluster", &[record(7, 1, true)]);
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
    let lake = Lake::default();
    let key = lake.keep("cluster", &[record(7, 1, true)]);
    let asked = Asked::new();
    for body in [Bytes::from_static(b"torn"), packed_line(r#"{"topic":"purchases","partition":3}"#)] {
        lake.0.borrow_mut().insert(key.clone(), body);
        let error = replay(&lake, &asked.request(), Some(7)).map(|_| ()).expect_err("no archive");
        assert_eq!(error.kind(), Kind::InvalidData);
        assert!(error.to_string().contains(&key), "{error}");
    }
}

fn packed_line(line: &str) -> Bytes {
    zstd::bulk::compress(line.as_bytes(), 1).expect("packs").into()
}

/// A lake that does not let go of one object.
struct Holding<'a>(&'a Lake, &'a str);

impl Deletion for Holding<'_> {
    async fn delete(&self, key: &str) -> Result<()> {
        if key == self.1 {
            return Err(Error::new(Kind::Auth, "may not delete").with("key", key));
        }
        self.0.0.borrow_mut().remove(key);
        Ok(())
    }
}

#[test]
fn a_replays_files_go_and_one_that_cannot_be_deleted_keeps_no_other() {
    let (lake, asked) = (Lake::default(), Asked::new());
    let table = &asked.request().table.table;
    let keys_of =
        |run: &str| -> Vec<String> { (0..3).map(|part| lake::data_key(table, &RunId(run.to_owned()), part)).collect() };
    let (own, others) = (keys_of("replay-1"), keys_of("replay-2"));
    for key in own.iter().chain(&others) {
        lake.0.borrow_mut().insert(key.clone(), Bytes::new());
    }
    let file =
        |path: &String| DataFile { path: path.clone(), rows: 1, bytes: 1, checksum: String::new(), values: Vec::new() };
    let files: Vec<DataFile> = own.iter().map(file).collect();
    let left = || block_on(lake.keys("raw/")).expect("keys");

    let error = block_on(delete_files(&Holding(&lake, &own[0]), &files)).expect_err("one file stays");
    assert!(error.to_string().contains(&own[0]), "{error}");
    assert_eq!(left(), [&own[..1], &others[..]].concat());
    block_on(delete_files(&Holding(&lake, ""), &files)).expect("what is gone already is no failure");
    assert_eq!(left(), others, "another replay's files stay");
}
