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
        _ => match refusal(&error.to_string()) {
            Some(kind) => kind,
            // The client has already tried for as long as it may.
            None if matches!(error, ClientError::RetryFailed(_)) => {
                return Error::unavailable(attempt).because(error).exhausted();
            }
            None => Kind::Unavailable,
        },
    };
    let classified = Error::new(kind, attempt).because(error);
    match kind {
        Kind::Auth => classified.with_hint("check user and password in the Kafka secret, and what the user may do"),
        Kind::Config => classified.with_hint("set the SASL mechanism that the brokers take"),
        _ => classified,
    }
}

/// What the text of a failed connection says of the user. The client's type for it has no name outside of the client, and
/// retries wrap it; its words are fixed by the tests against a broker's front.
fn refusal(text: &str) -> Option<Kind> {
    let (_, reason) = text.split_once("Sasl handshake failed: ")?;
    let is = |word: &str| reason.to_ascii_lowercase().contains(word);
    if is("unsupportedsaslmechanism") || is("unsupported sasl mechanism") {
        return Some(Kind::Config);
    }
    // A connection that broke off in the middle says nothing of the user, and a token that could not be made nothing of the brokers.
    let is_about_user =
        !["Request error", "Error in user defined callback"].iter().any(|said| reason.starts_with(said));
    is_about_user.then_some(Kind::Auth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_user_is_told_from_a_broken_connection_and_a_wrong_mechanism() {
        let retried = |reason: &str| {
            refusal(&format!("Connection error: all retries failed: Retry exceeded deadline. Source: {reason}"))
        };
        let handshake = |reason: &str| retried(&format!("Sasl handshake failed: {reason}"));
        assert_eq!(handshake("API error: SaslAuthenticationFailed"), Some(Kind::Auth));
        assert_eq!(handshake("Sasl session error: mutual authentication failed"), Some(Kind::Auth));
        assert_eq!(handshake("API error: UnsupportedSaslMechanism"), Some(Kind::Config));
        assert_eq!(handshake("unsupported sasl mechanism"), Some(Kind::Config));
        assert_eq!(handshake("Request error: Cannot read/write data: early eof"), None);
        assert_eq!(handshake("Error in user defined callback: AWS credentials cannot be had"), None);
        assert_eq!(retried("error connecting to broker \"localhost:1\": IO Error: refused"), None);
    }
}
