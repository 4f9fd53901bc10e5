//! Records of purchases, an archive of them, and who asks for them.

use bytes::Bytes;
use chrono::DateTime;
use sluice_core::{Error, LakeId, Record, Result, RunId, Sources};

use super::{Mode, Request};
use crate::{
    fakes::{LIMITS, MemoryStore},
    stream::{self, Decode},
};

pub(super) const DAY: i64 = 86_400_000;
/// 2025-10-31 UTC.
const START: i64 = 1_761_868_800_000;

/// Archives records of a partition, and gives the object's key.
pub(super) fn keep(lake: &MemoryStore, cluster: &str, partition: i32, records: &[Record]) -> String {
    let (key, body) = stream::record::archive(cluster, "purchases", partition, records).expect("an archive");
    lake.objects.borrow_mut().insert(key.clone(), body);
    key
}

/// Whose purchase it is: that of every fourth offset is another person's.
pub(super) fn email(offset: i64) -> &'static str {
    if offset % 4 == 1 { "B@example.com" } else { "a@example.com" }
}

/// A purchase of one piece, or of none, which breaks the contract.
pub(super) fn record(offset: i64, at: i64, good: bool) -> Record {
    let quantity = i32::from(good);
    let value = format!(
        r#"{{"event_id":"e{offset}","customer_email":"{}","product_id":1,"quantity":{quantity},
        "purchase_ts":"2025-10-31T00:00:00Z","schema_version":1}}"#,
        email(offset)
    );
    Record { offset, timestamp_ms: START + at, key: None, value: Some(value.into()), headers: Vec::new() }
}

/// Every topic here is in JSON.
pub(super) struct JsonAlone;

impl Decode for JsonAlone {
    async fn decode(&self, topic: &str, _: &Bytes) -> Result<Result<Bytes, String>> {
        Err(Error::unsupported("no format but JSON").with("topic", topic))
    }
}

pub(super) struct Asked {
    pub lake: LakeId,
    pub run: RunId,
    sources: Sources,
}

impl Asked {
    pub(super) fn new() -> Self {
        Asked::by("1")
    }

    /// By the replay of this id.
    pub(super) fn by(id: &str) -> Self {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        Asked { lake: LakeId("lake".into()), run: RunId(format!("replay-{id}")), sources }
    }

    /// The records of the last day of October.
    pub(super) fn request(&self) -> Request<'_> {
        let time = |millis| DateTime::from_timestamp_millis(millis).expect("a time");
        Request {
            table: self.sources.topic("purchases").expect("a table"),
            topic: "purchases",
            lake_id: &self.lake,
            cluster_id: "cluster",
            run_id: &self.run,
            from: time(START),
            to: time(START + DAY),
            partition: None,
            offsets: (0, i64::MAX),
            mode: Mode::Swap { delete_unarchived: false },
            limits: LIMITS,
        }
    }
}
