use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use sluice_core::{Kind, Retry, Secret};

use super::*;

type Calls = Arc<AtomicU32>;

/// A server on a port of its own and the number of requests that it has seen.
async fn serve<H, T>(path: &str, handler: H) -> (String, Calls)
where
    H: axum::handler::Handler<T, Calls>,
    T: 'static,
{
    let calls = Calls::default();
    let router = Router::new().route(path, get(handler)).with_state(calls.clone());
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}{path}"), calls)
}

fn accept_success(response: &Response) -> Result<()> {
    if response.is_success() { Ok(()) } else { Err(error::by_status(response, "cannot ask the test server")) }
}

async fn send(url: &str) -> Result<Response> {
    let client = Client::new().expect("a client");
    client.send(&Request::get(url), &RetryPolicy::without_waits(4), accept_success).await
}

#[tokio::test]
async fn a_503_is_retried_until_the_server_is_back() {
    let (url, calls) = serve("/", async |State(calls): State<Calls>| match calls.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, "away"),
        _ => (StatusCode::OK, "back"),
    })
    .await;
    assert_eq!(send(&url).await.expect("an answer").body, "back");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn attempts_end_and_the_error_says_so() {
    let (url, calls) = serve("/", async |State(calls): State<Calls>| {
        calls.fetch_add(1, Ordering::SeqCst);
        StatusCode::BAD_GATEWAY
    })
    .await;
    let error = send(&url).await.expect_err("never works");
    assert_eq!((error.kind(), error.retry()), (Kind::Unavailable, Retry::Exhausted));
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_permanent_error_is_asked_once() {
    let (url, calls) = serve("/", async |State(calls): State<Calls>| {
        calls.fetch_add(1, Ordering::SeqCst);
        StatusCode::FORBIDDEN
    })
    .await;
    let error = send(&url).await.expect_err("refused");
    assert_eq!((error.kind(), error.retry()), (Kind::Auth, Retry::Permanent));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_retry_after_of_the_answer_is_carried_by_the_error() {
    let (url, calls) = serve("/", async |State(calls): State<Calls>| {
        calls.fetch_add(1, Ordering::SeqCst);
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "3600")])
    })
    .await;
    let error = send(&url).await.expect_err("an hour is longer than the policy's total time");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!((error.kind(), error.retry()), (Kind::RateLimited, Retry::Exhausted));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (url, calls) = serve("/", async |State(calls): State<Calls>| {
        calls.fetch_add(1, Ordering::SeqCst);
        (StatusCode::FOUND, [(header::LOCATION, "/")]).into_response()
    })
    .await;
    let answer = Client::new().expect("a client").send_once(&Request::get(url)).await.expect("an answer");
    assert_eq!((answer.status, answer.header("location")), (302, Some("/")));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_above_the_limit_is_refused() {
    let (url, _) = serve("/", async |State(_): State<Calls>| "x".repeat(2_000)).await;
    let client = Client::with(Limits { max_response_bytes: 1_999, ..Limits::default() }).expect("a client");
    let error = client.send_once(&Request::get(&url)).await.expect_err("too large");
    assert_eq!((error.kind(), error.retry()), (Kind::InvalidData, Retry::Permanent));
    let client = Client::with(Limits { max_response_bytes: 2_000, ..Limits::default() }).expect("a client");
    assert_eq!(client.send_once(&Request::get(&url)).await.expect("just fits").body.len(), 2_000);
}

#[tokio::test]
async fn faults_of_the_transport_are_transient_and_show_no_secret() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let request = Request::get(format!("http://{address}/")).secret_query("app_id", Secret::new("s3cret"));
    let error = Client::new().expect("a client").send_once(&request).await.expect_err("nobody listens");
    assert_eq!((error.kind(), error.retry()), (Kind::Unavailable, Retry::Transient));
    let text = format!("{error:?}");
    assert!(text.contains("?app_id=*") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_timeout() {
    let (url, _) = serve("/", async |State(_): State<Calls>| std::future::pending::<()>().await).await;
    let request = Request::get(url).timeout(Duration::from_millis(20));
    let error = Client::new().expect("a client").send_once(&request).await.expect_err("no answer");
    assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::Transient));
}

#[tokio::test]
async fn query_and_headers_arrive_as_given() {
    let (url, _) = serve("/", async |State(_): State<Calls>, request: axum::extract::Request| {
        let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        format!("{} {} {}", request.uri(), header("authorization"), header("user-agent"))
    })
    .await;
    let request = Request::get(url).query("q", "a b&c").bearer(&Secret::new("t0ken"));
    let answer = Client::new().expect("a client").send_once(&request).await.expect("an answer");
    assert_eq!(answer.body, format!("/?q=a+b%26c Bearer t0ken sluice/{}", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn an_unusable_request_is_a_config_error_without_its_secret() {
    let client = Client::new().expect("a client");
    for request in [
        Request::get("no address"),
        Request::get("http://127.0.0.1/").secret_header("x", Secret::new("s3cret\n")),
        Request::get("http://127.0.0.1/").header("no name", "x"),
    ] {
        let error = client.send_once(&request).await.expect_err("unusable");
        assert_eq!((error.kind(), error.retry()), (Kind::Config, Retry::Permanent));
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}
