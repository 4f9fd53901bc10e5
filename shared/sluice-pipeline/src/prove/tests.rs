//! Each planted difference is found, with its commits and its columns; nothing is left of a proof.

use std::future::{pending, ready};

use futures::executor::block_on;
use sluice_core::{TableId, lake};

use super::*;
use crate::{
    fakes::Faults,
    rebuild::{
        Entry,
        tests::world::{Row, Run, World},
    },
};

/// The source has what the commits have read, and one row that the next run reads.
fn proven() -> World {
    let world = World::whole();
    let rows = world.expected().into_iter().map(|(key, value, _)| (key, value)).collect();
    *world.source.borrow_mut() = [rows, vec![(7, 7)]];
    *world.live.borrow_mut() = world.expected();
    world
}

fn source_table(run: &Run<'_>) -> TableId {
    let side = rebuild::Warehouse::side_table(run);
    TableId { table: format!("{}_SOURCE", side.table), ..side }
}

impl Warehouse for Run<'_> {
    async fn fill_source(&self, behind: &[DataFile], ahead: &[DataFile]) -> Result<()> {
        self.call(|| {
            let objects = self.world.store.objects.borrow();
            let rows = |files: &[DataFile], commit| -> Vec<Row> {
                let bodies = files.iter().map(|file| objects.get(&file.path).expect("a file"));
                let rows = bodies.flat_map(|body| serde_json::from_slice::<Vec<(i64, i64)>>(body).expect("rows"));
                rows.map(|(key, value)| (key, value, commit)).collect()
            };
            let rows = [rows(behind, 0), rows(ahead, u64::MAX)].concat();
            self.world.sides.borrow_mut().insert(source_table(self), rows);
        })
    }

    async fn compare_source(&self) -> Result<Compared> {
        self.call(|| {
            let sides = self.world.sides.borrow();
            let side = &sides[&rebuild::Warehouse::side_table(self)];
            self.compared(side, &sides[&source_table(self)], |row| row.2 == 0)
        })
    }

    async fn drop_source_table(&self) -> Result<()> {
        self.call(|| drop(self.world.sides.borrow_mut().remove(&source_table(self))))
    }
}

impl SourceRows for Run<'_> {
    async fn read(&self, rows: AsideRows) -> Result<Aside> {
        self.call(|| {
            let world = self.world;
            let rows_of = &world.source.borrow()[usize::from(rows == AsideRows::Ahead)];
            let path = format!("{}proof-{rows:?}", lake::data_prefix(&world.definition.table));
            let count = rows_of.len() as u64;
            world.store.objects.borrow_mut().insert(path.clone(), serde_json::to_vec(rows_of).expect("JSON").into());
            let file = DataFile { path, rows: count, bytes: 1, checksum: String::new(), values: Vec::new() };
            let newest = world.history().last().map(|commit| commit.sequence).expect("a commit");
            Aside { newest, files: vec![file], rejected: None }
        })
    }
}

/// A source whose second answer never comes.
struct Hanging<'r, 'w>(&'r Run<'w>);

impl SourceRows for Hanging<'_, '_> {
    async fn read(&self, rows: AsideRows) -> Result<Aside> {
        match rows {
            AsideRows::Behind => self.0.read(rows).await,
            AsideRows::Ahead => pending().await,
        }
    }
}

impl Deletion for Run<'_> {
    async fn delete(&self, key: &str) -> Result<()> {
        self.world.store.delete(key).await
    }
}

fn prove(world: &World) -> Result<Proof> {
    let run = Run { world, id: "P" };
    block_on(
        Prove { store: &run, warehouse: &run, source: &run, operator: &run, table: &world.definition }.run(pending()),
    )
}

#[test]
fn a_proof_that_is_stopped_leaves_nothing() {
    let world = proven();
    let run = Run { world: &world, id: "P" };
    let source = &Hanging(&run);
    let prove = Prove { store: &run, warehouse: &run, source, operator: &run, table: &world.definition };
    let error = block_on(prove.run(ready(()))).expect_err("stopped");
    assert!(error.chain().contains("stopped"), "{}", error.chain());
    nothing_left(&world);
}

fn nothing_left(world: &World) {
    assert!(world.sides.borrow().is_empty(), "a side table is left");
    assert!(!world.store.objects.borrow().keys().any(|key| key.contains("proof")), "a file is left");
}

/// The findings: fault, commits, rows, columns.
fn found(world: &World) -> Vec<(Fault, Vec<u64>, u64, Vec<String>)> {
    let before = world.table();
    let proof = prove(world).expect("a proof");
    nothing_left(world);
    assert_eq!((world.table(), world.announced.borrow().len()), (before, 0), "a proof changes nothing");
    assert_eq!(proof.equal, proof.findings.is_empty());
    let told = |finding: Finding| {
        let commits = finding.commits.iter().map(|commit| commit.0).collect();
        (finding.fault, commits, finding.rows, finding.columns)
    };
    proof.findings.into_iter().map(told).collect()
}

#[test]
fn what_is_equal_is_proven_with_its_counts() {
    let proof = prove(&proven()).expect("a proof");
    assert!(proof.equal && proof.findings.is_empty(), "{proof:?}");
    let counts = (proof.source, proof.committed, proof.built, proof.loaded, proof.held);
    assert_eq!(counts, (Some(6), 8, 6, 8, 6), "rows that were read twice are in two commits");
    let column = &proof.columns[0];
    assert_eq!((column.source, column.committed, column.table), (Some(6), 6, 6));
}

#[test]
fn each_planted_difference_is_found_with_its_commits_and_columns() {
    let v = || vec!["V".to_owned()];
    type Plant = fn(&World);
    /// What is planted, and what is found: the fault, in which commits, how many rows, in which columns.
    type Case<'a> = (&'a str, Plant, Fault, &'a [u64], u64, Vec<String>);
    let cases: [Case<'_>; 9] = [
        ("a row deleted", |w| w.live.borrow_mut().retain(|row| row.0 != 3), Fault::NotInTable, &[2], 1, vec![]),
        ("a value changed", |w| w.live.borrow_mut()[4].1 = 99, Fault::ChangedInTable, &[4], 1, v()),
        ("a row by hand", |w| w.live.borrow_mut().push((77, 1, 0)), Fault::OnlyInTable, &[], 1, vec![]),
        (
            "a commit loaded twice",
            |w| {
                let twice: Vec<Row> = w.live.borrow().iter().filter(|row| row.2 == 4).copied().collect();
                w.live.borrow_mut().extend(twice);
            },
            Fault::TwiceInTable,
            &[4],
            2,
            vec![],
        ),
        ("a commit never loaded", |w| w.commit(5, &[(50, 1)]), Fault::NotLoaded, &[5], 1, vec![]),
        (
            "another run in the ledger",
            |w| w.entries.borrow_mut()[2].rows = 7,
            Fault::RecordedOtherwise,
            &[3],
            2,
            vec![],
        ),
        ("a source row changed", |w| w.source.borrow_mut()[0][4].1 = 99, Fault::ChangedInSource, &[4], 1, v()),
        (
            "a source row deleted",
            |w| w.source.borrow_mut()[0].retain(|row| row.0 != 3),
            Fault::GoneFromSource,
            &[2],
            1,
            vec![],
        ),
        ("a row never read", |w| w.source.borrow_mut()[0].push((0, 1)), Fault::NotCommitted, &[], 1, vec![]),
    ];
    for (what, plant, fault, commits, rows, columns) in cases {
        let world = proven();
        if fault == Fault::NotLoaded {
            world.source.borrow_mut()[0].push((50, 1));
        }
        plant(&world);
        assert_eq!(found(&world), [(fault, commits.to_vec(), rows, columns)], "{what}");
    }
}

#[test]
fn a_ledger_that_has_a_commit_twice_or_one_of_no_log_is_told() {
    let world = proven();
    let entry = world.entries.borrow()[1].clone();
    let unknown = Entry { sequence: Sequence(9), ..entry.clone() };
    world.entries.borrow_mut().extend([entry, unknown]);
    let faults: Vec<Fault> = found(&world).into_iter().map(|found| found.0).collect();
    assert_eq!(faults, [Fault::RecordedTwice, Fault::UnknownCommit]);
}

#[test]
fn a_load_at_any_call_of_a_proof_is_no_difference() {
    for call in 0.. {
        let world = proven();
        world.arrives_at(call);
        let proof = prove(&world).expect("a proof");
        let of_source = |finding: &Finding| finding.fault == Fault::GoneFromSource;
        // Here the source has not what the run has read.
        assert!(proof.findings.iter().all(of_source), "call {call}: {:?}", proof.findings);
        nothing_left(&world);
        if world.store.faults.calls() <= call {
            assert!(call > 20, "loads came at {call} calls only");
            break;
        }
    }
}

#[test]
fn a_proof_that_fails_says_so_and_clears_what_it_can() {
    for (dies, after_acting) in [(false, false), (false, true), (true, true)] {
        for call in 0.. {
            let mut world = proven();
            world.strike(Faults::at(call, after_acting).dying(dies));
            let proof = prove(&world);
            let struck = world.store.faults.calls() > call;
            assert_eq!(proof.is_err(), struck, "call {call}: {proof:?}");
            world.strike(Faults::none());
            if !struck {
                break;
            }
            world.sides.borrow_mut().clear();
            assert!(prove(&world).is_ok_and(|proof| proof.equal), "call {call}: the next one is not kept from it");
        }
    }
}

#[test]
fn a_source_that_cannot_be_asked_is_named_and_the_rest_is_proven() {
    let sources = sluice_core::Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("sources");
    for table in &sources.tables {
        assert_eq!(unproven(table).is_none(), table.table.table == "PRODUCTS", "{}", table.table);
    }
    let mut world = proven();
    world.definition.source = Source::HubspotContacts;
    world.source.borrow_mut()[0].clear();
    let proof = prove(&world).expect("a proof");
    assert_eq!((proof.equal, proof.source, proof.source_unproven.is_some()), (true, None, true));
}
