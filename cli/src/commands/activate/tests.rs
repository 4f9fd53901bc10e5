use super::*;

pub(crate) fn report() -> Report {
    let counts = |name: &str, count| [(name.to_owned(), count)].into();
    Report {
        destination: HUBSPOT.into(),
        number: 7,
        run_id: sluice_core::RunId("run-7".into()),
        cause: "dbt run 3".into(),
        status: Status::Stopped,
        reason: Some("60 % of the known records have changed, of at most 50 % a run".repeat(3)),
        started_at: DateTime::UNIX_EPOCH,
        ended_at: DateTime::UNIX_EPOCH,
        changed: 1_234_567,
        written: 1_200_000,
        already_held: 3,
        refused: 4,
        gone: 5,
        pending: 34_555,
        unchanged: 8,
        given_up: 9,
        suppressed: counts("opted out of e-mail", 2),
        properties: counts("lifetime_value", 1_234_567),
        reasons: counts("VALIDATION_ERROR INVALID_OPTION", 4),
        proof: activate::Proof { landed: 1_000, overwritten: 2, waiting: 30 },
        shown: Vec::new(),
    }
}

#[test]
fn a_report_tells_what_was_sent_what_was_not_and_what_was_seen() {
    let text = render(&report());
    for part in [
        "HubSpot: run 7 stopped (60 % of the known",
        "changes     1,234,567  lifetime_value",
        "suppressed          2  opted out of e-mail",
        "not taken           4  VALIDATION_ERROR INVALID_OPTION",
        "9 were refused or gone before; `sluice rejects hubspot` lists them",
        "seen by the extract: 1,000 as written, 2 overwritten since, 30 not yet",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
}

#[test]
fn a_dry_run_shows_the_difference_and_what_asks_for_a_person() {
    let shown = activate::Shown { id: "7".into(), property: "tier".into(), from: None, to: "high".into() };
    let reason = Some("this is the first run".to_owned());
    let text = render(&Report { status: Status::DryRun, reason, shown: vec![shown], ..report() });
    for part in [
        "1,234,567 contacts differ from the model, 8 do not; nothing was sent",
        "asks for you: this is the first run",
        "contact 7: tier from nothing to high",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}
