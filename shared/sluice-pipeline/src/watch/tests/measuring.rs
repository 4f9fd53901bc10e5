//! What is measured when, and what a warehouse that fails, hangs or was not watched does to it.

use super::*;

/// A stream, whose days are known only where somebody has measured them.
fn stream() -> Sources {
    let text = "tables:\n  - table: STREAMING.A.T0\n    description: d\n    source: {kind: kafka, topic: t}\n    loader: streaming\n    \
                disposition: append\n    key: [id]\n    columns:\n      - {name: id, type: bigint, required: true}\n";
    Sources::parse(text).expect("valid sources")
}

#[test]
fn a_failed_test_is_explained_only_by_tables_that_it_reads() {
    for (test, opened) in [("test.sluice.of_it", 0), ("test.sluice.of_another", 1), ("test.sluice.new", 1)] {
        let stage = Stage::new(1);
        let manifest = serde_json::json!({"parent_map": {
            "test.sluice.of_it": ["model.sluice.facts"],
            "test.sluice.of_another": ["model.sluice.others"],
            "model.sluice.facts": ["source.sluice.dlt_a.t0", "source.sluice.dlt_a.t1"],
            "model.sluice.others": ["source.sluice.dlt_a.t1"],
            "source.sluice.dlt_a.t0": [],
        }});
        let manifest = serde_json::to_vec(&manifest).expect("JSON").into();
        stage.store.objects.borrow_mut().insert(sluice_core::lake::DBT_MANIFEST_KEY.to_owned(), manifest);
        stage.warehouse.failed_nodes.replace(vec![test.to_owned()]);
        stage.warehouse.rows.set(300);
        stage.report();
        assert_eq!((stage.told("Volume drop").len(), stage.told("Tests failed").len()), (1, opened), "{test}");
    }
}

#[test]
fn a_warehouse_that_hangs_leaves_the_time_for_messages() {
    let stage = Stage::new(1);
    stage.warehouse.hangs.set(true);
    stage.seconds.set(115);
    let reports = [stage.report(), stage.report()];
    assert!(stage.told("No data").contains(&Action::Open), "{reports:?}");
    assert!(reports.iter().all(|report| report.unsent == 0), "{reports:?}");
}

#[test]
fn rounds_of_a_day_ask_for_partitions_in_the_same_words() {
    let stage = Stage::of(stream());
    for _ in 0..12 {
        stage.report();
    }
    assert_eq!(stage.warehouse.partitions_since.borrow().len(), 1, "another question starts the warehouse again");
}

#[test]
fn a_round_with_nothing_new_only_looks() {
    let stage = Stage::new(1);
    stage.report();
    stage.report();
    let works = stage.warehouse.works.get();
    for _ in 0..30 {
        stage.report();
    }
    assert_eq!(stage.warehouse.works.get(), works, "each of them starts the warehouse");
}

#[test]
fn a_stream_that_rests_is_measured_once_a_day() {
    let stage = Stage::of(stream());
    stage.warehouse.streamed.set(1_000);
    let measured_in = |rounds: usize| {
        let before = stage.warehouse.measures.get();
        (0..rounds).for_each(|_| drop(stage.report()));
        stage.warehouse.measures.get() - before
    };
    assert_eq!(measured_in(1), 1);
    let works = stage.warehouse.works.get();
    assert_eq!((measured_in(12 * 8), stage.warehouse.works.get()), (0, works), "each measure starts the warehouse");
    stage.clock.advance(MINUTES * 12 * 24);
    assert_eq!(measured_in(12), 1);
    stage.warehouse.streamed.set(1_001);
    assert_eq!(measured_in(12 * 3), 1, "a row has come");
    let letter = sluice_core::lake::dead_letter_key("t", 0, 1_001, "00ff00ff");
    stage.store.objects.borrow_mut().insert(letter, "{}".into());
    assert!(measured_in(12 * 3) > 0, "a record that is no row has come");
}

#[test]
fn a_stream_of_which_nobody_knows_whether_it_rests_is_measured_each_hour() {
    let stage = Stage::of(stream());
    stage.report();
    stage.warehouse.is_unlisted.set(true);
    let before = stage.warehouse.measures.get();
    (0..12 * 3).for_each(|_| drop(stage.report()));
    assert_eq!(stage.warehouse.measures.get() - before, 3);
}

#[test]
fn a_table_that_cannot_be_measured_is_tried_less_and_less_often() {
    let stage = Stage::new(1);
    stage.warehouse.is_unmeasured.set(true);
    let mut tries = Vec::new();
    for round in 0..50 {
        let before = stage.warehouse.measures.get();
        stage.report();
        tries.extend((stage.warehouse.measures.get() > before).then_some(round * 5));
    }
    assert_eq!(tries, [0, 5, 20, 50, 110, 170, 230], "minutes");
    stage.warehouse.is_unmeasured.set(false);
    for _ in 0..24 {
        stage.report();
    }
    assert_eq!(stage.warehouse.measures.get(), tries.len() + 1);
    let told = stage.told("No data");
    assert_eq!((told.first(), told.last()), (Some(&Action::Open), Some(&Action::Resolve)));
}

#[test]
fn tables_are_measured_at_once_when_the_warehouse_is_back() {
    let stage = Stage::new(1);
    stage.warehouse.is_away.set(true);
    for _ in 0..6 {
        stage.report();
    }
    stage.warehouse.is_away.set(false);
    let before = stage.warehouse.measures.get();
    stage.report();
    assert_eq!(stage.warehouse.measures.get(), before + 1);
}

#[test]
fn days_on_which_nobody_watched_are_measured_later_and_not_empty() {
    let stage = Stage::of(stream());
    stage.report();
    stage.clock.advance(MINUTES * 12 * 24 * 20);
    stage.warehouse.rows.set(300);
    stage.report();
    assert_eq!(stage.told("Volume drop"), [Action::Open]);
    let kept = stage.warehouse.kept.borrow();
    let rows: Vec<u64> = kept["STREAMING.A.T0"].values().map(|day| day.rows).collect();
    assert_eq!((rows.len(), rows.iter().min()), (81, Some(&300)));
}

#[test]
fn a_day_on_which_a_stream_brought_nothing_is_an_empty_one() {
    let stage = Stage::of(stream());
    stage.report();
    stage.clock.advance(MINUTES * 12 * 24);
    stage.warehouse.rows.set(0);
    stage.report();
    assert_eq!(stage.told("Volume drop"), [Action::Open]);
    let kept = stage.warehouse.kept.borrow();
    assert_eq!(kept["STREAMING.A.T0"].values().next_back().map(|day| day.rows), Some(0));
}

#[test]
fn new_dead_letters_are_told_although_as_many_old_ones_expire() {
    let stage = Stage::of(stream());
    stage.warehouse.rows.set(1_000);
    let key = |partition: i32, offset: i64| sluice_core::lake::dead_letter_key("t", partition, offset, "00ff00ff");
    let put =
        |keys: &[String]| stage.store.objects.borrow_mut().extend(keys.iter().map(|key| (key.clone(), "{}".into())));
    let letters = |offsets: std::ops::Range<i64>| {
        offsets.flat_map(|offset| [0, 10, 2].map(|at| key(at, offset))).collect::<Vec<_>>()
    };
    put(&letters(0..2_500));
    stage.report();
    assert!(stage.told("Dead letters").is_empty(), "those of the days before");
    stage.store.objects.borrow_mut().retain(|key, _| !key.starts_with("dead-letter/t/0/"));
    put(&letters(2_500..2_550));
    stage.clock.advance(MINUTES * 12);
    stage.report();
    assert_eq!(stage.told("Dead letters"), [Action::Open]);
    let state = block_on(State::read(&stage.store)).expect("a board");
    assert_eq!(state.letters["t"].today, 150);
}
