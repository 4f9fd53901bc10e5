use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::Duration,
};

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use sluice_core::{Cursor, DataFile, Sources, TableId, extract::Outcome as Extract, port::PutIfAbsent};

use super::*;
use crate::{
    extract,
    fakes::{Faults, ManualClock, MemoryBus, MemoryQueue, MemoryStore},
    log,
};

mod requests;
mod storm;
mod waiting;

/// A source of keys in the order in which they were committed, and everything around it. The cursor is how many of them
/// were there.
struct World {
    store: MemoryStore,
    bus: MemoryBus,
    queue: MemoryQueue,
    clock: ManualClock,
    lake: LakeId,
    table: Table,
    keys: RefCell<Vec<u64>>,
    /// How many a part holds.
    split_keys: usize,
    /// What the source says to every part, and whether that is final.
    refuses: Cell<Option<(Kind, bool)>>,
    runs: Cell<u32>,
}

/// The keys of a part: above one, up to another.
type Share = (Option<u64>, u64);

struct Shop<'a>(&'a World);

impl Shop<'_> {
    fn unseen(&self, run: &ExtractRun<'_>) -> Result<Vec<u64>> {
        let seen: usize = run.cursor.map(Cursor::decode).transpose()?.unwrap_or(0);
        Ok(self.0.keys.borrow()[seen..].to_vec())
    }

    fn position(&self) -> Result<Cursor> {
        Cursor::encode(&self.0.keys.borrow().len())
    }

    async fn write(&self, run: &ExtractRun<'_>, mut keys: Vec<u64>) -> Result<Vec<DataFile>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        keys.sort_unstable();
        let path = lake::data_key(&run.table.table, run.run_id, 0);
        let body = Bytes::from(serde_json::to_vec(&keys).expect("json"));
        let stored = self.0.store.put_if_absent(&path, body).await?;
        assert!(matches!(stored, PutIfAbsent::Stored(_)), "{path} was written twice");
        Ok(vec![DataFile { path, rows: keys.len() as u64, bytes: 1, checksum: "c".into(), values: Vec::new() }])
    }
}

impl Source for Shop<'_> {
    const STARTS_FROM_A_VALUE: bool = true;

    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        let files = self.write(run, self.unseen(run)?).await?;
        Ok(Extracted { files, cursor: Some(self.position()?), ..Extracted::default() })
    }
}

impl SplitSource for Shop<'_> {
    async fn partition(&mut self, run: &ExtractRun<'_>) -> Result<Option<Partitioning>> {
        let mut keys = self.unseen(run)?;
        if keys.len() <= self.0.split_keys {
            return Ok(None);
        }
        keys.sort_unstable();
        let ends: Vec<u64> = keys.chunks(self.0.split_keys).filter_map(|part| part.last().copied()).collect();
        let above = std::iter::once(None).chain(ends.iter().copied().map(Some));
        let chunks = above.zip(&ends).map(|(above, to)| Chunk::encode(&(above, *to))).collect::<Result<_>>()?;
        let is_whole = run.cursor.is_none() && run.request.from_cursor.is_none();
        Ok(Some(Partitioning { chunks, cursor: self.position()?, is_whole, facts: serde_json::Map::new() }))
    }

    async fn read_chunk(&mut self, run: &ExtractRun<'_>, chunk: &Chunk, _: &Cursor) -> Result<Extracted> {
        if let Some((kind, is_final)) = self.0.refuses.get() {
            let error = Error::new(kind, "the source refuses");
            return Err(if is_final { error.as_final() } else { error });
        }
        let (above, to): Share = chunk.decode()?;
        let keys = self.unseen(run)?.into_iter().filter(|key| above.is_none_or(|above| *key > above) && *key <= to);
        let files = self.write(run, keys.collect()).await?;
        let rejected = above.is_none().then(|| Rejected::one(1, lake::rejected_key(&run.table.table, run.run_id)));
        Ok(Extracted { files, rejected, ..Extracted::default() })
    }
}

impl World {
    fn new(disposition: &str, keys: u64) -> Self {
        let yaml = format!(
            "tables: [{{table: A.B.C, description: d, source: {{kind: currencies}}, loader: copy, key: [n],
             disposition: {disposition}, columns: [{{name: n, type: bigint, required: true}}]}}]"
        );
        World {
            store: MemoryStore::default(),
            bus: MemoryBus::default(),
            queue: MemoryQueue::default(),
            clock: ManualClock::default(),
            lake: LakeId("lake".into()),
            table: Sources::parse(&yaml).expect("valid sources").tables.remove(0),
            keys: RefCell::new((0..keys).map(|key| key * 10).collect()),
            split_keys: 3,
            refuses: Cell::default(),
            runs: Cell::default(),
        }
    }

    fn split(&self) -> Split<'_, MemoryStore, MemoryBus, ManualClock, MemoryQueue> {
        let World { store, bus, queue, clock, lake, .. } = self;
        Split { store, bus, clock, queue, lake_id: lake }
    }

    fn run_id(&self) -> RunId {
        RunId(format!("r{}", self.runs.replace(self.runs.get() + 1)))
    }

    fn run(&self) -> Result<ExtractSummary> {
        let request = json!({"time": "2026-01-01T00:00:00Z", "table": "A.B.C"});
        let request = serde_json::from_value(request).expect("a request");
        block_on(self.split().run(&mut Shop(self), &self.table, &self.run_id(), &request))
    }

    fn serve(&self, message: &SplitMessage) -> Result<Outcome> {
        block_on(self.split().handle(&mut Shop(self), &self.table, message, &self.run_id()))
    }

    fn serve_all<'a>(&self, parts: impl IntoIterator<Item = &'a SplitMessage>) {
        for part in parts {
            self.serve(part).expect("a part");
        }
    }

    /// Takes what has been queued.
    fn messages(&self) -> Vec<SplitMessage> {
        let sent = self.queue.sent.take();
        sent.into_iter().map(|(body, _)| serde_json::from_value(body).expect("a message")).collect()
    }

    /// Takes what has been queued, without the looks.
    fn parts(&self) -> Vec<SplitMessage> {
        self.messages().into_iter().filter(|message| message.part.is_some()).collect()
    }

    fn look(&self, number: u64) -> Outcome {
        let look = SplitMessage { table: self.table.table.clone(), number, part: None };
        self.serve(&look).expect("a look")
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.advance(time.to_std().expect("forward"));
    }

    fn commits(&self) -> Vec<Commit> {
        let id: &TableId = &self.table.table;
        let newest = block_on(log::newest_commit(&self.store, id)).expect("a readable log");
        let sequences = 1..=newest.map_or(0, |commit| commit.sequence.0);
        sequences.map(|n| block_on(log::read_commit(&self.store, id, Sequence(n))).expect("a commit")).collect()
    }

    /// The keys that a commit brings, in order.
    fn keys_of(&self, commit: &Commit) -> Vec<u64> {
        let objects = self.store.objects.borrow();
        let mut keys = Vec::new();
        for file in &commit.files {
            let read: Vec<u64> = serde_json::from_slice(&objects[&file.path]).expect("json");
            assert_eq!(read.len() as u64, file.rows, "{}", file.path);
            keys.extend(read);
        }
        keys.sort_unstable();
        keys
    }

    /// What the merges of all commits leave.
    fn loaded(&self) -> BTreeSet<u64> {
        self.commits().iter().flat_map(|commit| self.keys_of(commit)).collect()
    }

    fn source(&self) -> BTreeSet<u64> {
        self.keys.borrow().iter().copied().collect()
    }
}

#[test]
fn a_large_read_becomes_one_commit_and_every_replay_is_a_no_op() {
    let world = World::new("merge", 10);
    let summary = world.run().expect("a plan");
    assert_eq!((summary.outcome, summary.sequence), (Extract::InParts, Some(Sequence(1))));
    assert_eq!(summary.parts, Some(Parts { done: 0, of: 4 }));
    let messages = world.messages();
    assert_eq!(messages.iter().filter(|message| message.part.is_some()).count(), 4);

    let mut parts: Vec<&SplitMessage> = messages.iter().filter(|message| message.part.is_some()).collect();
    parts.rotate_left(2);
    for (done, part) in parts.iter().enumerate() {
        let outcome = world.serve(part).expect("a part");
        let last = done == 3;
        assert_eq!(outcome == Outcome::Committed(Sequence(1)), last, "{outcome:?} after {} parts", done + 1);
        assert_eq!(world.commits().is_empty(), !last);
    }
    let [commit] = &world.commits()[..] else { panic!("one commit") };
    assert_eq!(world.keys_of(commit), world.source().into_iter().collect::<Vec<_>>(), "each row once");
    assert_eq!((commit.run_id.0.as_str(), commit.rows, commit.files.len()), ("r0", 10, 4));
    assert_eq!((&commit.source_facts["parts"], commit.whole_since), (&json!(4), Some(Sequence(1))));
    let rejected = commit.rejected.as_ref().expect("a rejected row");
    assert_eq!((rejected.rows, rejected.path.as_str()), (1, "rejected/A/B/C/r0/"));
    assert!(rejected.files[0].starts_with("rejected/A/B/C/r0/00000-r"), "{:?}", rejected.files);

    let before = world.store.objects.borrow().clone();
    for message in messages.iter().chain(&messages) {
        assert_eq!(world.serve(message).expect("a replay"), Outcome::Over);
    }
    assert_eq!(world.run().expect("a run").outcome, Extract::NothingNew);
    assert_eq!(*world.store.objects.borrow(), before);
    assert!(world.messages().is_empty());
}

#[test]
fn rows_that_come_while_parts_are_read_are_brought_by_the_next_run() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    for (n, part) in world.parts().iter().enumerate() {
        world.keys.borrow_mut().push(n as u64 * 10 + 5);
        world.serve(part).expect("a part");
    }
    assert!(world.loaded().len() < 14, "a part that is read has no more news");
    assert_eq!(world.run().expect("the next run").outcome, Extract::InParts);
    for part in world.parts() {
        world.serve(&part).expect("a part");
    }
    assert_eq!(world.loaded(), world.source());
}

#[test]
fn a_read_that_fits_and_a_table_without_merge_are_not_partitioned() {
    for (disposition, keys) in [("merge", 3), ("append", 10), ("replace", 10)] {
        let world = World::new(disposition, keys);
        assert_eq!(world.run().expect("a run").outcome, Extract::Committed, "{disposition}");
        assert_eq!(world.loaded(), world.source());
        assert!(world.messages().is_empty());
    }
}

#[test]
fn while_a_read_is_partitioned_a_run_begins_no_other() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    let parts = world.parts();
    world.serve(&parts[1]).expect("a part");
    let second = world.run().expect("the next hour");
    assert_eq!((second.outcome, second.parts), (Extract::InParts, Some(Parts { done: 1, of: 4 })));
    assert_eq!(second.run_id.0, "r0", "the run that goes on");
    assert!(world.messages().is_empty(), "nothing is lost yet");
    let standing = || block_on(progress(&world.store, &world.table, world.commits().last())).expect("a look");
    assert_eq!(standing().expect("a plan").parts, Parts { done: 1, of: 4 });
    world.serve_all(&parts);
    assert_eq!(standing(), None);
    assert_eq!(world.loaded(), world.source());
}

#[test]
fn of_two_attempts_at_the_last_part_one_result_counts_and_both_may_commit() {
    struct Doubled<'a>(Shop<'a>, SplitMessage);
    impl Source for Doubled<'_> {
        async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
            self.0.read(run).await
        }
    }
    impl SplitSource for Doubled<'_> {
        async fn partition(&mut self, run: &ExtractRun<'_>) -> Result<Option<Partitioning>> {
            self.0.partition(run).await
        }
        async fn read_chunk(&mut self, run: &ExtractRun<'_>, chunk: &Chunk, planned: &Cursor) -> Result<Extracted> {
            let read = self.0.read_chunk(run, chunk, planned).await;
            let World { table, .. } = self.0.0;
            let faster = self.0.0.split().handle(&mut Shop(self.0.0), table, &self.1, &RunId("faster".into())).await;
            assert_eq!(faster?, Outcome::Committed(Sequence(1)));
            read
        }
    }
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    let mut parts = world.parts();
    let last = parts.pop().expect("four parts");
    world.serve_all(&parts);
    let mut source = Doubled(Shop(&world), last.clone());
    let slower = block_on(world.split().handle(&mut source, &world.table, &last, &RunId("slower".into())));
    assert_eq!(slower.expect("the commit is ours too"), Outcome::Committed(Sequence(1)));
    let [commit] = &world.commits()[..] else { panic!("one commit") };
    assert_eq!(world.keys_of(commit).len(), 10);
    assert!(commit.files.iter().any(|file| file.path.contains("-faster/")), "{:?}", commit.files);
    assert!(commit.files.iter().all(|file| !file.path.contains("-slower/")), "{:?}", commit.files);
}

#[test]
fn only_an_error_that_is_said_to_be_final_ends_the_plan() {
    for (kind, ends) in [
        (Kind::Unavailable, false),
        (Kind::InvalidData, false),
        (Kind::SchemaMismatch, false),
        (Kind::Unsupported, false),
        (Kind::Conflict, true),
        (Kind::SchemaMismatch, true),
    ] {
        let world = World::new("merge", 10);
        world.run().expect("a plan");
        let parts = world.parts();
        world.refuses.set(Some((kind, ends)));
        assert_eq!(world.serve(&parts[2]).expect_err("refused").kind(), kind);
        assert_eq!(world.bus.announced.borrow().len(), usize::from(ends), "{kind}");
        world.refuses.set(None);
        let next = world.serve(&parts[0]).expect("a part");
        assert_eq!(next == Outcome::Over, ends, "{kind}: {next:?}");
    }
}

#[test]
fn whatever_commits_first_makes_the_plan_void() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    let parts = world.parts();
    world.serve_all(&parts[1..]);
    let whole = ExtractRequest::scheduled(world.table.table.clone(), DateTime::UNIX_EPOCH);
    let (mut shop, run_id, ports) = (Shop(&world), RunId("other".into()), (&world.store, &world.bus, &world.clock));
    let run = extract::run(ports.0, ports.1, ports.2, &mut shop, &world.lake, &world.table, &run_id, &whole);
    assert_eq!(block_on(run).expect("another run").sequence, Some(Sequence(1)));
    let void = world.serve(&parts[0]).expect_err("void");
    assert_eq!((void.kind(), void.is_final()), (Kind::Conflict, true));
    assert_eq!(world.commits().len(), 1);
    assert_eq!(world.run().expect("the next run").outcome, Extract::NothingNew);
}

#[test]
fn whichever_call_fails_repeating_leaves_one_commit_with_every_row() {
    let mut struck_at_all = 0;
    for after_acting in [false, true] {
        for call in 0.. {
            let mut world = World::new("merge", 10);
            world.store.faults = Faults::at(call, after_acting);
            let _ = world.run();
            let mut messages = world.messages();
            while let Some(message) = messages.pop() {
                if message.part.is_some() && world.serve(&message).is_err() {
                    messages.insert(0, message);
                }
            }
            let struck = world.store.faults.calls() > call;
            world.store.faults = Faults::none();
            for _ in 0..2 {
                world.run().expect("a run");
                world.serve_all(&world.parts());
                world.pass(QUIET);
            }
            assert_eq!(world.loaded(), world.source(), "call {call}, after acting: {after_acting}");
            assert_eq!(world.commits().len(), 1, "call {call}, after acting: {after_acting}");
            if !struck {
                break;
            }
            struck_at_all += 1;
        }
    }
    assert!(struck_at_all > 60, "only {struck_at_all} calls failed");
}

#[test]
fn a_queue_that_fails_while_parts_are_sent_is_mended_by_a_look() {
    for call in 0..5 {
        let mut world = World::new("merge", 10);
        world.queue.faults = Faults::at(call, false);
        world.run().expect_err("the queue failed");
        let sent = world.messages();
        assert_eq!(sent.len(), call, "the look first, then the parts");
        world.queue.faults = Faults::none();
        world.serve_all(sent.iter().filter(|m| m.part.is_some()));
        world.pass(QUIET);
        if call == 0 {
            assert_eq!(world.run().expect("a run").outcome, Extract::InParts, "no plan had been put");
        } else {
            assert!(matches!(world.look(1), Outcome::UnderWay(_)));
        }
        world.serve_all(&world.parts());
        assert_eq!(world.loaded(), world.source(), "call {call}");
        assert_eq!(world.commits().len(), 1);
    }
}
