//! Against a real broker: what an event source mapping promises.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sluice_kafka::Producer;
use sluice_local::kafka_poller::{self, Config, FailurePolicy, Lost, StartingPosition};
use tokio::sync::mpsc;

use crate::{
    TOPIC,
    broker::Broker,
    function::{Function, Polling},
};

#[tokio::test]
async fn batches_keep_their_size_and_a_partitions_order_and_positions_are_kept() {
    let (broker, function) = (Broker::start("order").await, Function::default());
    broker.produce((0..25).map(|n| (if n % 2 == 0 { "a" } else { "b" }, n))).await;
    let polling = Polling::start(broker.address(), broker.folder.join("p.json"), &function, |_| {}).await;
    function.has_seen(&(0..25).collect::<Vec<_>>()).await;
    polling.caught_up().await;
    polling.stop().await;
    for event in function.events() {
        assert!(event.len() <= 10, "{event:?}");
    }
    for partition in 0..2 {
        assert!(function.values(partition).is_sorted(), "{:?}", function.values(partition));
    }
    broker.produce([("a", 100)]).await;
    let polling = Polling::start(broker.address(), broker.folder.join("p.json"), &function, |_| {}).await;
    function.has_seen(&[100]).await;
    polling.stop().await;
    assert_eq!(function.events().iter().flatten().count(), 26, "what was done is not sent again");
}

#[tokio::test]
async fn a_consumer_begins_where_it_is_told() {
    let (broker, function) = (Broker::start("start").await, Function::default());
    let begin = Utc::now().timestamp_millis() - 100_000;
    broker.produce((0..10).map(|n| ("a", begin + n * 1_000))).await;
    let at = DateTime::from_timestamp_millis(begin + 7_000).expect("a time");
    let from = |position| move |config: &mut Config| config.starting_position = position;
    let late = Polling::start(
        broker.address(),
        broker.folder.join("at.json"),
        &function,
        from(StartingPosition::AtTimestamp(at)),
    )
    .await;
    function.has_seen(&[begin + 7_000, begin + 8_000, begin + 9_000]).await;
    late.caught_up().await;
    late.stop().await;
    assert_eq!(function.events().iter().flatten().count(), 3, "nothing older");

    let function = Function::default();
    let latest =
        Polling::start(broker.address(), broker.folder.join("latest.json"), &function, from(StartingPosition::Latest))
            .await;
    broker.produce([("a", begin + 10_000)]).await;
    function.has_seen(&[begin + 10_000]).await;
    latest.stop().await;
    assert_eq!(function.events().iter().flatten().count(), 1, "nothing from before");
}

#[tokio::test]
async fn a_failed_batch_is_sent_again_and_a_bad_record_isolated_if_configured() {
    let (broker, function) = (Broker::start("fail").await, Function::default());
    broker.produce((0..8).map(|n| ("a", n))).await;
    function.fail(3, 2);
    let polling = Polling::start(broker.address(), broker.folder.join("whole.json"), &function, |_| {}).await;
    polling.caught_up().await;
    polling.stop().await;
    let events = function.events();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events.iter().all(|event| *event == events[0]), "the same batch each time");

    let function = Function::default();
    function.fail(3, u32::MAX);
    let bisect = |config: &mut Config| config.failures = FailurePolicy { bisect: true, most_retries: Some(1) };
    let polling = Polling::start(broker.address(), broker.folder.join("halves.json"), &function, bisect).await;
    polling.caught_up().await;
    polling.stop().await;
    let good = |value: i64| {
        function
            .events()
            .iter()
            .any(|event| event.iter().any(|record| record.2 == value) && event.iter().all(|record| record.2 != 3))
    };
    assert!([0, 1, 2, 4, 5, 6, 7].into_iter().all(good), "{:?}", function.events());
    assert!(!good(3));
}

#[tokio::test]
async fn a_poller_that_begins_again_goes_on_with_the_saved_positions() {
    let (broker, function) = (Broker::start("again").await, Function::default());
    broker.produce((0..20).map(|n| ("a", n))).await;
    let mut polling = Polling::start(broker.address(), broker.folder.join("p.json"), &function, |_| {}).await;
    polling.caught_up().await;
    // The same poller as `sluice-local` runs it, told to begin again while a batch fails for ever.
    polling.task.abort();
    let (restart, restarts) = mpsc::channel(1);
    let (again, stopped) = (polling.poller.clone(), polling.stop.subscribe());
    polling.task = tokio::spawn(async move { again.run_restarted(stopped, restarts).await });
    function.fail(25, 2);
    broker.produce((20..40).map(|n| ("a", n))).await;
    for _ in 0..3 {
        function.has_seen(&[25]).await;
        restart.send(()).await.expect("the poller runs");
    }
    polling.caught_up().await;
    polling.stop().await;
    let events = function.events();
    let times = |value: i64| events.iter().flatten().filter(|record| record.2 == value).count();
    assert!((0..20).all(|value| times(value) == 1), "what was done is not sent again: {events:?}");
    assert!((20..40).all(|value| times(value) >= 1), "nothing is left out: {events:?}");
}

#[tokio::test]
async fn a_broker_that_ends_and_comes_back_loses_no_record() {
    let (mut broker, function) = (Broker::start("restart").await, Function::default());
    broker.produce((0..20).map(|n| ("a", n))).await;
    let polling = Polling::start(broker.address(), broker.folder.join("p.json"), &function, |_| {}).await;
    function.has_seen(&(0..20).collect::<Vec<_>>()).await;
    polling.caught_up().await;
    for round in 1..3 {
        broker.restart().await;
        let values: Vec<i64> = (0..20).map(|n| round * 100 + n).collect();
        broker.produce(values.clone().into_iter().map(|n| ("a", n))).await;
        function.has_seen(&values).await;
    }
    polling.caught_up().await;
    polling.stop().await;
    let mut offsets: Vec<i64> = function.events().iter().flatten().map(|record| record.1).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..60).collect::<Vec<_>>(), "each once, none twice: the function has failed nothing");
}

#[tokio::test]
async fn a_broker_that_has_lost_what_was_read_ends_the_poller_and_is_named() {
    let (mut broker, function) = (Broker::start("lost").await, Function::default());
    broker.produce((0..10).map(|n| ("a", n))).await;
    let copy = broker.copy().await;
    broker.produce((10..30).map(|n| ("a", n))).await;
    let path = broker.folder.join("p.json");
    let polling = Polling::start(broker.address(), path.clone(), &function, |_| {}).await;
    function.has_seen(&(0..30).collect::<Vec<_>>()).await;
    polling.caught_up().await;
    broker.lose_all_since(&copy).await;
    let Polling { task, stop: _running, poller } = polling;
    let error = task.await.expect("no panic").expect_err("it cannot go on");
    let lost = Lost { partition: sluice_kafka::partition_for_key(b"a", 2) as i32, read: 30, end: 10 };
    assert_eq!(error.downcast_ref::<Lost>(), Some(&lost), "{error:#}");
    assert!(format!("{error:#}").contains("the broker has lost 20 records"), "{error:#}");
    assert_eq!(poller.positions()[&lost.partition], 30);

    let ends = kafka_poller::ends(&broker.address(), TOPIC).await.expect("ends");
    assert_eq!(ends[&lost.partition], 10);
    assert_eq!(kafka_poller::ends(&broker.address(), "no-such-topic").await.expect("an answer"), BTreeMap::new());
    kafka_poller::save_positions(&path, TOPIC, ends).await.expect("saved");
    broker.produce([("a", 100)]).await;
    let polling = Polling::start(broker.address(), path, &function, |_| {}).await;
    function.has_seen(&[100]).await;
    polling.stop().await;
}

#[tokio::test]
async fn a_partition_ends_behind_its_last_record() {
    let broker = Broker::start("ends").await;
    let producer = Producer::connect(&broker.address()).await.expect("a producer");
    assert_eq!(producer.ends(TOPIC).await.expect("ends"), BTreeMap::from([(0, 0), (1, 0)]));
    broker.produce([("a", 1), ("b", 2), ("a", 3)]).await;
    let partition = |key: &str| sluice_kafka::partition_for_key(key.as_bytes(), 2) as i32;
    let mut expected = BTreeMap::from([(0, 0), (1, 0)]);
    for key in ["a", "b", "a"] {
        *expected.entry(partition(key)).or_default() += 1;
    }
    assert_eq!(producer.ends(TOPIC).await.expect("ends"), expected);
    assert!(producer.ends("no-such-topic").await.is_err());
}
