use super::*;

fn snapshot(xmin: u64, xmax: u64, next: u64) -> Snapshot {
    Snapshot { text: format!("{xmin}:{xmax}:"), xmin, xmax, next }
}

fn position(high: Option<i64>, snapshot: &str) -> Position {
    Position {
        high,
        read_to: high,
        snapshot: snapshot.into(),
        pending: None,
        source: "c/1/7".into(),
        seen: Vec::new(),
        written_by: None,
        table: TableState::default(),
    }
}

fn first(now: &Snapshot, read_to: i64) -> Position {
    after(None, &Scope::Everything(Why::NoCursor), now, Some(read_to), "c/1/7")
}

fn scope(previous: Option<&Position>, now: &Snapshot, source: &str, lookback: u32) -> Scope {
    Scope::new(previous, now, source, lookback, &TableState::default(), true).unwrap()
}

fn after(previous: Option<&Position>, scope: &Scope, now: &Snapshot, largest: Option<i64>, source: &str) -> Position {
    let read_to = Position::read_to(previous, scope, largest);
    Position::after(previous, scope, now, source, Found { read_to, ..Found::default() })
}

fn next(previous: &Position, now: &Snapshot, read_to: Option<i64>) -> Position {
    let scope = scope(Some(previous), now, "c/1/7", 0);
    after(Some(previous), &scope, now, read_to, "c/1/7")
}

fn since(previous: &Position, now: &Snapshot, lookback: u32) -> Since {
    match scope(Some(previous), now, "c/1/7", lookback) {
        Scope::Since(since) => since,
        everything => panic!("{everything:?}"),
    }
}

#[test]
fn with_nothing_in_flight_the_largest_value_is_complete_at_once() {
    let position = first(&snapshot(100, 100, 100), 6);
    assert_eq!((position.high, position.pending), (Some(6), None));
}

#[test]
fn a_listed_transaction_holds_the_mark_back() {
    let position = first(&snapshot(100, 102, 102), 6);
    assert_eq!((position.high, position.pending), (None, Some(Mark { read_to: 6, next_xid: 102 })));
}

#[test]
fn a_transaction_above_xmax_holds_the_mark_back_in_a_quiet_snapshot() {
    let position = first(&snapshot(100, 100, 101), 6);
    assert_eq!((position.high, position.pending), (None, Some(Mark { read_to: 6, next_xid: 101 })));
}

#[test]
fn a_mark_is_proven_when_its_transactions_have_ended() {
    let marked = first(&snapshot(100, 102, 103), 6);
    let still_open = next(&marked, &snapshot(102, 110, 110), Some(9));
    assert_eq!((still_open.high, still_open.read_to), (None, Some(9)));
    assert_eq!(still_open.pending, marked.pending, "a mark that waits is not replaced");
    let ended = next(&still_open, &snapshot(103, 120, 121), None);
    assert_eq!((ended.high, ended.pending), (Some(6), Some(Mark { read_to: 9, next_xid: 121 })));
    let quiet = next(&ended, &snapshot(130, 130, 130), None);
    assert_eq!((quiet.high, quiet.pending), (Some(9), None));
}

#[test]
fn an_always_busy_cluster_still_moves_on() {
    let mut position = first(&snapshot(0, 10, 10), 0);
    for run in 1..100_u64 {
        let xmax = (run + 1) * 10;
        position = next(&position, &snapshot(xmax - 15, xmax, xmax), Some(run as i64));
    }
    assert!(position.high >= Some(95), "{position:?}");
}

#[test]
fn a_late_row_with_a_small_value_does_not_move_the_position_back() {
    let position = next(&first(&snapshot(100, 100, 100), 6), &snapshot(105, 105, 105), Some(2));
    assert_eq!((position.high, position.read_to), (Some(6), Some(6)));
}

#[test]
fn rows_are_new_from_the_previous_xmin_on() {
    let since = since(&position(Some(50_000), "100:110:105"), &snapshot(120, 121, 121), 10_000);
    assert_eq!(since.above, Some(40_000));
    assert_eq!(since.transactions, Some(Transactions { xmax: 121, distance: 21 }));
}

#[test]
fn the_look_back_stops_at_the_smallest_value() {
    let since = since(&position(Some(i64::MIN + 5), "1:1:"), &snapshot(2, 2, 2), 10);
    assert_eq!(since.above, Some(i64::MIN));
}

#[test]
fn without_a_proven_value_there_is_no_lower_bound() {
    let since = since(&position(None, "100:100:"), &snapshot(120, 121, 121), 10);
    assert_eq!(since.above, None);
    assert!(since.transactions.is_some());
}

/// The condition as SQL will compute it on a row's 32 bits.
fn is_read(transactions: Transactions, xid: u64) -> bool {
    let xmin = i64::from(xid as u32);
    (((i64::from(transactions.xmax) - xmin) & 0xFFFF_FFFF) as u64) <= transactions.distance
}

#[test]
fn the_condition_holds_across_the_wrap_of_the_counter() {
    let wrap = XID_WRAP;
    for base in [1_000, wrap - 5, wrap, wrap + 5, 7 * wrap - 1] {
        let (seen, now) = (base - 3, base + 10);
        let text = format!("{seen}:{}:", base);
        let transactions = since(&position(Some(1), &text), &snapshot(now, now, now), 0).transactions.unwrap();
        for xid in seen..now {
            assert!(is_read(transactions, xid), "{xid} after {text}");
        }
        for xid in [seen - 1, seen - 2, seen - 500] {
            assert!(!is_read(transactions, xid), "{xid} after {text}");
        }
    }
}

#[test]
fn a_row_frozen_whole_epochs_ago_can_only_look_newer() {
    let now = 9 * XID_WRAP + 1_000;
    let transactions =
        since(&position(Some(1), &format!("{}:{}:", now - 10, now - 10)), &snapshot(now, now, now), 0).transactions;
    assert!(is_read(transactions.unwrap(), now - 5 - 3 * XID_WRAP));
}

#[test]
fn positions_further_apart_than_the_counter_read_every_transaction() {
    let since = since(&position(Some(9), "100:100:"), &snapshot(XID_WRAP + 100, XID_WRAP + 100, XID_WRAP + 100), 0);
    assert_eq!(since, Since { above: Some(9), ..Since::default() });
}

#[test]
fn another_history_is_read_from_its_beginning_and_forgets_the_old_numbers() {
    let old = Position { pending: Some(Mark { read_to: 9, next_xid: 1 }), ..position(Some(9), "100:110:") };
    for (now, source) in [(snapshot(200, 200, 200), "c/2/7"), (snapshot(105, 105, 105), "c/1/7")] {
        let scope = scope(Some(&old), &now, source, 0);
        assert!(matches!(scope, Scope::Everything(_)), "{scope:?}");
        let position = after(Some(&old), &scope, &now, Some(4), source);
        assert_eq!((position.high, position.read_to, position.pending), (Some(4), Some(4), None));
    }
}

#[test]
fn a_value_to_start_from_leaves_nothing_of_another_history_out() {
    let old = position(Some(9), "100:110:");
    let (now, back) = (snapshot(200, 200, 200), snapshot(105, 105, 105));
    let scope = |previous, now, source| scope(previous, now, source, 0).starting_at(5);
    assert_eq!(scope(None, &now, "c/1/7"), Scope::From(5, None));
    assert_eq!(scope(Some(&old), &now, "c/2/7"), Scope::Everything(Why::AnotherSource));
    assert_eq!(scope(Some(&old), &back, "c/1/7"), Scope::Everything(Why::CounterWentBack));
    assert!(matches!(scope(Some(&old), &now, "c/1/7"), Scope::From(5, Some(_))));
}

#[test]
fn a_snapshot_is_read_with_its_counter_and_nothing_else_passes() {
    let read = Snapshot::new("754:756:754".into(), 3).unwrap();
    assert_eq!((read.xmin, read.xmax, read.next), (754, 756, 757));
    for bad in ["", "1", "1:", "x:1:", "5:4:", "-1:4:"] {
        assert!(Snapshot::new(bad.into(), 0).is_err(), "{bad}");
    }
    assert!(Snapshot::new("1:1:".into(), -1).is_err());
}

#[test]
fn a_snapshot_covers_an_earlier_one_if_nothing_ended_is_in_flight() {
    let covers = |now: &str, earlier: &str| Snapshot::new(now.into(), 0).unwrap().covers(earlier).unwrap();
    for (now, earlier, expected) in [
        ("10:10:", "10:10:", true),
        ("10:14:10,12", "10:13:10,12", true),
        ("11:14:12,13", "10:13:10,12", true),
        ("9:13:9,10", "9:13:9", false),
        ("9:13:", "10:13:", false),
        ("10:12:", "10:13:", false),
    ] {
        assert_eq!(covers(now, earlier), expected, "{now} after {earlier}");
    }
}

#[test]
fn a_bound_is_forgotten_when_the_table_is_not_what_it_was() {
    let state = |files: Option<&str>, sequence| TableState { files: files.map(str::to_owned), sequence };
    let now = snapshot(120, 121, 121);
    let known = state(Some("7,8"), Some(40));
    let old = Position { seen: vec![110], table: known.clone(), ..position(Some(9), "100:110:") };
    let continued = Since { above: Some(9), seen: vec![110], ..since(&old, &now, 0) };
    for (table, last_row_is_there, restart) in [
        (known.clone(), true, None),
        (known, false, Some(Restart::LastRowIsGone)),
        (state(Some("7,9"), Some(40)), true, Some(Restart::AnotherFile)),
        (state(Some("7,8"), Some(39)), true, Some(Restart::SequenceWentBack)),
        (state(Some("7,8"), Some(41)), true, None),
        (state(None, None), true, None),
    ] {
        let scope = Scope::new(Some(&old), &now, "c/1/7", 0, &table, last_row_is_there).unwrap();
        let Scope::Since(since) = &scope else { panic!("{scope:?}") };
        let again = Since { above: None, transactions: continued.transactions, seen: Vec::new(), restart };
        assert_eq!(*since, if restart.is_some() { again } else { continued.clone() }, "{table:?}");
        let position = after(Some(&old), &scope, &now, Some(4), "c/1/7");
        assert_eq!(position.read_to, Some(if restart.is_some() { 4 } else { 9 }), "{table:?}");
    }
}

#[test]
fn a_sequence_that_tells_nothing_for_one_run_is_still_compared() {
    let state = |sequence| TableState { files: Some("7".into()), sequence };
    let now = snapshot(120, 121, 121);
    let old = Position { table: state(Some(40)), ..position(Some(9), "100:110:") };
    let scope = Scope::new(Some(&old), &now, "c/1/7", 0, &state(None), true).unwrap();
    let found = Found { read_to: Some(9), table: state(None), ..Found::default() };
    let position = Position::after(Some(&old), &scope, &now, "c/1/7", found);
    assert_eq!(position.table, state(Some(40)));
    let Scope::Since(since) = Scope::new(Some(&position), &now, "c/1/7", 0, &state(Some(3)), true).unwrap() else {
        panic!("a position is there")
    };
    assert_eq!(since.restart, Some(Restart::SequenceWentBack));
}

#[test]
fn a_position_of_an_earlier_build_is_read_and_says_nothing_of_its_table() {
    let old = serde_json::json!({ "high": 9, "read_to": 9, "snapshot": "1:1:", "pending": null, "source": "c/1/7" });
    let read: Position = serde_json::from_value(old.clone()).unwrap();
    assert_eq!(read, position(Some(9), "1:1:"));
    assert_eq!(serde_json::to_value(read).unwrap(), old);
}
