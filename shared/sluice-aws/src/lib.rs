//! AWS behind the ports: the lake on S3, messages to ourselves on SQS, the bus on EventBridge, a topic of
//! SNS, secrets.
//!
//! SDK errors are classified in [`error`], once. The SDK's own retries are on; an error that leaves this crate has been
//! retried already where that could help.

mod bus;
mod error;
mod lake;
mod queue;
mod secrets;
mod topic;

pub use aws_config::SdkConfig;
pub use bus::EventBus;
pub use error::{HttpStatus, classify};
pub use lake::S3Lake;
pub use queue::SqsQueue;
pub use secrets::{CachedSecrets, FreshSecrets};
pub use topic::Topic;

/// Region, credentials and HTTP client, shared by every client of a function.
pub async fn sdk_config() -> SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}
