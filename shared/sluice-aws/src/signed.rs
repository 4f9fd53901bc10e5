//! One signed request to an AWS service in its JSON protocol, for services of which a single operation is used: a whole SDK
//! crate for it costs every build a minute.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_core::{Error, Result, Secret};
use sluice_http::{Request, Response, RetryPolicy, error::by_status};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An operation of a service, as its JSON protocol names both.
pub struct Operation {
    /// The host's first part.
    pub endpoint: &'static str,
    /// The service's name in the signature.
    pub service: &'static str,
    /// The value of `X-Amz-Target`.
    pub target: &'static str,
    /// `application/x-amz-json-` and the version of the protocol that the service speaks.
    pub content_type: &'static str,
}

/// Asks and reads the answer.
pub async fn call<T: DeserializeOwned>(aws: &SdkConfig, operation: &Operation, input: &Value) -> Result<T> {
    let region = aws.region().ok_or_else(|| Error::config("no AWS region is set; set AWS_REGION"))?.to_string();
    let url = match aws.endpoint_url() {
        Some(url) => format!("{}/", url.trim_end_matches('/')),
        None => format!("https://{}.{region}.amazonaws.com/", operation.endpoint),
    };
    let body = input.to_string();
    let mut request =
        Request::post(&url).header("x-amz-target", operation.target).body(body.clone(), operation.content_type);
    for (name, value) in signature(aws, operation, &region, &url, body.as_bytes()).await? {
        request = request.secret_header(name, Secret::new(value));
    }
    let attempted = format!("{} refused {}", operation.service, operation.target);
    let accept = |response: &Response| match response.is_success() {
        true => Ok(()),
        false => Err(by_status(response, &attempted)),
    };
    sluice_http::Client::new()?.send(&request, &RetryPolicy::once(ANSWER_TIMEOUT), accept).await?.json()
}

async fn signature(
    aws: &SdkConfig,
    operation: &Operation,
    region: &str,
    url: &str,
    body: &[u8],
) -> Result<Vec<(String, String)>> {
    let provider = aws.credentials_provider().ok_or_else(|| Error::config("no AWS credentials are set"))?;
    let credentials = provider
        .provide_credentials()
        .await
        .map_err(|error| Error::config("AWS credentials cannot be had; check the profile").because(error))?;
    let internal = || Error::internal("cannot sign a request");
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(operation.service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| internal().because(error))?
        .into();
    let headers = [("content-type", operation.content_type), ("x-amz-target", operation.target)];
    let signable = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body))
        .map_err(|error| internal().because(error))?;
    let (instructions, _) = sign(signable, &parameters).map_err(|error| internal().because(error))?.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
