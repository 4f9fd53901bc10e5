//! When costs are measured, and what is told of them.

use super::*;

#[test]
fn costs_are_measured_once_a_day_and_a_dear_day_is_told_on_the_second() {
    let stage = Stage::new(1);
    stage.report();
    stage.report();
    let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
    assert_eq!(*stage.warehouse.costed.borrow(), [(day("2026-01-02"), day("2026-03-03"))]);
    assert!(stage.told("Cost rise").is_empty(), "{:?}", stage.mailbox.messages);
    stage.warehouse.credits.set(6.0);
    stage.clock.advance(MINUTES * 12 * 24);
    stage.report();
    assert_eq!(stage.warehouse.costed.borrow()[1], (day("2026-02-28"), day("2026-03-04")));
    assert_eq!(stage.told("Cost rise"), [Action::Open]);
    // It was told of its day and teaches nothing; the day after is as always.
    stage.warehouse.credits.set(2.0);
    stage.clock.advance(MINUTES * 12 * 24);
    stage.report();
    stage.report();
    assert_eq!(stage.told("Cost rise").last(), Some(&Action::Resolve));
}

#[test]
fn a_part_of_the_costs_that_fails_waits_and_repeats_no_other() {
    let stage = Stage::new(1);
    stage.platform.is_refused.set(true);
    // At once, after 5 minutes, then after 15, 30 and 60.
    for _ in 0..23 {
        stage.report();
    }
    assert_eq!((stage.warehouse.costed.borrow().len(), stage.platform.asked.get()), (1, 5));
    stage.platform.is_refused.set(false);
    stage.clock.advance(MINUTES * 12);
    stage.report();
    stage.report();
    assert_eq!((stage.warehouse.costed.borrow().len(), stage.platform.asked.get()), (1, 6));
}

#[test]
fn days_on_which_nobody_measured_costs_are_measured_later() {
    let stage = Stage::new(1);
    stage.report();
    stage.clock.advance(MINUTES * 12 * 24 * 9);
    stage.report();
    let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
    assert_eq!(stage.warehouse.costed.borrow()[1], (day("2026-02-28"), day("2026-03-12")));
}
