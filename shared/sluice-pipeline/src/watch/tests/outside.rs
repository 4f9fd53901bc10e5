//! Who is told of runs, and what is told between rounds.

use super::*;

#[test]
fn those_who_follow_runs_are_told_once_and_again_while_they_are_away() {
    let stage = Stage::new(2);
    stage.report();
    assert!(stage.platform.followed.borrow().is_empty());
    stage.platform.is_followed.set(true);
    stage.report();
    stage.report();
    assert_eq!(*stage.platform.followed.borrow(), ["r", "r"]);
}

#[test]
fn a_failure_that_only_the_bus_tells_is_an_incident() {
    let stage = Stage::new(1);
    let failed = LoadFailed {
        id: "DLT.A.T0#split-1".into(),
        run_id: RunId("r".into()),
        table: "DLT.A.T0".parse().expect("a name"),
        sequence: sluice_core::Sequence(1),
        kind: "InvalidData".into(),
        reason: "given up".into(),
    };
    stage.round_now(&Asked { failed: Some(failed), ..Asked::default() });
    let messages = stage.mailbox.messages.borrow();
    let told = messages.iter().any(|(_, action, title)| *action == Action::Open && title.contains("DLT.A.T0"));
    assert!(told, "{messages:?}");
}
