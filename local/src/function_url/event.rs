//! The two translations.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, request::Parts},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

/// The event of a request. Text travels as text, everything else in base64.
pub(crate) fn of(parts: &Parts, body: &[u8]) -> Value {
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &parts.headers {
        // One character per byte, as HTTP's own reading of header bytes is Latin-1.
        let value: String = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        headers.entry(name.as_str()).and_modify(|all| *all = format!("{all},{value}")).or_insert(value);
    }
    let is_text = headers.get("content-type").is_none_or(|media_type| {
        let media_type = media_type.to_ascii_lowercase();
        media_type.starts_with("text/") || media_type.contains("json") || media_type.contains("xml")
    });
    let text = std::str::from_utf8(body).ok().filter(|_| is_text);
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let now = Utc::now();
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
        "requestContext": {
            "accountId": "anonymous", "apiId": "local", "domainName": "127.0.0.1", "domainPrefix": "local",
            "http": {
                "method": parts.method.as_str(), "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
            },
            "requestId": uuid::Uuid::new_v4().to_string(), "routeKey": "$default", "stage": "$default",
            "time": now.format("%d/%b/%Y:%H:%M:%S +0000").to_string(), "timeEpoch": now.timestamp_millis(),
        },
        "body": text.map_or_else(|| STANDARD.encode(body), str::to_owned), "isBase64Encoded": text.is_none(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The response of a function's answer; without a status code the answer itself is the body, as with Lambda.
pub(crate) fn response(answer: Value) -> Response<Body> {
    let Ok(parsed) = serde_json::from_value::<Answer>(answer.clone()) else {
        let mut response = plain(StatusCode::OK, answer.to_string());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        return response;
    };
    let body =
        if parsed.is_base64_encoded { STANDARD.decode(&parsed.body).ok() } else { Some(parsed.body.into_bytes()) };
    let (Some(body), Ok(status)) = (body, StatusCode::from_u16(parsed.status_code)) else {
        return plain(StatusCode::BAD_GATEWAY, "Internal Server Error");
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in parsed.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn event(content_type: &str, body: &[u8]) -> Value {
        let request = Request::post("/v1/events/a?trace=on").header("content-type", content_type);
        let request = request.header("x-twice", "1").header("x-twice", "2").body(()).expect("a request");
        of(&request.into_parts().0, body)
    }

    #[test]
    fn a_request_becomes_an_event_in_payload_format_2() {
        let text = event("application/json", b"{}");
        assert_eq!((&text["version"], &text["rawPath"]), (&json!("2.0"), &json!("/v1/events/a")));
        assert_eq!((&text["rawQueryString"], &text["headers"]["x-twice"]), (&json!("trace=on"), &json!("1,2")));
        assert_eq!(text["requestContext"]["http"]["method"], "POST");
        assert_eq!((&text["body"], &text["isBase64Encoded"]), (&json!("{}"), &json!(false)));
        for (content_type, body) in [("application/octet-stream", b"ab".as_slice()), ("text/plain", &[0xff])] {
            let binary = event(content_type, body);
            assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!(STANDARD.encode(body)), &json!(true)));
        }
    }

    #[test]
    fn an_answer_becomes_a_response() {
        let answer = response(json!({"statusCode": 429, "headers": {"retry-after": "3"}, "body": "x"}));
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (429, b"3".as_slice()));
        assert_eq!(response(json!({"a": 1})).headers()["content-type"], "application/json");
        let broken = response(json!({"statusCode": 200, "body": "?", "isBase64Encoded": true}));
        assert_eq!(broken.status(), StatusCode::BAD_GATEWAY);
    }
}
