//! A lake with an archive, a streaming table of two partitions, side tables, a ledger and a bus. One counter of faults
//! counts the calls of all of them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use futures::executor::block_on;
use sluice_core::{RunId, TableId, event::Announcement, lake};

use super::*;
use crate::{
    fakes::{Faults, MemoryStore},
    replay::fakes::{Asked, JsonAlone, email, keep, record},
};

pub(super) const SWAP: Mode = Mode::Swap { delete_unarchived: false };

/// Its record breaks the contract.
const BAD: i64 = 3;

/// A row of the table: its channel, its place and its quantity.
pub(super) type StreamedRow = (String, i32, i64, i64);

pub(super) fn streamed(partition: i32, offset: i64, quantity: i64) -> StreamedRow {
    (format!("lake_cluster_purchases_{partition}"), partition, offset, quantity)
}

pub(super) struct World {
    pub store: MemoryStore,
    pub live: RefCell<Vec<StreamedRow>>,
    /// Rows that are none of a replay's business: of another creation of the topic, or above what is committed.
    pub strangers: Vec<StreamedRow>,
    pub sides: RefCell<BTreeMap<TableId, Vec<StreamedRow>>>,
    /// The replays that have swapped rows in.
    pub ledger: RefCell<Vec<String>>,
    /// The rows that each announcement tells of.
    pub announced: RefCell<Vec<u64>>,
    /// A person whose records are in no archive any more.
    pub forgotten: Option<&'static str>,
    /// How far each partition's channel is.
    pub committed: i64,
    pub confirms: bool,
    /// What reaches the table while the operator is asked.
    pub meanwhile: RefCell<Option<StreamedRow>>,
    pub steps: RefCell<Vec<Step>>,
}

impl World {
    /// The table is what the archive says.
    pub(super) fn whole() -> Self {
        let strangers = vec![("lake_cluster-2_purchases_1".to_owned(), 1, 4, 7), streamed(1, 900, 5)];
        let world = World {
            store: MemoryStore::default(),
            live: RefCell::default(),
            strangers,
            sides: RefCell::default(),
            ledger: RefCell::default(),
            announced: RefCell::default(),
            forgotten: None,
            committed: 9,
            confirms: true,
            meanwhile: RefCell::default(),
            steps: RefCell::default(),
        };
        world.archive(0, 6);
        world.archive(4, 10);
        *world.live.borrow_mut() = world.expected();
        world
    }

    /// Rows are missing, differ and stand twice.
    pub(super) fn damaged() -> Self {
        let world = World::whole();
        world.damage();
        world
    }

    pub(super) fn damage(&self) {
        let mut live = self.live.borrow_mut();
        live.retain(|row| ![streamed(1, 0, 1), streamed(1, 1, 1), streamed(1, 2, 1)].contains(row));
        live.extend([streamed(1, 2, 9), streamed(1, 4, 1)]);
    }

    /// Both partitions' records from one offset to before another.
    pub(super) fn archive(&self, from: i64, to: i64) {
        for partition in [1, 2] {
            let records: Vec<_> = (from..to).map(|offset| record(offset, offset, offset != BAD)).collect();
            keep(&self.store, "cluster", partition, &records);
        }
    }

    /// The stream goes on.
    pub(super) fn stream(&mut self) {
        self.committed += 1;
        self.archive(self.committed, self.committed + 1);
        self.live.borrow_mut().extend([1, 2].map(|partition| streamed(partition, self.committed, 1)));
    }

    /// What the table should hold.
    pub(super) fn expected(&self) -> Vec<StreamedRow> {
        let offsets = || (0..=self.committed).filter(|offset| *offset != BAD && self.forgotten != Some(email(*offset)));
        let mut rows = self.strangers.clone();
        for partition in [1, 2] {
            rows.extend(offsets().map(|offset| streamed(partition, offset, 1)));
        }
        rows.sort();
        rows
    }

    pub(super) fn rows(&self) -> Vec<StreamedRow> {
        let mut rows = self.live.borrow().clone();
        rows.sort();
        rows
    }

    pub(super) fn files(&self, id: &str) -> usize {
        let part = format!("/replay-{id}/");
        self.store.objects.borrow().keys().filter(|key| key.contains(&part)).count()
    }

    pub(super) fn replay(&self, id: &str, mode: Mode) -> (Report, Result<()>) {
        let asked = Asked::by(id);
        let request = Request { mode, ..asked.request() };
        let run = Run { world: self, id, table: request.table.table.clone() };
        let files = Written { run: &run, run_id: asked.run.clone(), rows: Vec::new() };
        let replay =
            Replay { store: &self.store, formats: &JsonAlone, warehouse: &run, bus: &run, operator: &run, request };
        block_on(replay.run(files))
    }

    pub(super) fn strike(&mut self, faults: Faults) {
        self.store.faults = faults;
    }
}

/// One replay's view of the world.
struct Run<'a> {
    world: &'a World,
    id: &'a str,
    table: TableId,
}

impl Run<'_> {
    fn call<T>(&self, act: impl FnOnce() -> T) -> Result<T> {
        self.world.store.faults.call(act)
    }

    fn compared(&self, range: &Range, side: &[StreamedRow]) -> Compared {
        let is_in = |row: &&StreamedRow| row.0 == range.channel && (range.first..=range.last).contains(&row.2);
        let live = self.world.live.borrow();
        let (live, side): (Vec<&StreamedRow>, Vec<&StreamedRow>) =
            (live.iter().filter(is_in).collect(), side.iter().filter(is_in).collect());
        let offsets = |rows: &[&StreamedRow]| -> BTreeSet<i64> { rows.iter().map(|row| row.2).collect() };
        let (held, archived) = (offsets(&live), offsets(&side));
        let count = |number: usize| Some(number as u64);
        Compared {
            held: count(held.len()),
            only_archived: count(archived.difference(&held).count()),
            only_held: count(live.iter().filter(|row| !archived.contains(&row.2)).count()),
            differing: count(live.iter().filter(|row| archived.contains(&row.2) && !side.contains(row)).count()),
            twice: count(live.len() - held.len()),
        }
    }
}

impl Warehouse for Run<'_> {
    async fn committed(&self, channels: &[Channel]) -> Result<BTreeMap<String, i64>> {
        self.call(|| channels.iter().map(|channel| (channel.name.clone(), self.world.committed)).collect())
    }

    async fn count(&self, ranges: &[Range]) -> Result<BTreeMap<i32, Compared>> {
        self.call(|| ranges.iter().map(|range| (range.partition, self.compared(range, &[]))).collect())
    }

    fn side_table(&self) -> TableId {
        TableId { table: format!("PURCHASES__REPLAY_{}", self.id), ..self.table.clone() }
    }

    async fn fill(&self, files: &[DataFile]) -> Result<()> {
        self.call(|| {
            let objects = self.world.store.objects.borrow();
            let bodies = files.iter().map(|file| objects.get(&file.path).expect("the side table is filled from files"));
            let rows =
                bodies.flat_map(|body| serde_json::from_slice::<Vec<StreamedRow>>(body).expect("rows")).collect();
            self.world.sides.borrow_mut().insert(self.side_table(), rows);
        })
    }

    async fn compare(&self, ranges: &[Range]) -> Result<BTreeMap<i32, Compared>> {
        self.call(|| {
            let sides = self.world.sides.borrow();
            let side = sides.get(&self.side_table()).expect("what is compared is in the side table");
            ranges.iter().map(|range| (range.partition, self.compared(range, side))).collect()
        })
    }

    async fn swap(&self, ranges: &[Range], _: &[DataFile], delete_unarchived: bool) -> Result<()> {
        self.call(|| {
            let sides = self.world.sides.borrow();
            let side = sides.get(&self.side_table()).expect("what is swapped in is in the side table");
            let lacking: u64 = ranges.iter().filter_map(|range| self.compared(range, side).only_held).sum();
            if lacking > 0 && !delete_unarchived {
                return Err(Error::conflict("rows came in"));
            }
            let is_in =
                |row: &StreamedRow| ranges.iter().any(|r| r.channel == row.0 && (r.first..=r.last).contains(&row.2));
            let mut live = self.world.live.borrow_mut();
            live.retain(|row| !is_in(row));
            live.extend(side.iter().filter(|row| is_in(row)).cloned());
            self.world.ledger.borrow_mut().push(self.id.to_owned());
            Ok(())
        })?
    }

    async fn drop_side_table(&self) -> Result<()> {
        self.call(|| drop(self.world.sides.borrow_mut().remove(&self.side_table())))
    }
}

impl Bus for Run<'_> {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.call(|| {
            assert_eq!(self.world.rows(), self.world.expected(), "announced before the table was right");
            let rows = announcement.detail["rows"].as_u64().expect("rows");
            self.world.announced.borrow_mut().push(rows);
        })
    }
}

impl Operator for Run<'_> {
    fn begins(&self, step: Step) {
        self.world.steps.borrow_mut().push(step);
    }

    fn has_read(&self, _: i32) {}

    fn confirms(&self, report: &Report) -> Result<bool> {
        assert!(!self.world.ledger.borrow().contains(&self.id.to_owned()), "asked after the swap");
        assert!(report.changes() > 0 && report.outcome.is_none(), "{report:?}");
        self.world.live.borrow_mut().extend(self.world.meanwhile.take());
        Ok(self.world.confirms)
    }
}

/// Rows on their way into one file.
struct Written<'a> {
    run: &'a Run<'a>,
    run_id: RunId,
    rows: Vec<StreamedRow>,
}

impl Files for Written<'_> {
    async fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        let [
            _,
            _,
            _,
            Cell::Bigint(quantity),
            _,
            _,
            Cell::Text(run),
            ..,
            Cell::Bigint(partition),
            Cell::Bigint(offset),
            _,
        ] = row
        else {
            panic!("{row:?}")
        };
        let channel = run.split_once('/').expect("a channel's run").0;
        let partition = i32::try_from(*partition).expect("a partition");
        self.run.call(|| self.rows.push((channel.to_owned(), partition, *offset, *quantity)))
    }

    async fn finish(self) -> Result<Vec<DataFile>> {
        self.run.call(|| {
            if self.rows.is_empty() {
                return Vec::new();
            }
            let path = lake::data_key(&self.run.table, &self.run_id, 0);
            let body = serde_json::to_vec(&self.rows).expect("JSON");
            self.run.world.store.objects.borrow_mut().insert(path.clone(), body.into());
            let rows = self.rows.len() as u64;
            vec![DataFile { path, rows, bytes: 1, checksum: String::new(), values: Vec::new() }]
        })
    }
}
