//! What reaches the account, and how fast.

use std::time::Instant;

use sluice_core::port::Clock as _;
use sluice_local::vendors::hubspot::HubSpotConfig;
use sluice_pipeline::activate::{Request, Seen, Status};
use sluice_testkit::generate::Contact;

use crate::support::{Stage, allowed, contact, wanted};

fn unlimited() -> HubSpotConfig {
    HubSpotConfig { requests_per_ten_seconds: None, ..HubSpotConfig::new("pat-na1-reader") }
}

/// Contacts of the run that is measured: `SLUICE_ACTIVATE_CONTACTS=10000` measures a large one.
fn contacts() -> i64 {
    std::env::var("SLUICE_ACTIVATE_CONTACTS").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

#[tokio::test]
async fn changed_customers_arrive_within_the_documented_limits_and_a_tenth() {
    let mut stage = Stage::new(HubSpotConfig::new("pat-na1-reader"), contacts()).await;
    stage.requests_per_ten_seconds = 95;
    let start = Instant::now();
    let report = stage.run(&allowed()).await;
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!((report.status, report.written), (Status::Completed, contacts() as u64), "{report:?}");
    // A read and a write for each hundred, account and properties, and the canary's read: at 100 in ten seconds.
    let requests = contacts() as f64 / 100.0 * 2.0 + 3.0;
    println!("{} contacts, {requests} requests, {seconds:.1} s, HubSpot's limit {:.1} s", contacts(), requests / 10.0);
    assert!(seconds <= requests / 10.0 * 1.1 + 1.0, "{seconds} s for {requests} requests");
    stage.assert_whole();
    let again = stage.run(&Request::default()).await;
    assert_eq!((again.changed, again.status), (0, Status::Completed));
    assert_eq!(stage.state.history().len() as i64, contacts() * 3);
}

#[tokio::test]
async fn what_hubspot_refuses_is_refused_alone_with_its_own_words() {
    for refuses_whole_batches in [false, true] {
        let stage = Stage::new(HubSpotConfig { refuses_whole_batches, ..unlimited() }, 130).await;
        // The account changes between the check and the write.
        stage.tables.rows.borrow_mut()[7].values.insert("lastname".into(), Some("x".repeat(70_000)));
        let report = stage.run(&allowed()).await;
        assert_eq!((report.status, report.written, report.refused), (Status::Completed, 129, 1), "{report:?}");
        let reason = report.reasons.keys().next().cloned().unwrap_or_default();
        assert!(reason.starts_with("VALIDATION_ERROR"), "{reason}");
        let sent = stage.state.history().len();
        assert_eq!(stage.run(&Request::default()).await.given_up, 1);
        assert_eq!(stage.state.history().len(), sent);
    }
}

#[tokio::test]
async fn a_property_that_is_not_there_or_read_only_stops_everything() {
    for (property, words) in
        [("nonsense", "is no property"), ("createdate", "is read-only"), ("lifecyclestage", "only moves forward")]
    {
        let stage = Stage::new(unlimited(), 3).await;
        stage.tables.rows.borrow_mut()[0].values.insert(property.into(), Some("1".into()));
        let report = stage.run(&allowed()).await;
        assert!(report.reason.as_deref().is_some_and(|reason| reason.contains(words)), "{report:?}");
        assert!(stage.state.history().is_empty());
    }
}

#[tokio::test]
async fn a_tier_that_is_no_option_is_refused_before_it_is_sent() {
    let stage = Stage::new(unlimited(), 3).await;
    stage.tables.rows.borrow_mut()[1] = wanted(2, "gold");
    let report = stage.run(&allowed()).await;
    assert_eq!((report.written, report.refused), (2, 1));
    assert!(stage.state.history().iter().all(|write| write.id != 2));
}

#[tokio::test]
async fn archived_erased_and_merged_contacts_are_gone_and_survivors_written() {
    let stage = Stage::new(unlimited(), 6).await;
    stage.state.load(vec![Contact { archived: true, ..contact(2) }, Contact { merged_ids: vec![3, 4], ..contact(1) }]);
    stage.state.erase(5);
    let report = stage.run(&allowed()).await;
    assert_eq!((report.gone, report.written), (4, 2), "{report:?}");
    let merged = report.reasons.get("the record was merged into another").copied();
    assert_eq!(merged, Some(2), "{report:?}");
    assert!(stage.state.history().iter().all(|write| write.id == 1 || write.id == 6));
}

#[tokio::test]
async fn a_write_that_does_not_land_is_seen_by_the_canary() {
    let stage = Stage::new(HubSpotConfig { ignores_writes: true, ..unlimited() }, 250).await;
    let report = stage.run(&allowed()).await;
    assert_eq!((report.status, report.pending), (Status::Stopped, 150));
    assert!(report.reason.is_some_and(|reason| reason.contains("100 of the first 100")));
}

#[tokio::test]
async fn an_overwritten_value_is_found_by_what_an_extract_has_seen() {
    let stage = Stage::new(unlimited(), 3).await;
    stage.run(&allowed()).await;
    stage.state.type_in(2, "customer_tier", "high").expect("typed");
    let at = sluice_core::port::SystemClock.now() + chrono::TimeDelta::minutes(1);
    for row in stage.tables.rows.borrow_mut().iter_mut() {
        let id = row.id.parse().expect("a number");
        let values = row.values.keys().map(|name| (name.clone(), stage.state.value(id, name))).collect();
        row.seen = Some(Seen { at, values });
    }
    let report = stage.run(&Request::default()).await;
    assert_eq!((report.proof.landed, report.proof.overwritten, report.written), (2, 1, 1));
    assert_eq!(stage.state.value(2, "customer_tier").as_deref(), Some("low"));
}
