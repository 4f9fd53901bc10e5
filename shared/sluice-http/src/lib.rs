//! The one HTTP client of the platform: bounded retries, `Retry-After`, rate limits, and nothing secret in any message.
//! Beside it [`tls`], for what is not HTTP.
//!
//! A vendor's adapter builds a [`Request`], says in one function what each answer means, and calls [`Client::send`]:
//!
//! 1. the request is sent; a fault of the transport becomes an [`Error`] by [`error::transport`];
//! 2. the adapter's `classify` looks at the [`Response`] and accepts it or names the error;
//! 3. a transient error is tried again after a jittered wait, or the wait that the other side asked for;
//! 4. when the [`RetryPolicy`] is used up the last error comes back marked as exhausted.
//!
//! Redirects are never followed: none of the platform's vendors redirects its API, and following one would carry
//! credentials to an address nobody configured. Proxy settings of the environment are not read: a function's whole
//! environment goes through its `config.rs`.

pub mod error;
mod rate;
mod request;
mod retry;
pub mod tls;

use std::time::Duration;

use bytes::BytesMut;
use sluice_core::{Error, Result};

pub use rate::RateLimit;
pub use request::{Method, Request, Response};
pub use retry::{Attempt, RetryPolicy, retry};

/// What a client allows itself. The defaults fit a JSON API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To an open connection, TLS included.
    pub connect_timeout: Duration,
    /// From the first byte sent to the last byte received; [`Request::timeout`] overrides it for one request.
    pub request_timeout: Duration,
    /// A longer answer is refused while it arrives: a function has a fixed memory.
    pub max_response_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            max_response_bytes: 64 << 20,
        }
    }
}

/// A connection pool with the platform's settings. Cheap to clone; one per function.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    limits: Limits,
}

impl Client {
    pub fn new() -> Result<Self> {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Result<Self> {
        let inner = reqwest::Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(limits.connect_timeout)
            .build()
            .map_err(|error| Error::config("cannot set up the HTTP client").because(error))?;
        Ok(Client { inner, limits })
    }

    /// Sends once. Any complete answer is `Ok`, whatever its status.
    pub async fn send_once(&self, request: &Request) -> Result<Response> {
        let failed = |error| error::transport(error, request);
        let sendable = request.render(&self.inner, self.limits.request_timeout)?;
        let mut answer = self.inner.execute(sendable).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > self.limits.max_response_bytes {
                return Err(Error::invalid_data("the answer is larger than the client accepts")
                    .with("request", request)
                    .with("limit_bytes", self.limits.max_response_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response::received(status, headers, body.freeze()))
    }

    /// Sends until `classify` accepts the answer, an error is not transient, or the policy is used up.
    ///
    /// An answer may be lost after the other side has acted on the request: where sending twice would act twice, use
    /// [`RetryPolicy::once`] or a request that the other side recognises.
    pub async fn send(
        &self,
        request: &Request,
        policy: &RetryPolicy,
        classify: impl Fn(&Response) -> Result<()>,
    ) -> Result<Response> {
        retry(policy, async |_| self.attempt(request, &classify).await).await
    }

    /// One attempt of a loop that changes its request from attempt to attempt: [`retry`] around this is
    /// [`Client::send`].
    pub async fn attempt(&self, request: &Request, classify: &impl Fn(&Response) -> Result<()>) -> Result<Response> {
        let response = self.send_once(request).await?;
        match classify(&response) {
            Ok(()) => Ok(response),
            Err(error) => Err(match (error.retry_after(), response.retry_after()) {
                (None, Some(wait)) => error.after(wait),
                _ => error,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
