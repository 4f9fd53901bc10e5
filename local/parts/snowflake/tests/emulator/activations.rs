//! The ledger of activations, as its statements are rendered.

use chrono::DateTime;
use sluice_core::LakeId;
use sluice_pipeline::activate::{Entry, State};
use sluice_snowflake::sql::activations;

use crate::support::Warehouse;

#[tokio::test]
async fn an_entry_takes_the_place_of_the_one_before_and_of_no_other() {
    let warehouse = Warehouse::founded().await;
    let lake = LakeId("it's a \\ lake".into());
    let entry = |state, reason: Option<&str>, attempts| Entry {
        state,
        digests: [("customer_tier".to_owned(), "d".to_owned())].into(),
        reason: reason.map(str::to_owned),
        attempts,
        written_at: (state == State::Held).then_some(DateTime::UNIX_EPOCH),
    };
    let keep = async |destination: &str, entries: &[(&str, Entry)]| {
        let entries: Vec<_> = entries.iter().map(|(id, entry)| ((*id).to_owned(), entry.clone())).collect();
        for statement in activations::keep(&lake, destination, &entries) {
            warehouse.run(&statement).await.expect("kept");
        }
    };
    keep("hubspot", &[("1", entry(State::Sending, Some("its outcome"), 1)), ("2", entry(State::Sending, None, 1))])
        .await;
    keep("webhook", &[("1", entry(State::Gone, None, 0))]).await;
    keep("hubspot", &[("1", entry(State::Held, None, 1)), ("3", entry(State::Refused, Some("it's \\ wrong"), 2))])
        .await;
    let all = "SELECT concat_ws(' ', DESTINATION, RECORD_ID, STATE, REASON, ATTEMPTS, WRITTEN_AT IS NULL) \
               FROM ADMIN__OBSERVABILITY.ACTIVATIONS ORDER BY DESTINATION, RECORD_ID";
    let expected = [
        "hubspot 1 held 1 false",
        "hubspot 2 sending 1 true",
        "hubspot 3 refused it's \\ wrong 2 true",
        "webhook 1 gone 0 true",
    ];
    assert_eq!(warehouse.column(all).await, expected);
    let one = |rows: Vec<sluice_core::port::Row>, column: &str| rows[0][column].clone();
    let count = warehouse.run(&activations::count(&lake, "hubspot")).await.expect("counted");
    assert_eq!(one(count, "entries").as_deref(), Some("3"));
    let table = "ADMIN.OBSERVABILITY.ACTIVATIONS".parse().expect("a table");
    let size = warehouse.run(&activations::size(&table)).await.expect("counted");
    assert_eq!((size[0].len(), one(size, "_sluice_rows").as_deref()), (10, Some("4")), "nine columns and the number");
}
