//! The event: seeded, so that every run measures the same bytes.

use std::fmt::Write;

pub(crate) const TOPIC: &str = "purchases";
pub(crate) const PARTITION: i32 = 3;
pub(crate) const RECORDS: usize = 15_633;
const FIRST_OFFSET: usize = 1_000_000;
/// Length of one record in the event, or a little more.
const RECORD_BYTES: usize = 384;

pub(crate) fn generate() -> String {
    let mut seed = 20_251_031_u64;
    let mut next = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 20) % bound
    };
    let mut event = String::with_capacity(RECORDS * (RECORD_BYTES + 1) + 1_000);
    event.push_str(r#"{"eventSource":"aws:kafka","eventSourceArn":"arn:aws:kafka:eu-west-2:1:cluster/c/1","#);
    let _ = write!(event, r#""bootstrapServers":"b-1:9098","records":{{"{TOPIC}-{PARTITION}":["#);
    for i in 0..RECORDS {
        let (offset, timestamp) = (FIRST_OFFSET + i, 1_761_868_800_000 + i as u64 * 7);
        let email = format!("c{:0>5}@shop.io", next(50_000));
        let id = uuid(next(u64::MAX), next(u64::MAX));
        let (product, quantity) = (1 + next(10_000), 1 + next(9));
        let (minute, second) = (next(60), next(60));
        let value = format!(
            r#"{{"event_id":"{id}","customer_email":"{email}","product_id":{product},"quantity":{quantity},"purchase_ts":"2025-10-31T00:{minute:0>2}:{second:0>2}Z","schema_version":1}}"#
        );
        let [key, value] = [email, value].map(|text| base64_simd::STANDARD.encode_to_string(text));
        let start = event.len();
        let _ = write!(
            event,
            r#"{{"topic":"{TOPIC}","partition":{PARTITION},"offset":{offset},"timestamp":{timestamp},"timestampType":"CREATE_TIME","key":"{key}","value":"{value}","headers":[]"#
        );
        // What the length of numbers leaves open is filled with spaces, as some producers of JSON write them.
        let room = (RECORD_BYTES - 2).saturating_sub(event.len() - start);
        event.extend(std::iter::repeat_n(' ', room));
        event.push_str(if i + 1 < RECORDS { "}," } else { "}" });
    }
    event.push_str("]}}");
    event
}

fn uuid(a: u64, b: u64) -> String {
    let [a, b] = [a, b].map(|half| format!("{half:0>16x}"));
    format!("{}-{}-4{}-a{}-{}", &a[..8], &a[8..12], &a[13..16], &b[1..4], &b[4..16])
}
