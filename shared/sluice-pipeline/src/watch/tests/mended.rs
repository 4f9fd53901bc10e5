//! What ends an incident that a person has mended, or of which a person says what it is.

use serde_json::{Value, json};
use sluice_core::{Sequence, lake};
use sluice_watch::alerts::Says;

use super::*;

/// Puts a commit of the table into its log.
fn commit(stage: &Stage, sequence: u64, change: &Value) {
    let table = &stage.sources.tables[0];
    let mut commit = json!({
        "format_version": 1, "lake_id": "sluice", "table": table.table, "sequence": sequence, "run_id": format!("r-{sequence}"),
        "loader": "copy", "disposition": "merge", "key": ["id"], "schema": table.columns, "schema_fingerprint": "",
        "files": [], "rows": 0, "cursor_from": {"id": sequence}, "scheduled_at": "2026-03-03T09:00:00Z",
        "committed_at": "2026-03-03T09:00:00Z",
    });
    commit.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
    let key = lake::log_key(&table.table, Sequence(sequence));
    stage.store.objects.borrow_mut().insert(key, commit.to_string().into());
}

#[test]
fn a_failed_commit_is_mended_by_one_that_reads_its_rows_again() {
    let reset = |to: u64| json!({"reset": {"to": to, "by": "ann", "reason": "r"}});
    for (change, is_mended) in [
        (reset(1), true),
        (reset(2), false),
        (json!({"cursor_from": null}), true),
        (json!({"disposition": "replace"}), true),
        (json!({}), false),
    ] {
        let stage = Stage::new(1);
        for sequence in 1..=3 {
            commit(&stage, sequence, &json!({}));
        }
        stage.warehouse.failed.replace(BTreeSet::from([2]));
        stage.report();
        assert_eq!(stage.told_by("mail", "Load failed"), [Action::Open]);
        commit(&stage, 4, &change);
        stage.report();
        stage.report();
        let told = stage.told_by("mail", "Load failed");
        assert_eq!(told.last() == Some(&Action::Resolve), is_mended, "{change}: {told:?}");
        // However many commits come after.
        (5..400).for_each(|sequence| commit(&stage, sequence, &json!({})));
        stage.report();
        stage.report();
        assert_eq!(stage.told_by("mail", "Load failed"), told, "{change}");
    }
}

#[test]
fn each_commit_is_looked_at_once_while_a_failed_one_waits() {
    let stage = Stage::new(1);
    (1..=100).for_each(|sequence| commit(&stage, sequence, &json!({})));
    stage.warehouse.failed.replace(BTreeSet::from([2]));
    let calls = || {
        let before = stage.store.faults.calls();
        stage.report();
        stage.store.faults.calls() - before
    };
    assert!(calls() > 98);
    assert!(calls() < 20);
    // What has failed since was not asked for before.
    stage.warehouse.failed.replace(BTreeSet::from([2, 3]));
    assert!(calls() > 97);
}

#[test]
fn a_told_day_teaches_what_a_person_says_of_it() {
    for (says, told_days) in [(None, 6), (Some(Says::Expected), 0), (Some(Says::Fault), 20)] {
        let stage = Stage::new(1);
        stage.warehouse.rows.set(300);
        stage.report();
        stage.warehouse.rows_since.set(stage.clock.now().date_naive() - chrono::Days::new(1));
        if says.is_some() {
            stage.clock.advance(MINUTES);
            let word = Command::Acknowledge { incident: stage.incident(Monitor::Volume), by: "ann".into(), says };
            stage.round_now(&Asked { commands: vec![word], ..Asked::default() });
        }
        let mut told = 0;
        for _ in 0..20 {
            stage.clock.advance(MINUTES * 12 * 24);
            stage.report();
            stage.report();
            let state = block_on(State::read(&stage.store)).expect("a board");
            let mut volume = state.board.incidents.values().filter(|incident| incident.monitor == Monitor::Volume);
            told += usize::from(volume.any(|incident| !incident.is_resolved()));
        }
        assert_eq!(told, told_days, "{says:?}");
        assert_eq!(stage.told("Volume drop").last() == Some(&Action::Resolve), told_days < 20, "{says:?}");
        let recorded = stage.warehouse.recorded.borrow();
        let word = recorded.iter().find(|change| change.by.as_deref() == Some("ann"));
        let state = match says {
            None => None,
            Some(Says::Expected) => Some("expected"),
            Some(Says::Fault) => Some("confirmed"),
        };
        assert_eq!(word.map(|change| change.state.as_str()), state);
    }
}

#[test]
fn what_a_person_confirms_is_no_new_normal_while_it_is_muted() {
    let stage = Stage::new(1);
    stage.warehouse.rows.set(300);
    stage.report();
    stage.warehouse.rows_since.set(stage.clock.now().date_naive() - chrono::Days::new(1));
    let (incident, by) = (stage.incident(Monitor::Volume), || "ann".to_owned());
    let confirm = Command::Acknowledge { incident: incident.clone(), by: by(), says: Some(Says::Fault) };
    let mute = Command::Mute { incident, by: by(), until: stage.clock.now() + chrono::Duration::days(10) };
    for word in [confirm, mute] {
        stage.clock.advance(MINUTES);
        stage.round_now(&Asked { commands: vec![word], ..Asked::default() });
    }
    for day in 0..20 {
        stage.clock.advance(MINUTES * 12 * 24);
        stage.report();
        let state = block_on(State::read(&stage.store)).expect("a board");
        let mut volume = state.board.incidents.values().filter(|incident| incident.monitor == Monitor::Volume);
        assert!(volume.any(|incident| !incident.is_resolved()), "{day} days later");
    }
}

#[test]
fn only_of_what_days_teach_a_person_says_what_the_days_were() {
    let stage = Stage::new(1);
    stage.warehouse.failed.replace(BTreeSet::from([2]));
    (1..=2).for_each(|sequence| commit(&stage, sequence, &json!({})));
    stage.report();
    stage.clock.advance(MINUTES);
    let incident = stage.incident(Monitor::Loads);
    let word = Command::Acknowledge { incident: incident.clone(), by: "ann".into(), says: Some(Says::Expected) };
    let Outcome::Round(report) = stage.round_now(&Asked { commands: vec![word], ..Asked::default() }) else {
        panic!("busy")
    };
    assert_eq!(report.unknown, [incident]);
}
