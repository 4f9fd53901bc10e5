//! What a Lambda function URL does: an HTTP request becomes an event in payload format 2.0, the function's answer becomes
//! the response. ministack keeps the settings of function URLs and serves none.

mod event;

use std::sync::Arc;

use aws_sdk_lambda::{Client, config::retry::RetryConfig, primitives::Blob};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Request, Response, StatusCode},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

/// Lambda takes this much in a request, and a function URL answers 413 above it.
const LARGEST_BODY: usize = 6 * 1_024 * 1_024;

/// Which function is behind the address.
#[derive(Debug, Clone)]
pub struct Config {
    pub aws: aws_config::SdkConfig,
    pub function_name: String,
}

struct Function {
    client: Client,
    name: String,
}

/// Serves until `stop` turns true or its sender is gone.
pub async fn serve(config: Config, listener: TcpListener, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    // A function URL invokes once: whether to send an event again is its sender's affair.
    let client = aws_sdk_lambda::config::Builder::from(&config.aws).retry_config(RetryConfig::disabled()).build();
    let function = Function { client: Client::from_conf(client), name: config.function_name };
    let router = Router::new().fallback(forward).with_state(Arc::new(function));
    let stopped = async move {
        // An error means that nobody is left who could say stop.
        drop(stop.wait_for(|stop| *stop).await);
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(stopped).await?)
}

async fn forward(State(function): State<Arc<Function>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return event::plain(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let payload = event::of(&parts, &body);
    match function.invoke(&payload).await {
        Ok(answer) => event::response(answer),
        Err(error) => {
            tracing::warn!(function = function.name, error = format!("{error:#}"), "the function has failed");
            event::plain(StatusCode::BAD_GATEWAY, "Internal Server Error")
        }
    }
}

impl Function {
    async fn invoke(&self, payload: &Value) -> anyhow::Result<Value> {
        let invoke = self.client.invoke().function_name(&self.name).payload(Blob::new(payload.to_string()));
        let answer = invoke.send().await?;
        let body = answer.payload().map(|blob| blob.as_ref().to_vec()).unwrap_or_default();
        if let Some(error) = answer.function_error() {
            anyhow::bail!("{error}: {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_sdk_lambda::config::Credentials;

    use super::*;

    /// Lambda, which fails for a reason that the SDK would try again, and how often it was asked.
    async fn failing_lambda() -> (SdkConfig, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let router = Router::new().fallback(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            StatusCode::INTERNAL_SERVER_ERROR
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(url);
        (aws.load().await, asked)
    }

    #[tokio::test]
    async fn a_request_invokes_once_also_when_that_fails() {
        let (aws, asked) = failing_lambda().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1/events/purchases", listener.local_addr().expect("an address"));
        let (_running, stop) = watch::channel(false);
        tokio::spawn(serve(Config { aws, function_name: "collect".into() }, listener, stop));
        let answer = reqwest::Client::new().post(url).body("{}").send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), asked.load(Ordering::Relaxed)), (502, 1));
    }
}
