//! Invoking the function, and what its answer means for the positions.

use std::collections::BTreeMap;

use crate::function_url::Lambda;
use anyhow::{Context, bail};
use sluice_kafka::BatchResponse;

/// One Lambda function.
pub(crate) struct Function {
    lambda: Lambda,
    name: String,
}

impl Function {
    pub(crate) fn new(lambda: Lambda, name: &str) -> Self {
        Function { lambda, name: name.to_owned() }
    }

    /// Invokes the function and waits. An error of the function is an error here.
    pub(crate) async fn invoke(&self, payload: String) -> anyhow::Result<BatchResponse> {
        let answer = self.lambda.invoke(&self.name, payload).await?;
        if let Some(error) = answer.error {
            bail!("{} failed ({error}): {}", self.name, String::from_utf8_lossy(&answer.payload));
        }
        parse(&answer.payload)
    }
}

/// Nothing, null and an object without failures all mean success.
fn parse(answer: &[u8]) -> anyhow::Result<BatchResponse> {
    if answer.is_empty() {
        return Ok(BatchResponse::default());
    }
    let response: Option<BatchResponse> = serde_json::from_slice(answer).context("the answer is no batch response")?;
    Ok(response.unwrap_or_default())
}

/// How many of the sent records of each partition are done. A failure that names what was not sent fails the batch.
pub(crate) fn done(
    topic: &str,
    sent: &BTreeMap<i32, Vec<i64>>,
    response: &BatchResponse,
) -> anyhow::Result<BTreeMap<i32, usize>> {
    let mut done: BTreeMap<i32, usize> = sent.iter().map(|(partition, offsets)| (*partition, offsets.len())).collect();
    for failure in &response.batch_item_failures {
        let identifier = &failure.item_identifier;
        let partition = identifier.partition.strip_prefix(topic).and_then(|rest| rest.strip_prefix('-'));
        let partition: Option<i32> = partition.and_then(|partition| partition.parse().ok());
        let at = partition.and_then(|partition| {
            let before = sent.get(&partition)?.iter().position(|offset| *offset == identifier.offset)?;
            Some((partition, before))
        });
        let Some((partition, before)) = at else {
            bail!("the answer names {} at {}, which was not in the event", identifier.partition, identifier.offset);
        };
        done.entry(partition).and_modify(|count| *count = before.min(*count));
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_failures_is_success() {
        for answer in ["", "null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"other":1}"#] {
            assert_eq!(parse(answer.as_bytes()).expect("success"), BatchResponse::default(), "{answer}");
        }
        assert!(parse(b"[").is_err());
    }

    #[test]
    fn a_partition_is_done_up_to_its_first_failure() {
        let sent = BTreeMap::from([(0, vec![5, 7, 9]), (1, vec![1])]);
        let mut response = BatchResponse::default();
        response.fail("a-b", 0, 9);
        response.fail("a-b", 0, 7);
        assert_eq!(done("a-b", &sent, &response).expect("known offsets"), BTreeMap::from([(0, 1), (1, 1)]));
    }

    #[test]
    fn a_failure_that_was_not_sent_fails_the_batch() {
        let sent = BTreeMap::from([(0, vec![5])]);
        for (topic, partition, offset) in [("t", 0, 6), ("t", 1, 5), ("u", 0, 5)] {
            let mut response = BatchResponse::default();
            response.fail(topic, partition, offset);
            assert!(done("t", &sent, &response).is_err(), "{topic}-{partition} at {offset}");
        }
    }
}
