//! One Snowflake account and the one way to send it a request: with a token, a new one after a refusal, and retries.

use std::time::Duration;

use sluice_core::{Result, port::Secrets};
use sluice_http::{Client, Request, Response, RetryPolicy, retry};

use crate::{
    SnowflakeConfig,
    auth::{KeyPairTokens, Tokens},
    error,
};

/// How patient the clients are.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For each request.
    pub retry: RetryPolicy,
    /// The first wait for a statement under way; later ones are a quarter of the time that it has taken, up to `poll_cap`.
    pub poll: Duration,
    pub poll_cap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { retry: RetryPolicy::default(), poll: Duration::from_millis(100), poll_cap: Duration::from_secs(5) }
    }
}

impl Pace {
    /// No waits at all: for tests against a server on this machine.
    pub fn without_waits() -> Self {
        Pace { retry: RetryPolicy::without_waits(5), poll: Duration::ZERO, poll_cap: Duration::ZERO }
    }
}

/// An account and the service user that we are there. Shared by the clients, so that they share a token.
pub struct Account<Sec> {
    pub(crate) base: String,
    pub(crate) role: String,
    pub(crate) warehouse: String,
    pub(crate) pace: Pace,
    pub(crate) keys: KeyPairTokens<Sec>,
    http: Client,
}

impl<Sec: Secrets> Account<Sec> {
    pub fn new(config: SnowflakeConfig, secrets: Sec, http: Client) -> Self {
        Account {
            base: config.base_url(),
            role: config.role.clone(),
            warehouse: config.warehouse.clone(),
            pace: Pace::default(),
            keys: KeyPairTokens::new(config, secrets),
            http,
        }
    }

    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Sends what `build` makes of the token and of whether this is a resend. The first refusal of the token gets a new one,
    /// whatever attempt it comes on; `classify` sees every other answer.
    pub(crate) async fn send(
        &self,
        tokens: &impl Tokens,
        policy: &RetryPolicy,
        build: impl Fn(&sluice_core::Secret, bool) -> Result<Request>,
        classify: impl Fn(&Response) -> Result<()>,
    ) -> Result<Response> {
        let mut renewed = false;
        retry(policy, async |attempt| {
            let resend = attempt.number > 1;
            if !renewed {
                let request = build(&tokens.token().await?, resend)?;
                let refused = error::refuses_the_token;
                let unless_refused = |response: &Response| if refused(response) { Ok(()) } else { classify(response) };
                let response = self.http.attempt(&request, &unless_refused).await?;
                if !refused(&response) {
                    return Ok(response);
                }
                tracing::info!("the token was refused; trying once with a new one");
                tokens.forget();
                renewed = true;
            }
            let request = build(&tokens.token().await?, resend)?;
            self.http.attempt(&request, &classify).await
        })
        .await
    }
}

/// One segment of a path. Names in paths are table and channel names, which may hold anything.
pub(crate) fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment_of_a_path() {
        assert_eq!(segment("PURCHASES-STREAMING"), "PURCHASES-STREAMING");
        assert_eq!(segment("a/b?c#d e\"é"), "a%2Fb%3Fc%23d%20e%22%C3%A9");
    }
}
