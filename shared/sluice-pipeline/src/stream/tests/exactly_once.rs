//! The property: whatever happens, the table ends up with each valid record of the topic once, and no other row.

use std::{
    collections::BTreeSet,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::{
    model::{Model, Random},
    *,
};

const SEEDS: u64 = 400;
const PARTITIONS: usize = 3;
/// Steps with failures; after these the world is calm, so that the topic can be finished.
const TROUBLED_STEPS: usize = 3_000;
const MOST_STEPS: usize = 60_000;

/// One invocation under way: what it was given, and its future.
struct Flight {
    batches: Vec<Batch>,
    owner: usize,
    future: Pin<Box<dyn Future<Output = Result<Report>>>>,
}

/// The topic, and how far the consumer group has come in it.
struct Topic {
    partitions: Vec<Vec<(i64, bool)>>,
    position: Vec<usize>,
}

impl Topic {
    /// Offsets with gaps, as transactions and compaction leave them; some records are bad.
    fn new(random: &mut Random) -> Self {
        let partition = |random: &mut Random| {
            let mut offset = 0;
            let mut next = |random: &mut Random| {
                offset += 1 + if random.percent(10) { random.below(20) as i64 } else { 0 };
                (offset, !random.percent(15))
            };
            (0..20 + random.below(40)).map(|_| next(random)).collect()
        };
        Topic { partitions: (0..PARTITIONS).map(|_| partition(random)).collect(), position: vec![0; PARTITIONS] }
    }

    /// Cuts new batches: mostly from where the group is, sometimes again from before.
    fn cut(&self, random: &mut Random) -> Vec<Batch> {
        let mut batches = Vec::new();
        for (n, records) in self.partitions.iter().enumerate() {
            let back = if random.percent(20) { random.below(10) } else { 0 };
            let start = self.position[n].saturating_sub(back);
            let end = (start + random.below(12)).min(records.len());
            if start < end {
                let records = records[start..end].iter().map(|(offset, good)| record(*offset, *good)).collect();
                batches.push(Batch { topic: "purchases".into(), partition: n as i32, records });
            }
        }
        batches
    }

    /// What the event source mapping does with an answer: on, up to the first failure of each partition.
    fn answered(&mut self, batches: &[Batch], report: &Report) {
        for batch in batches {
            let n = batch.partition as usize;
            let failed = report.failed.iter().find(|failure| failure.partition == batch.partition);
            let reached = match failed {
                Some(failure) => {
                    assert!(batch.records.iter().any(|r| r.offset == failure.offset), "an offset of the event");
                    failure.offset
                }
                None => batch.records.last().expect("a record").offset + 1,
            };
            let position = self.partitions[n].partition_point(|(offset, _)| *offset < reached);
            self.position[n] = self.position[n].max(position);
        }
    }

    fn is_done(&self) -> bool {
        self.partitions.iter().zip(&self.position).all(|(records, position)| records.len() == *position)
    }

    fn offsets(&self, partition: usize, good: bool) -> Vec<i64> {
        self.partitions[partition].iter().filter(|(_, g)| *g == good).map(|(offset, _)| *offset).collect()
    }
}

#[test]
fn every_valid_record_lands_once_whatever_fails() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed + 1);
        let model = Model::new(seed + 1_000_000, random.below(8));
        let mut topic = Topic::new(&mut random);
        play(seed, &mut random, &model, &mut topic);
        check(seed, &model, &topic);
    }
}

fn play(seed: u64, random: &mut Random, model: &Model, topic: &mut Topic) {
    let mut owners: Vec<Rc<Loop>> = (0..2).map(|_| Rc::new(stream(model, Duration::ZERO))).collect();
    let mut flights: Vec<Flight> = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    for step in 0..MOST_STEPS {
        if topic.is_done() && flights.is_empty() {
            return;
        }
        let calm = step > TROUBLED_STEPS;
        if step == TROUBLED_STEPS {
            model.set_trouble(0);
        }
        // One owner at a time is the rule; a rebalance makes two for a while.
        let most = if calm || random.percent(80) { 1 } else { 2 };
        if flights.len() < most {
            let batches = topic.cut(random);
            let owner = random.below(2);
            let (stream, given) = (Rc::clone(&owners[owner]), batches.clone());
            let invocation = invocation(model, 1 + random.below(5) as i64);
            let future = Box::pin(async move { stream.process(&given, &invocation).await });
            flights.push(Flight { batches, owner, future });
        }
        if random.percent(5) {
            model.commit_some();
        }
        if !calm && random.percent(1) {
            model.forget(&format!("lake_cluster_purchases_{}", random.below(PARTITIONS)));
        }
        let n = random.below(flights.len());
        if !calm && random.percent(2) {
            // The function is killed, at whatever call it was, with all that it remembered.
            let flight = flights.swap_remove(n);
            owners[flight.owner] = Rc::new(stream(model, Duration::ZERO));
            continue;
        }
        if let Poll::Ready(outcome) = flights[n].future.as_mut().poll(&mut context) {
            let flight = flights.swap_remove(n);
            if let Ok(report) = outcome {
                topic.answered(&flight.batches, &report);
            }
        }
    }
    panic!("seed {seed}: the topic was not finished");
}

fn check(seed: u64, model: &Model, topic: &Topic) {
    let ids: Vec<String> =
        model.announced("TableLoaded").iter().filter_map(|d| d["id"].as_str().map(str::to_owned)).collect();
    let archived: BTreeSet<(i64, i64)> = model
        .objects("archive/")
        .iter()
        .flat_map(|(_, body)| {
            let lines = zstd::stream::decode_all(&body[..]).expect("zstd");
            let line = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).expect("json");
            lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(line).collect::<Vec<_>>()
        })
        .map(|line| (line["partition"].as_i64().expect("a number"), line["offset"].as_i64().expect("a number")))
        .collect();
    for n in 0..PARTITIONS {
        let mut landed = model.landed_in(&format!("lake_cluster_purchases_{n}"));
        landed.sort_unstable();
        assert_eq!(landed, topic.offsets(n, true), "seed {seed}, partition {n}: rows");

        let letters: Vec<String> =
            model.objects(&format!("dead-letter/purchases/{n}/")).into_iter().map(|(key, _)| key).collect();
        let bad = topic.offsets(n, false);
        let expected: Vec<String> =
            bad.iter().map(|offset| sluice_core::lake::dead_letter_key("purchases", n as i32, *offset)).collect();
        assert_eq!(letters, expected, "seed {seed}, partition {n}: dead letters");

        for (offset, _) in &topic.partitions[n] {
            assert!(archived.contains(&(n as i64, *offset)), "seed {seed}, partition {n}: {offset} is not archived");
        }
        let last = topic.offsets(n, true).last().copied().unwrap_or_default();
        let told = ids
            .iter()
            .flat_map(|id| id.split(['#', ',']))
            .filter_map(|part| part.strip_prefix(&format!("purchases-{n}:"))?.parse::<i64>().ok());
        assert!(told.max() >= Some(last), "seed {seed}, partition {n}: its last row was never announced");
    }
}
