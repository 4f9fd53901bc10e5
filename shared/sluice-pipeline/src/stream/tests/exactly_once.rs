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
/// Bytes that hold two rows, so that a batch is several appends.
const TWO_ROWS: usize = 1_200;
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
    /// Which creation of the topic this is.
    cluster: &'static str,
    day: i64,
    partitions: Vec<Vec<(i64, bool)>>,
    /// Valid records whose rows the warehouse refuses, by partition and offset.
    refused: BTreeSet<(usize, i64)>,
    position: Vec<usize>,
    /// Partitions whose channels were forgotten, and with them how many rows were refused.
    forgotten: BTreeSet<usize>,
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
        let partitions: Vec<Vec<(i64, bool)>> = (0..PARTITIONS).map(|_| partition(random)).collect();
        let good = partitions
            .iter()
            .enumerate()
            .flat_map(|(n, records)| records.iter().filter(|(_, good)| *good).map(move |(offset, _)| (n, *offset)));
        let refused = good.filter(|_| random.percent(3)).collect();
        let forgotten = BTreeSet::new();
        Topic { cluster: "cluster", day: 0, partitions, refused, position: vec![0; PARTITIONS], forgotten }
    }

    /// The topic is deleted and made again, often on the same day: the offsets begin again, with other records.
    fn recreated(random: &mut Random) -> Self {
        Topic { cluster: "cluster-2", day: random.below(2) as i64, ..Topic::new(random) }
    }

    /// As it stands in names.
    fn creation(&self) -> String {
        sluice_core::lake::digest(&[self.cluster.as_bytes()])
    }

    fn channel(&self, partition: usize) -> String {
        format!("lake_{}_purchases_{partition}", self.cluster)
    }

    fn record(&self, offset: i64, good: bool) -> Record {
        let record = record(offset, good);
        let key = Some(bytes::Bytes::from_static(self.cluster.as_bytes()));
        Record { timestamp_ms: record.timestamp_ms + self.day * 86_400_000, key, ..record }
    }

    /// Cuts new batches: mostly from where the group is, sometimes again from before.
    fn cut(&self, random: &mut Random) -> Vec<Batch> {
        let mut batches = Vec::new();
        for (n, records) in self.partitions.iter().enumerate() {
            let back = if random.percent(20) { random.below(10) } else { 0 };
            let start = self.position[n].saturating_sub(back);
            let end = (start + random.below(12)).min(records.len());
            if start < end {
                let records = records[start..end].iter().map(|(offset, good)| self.record(*offset, *good)).collect();
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
        model.set_append_bytes(TWO_ROWS);
        for mut topic in [Topic::new(&mut random), Topic::recreated(&mut random)] {
            for (partition, offset) in &topic.refused {
                model.refuse(&topic.channel(*partition), *offset);
            }
            play(seed, &mut random, &model, &mut topic);
            check(seed, &model, &topic);
            model.set_trouble(random.below(8));
        }
    }
}

#[test]
fn a_topic_made_again_under_the_old_cluster_id_is_reported_and_kept() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    process(&stream, &model, &[batch(0, 200_000..200_010)]).expect("processed");
    let again = Topic { partitions: Vec::new(), day: 1, ..Topic::new(&mut Random::new(1)) };
    let records = (0..10).map(|offset| again.record(offset, true)).collect();
    let report = process(&stream, &model, &[Batch { records, ..batch(0, []) }]).expect("processed");
    assert_eq!((report.done[0].skipped, report.done[0].rows), (10, 0), "what the channel says goes");
    assert_eq!(model.announced("LoadFailed").len(), 1);
    assert!(model.archived("2025-11-01", 0, 0, 9).is_some());
}

fn play(seed: u64, random: &mut Random, model: &Model, topic: &mut Topic) {
    let sources = Sources::parse(include_str!("../../../../../platform/sources.yaml")).expect("valid sources");
    let cluster = topic.cluster;
    let start = || Rc::new(stream_of(model, Duration::ZERO, sources.clone(), cluster));
    let mut owners: Vec<Rc<Loop>> = (0..2).map(|_| start()).collect();
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
            let partition = random.below(PARTITIONS);
            model.forget(&topic.channel(partition));
            topic.forgotten.insert(partition);
        }
        let n = random.below(flights.len());
        if !calm && random.percent(2) {
            // The function is killed, at whatever call it was, with all that it remembered.
            let flight = flights.swap_remove(n);
            owners[flight.owner] = start();
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
    let date = if topic.day == 0 { "2025-10-31" } else { "2025-11-01" };
    let is_own = |key: &str| {
        let name = sluice_core::lake::Archive::parse("purchases", key).expect("the name of an archive");
        name.creation == Some(topic.creation())
    };
    let archived: BTreeSet<(i64, i64)> = model
        .objects(&format!("archive/purchases/{date}/"))
        .iter()
        .filter(|(key, _)| is_own(key))
        .flat_map(|(_, body)| {
            let lines = zstd::stream::decode_all(&body[..]).expect("zstd");
            let line = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).expect("json");
            lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(line).collect::<Vec<_>>()
        })
        .map(|line| (line["partition"].as_i64().expect("a number"), line["offset"].as_i64().expect("a number")))
        .collect();
    let own_key = base64_simd::STANDARD.encode_to_string(topic.cluster);
    for n in 0..PARTITIONS {
        let mut rows = model.rows_in(&topic.channel(n));
        rows.sort_unstable();
        let mut due = topic.offsets(n, true);
        due.retain(|offset| !topic.refused.contains(&(n, *offset)));
        assert_eq!(rows, due, "seed {seed}, partition {n}: rows");

        for (offset, _) in &topic.partitions[n] {
            assert!(archived.contains(&(n as i64, *offset)), "seed {seed}, partition {n}: {offset} is not archived");
        }
        let letters: Vec<i64> = model
            .objects(&format!("dead-letter/purchases/{n}/"))
            .iter()
            .map(|(_, body)| serde_json::from_slice::<serde_json::Value>(body).expect("json"))
            .filter(|letter| letter["key"] == own_key.as_str())
            .map(|letter| letter["offset"].as_i64().expect("a number"))
            .collect();
        assert_eq!(letters, topic.offsets(n, false), "seed {seed}, partition {n}: dead letters");

        let refused = model.refused_rows(&topic.channel(n));
        if refused > 0 && !topic.forgotten.contains(&n) {
            let told = sluice_core::lake::refused_key(&topic.channel(n), refused);
            assert!(
                !model.objects(&told).is_empty(),
                "seed {seed}, partition {n}: {refused} refused rows, nobody told"
            );
            assert!(!model.announced("LoadFailed").is_empty(), "seed {seed}");
        }
        if topic.cluster != "cluster" {
            // An announcement's id knows nothing of creations.
            continue;
        }
        let last = topic.offsets(n, true).last().copied().unwrap_or_default();
        let told = ids
            .iter()
            .flat_map(|id| id.split(['#', ',']))
            .filter_map(|part| part.strip_prefix(&format!("purchases-{n}:"))?.parse::<i64>().ok());
        assert!(told.max() >= Some(last), "seed {seed}, partition {n}: its last row was never announced");
    }
}
