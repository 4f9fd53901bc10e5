//! The trust policy of the role that reads the lake.

use aws_sdk_iam::Client;
use serde_json::json;
use sluice_aws::classify;
use sluice_core::Result;

use crate::config::account::{Identity, ReaderRole};

pub(crate) struct LakeReader {
    client: Client,
    /// The role's ARN.
    arn: String,
}

impl LakeReader {
    pub(crate) fn new(aws: &sluice_aws::SdkConfig, arn: &str) -> Self {
        LakeReader { client: Client::new(aws), arn: arn.to_owned() }
    }
}

impl ReaderRole for LakeReader {
    async fn trust(&self, identity: &Identity) -> Result<()> {
        let name = self.arn.rsplit('/').next().unwrap_or_default();
        let document = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": identity.user},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": identity.external_id}},
            }],
        });
        let update = self.client.update_assume_role_policy().role_name(name).policy_document(document.to_string());
        update.send().await.map(drop).map_err(|error| classify(error, format!("cannot let the warehouse into {name}")))
    }
}
