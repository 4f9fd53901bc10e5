//! What a consumer answers Lambda: which partitions failed, and from which offset.
//!
//! Lambda reads it only from a mapping with `ReportBatchItemFailures`, which needs provisioned pollers. From any other
//! mapping it counts as success, so a function must know which kind of mapping calls it.

use serde::{Deserialize, Serialize};

/// The partial batch response. No failures means that the whole batch is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    #[serde(default)]
    pub batch_item_failures: Vec<ItemFailure>,
}

/// The first record of a partition that is not done. Everything after it is delivered again, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    pub item_identifier: ItemIdentifier,
}

/// An offset that is not in the event fails the whole batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemIdentifier {
    /// `<topic>-<partition>`.
    pub partition: String,
    pub offset: i64,
}

impl BatchResponse {
    pub fn fail(&mut self, topic: &str, partition: i32, offset: i64) {
        let item_identifier = ItemIdentifier { partition: format!("{topic}-{partition}"), offset };
        self.batch_item_failures.push(ItemFailure { item_identifier });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_has_lambdas_shape() {
        let mut response = BatchResponse::default();
        assert_eq!(serde_json::to_value(&response).expect("json"), serde_json::json!({"batchItemFailures": []}));
        response.fail("shop-events", 3, 17);
        assert_eq!(
            serde_json::to_value(&response).expect("json"),
            serde_json::json!({"batchItemFailures": [{"itemIdentifier": {"partition": "shop-events-3", "offset": 17}}]})
        );
    }
}
