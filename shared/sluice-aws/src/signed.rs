//! One signed request to an AWS service in JSON, for services of which a single operation is used: a whole SDK
//! crate for it costs every build a minute.

use std::{
    iter,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign},
    sign::v4,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_core::{Error, Result, Secret};
use sluice_http::{Request, Response, RetryPolicy, error::by_status};

type Headers = Vec<(String, String)>;

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
    let body = input.to_string();
    let headers = [("content-type", operation.content_type), ("x-amz-target", operation.target)];
    let (url, region) = address(aws, operation.endpoint)?;
    let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
    let signature = signature(aws, operation.service, &region, signable).await?;
    let request = Request::post(&url).header("x-amz-target", operation.target).body(body, operation.content_type);
    send(request, signature, format!("{} refused {}", operation.service, operation.target)).await
}

/// Reads what lies at a path of a service that speaks REST.
pub async fn get<T: DeserializeOwned>(aws: &SdkConfig, service: &str, path: &str) -> Result<T> {
    let (url, region) = address(aws, service)?;
    let url = format!("{url}{path}");
    let signable = SignableRequest::new("GET", &url, iter::empty(), SignableBody::empty());
    let signature = signature(aws, service, &region, signable).await?;
    send(Request::get(&url), signature, format!("{service} refused {path}")).await
}

/// Where a service answers, and in which region.
fn address(aws: &SdkConfig, endpoint: &str) -> Result<(String, String)> {
    let region = aws.region().ok_or_else(|| Error::config("no AWS region is set; set AWS_REGION"))?.to_string();
    let url = match aws.endpoint_url() {
        Some(url) => format!("{}/", url.trim_end_matches('/')),
        None => format!("https://{endpoint}.{region}.amazonaws.com/"),
    };
    Ok((url, region))
}

async fn send<T: DeserializeOwned>(mut request: Request, signature: Headers, attempted: String) -> Result<T> {
    for (name, value) in signature {
        request = request.secret_header(name, Secret::new(value));
    }
    let accept = |response: &Response| match response.is_success() {
        true => Ok(()),
        false => Err(by_status(response, &attempted)),
    };
    sluice_http::Client::new()?.send(&request, &RetryPolicy::once(ANSWER_TIMEOUT), accept).await?.json()
}

async fn signature(
    aws: &SdkConfig,
    service: &str,
    region: &str,
    signable: std::result::Result<SignableRequest<'_>, SigningError>,
) -> Result<Headers> {
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
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| internal().because(error))?
        .into();
    let signable = signable.map_err(|error| internal().because(error))?;
    let (instructions, _) = sign(signable, &parameters).map_err(|error| internal().because(error))?.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
