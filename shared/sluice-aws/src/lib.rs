//! AWS behind the ports: the lake on S3, messages to ourselves on SQS, the bus on EventBridge, a topic of
//! SNS, secrets, and what was used.
//!
//! SDK errors are classified in [`error`], once. The SDK's own retries are on; an error that leaves this crate has been
//! retried already where that could help.

mod bus;
mod error;
mod lake;
mod queue;
mod secrets;
pub mod signed;
mod topic;
mod usage;

pub use aws_config::SdkConfig;
pub use bus::EventBus;
pub use error::{HttpStatus, classify};
pub use lake::S3Lake;
pub use queue::SqsQueue;
pub use secrets::{CachedSecrets, FreshSecrets, SecretAges};
pub use topic::Topic;
pub use usage::{FunctionDay, Usage};

/// Region, credentials and HTTP client, shared by every client of a function.
pub async fn sdk_config() -> SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}
