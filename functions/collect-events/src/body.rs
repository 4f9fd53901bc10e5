//! From a request's body to its events, each still as the client wrote it.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::value::RawValue;

use crate::{event::Request, problem::Problem};

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub body_bytes: usize,
    pub events: usize,
}

/// The media types that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An event, or an array of events.
    Json,
    /// An event per line.
    Ndjson,
}

impl Format {
    /// Of the request's `Content-Type`, whose parameters say nothing that matters: JSON is always UTF-8.
    pub fn of(request: &Request) -> Result<Self, Problem> {
        let unsupported = |detail: &str| {
            Problem::new(415, "Unsupported media type", detail)
                .header("accept", "application/json, application/x-ndjson")
        };
        if request.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(unsupported("the body must not be compressed"));
        }
        let media_type = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        match media_type.trim().to_ascii_lowercase().as_str() {
            "application/json" => Ok(Format::Json),
            "application/x-ndjson" => Ok(Format::Ndjson),
            _ => Err(unsupported("send application/json (an event or an array) or application/x-ndjson")),
        }
    }
}

/// The body's text.
pub fn text(request: &Request, limits: Limits) -> Result<String, Problem> {
    let body = request.body.as_deref().unwrap_or_default();
    let too_large = || Problem::too_large(format!("the body may have {} bytes", limits.body_bytes));
    if !request.is_base64_encoded {
        return if body.len() > limits.body_bytes { Err(too_large()) } else { Ok(body.to_owned()) };
    }
    if body.len() / 4 * 3 > limits.body_bytes + 3 {
        return Err(too_large());
    }
    let bytes = STANDARD.decode(body).map_err(|_| Problem::bad_request("the body is not what its encoding says"))?;
    if bytes.len() > limits.body_bytes {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad_request("the body is not UTF-8"))
}

/// The events of a body, at least one. A line of NDJSON need not be JSON yet: it is an event of its own, and judged as
/// such.
pub fn events(text: &str, format: Format, limits: Limits) -> Result<Vec<&str>, Problem> {
    let events = match format {
        Format::Ndjson => text.lines().map(str::trim).filter(|line| !line.is_empty()).collect(),
        Format::Json => json_events(text)?,
    };
    if events.is_empty() {
        return Err(Problem::bad_request("the body holds no event"));
    }
    if events.len() > limits.events {
        return Err(Problem::too_large(format!("a request may hold {} events", limits.events)));
    }
    Ok(events)
}

fn json_events(text: &str) -> Result<Vec<&str>, Problem> {
    let broken = |error: serde_json::Error| {
        let detail = format!("the body is not JSON (line {}, column {})", error.line(), error.column());
        Problem::bad_request(detail)
    };
    if text.trim_start().starts_with('[') {
        let events: Vec<&RawValue> = serde_json::from_str(text).map_err(broken)?;
        return Ok(events.into_iter().map(RawValue::get).collect());
    }
    let event: &RawValue = serde_json::from_str(text).map_err(broken)?;
    Ok(vec![event.get()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { body_bytes: 30, events: 3 };

    #[test]
    fn one_event_an_array_and_lines_are_read_as_written() {
        let read = |text, format| events(text, format, LIMITS).map_err(|problem| problem.status());
        assert_eq!(read(" {\"a\": 1.10} ", Format::Json), Ok(vec!["{\"a\": 1.10}"]));
        assert_eq!(read("[{\"a\":1} , 2]", Format::Json), Ok(vec!["{\"a\":1}", "2"]));
        assert_eq!(read("{\"a\":1}\r\n\n {broken\n", Format::Ndjson), Ok(vec!["{\"a\":1}", "{broken"]));
        for (text, status) in [("", 400), ("[]", 400), ("[1,2,3,4]", 413), ("{\"a\":1", 400), ("{} {}", 400)] {
            assert_eq!(read(text, Format::Json), Err(status), "{text}");
        }
        assert_eq!(read(" \n\n", Format::Ndjson), Err(400));
    }

    #[test]
    fn a_body_is_measured_decoded_and_must_be_text() {
        let status = |body: &str, is_base64_encoded| {
            let request = Request { body: Some(body.to_owned()), is_base64_encoded, ..Request::default() };
            text(&request, LIMITS).map_err(|problem| problem.status())
        };
        assert_eq!(status(&"x".repeat(30), false), Ok("x".repeat(30)));
        assert_eq!(status(&"x".repeat(31), false), Err(413));
        assert_eq!(status(&STANDARD.encode("é".repeat(15)), true), Ok("é".repeat(15)));
        assert_eq!(status(&STANDARD.encode("x".repeat(31)), true), Err(413));
        assert_eq!(status(&STANDARD.encode("x".repeat(4_000)), true), Err(413));
        assert_eq!(status(&STANDARD.encode([0xff]), true), Err(400));
        assert_eq!(status("???", true), Err(400));
    }

    #[test]
    fn only_json_is_taken_uncompressed() {
        let format = |headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Format::of(&Request { headers, ..Request::default() }).map_err(|problem| problem.status())
        };
        assert_eq!(format(&[("content-type", "Application/JSON; charset=utf-8")]), Ok(Format::Json));
        assert_eq!(format(&[("content-type", "application/x-ndjson")]), Ok(Format::Ndjson));
        assert_eq!(format(&[("content-type", "text/plain")]), Err(415));
        assert_eq!(format(&[]), Err(415));
        assert_eq!(format(&[("content-type", "application/json"), ("content-encoding", "gzip")]), Err(415));
    }
}
