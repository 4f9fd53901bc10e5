//! What may arrive on the load queue, parsed once: S3 notifications, our own messages, and S3's test.

use aws_lambda_events::sqs::SqsEvent;
use serde::Deserialize;
use sluice_core::{Error, Result, lake};
use sluice_pipeline::load::{CommitRef, Work};

/// The function's event: a batch from the queue, a schedule's request to look for commits that were missed, or a
/// person's to try a failed commit again.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    Batch(SqsEvent),
    Sweep(Sweep),
    Retry(Retry),
}

/// `{"retry": {"table": "…", "sequence": …}}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    pub retry: CommitRef,
}

/// `{"sweep": true}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    pub sweep: bool,
}

/// Reads a message's body. Lenient about everything in an S3 record but the key: fields come and go between versions.
pub fn parse(body: &str) -> Result<Work> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        Notification {
            #[serde(rename = "Records")]
            records: Vec<Record>,
        },
        Test {
            #[serde(rename = "Event")]
            event: String,
        },
        Again(CommitRef),
        Retry(Retry),
        Sweep(Sweep),
    }
    #[derive(Deserialize)]
    struct Record {
        s3: S3,
    }
    #[derive(Deserialize)]
    struct S3 {
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        key: String,
    }

    let unknown = || Error::invalid_data("the message is neither an S3 notification nor one of ours").as_final();
    match serde_json::from_str(body).map_err(|error| unknown().because(error))? {
        Body::Notification { records } => {
            let keys = records.into_iter().map(|record| lake::decode_event_key(&record.s3.object.key));
            keys.map(|key| commit_ref(&key)).collect::<Result<_>>().map(Work::Load)
        }
        Body::Test { event } if event == "s3:TestEvent" => Ok(Work::Nothing),
        Body::Test { .. } => Err(unknown()),
        Body::Again(commit) => Ok(Work::Load(vec![commit])),
        Body::Retry(Retry { retry }) => Ok(Work::Retry(retry)),
        Body::Sweep(Sweep { sweep: true }) => Ok(Work::Sweep),
        Body::Sweep(_) => Err(unknown()),
    }
}

fn commit_ref(key: &str) -> Result<CommitRef> {
    let (table, sequence) = lake::parse_log_key(key).ok_or_else(|| {
        Error::invalid_data("the notified object is not a commit of a table's log").with("key", key).as_final()
    })?;
    Ok(CommitRef { table, sequence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_message_is_known_and_others_are_named() {
        let key = "raw/DLT/APPLICATION_DATA/PRODUCTS/log/99999999999999999998-1.json";
        let commit = CommitRef {
            table: "DLT.APPLICATION_DATA.PRODUCTS".parse().expect("a table"),
            sequence: sluice_core::Sequence(1),
        };
        let cases = [
            (
                format!(r#"{{"Records":[{{"s3":{{"object":{{"key":"{key}","size":1}}}}}}]}}"#),
                Some(Work::Load(vec![commit.clone()])),
            ),
            (serde_json::to_string(&commit).expect("json"), Some(Work::Load(vec![commit.clone()]))),
            (serde_json::json!({ "retry": commit }).to_string(), Some(Work::Retry(commit))),
            (r#"{"retry": {"table": "A.B.C"}}"#.into(), None),
            (r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#.into(), Some(Work::Nothing)),
            (r#"{"sweep":true}"#.into(), Some(Work::Sweep)),
            (r#"{"Records":[{"s3":{"object":{"key":"raw/x.json"}}}]}"#.into(), None),
            ("{".into(), None),
            (r#"{"Event":"s3:ObjectRestore"}"#.into(), None),
        ];
        for (body, expected) in cases {
            assert_eq!(parse(&body).ok(), expected, "{body}");
        }
    }
}
