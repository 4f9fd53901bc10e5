//! What a Lambda function URL does: an HTTP request becomes an event in payload format 2.0, the function's answer becomes
//! the response. ministack keeps the settings of function URLs and serves none.

mod event;
mod invoke;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Request, Response, StatusCode},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

pub use self::invoke::{Answer, Lambda};

/// Lambda takes this much in a request, and a function URL answers 413 above it.
const LARGEST_BODY: usize = 6 * 1_024 * 1_024;

/// Which function is behind the address.
#[derive(Debug, Clone)]
pub struct Config {
    pub lambda: Lambda,
    pub function_name: String,
}

/// Serves until `stop` turns true or its sender is gone.
pub async fn serve(config: Config, listener: TcpListener, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let router = Router::new().fallback(forward).with_state(Arc::new(config));
    let stopped = async move {
        // An error means that nobody is left who could say stop.
        drop(stop.wait_for(|stop| *stop).await);
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(stopped).await?)
}

async fn forward(State(function): State<Arc<Config>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return event::plain(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let payload = event::of(&parts, &body);
    match function.invoke(&payload).await {
        Ok(answer) => event::response(answer),
        Err(error) => {
            tracing::warn!(function = function.function_name, error = format!("{error:#}"), "the function has failed");
            event::plain(StatusCode::BAD_GATEWAY, "Internal Server Error")
        }
    }
}

impl Config {
    async fn invoke(&self, payload: &Value) -> anyhow::Result<Value> {
        let answer = self.lambda.invoke(&self.function_name, payload.to_string()).await?;
        if let Some(error) = answer.error {
            anyhow::bail!("{error}: {}", String::from_utf8_lossy(&answer.payload));
        }
        Ok(serde_json::from_slice(&answer.payload)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Lambda, which fails for a reason that passes, and how often it was asked.
    async fn failing_lambda() -> (Lambda, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let router = Router::new().fallback(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            StatusCode::INTERNAL_SERVER_ERROR
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        (Lambda::at(url).expect("a client"), asked)
    }

    #[tokio::test]
    async fn a_request_invokes_once_also_when_that_fails() {
        let (lambda, asked) = failing_lambda().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1/events/purchases", listener.local_addr().expect("an address"));
        let (_running, stop) = watch::channel(false);
        tokio::spawn(serve(Config { lambda, function_name: "collect".into() }, listener, stop));
        let answer = reqwest::Client::new().post(url).body("{}").send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), asked.load(Ordering::Relaxed)), (502, 1));
    }
}
