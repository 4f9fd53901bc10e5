use sluice_core::RunId;

use super::*;

#[test]
fn the_time_between_runs_follows_from_the_expression() {
    for (expression, hours) in [
        ("rate(1 hour)", Some(1)),
        ("rate(2 days)", Some(48)),
        ("rate(60 minutes)", Some(1)),
        ("cron(0 1 ? * MON *)", Some(168)),
        ("cron(15 0 * * ? *)", Some(24)),
        ("cron(0 * * * ? *)", Some(1)),
        ("cron(0 0 1 * ? *)", Some(744)),
        ("at(2026-01-01T00:00:00)", None),
        ("rate(x)", None),
    ] {
        assert_eq!(interval(expression), hours.map(TimeDelta::hours), "{expression}");
    }
}

#[test]
fn a_table_is_stale_only_against_its_own_schedule() {
    let schedule = |expression: &str, enabled| Schedule {
        name: "s".into(),
        table: None,
        expression: expression.into(),
        enabled,
        shared: false,
        is_off_for_all: false,
    };
    let (hourly, weekly) = (schedule("rate(1 hour)", true), schedule("cron(0 1 ? * MON *)", true));
    let off = schedule("rate(1 hour)", false);
    let health = |schedules: &[&Schedule], hours: i64| freshness("T", schedules, Some(TimeDelta::hours(hours))).health;
    assert_eq!(health(&[&hourly], 2), Health::Ok);
    assert_eq!(health(&[&hourly], 4), Health::Warning);
    assert_eq!(health(&[&weekly], 200), Health::Ok);
    assert_eq!(health(&[&weekly, &hourly], 200), Health::Warning);
    let fix = |schedule: &Schedule| freshness("T", &[schedule], None).fix;
    assert_eq!(fix(&off).as_deref(), Some("sluice resume T"));
    let by_hand = by_hand(freshness("T", &[&off], None), "T");
    assert_eq!(by_hand.fix.as_deref(), Some("sluice run T --wait"), "on one machine");
    assert_eq!(fix(&Schedule { shared: true, is_off_for_all: true, ..off }).as_deref(), Some("sluice resume --all"));
    assert!(freshness("T", &[], None).detail.contains("no schedule"));
}

#[test]
fn a_table_whose_runs_fail_is_failed_however_fresh_its_commit_is() {
    let now = Utc::now();
    let hourly = Schedule {
        name: "s".into(),
        table: None,
        expression: "rate(1 hour)".into(),
        enabled: true,
        shared: false,
        is_off_for_all: false,
    };
    let mut commit = crate::commands::status::commit(7);
    commit.committed_at = now - TimeDelta::minutes(5);
    let failure = runs::Failure {
        kind: "Auth".into(),
        reason: "the server refuses the user".into(),
        hint: None,
        runs: 3,
        since: now - TimeDelta::hours(2),
    };
    let run = |outcome, failure| LastRun { run_id: RunId("r".into()), ended_at: now, outcome, failure, emptied: false };
    let check = |last: Option<&LastRun>, commit: &Commit| table_check("T", &[&hourly], Some(commit), last, now);
    let failed = check(Some(&run(None, Some(failure))), &commit);
    assert_eq!(failed.health, Health::Failed);
    assert_eq!(failed.detail, "the last 3 runs failed, since 2h ago: Auth: the server refuses the user");
    assert!(failed.fix.expect("a fix").contains("secret"));
    assert_eq!(check(None, &commit).health, Health::Ok);

    // A quiet source: the commit is old, the last run is not.
    commit.committed_at = now - TimeDelta::days(9);
    assert_eq!(check(None, &commit).health, Health::Warning);
    let quiet = check(Some(&run(Some(extract::Outcome::NothingNew), None)), &commit);
    assert_eq!((quiet.health, quiet.detail.contains("nothing new")), (Health::Ok, true), "{}", quiet.detail);
}

#[test]
fn an_event_source_whose_batches_fail_is_failed() {
    let check = |enabled, problem| source("StreamKafkaSource", enabled, problem, "A.B.C");
    let health = |enabled, problem| check(enabled, problem).health;
    assert_eq!(health(true, Some("PROBLEM: Function call failed")), Health::Failed);
    assert_eq!(health(true, None), Health::Ok);
    assert_eq!(health(false, None), Health::Warning);
    assert_eq!(check(false, None).fix.as_deref(), Some("sluice resume A.B.C"));
}

#[test]
fn what_is_wrong_has_a_fix_beside_it() {
    assert_eq!(stack("UPDATE_COMPLETE").health, Health::Ok);
    assert_eq!(stack("ROLLBACK_COMPLETE").health, Health::Failed);
    assert_eq!(stack("UPDATE_IN_PROGRESS").health, Health::Warning);
}
