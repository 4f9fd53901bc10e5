use std::time::Duration;

use serde_json::{Value, json};

use sluice_core::Kind;

use super::world::{World, block_on, json_of, purchase, request, time};
use crate::{
    check::Valid,
    delivery::{Reach, Via},
};

#[test]
fn while_kafka_is_away_events_wait_in_the_outbox_and_go_on_later() {
    let world = World::new();
    world.kafka.0.away.set(true);
    let response = world.post(&json!([purchase(1), purchase(2)]));
    assert_eq!((response.status_code, &json_of(&response)["via"]), (202, &json!("spool")));
    assert_eq!(json_of(&world.answer(&request("GET", "/health", &[])))["kafka"], "away");
    assert!(world.records().is_empty());

    let kept = world.outbox.messages.borrow().clone();
    assert_eq!(world.drain(), ["0"], "it stays in the queue while Kafka is away");
    world.kafka.0.away.set(false);
    assert!(world.deliver(kept.iter().map(String::as_str)).is_empty());
    let expected: Vec<(Option<String>, Value)> =
        [1, 2].map(|n| (Some(format!("c{n}@example.com")), purchase(n))).to_vec();
    assert_eq!(world.records(), expected);
}

#[test]
fn no_request_waits_for_a_kafka_that_has_just_been_away() {
    let world = World::new();
    world.kafka.0.away.set(true);
    for n in 0..5 {
        assert_eq!(world.post(&purchase(n)).status_code, 202);
    }
    assert_eq!(world.kafka.0.asked.get(), 1);
    world.kafka.0.away.set(false);
    world.pass(Duration::from_secs(10));
    assert_eq!(json_of(&world.post(&purchase(6)))["via"], "kafka");
    assert!(world.drain().is_empty());
    assert_eq!(world.records().len(), 6);
}

fn deliver(world: &World, topic: &str) -> Via {
    let event = Valid { id: "1".into(), key: None, text: "{}".into() };
    let delivered = world.collector.delivery.deliver(topic, vec![event], time(), world.now.get());
    block_on(delivered).expect("delivered")
}

/// One topic that nobody has created, or that the user may not write to, says nothing of the others.
#[test]
fn only_the_topic_that_kafka_refuses_goes_to_the_outbox() {
    for kind in Kind::ALL {
        let world = World::new();
        world.kafka.0.refuses.borrow_mut().insert("clicks".into(), kind);
        assert_eq!(deliver(&world, "clicks"), Via::Outbox);
        let is_away = matches!(kind, Kind::Unavailable | Kind::Timeout);
        let expected = if is_away { Via::Outbox } else { Via::Kafka };
        assert_eq!(deliver(&world, "purchases"), expected, "{kind}");
        assert_eq!(matches!(world.collector.delivery.reach(), Reach::Away { .. }), is_away, "{kind}");

        let asked = world.kafka.0.asked.get();
        assert_eq!(deliver(&world, "clicks"), Via::Outbox);
        assert_eq!(world.kafka.0.asked.get(), asked, "{kind}: it is left alone for a while");
        world.kafka.0.refuses.borrow_mut().clear();
        world.pass(Duration::from_secs(10));
        assert_eq!(deliver(&world, "clicks"), Via::Kafka, "{kind}");
    }
}

#[test]
fn what_is_drained_into_a_topic_ends_its_rest() {
    let world = World::new();
    world.kafka.0.refuses.borrow_mut().insert("purchases".into(), Kind::Auth);
    assert_eq!(json_of(&world.post(&purchase(1)))["via"], "spool");
    world.kafka.0.refuses.borrow_mut().clear();
    assert!(world.drain().is_empty());
    assert_eq!(json_of(&world.post(&purchase(2)))["via"], "kafka");
}

#[test]
fn with_neither_kafka_nor_outbox_nothing_is_promised() {
    let world = World::new();
    world.kafka.0.away.set(true);
    world.outbox.away.set(true);
    let response = world.post(&purchase(1));
    assert_eq!(response.status_code, 503);
    assert!(response.headers["retry-after"].parse::<u32>().is_ok());
    assert_eq!(json_of(&response)["event_ids"], json!([purchase(1)["event_id"]]));
    world.outbox.away.set(false);
    assert_eq!(world.post(&purchase(1)).status_code, 202);
}

#[test]
fn a_large_batch_is_split_into_messages_that_the_queue_takes() {
    let world = World::new();
    world.kafka.0.away.set(true);
    let batch: Vec<Value> = (0..6)
        .map(|n| {
            let mut event = purchase(n);
            event["note"] = json!("\"".repeat(20_000));
            event
        })
        .collect();
    assert_eq!(world.post(&Value::from(batch.clone())).status_code, 202);
    assert!(world.outbox.messages.borrow().len() > 1);
    assert!(world.outbox.messages.borrow().iter().all(|message| message.len() <= 262_144));
    world.kafka.0.away.set(false);
    assert!(world.drain().is_empty());
    let values: Vec<Value> = world.records().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, batch);
}

#[test]
fn a_message_that_cannot_be_drained_stays_and_takes_no_other_with_it() {
    let world = World::new();
    world.kafka.0.away.set(true);
    world.post(&purchase(1));
    world.kafka.0.away.set(false);
    let good = world.outbox.messages.borrow()[0].clone();
    assert_eq!(world.deliver(["{\"broken", &good].into_iter()), ["0"]);
    assert_eq!(world.records().len(), 1);
}

#[test]
fn events_of_a_topic_that_is_gone_wait_among_the_dead_letters() {
    let world = World::new();
    world.kafka.0.away.set(true);
    world.post(&json!([purchase(1), purchase(2)]));
    world.kafka.0.away.set(false);
    let good = world.outbox.messages.borrow()[0].clone();
    let gone = good.replace("\"purchases\"", "\"gone\"");
    world.dead.away.set(true);
    assert_eq!(world.deliver([gone.as_str(), &good].into_iter()), ["0"], "it stays until it is kept elsewhere");
    world.dead.away.set(false);
    assert!(world.deliver([gone.as_str()].into_iter()).is_empty(), "it holds up the queue");
    assert_eq!(*world.dead.messages.borrow(), [gone], "as it was, so that it can be sent back");
    assert_eq!(world.records().len(), 2);
}
