//! The server: each request takes the next answer of the script.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{self, Body},
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
};
use futures::stream;
use tokio::net::TcpListener;

/// One scripted answer.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Option<Vec<u8>>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer { status, headers: Vec::new(), body: Some(body.into()) }
    }

    pub(crate) fn json(status: u16, body: serde_json::Value) -> Self {
        Self::new(status, body.to_string()).header("content-type", "application/json")
    }

    /// The server does what it was asked, and the answer never arrives.
    pub(crate) fn lost() -> Self {
        Answer { status: 200, headers: Vec::new(), body: None }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// One request as it arrived.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn token(&self) -> &str {
        self.header("authorization").strip_prefix("Bearer ").expect("a bearer token")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) url: String,
    script: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(crate) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let fake = Fake {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            asked: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    /// `host:port`, as the hostname endpoint would tell it.
    pub(crate) fn host(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    pub(crate) fn push(&self, answer: Answer) {
        self.script.lock().expect("the script").push_back(answer);
    }

    /// What was asked, once the script is used up.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        assert_eq!(self.script.lock().expect("the script").len(), 0, "answers were left over");
        std::mem::take(&mut self.asked.lock().expect("the requests"))
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, content) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: form_urlencoded::parse(query).map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        headers: parts.headers,
        body: body::to_bytes(content, 64 << 20).await.expect("a body").to_vec(),
    };
    fake.asked.lock().expect("the requests").push(asked);
    let answer = fake.script.lock().expect("the script").pop_front();
    let Answer { status, headers, body } = answer.unwrap_or_else(|| Answer::new(599, "the script is used up"));
    let body = match body {
        Some(bytes) => Body::from(bytes),
        None => Body::from_stream(stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("the line is cut"))])),
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body).expect("a response")
}
