use std::time::{Duration, Instant};
use sluice_core::Secret;
use sluice_hubspot::*;
use sluice_testkit::generate::Contact;
use standin_vendors::hubspot::*;

fn contact(id: i64, modified: i64) -> Contact {
    Contact { id, email: Some(format!("C{id}@example.com")), firstname: None, lastname: Some("O'Brien".into()), lifecyclestage: Some("lead".into()),
        createdate: 1_500_000, lastmodifieddate: modified, archived: false, merged_ids: vec![] }
}

#[tokio::test]
async fn cross() {
    let mut c = HubSpotConfig::new("pat"); c.index_lag = Duration::from_millis(4000);
    let state = HubSpotState::new(c);
    state.load((1..=1000).map(|id| contact(id, 1_700_000_000_000_000 + id * 1_000)).collect());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(serve(state.clone(), listener, stopped));
    let yaml = sluice_core::Sources::parse(include_str!("../../../platform/sources.yaml")).unwrap();
    let columns = &yaml.table(&"AIRBYTE.HUBSPOT.CONTACTS".parse().unwrap()).unwrap().columns;
    let client = Client::new(sluice_http::Client::new().unwrap(), &HubspotConfig::new(&url, Credentials { token: Secret::new("pat") }));
    let limits = Limits { contacts: 200_000, time: Duration::from_secs(100) };
    let time = "2026-10-01T00:00:00Z".parse().unwrap();
    let start = Instant::now();
    let one = read(&client, columns, None, time, limits).await.unwrap();
    println!("{} rows {:?} {:?} {}", one.rows.len(), start.elapsed(), one.facts, one.cursor.as_ref().unwrap().0.to_string().len());
    assert_eq!(one.rows.len(), 1000);
    let two = read(&client, columns, one.cursor.as_ref(), time, limits).await.unwrap();
    assert_eq!((two.rows.len(), &two.cursor), (0, &one.cursor));
    // lag, micros
    state.upsert(contact(5, 1_700_000_200_000_123));
    let three = read(&client, columns, two.cursor.as_ref(), time, limits).await.unwrap();
    let hidden = three.rows.len();
    tokio::time::sleep(Duration::from_millis(4000)).await;
    let four = read(&client, columns, three.cursor.as_ref(), time, limits).await.unwrap();
    assert_eq!((hidden, four.rows.len()), (0, 1));
    let mut gone = contact(6, 1_700_000_300_000_456); gone.archived = true;
    state.upsert(gone);
    let five = read(&client, columns, four.cursor.as_ref(), time, limits).await.unwrap();
    assert_eq!(five.rows.len(), 1);
    println!("{:?}", five.rows[0].cells());
    let six = read(&client, columns, five.cursor.as_ref(), time, limits).await.unwrap();
    assert_eq!((six.rows.len(), &six.cursor), (0, &five.cursor));
}
