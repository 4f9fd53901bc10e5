//! A lake with a table's log, a raw table, side tables, a ledger and a lock. One counter of faults counts the calls of all.
//! A load may come at any call.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::{Value, json};
use sluice_core::{
    Commit, Disposition, LakeId, RunId, Sources, Table, TableId, event::Announcement, lake, port::Listing,
};

use super::*;
use crate::{
    fakes::{Faults, MemoryStore},
    rebuild::Entry,
};

pub(crate) const SWAP: Mode = Mode::Swap { delete_unarchived: false };

/// A key, a value, and the commit that brought it.
pub(crate) type Row = (i64, i64, u64);

pub(crate) fn row(key: i64, value: i64, commit: u64) -> Row {
    (key, value, commit)
}

pub(crate) struct World {
    pub store: MemoryStore,
    pub definition: Table,
    pub live: RefCell<Vec<Row>>,
    pub sides: RefCell<BTreeMap<TableId, Vec<Row>>>,
    pub entries: RefCell<Vec<Entry>>,
    pub mark: RefCell<String>,
    /// The replays that have swapped rows in.
    pub replays: RefCell<Vec<String>>,
    pub announced: RefCell<Vec<u64>>,
    /// What the source has behind its cursor, and ahead of it.
    pub source: RefCell<[Vec<(i64, i64)>; 2]>,
    pub confirms: bool,
    /// A load comes at the call of this number.
    pub arrival: Cell<Option<usize>>,
    /// A load comes with each comparison.
    pub always: RefCell<bool>,
}

impl World {
    fn new(disposition: &str) -> Self {
        let yaml = "tables: [{table: A.B.C, description: d, source: {kind: postgres, schema: s, table: t, cursor: k}, columns: \
             [{name: k, type: bigint, required: true}, {name: v, type: bigint}], loader: copy, disposition: merge, \
             key: [k]}]";
        let mut definition = Sources::parse(yaml).expect("valid sources").tables.remove(0);
        definition.disposition = serde_json::from_value(disposition.into()).expect("a disposition");
        let world = World {
            store: MemoryStore::default(),
            definition,
            live: RefCell::default(),
            sides: RefCell::default(),
            entries: RefCell::default(),
            mark: RefCell::new(",".to_owned()),
            replays: RefCell::default(),
            announced: RefCell::default(),
            source: RefCell::default(),
            confirms: true,
            arrival: Cell::new(None),
            always: RefCell::new(false),
        };
        world.commit(1, &[(1, 1), (2, 2)]);
        world.commit(2, &[(3, 3), (1, 1)]);
        world.commit(3, &[(4, 4), (2, 2)]);
        world.commit(4, &[(5, 5), (6, 6)]);
        for sequence in [2, 1, 3, 4] {
            world.load(sequence);
        }
        world
    }

    /// A merged table that is what its commits make.
    pub(crate) fn whole() -> Self {
        World::new("merge")
    }

    pub(crate) fn damaged() -> Self {
        let world = World::new("merge");
        // As if they had been loaded in order.
        *world.live.borrow_mut() = world.expected();
        world.damage();
        world
    }

    pub(crate) fn appended() -> Self {
        let world = World::new("append");
        world.damage();
        world
    }

    pub(crate) fn replaced() -> Self {
        let world = World::new("replace");
        world.damage();
        world
    }

    /// A row is gone, one is another, one stands twice.
    pub(crate) fn damage(&self) {
        let mut live = self.live.borrow_mut();
        live.retain(|row| row.0 != 3);
        let first = live.first().copied();
        live.extend(first);
        for row in live.iter_mut().filter(|row| row.0 == 5) {
            row.1 = 99;
        }
    }

    pub(crate) fn commit(&self, sequence: u64, rows: &[(i64, i64)]) {
        let path = format!("{}run-{sequence}/x", lake::data_prefix(&self.definition.table));
        let commit = json!({
            "format_version": 1, "lake_id": "lake", "table": self.definition.table, "sequence": sequence,
            "run_id": format!("run-{sequence}"), "loader": "copy", "disposition": self.definition.disposition,
            "key": ["k"], "schema": [{"name": "k", "type": "bigint"}, {"name": "v", "type": "bigint"}],
            "schema_fingerprint": "", "rows": rows.len(), "cursor_from": sequence, "cursor_to": sequence,
            "files": [{"path": path, "rows": rows.len(), "bytes": 1, "checksum": "c"}],
            "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
        });
        let mut objects = self.store.objects.borrow_mut();
        objects.insert(path, serde_json::to_vec(rows).expect("JSON").into());
        objects.insert(self.key(sequence), Bytes::from(commit.to_string()));
    }

    fn key(&self, sequence: u64) -> String {
        lake::log_key(&self.definition.table, Sequence(sequence))
    }

    fn change(&self, sequence: u64, change: impl FnOnce(&mut Value)) {
        let mut objects = self.store.objects.borrow_mut();
        let body = objects.get_mut(&self.key(sequence)).expect("a commit");
        let mut commit: Value = serde_json::from_slice(body).expect("JSON");
        change(&mut commit);
        *body = Bytes::from(commit.to_string());
    }

    /// The commit was read from the beginning.
    pub(crate) fn read_whole(&self, sequence: u64) {
        self.change(sequence, |commit| commit["cursor_from"] = Value::Null);
    }

    /// The data file of a commit is gone.
    pub(crate) fn lose(&self, sequence: u64) {
        let path = format!("{}run-{sequence}/x", lake::data_prefix(&self.definition.table));
        self.store.objects.borrow_mut().remove(&path);
    }

    fn has_lost(&self) -> bool {
        let objects = self.store.objects.borrow();
        self.history().iter().flat_map(|commit| &commit.files).any(|file| !objects.contains_key(&file.path))
    }

    /// An erasure has said so, and has taken these commits' files.
    pub(crate) fn erase(&self, gone: &[u64], before: Option<Sequence>) {
        for sequence in gone {
            self.lose(*sequence);
        }
        let next = self.history().len() as u64 + 1;
        self.commit(next, &[]);
        self.change(next, |commit| {
            commit["files"] = json!([]);
            commit["reset"] = json!({"to": next - 1, "by": "b", "reason": "r"});
            if let Some(before) = before {
                commit["reset"]["erased_before"] = json!(before);
            }
        });
        self.load(next);
    }

    pub(crate) fn history(&self) -> Vec<Commit> {
        let objects = self.store.objects.borrow();
        let log = lake::log_prefix(&self.definition.table);
        let mut commits: Vec<Commit> = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&log))
            .map(|(_, body)| Commit::decode(body).expect("a commit"))
            .collect();
        commits.sort_by_key(|commit| commit.sequence);
        commits
    }

    /// Loads a commit, as the load loop does: once.
    pub(crate) fn load(&self, sequence: u64) {
        let commits = self.history();
        let commit = commits.iter().find(|commit| commit.sequence.0 == sequence).expect("a commit");
        let newer = self.entries.borrow().iter().any(|entry| entry.sequence > commit.sequence);
        if commit.reset.is_none() && !(commit.disposition == Disposition::Replace && newer) {
            self.apply(commit, &mut self.live.borrow_mut());
        }
        let (run_id, rows) = (commit.run_id.clone(), commit.rows);
        let entry = Entry { sequence: commit.sequence, run_id, status: Status::Loaded, rows, reason: None };
        self.entries.borrow_mut().push(entry);
        self.mark.borrow_mut().push_str(&format!("{sequence},"));
    }

    /// A run commits, and its commit is loaded.
    pub(crate) fn arrive(&self) {
        let next = self.history().len() as u64 + 1;
        let key = i64::try_from(next).expect("small") * 10;
        self.commit(next, &[(key, key), (key + 1, 0)]);
        self.load(next);
    }

    pub(crate) fn arrives_at(&self, call: usize) {
        self.arrival.set(Some(call));
    }

    fn rows_of(&self, commit: &Commit) -> Vec<(i64, i64)> {
        let objects = self.store.objects.borrow();
        let bodies = commit.files.iter().map(|file| objects.get(&file.path).expect("a file that is there"));
        bodies.flat_map(|body| serde_json::from_slice::<Vec<(i64, i64)>>(body).expect("rows")).collect()
    }

    fn apply(&self, commit: &Commit, to: &mut Vec<Row>) {
        if commit.disposition == Disposition::Replace {
            to.clear();
        }
        for (key, value) in self.rows_of(commit) {
            if commit.disposition != Disposition::Merge || !to.iter().any(|row| row.0 == key) {
                to.push((key, value, commit.sequence.0));
            }
        }
    }

    /// What the loaded commits make, in their order.
    pub(crate) fn expected(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let entries = self.entries.borrow();
        for commit in self.history() {
            let is_loaded = entries.iter().any(|entry| entry.sequence == commit.sequence);
            if is_loaded && commit.reset.is_none() {
                self.apply(&commit, &mut rows);
            }
        }
        rows.sort_unstable();
        rows
    }

    pub(crate) fn table(&self) -> Vec<Row> {
        let mut rows = self.live.borrow().clone();
        rows.sort_unstable();
        rows
    }

    pub(crate) fn strike(&mut self, faults: Faults) {
        self.store.faults = faults;
    }

    /// What tells rows apart: the key, or with rows that are appended the commit too.
    fn identity(&self, row: &Row) -> (i64, u64) {
        (row.0, if self.definition.disposition == Disposition::Append { row.2 } else { 0 })
    }

    pub(crate) fn replay(&self, id: &str, mode: Mode) -> (Report, Result<()>) {
        let run = Run { world: self, id };
        let (lake_id, run_id) = (LakeId("lake".into()), RunId(id.to_owned()));
        let request = Request { table: &self.definition, lake_id: &lake_id, run_id: &run_id, mode };
        block_on(Rebuild { store: &run, warehouse: &run, bus: &run, operator: &run, request }.run())
    }
}

/// One replay's view of the world.
pub(crate) struct Run<'a> {
    pub world: &'a World,
    pub id: &'a str,
}

impl Run<'_> {
    /// A load may come before any call.
    pub(crate) fn call<T>(&self, act: impl FnOnce() -> T) -> Result<T> {
        let World { store, arrival, .. } = self.world;
        if arrival.get() == Some(store.faults.calls()) {
            self.world.arrive();
            arrival.set(None);
        }
        store.faults.call(act)
    }

    /// Which rows differ between a side table and another one: missing, other, twice, only there; by commit.
    pub(crate) fn compared(&self, side: &[Row], other: &[Row], counts: impl Fn(&Row) -> bool) -> Compared {
        let identity = |row: &Row| self.world.identity(row);
        let held: BTreeMap<_, &Row> = other.iter().rev().map(|row| (identity(row), row)).collect();
        let built: BTreeMap<_, &Row> = side.iter().map(|row| (identity(row), row)).collect();
        let mut compared = Compared::default();
        let mut values = Values { column: "V".to_owned(), ..Values::default() };
        for row in side {
            let of = compared.commits.entry(row.2).or_default();
            of.built += 1;
            values.built += 1;
            match held.get(&identity(row)) {
                None => of.only_built += 1,
                Some(found) if found.1 != row.1 => {
                    of.differing += 1;
                    values.differing += 1;
                    of.columns = vec!["V".to_owned()];
                }
                Some(_) => {}
            }
        }
        let mut seen = BTreeSet::new();
        for row in other.iter().filter(|row| counts(row) || built.contains_key(&identity(row))) {
            let commit = built.get(&identity(row)).map_or(row.2, |row| row.2);
            let of = compared.commits.entry(commit).or_default();
            of.held += 1;
            values.held += 1;
            match (built.contains_key(&identity(row)), seen.insert(identity(row))) {
                (false, _) => of.only_held += 1,
                (true, false) => of.twice += 1,
                (true, true) => {}
            }
        }
        compared.columns = vec![values];
        compared
    }

    fn with_table(&self, scope: &Scope) -> Compared {
        let sides = self.world.sides.borrow();
        let side = sides.get(&self.side_table()).expect("what is compared is in the side table");
        let is_left = |commit: u64| {
            let within = |(first, last): &(Sequence, Sequence)| (first.0..=last.0).contains(&commit);
            commit > scope.newest.0 || scope.left_alone.iter().any(within)
        };
        self.compared(side, &self.world.live.borrow(), |row| !is_left(row.2))
    }
}

impl ObjectStore for Run<'_> {
    async fn put(&self, key: &str, body: Bytes) -> Result<sluice_core::port::Stored> {
        self.world.store.put(key, body).await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<sluice_core::port::PutIfAbsent> {
        self.world.store.put_if_absent(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.call(|| self.world.store.objects.borrow().get(key).cloned())
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        self.call(|| self.world.store.objects.borrow().keys().find(|key| key.starts_with(prefix)).cloned())
    }
}

impl Listing for Run<'_> {
    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let is_there = |key: &&String| key.starts_with(prefix);
        self.call(|| self.world.store.objects.borrow().keys().filter(is_there).cloned().collect())
    }
}

impl Warehouse for Run<'_> {
    fn side_table(&self) -> TableId {
        TableId { table: format!("C__REPLAY_{}", self.id), ..self.world.definition.table.clone() }
    }

    async fn look(&self) -> Result<Standing> {
        self.call(|| Standing {
            entries: self.world.entries.borrow().clone(),
            mark: Some(self.world.mark.borrow().clone()),
        })
    }

    async fn begin(&self) -> Result<()> {
        self.call(|| drop(self.world.sides.borrow_mut().insert(self.side_table(), Vec::new())))
    }

    async fn add(&self, commit: &Commit) -> Result<()> {
        self.call(|| {
            let mut sides = self.world.sides.borrow_mut();
            self.world.apply(commit, sides.get_mut(&self.side_table()).expect("a side table"));
        })
    }

    async fn compare(&self, scope: &Scope) -> Result<Compared> {
        if *self.world.always.borrow() {
            self.world.arrive();
        }
        self.call(|| self.with_table(scope))
    }

    async fn swap(&self, scope: &Scope, mark: Option<&str>, delete: bool) -> Result<Swapped> {
        self.call(|| {
            if mark.is_some_and(|mark| *self.world.mark.borrow() != mark) {
                return Ok(Swapped::Moved);
            }
            let only_held = self.with_table(scope).total(|rows| rows.only_held);
            if only_held > 0 && !delete {
                return Err(Error::conflict("rows that no commit makes"));
            }
            let side = self.world.sides.borrow()[&self.side_table()].clone();
            *self.world.live.borrow_mut() = side;
            self.world.mark.borrow_mut().push_str(&format!("{},", self.id));
            self.world.replays.borrow_mut().push(self.id.to_owned());
            Ok(Swapped::Done)
        })?
    }

    async fn drop_side_table(&self) -> Result<()> {
        self.call(|| drop(self.world.sides.borrow_mut().remove(&self.side_table())))
    }
}

impl Bus for Run<'_> {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.call(|| {
            let right = self.world.has_lost() || self.world.table() == self.world.expected();
            assert!(right, "announced before the table was right");
            self.world.announced.borrow_mut().push(announcement.detail["rows"].as_u64().expect("rows"));
        })
    }
}

impl Operator for Run<'_> {
    fn begins(&self, _: Step) {}

    fn has_added(&self) {}

    fn confirms(&self, report: &Report) -> Result<bool> {
        assert!(report.changes() > 0 && report.outcome.is_none(), "{report:?}");
        Ok(self.world.confirms)
    }
}
