//! Every failure of the Kafka client, classified once.

use rskafka::client::error::{Error as ClientError, ProtocolError};
use sluice_core::{Error, Kind};

/// `attempt` says what was tried, in the words of an error's message.
pub(crate) fn classify(attempt: &str, error: ClientError) -> Error {
    let kind = match &error {
        ClientError::ServerError { protocol_error, .. } => match protocol_error {
            ProtocolError::UnknownTopicOrPartition => Kind::NotFound,
            ProtocolError::MessageTooLarge
            | ProtocolError::RecordListTooLarge
            | ProtocolError::InvalidRecord
            | ProtocolError::InvalidTopicException => Kind::InvalidData,
            ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed => Kind::Auth,
            ProtocolError::RequestTimedOut => Kind::Timeout,
            _ => Kind::Unavailable,
        },
        ClientError::Timeout => Kind::Timeout,
        // The client has already tried for as long as it may.
        ClientError::RetryFailed(_) => return Error::unavailable(attempt).because(error).exhausted(),
        _ => Kind::Unavailable,
    };
    Error::new(kind, attempt).because(error)
}
