//! The views that people query, as the watcher makes them.

use sluice_snowflake::sql::views;

use crate::support::Warehouse;

#[tokio::test]
async fn views_are_made_again_without_a_loss_and_show_the_newest_of_an_incident() {
    let warehouse = Warehouse::founded().await;
    for (state, at) in [("open", "00:00:00"), ("resolved", "00:10:00")] {
        let insert = format!(
            "INSERT INTO ADMIN.OBSERVABILITY.INCIDENTS (INCIDENT, INCIDENT_KEY, MONITOR, OBJECT, KIND, SEVERITY, STATE, RUN_ID, \
             OPENED_AT, CHANGED_AT) SELECT 'i', 'k', 'volume', 'o', 'low', 1, '{state}', 'r', \
             '2026-01-01 00:00:00'::TIMESTAMP_NTZ(6), '2026-01-01 {at}'::TIMESTAMP_NTZ(6)"
        );
        warehouse.run(&insert).await.expect("a change");
    }
    for _ in 0..2 {
        for view in &views::ALL {
            warehouse.run(&view.create()).await.unwrap_or_else(|error| panic!("{}: {}", view.name, error.chain()));
        }
    }
    let states = "SELECT concat_ws(' ', INCIDENT, STATE, SECONDS_TO_RESOLVE) FROM ADMIN__OBSERVABILITY.INCIDENT_STATES";
    assert_eq!(warehouse.column(states).await, ["i resolved 600"]);
    assert_eq!(warehouse.column("SELECT INCIDENT FROM ADMIN__OBSERVABILITY.OPEN_ALERTS").await, Vec::<String>::new());
    let of_nothing =
        "CREATE OR REPLACE VIEW ADMIN.OBSERVABILITY.V COPY GRANTS AS\nSELECT A FROM ADMIN.OBSERVABILITY.NOTHING";
    assert!(warehouse.run(of_nothing).await.is_err(), "a view over a table that is not there");
}
