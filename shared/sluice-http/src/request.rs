//! A request whose secrets cannot be printed, and the answer to it.

use std::{fmt, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, de::DeserializeOwned};
use sluice_core::{Error, Result, Retry, Secret};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    fn as_reqwest(self) -> reqwest::Method {
        match self {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        }
    }
}

/// One request. Display and Debug show method, address and the names of query parameters and headers, never a value.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: String,
    query: Vec<(String, Secret)>,
    headers: Vec<(String, Secret)>,
    body: Option<Bytes>,
    timeout: Option<Duration>,
}

impl Request {
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Request { method, url: url.into(), query: Vec::new(), headers: Vec::new(), body: None, timeout: None }
    }

    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::Get, url)
    }

    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::Post, url)
    }

    /// Adds a query parameter; the value is percent-encoded here.
    #[must_use]
    pub fn query(self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.secret_query(name, Secret::new(value.to_string()))
    }

    #[must_use]
    pub fn secret_query(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.query.push((name.into(), value));
        self
    }

    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.secret_header(name, Secret::new(value.to_string()))
    }

    #[must_use]
    pub fn secret_header(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.headers.push((name.into(), value));
        self
    }

    /// `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(self, token: &Secret) -> Self {
        self.secret_header("authorization", Secret::new(format!("Bearer {}", token.expose())))
    }

    /// A JSON body with its content type.
    pub fn json(self, value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Error::internal("cannot encode a request's body").with("request", &self).because(error))?;
        Ok(self.body(body, "application/json"))
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>, content_type: &str) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }

    /// Replaces the client's request timeout for this request.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn render(&self, client: &reqwest::Client, timeout: Duration) -> Result<reqwest::Request> {
        let unusable = |what: &str| Error::config(format!("the request has an unusable {what}")).with("request", self);
        let mut url = reqwest::Url::parse(&self.url).map_err(|error| unusable("address").because(error))?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(self.query.iter().map(|(name, value)| (name, value.expose())));
        }
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|error| unusable("header name").because(error))?;
            // The error of a header value is not attached: it could show the value.
            let mut value = HeaderValue::try_from(value.expose()).map_err(|_| unusable("header value"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut builder =
            client.request(self.method.as_reqwest(), url).headers(headers).timeout(self.timeout.unwrap_or(timeout));
        if let Some(body) = &self.body {
            builder = builder.body(body.clone());
        }
        builder.build().map_err(|error| unusable("part").because(error.without_url()))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_reqwest(), redact(&self.url))?;
        for (i, (name, _)) in self.query.iter().enumerate() {
            let first = i == 0 && !self.url.contains('?');
            write!(f, "{}{name}=*", if first { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("request", &self.to_string())
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.as_ref().map_or(0, Bytes::len))
            .finish()
    }
}

/// The address without user info and fragment, and with each query value replaced by `*`.
pub(crate) fn redact(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let mut text = match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => address.to_owned(),
    };
    for (i, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        text.push(if i == 0 { '?' } else { '&' });
        // A part without `=` could be a bare token, so it is not shown either.
        text.push_str(pair.split_once('=').map_or("", |(name, _)| name));
        text.push_str("=*");
    }
    text
}

/// A complete answer. Debug shows the status and the body's length: a body is row values.
#[derive(Clone)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    /// An answer as an adapter's tests need it.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Response { status, headers: HeaderMap::new(), body: body.into() }
    }

    pub(crate) fn received(status: u16, headers: HeaderMap, body: Bytes) -> Self {
        Response { status, headers, body }
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON of a known shape. The error names the shape's problem and place, not the content.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // What is no JSON comes from something between us and the API, or is not all of it: another time it is whole.
            let (problem, retry) = match error.classify() {
                serde_json::error::Category::Eof => ("ends too early", Retry::Exhausted),
                serde_json::error::Category::Syntax => ("is not JSON", Retry::Exhausted),
                serde_json::error::Category::Data => ("has an unexpected shape", Retry::Permanent),
                serde_json::error::Category::Io => ("cannot be read", Retry::Exhausted),
            };
            Error::invalid_data(format!("the answer's body {problem}"))
                .with_retry(retry)
                .with("line", error.line())
                .with("column", error.column())
                .with("body_bytes", self.body.len())
        })
    }

    /// The wait that the other side asked for: seconds, or a date compared with the answer's own `Date`, so that a
    /// wrong clock on this side does not matter.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let date = |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|at| at.with_timezone(&Utc));
        let now = self.header("date").and_then(date).unwrap_or_else(Utc::now);
        Some((date(text)? - now).to_std().unwrap_or(Duration::ZERO))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).field("body_bytes", &self.body.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_values() {
        for (url, shown) in [
            ("https://h/p.json", "https://h/p.json"),
            ("https://h/p?app_id=s3cret&base=USD", "https://h/p?app_id=*&base=*"),
            ("https://h/p?s3cret", "https://h/p?=*"),
            ("https://user:s3cret@h/p#s3cret", "https://h/p"),
            ("https://h", "https://h"),
            ("not an address", "not an address"),
        ] {
            assert_eq!(redact(url), shown);
        }
    }

    #[test]
    fn no_way_of_printing_a_request_shows_a_value() {
        let secret = Secret::new("s3cret");
        let request = Request::post("https://h/p?token=s3cret")
            .secret_query("app_id", secret.clone())
            .query("q", "s3cret")
            .bearer(&secret)
            .header("x-other", "s3cret")
            .body("s3cret", "text/plain");
        assert_eq!(request.to_string(), "POST https://h/p?token=*&app_id=*&q=*");
        let shown = format!("{request:?} {request}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(!format!("{:?}", Response::new(200, "s3cret")).contains("s3cret"));
    }

    #[test]
    fn a_wait_is_read_from_seconds_and_from_dates() {
        let wait = |headers: &[(&'static str, &'static str)]| {
            let mut response = Response::new(429, "");
            for &(name, value) in headers {
                response.headers.insert(name, HeaderValue::from_static(value));
            }
            response.retry_after()
        };
        let now = ("date", "Sun, 06 Nov 2026 08:49:37 GMT");
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(
            wait(&[("retry-after", "Fri, 06 Nov 2026 08:49:57 GMT"), ("date", "Fri, 06 Nov 2026 08:49:37 GMT")]),
            Some(Duration::from_secs(20))
        );
        assert_eq!(
            wait(&[("retry-after", "Thu, 05 Nov 2026 08:49:57 GMT"), ("date", "Fri, 06 Nov 2026 08:49:37 GMT")]),
            Some(Duration::ZERO)
        );
        assert_eq!(wait(&[("retry-after", "soon"), now]), None);
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_body_of_another_shape_is_named_without_its_content() {
        for (body, problem, retry) in [
            ("<html>s3cret</html>", "is not JSON", Retry::Exhausted),
            ("{\"a\": \"s3cr", "ends too early", Retry::Exhausted),
            ("[\"s3cret\"]", "has an unexpected shape", Retry::Permanent),
        ] {
            let error = Response::new(200, body).json::<std::collections::BTreeMap<String, u8>>().expect_err(body);
            let text = error.chain();
            assert!(text.contains(problem) && !text.contains("s3cr"), "{text}");
            assert_eq!((error.retry(), error.is_final()), (retry, false), "{body}");
        }
    }
}
