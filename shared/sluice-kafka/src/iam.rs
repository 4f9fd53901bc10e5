//! IAM at Amazon MSK: a broker takes a presigned request as the token of SASL/OAUTHBEARER. Nobody sends the request; the
//! broker asks IAM whether its signer may connect. Its form is that of Amazon's own signers
//! (`aws-msk-iam-sasl-signer-…`), whose tokens are in `iam/tokens.json`.

use std::{
    iter,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64_simd::URL_SAFE_NO_PAD;
use form_urlencoded::Serializer;
use rskafka::client::OauthBearerCredentials;
use sluice_core::{Error, Kind, Result, Secret};

const SERVICE: &str = "kafka-cluster";
/// How long a token is good for, as Amazon's signers have it. A broker ends the connection with its token or with the
/// credentials, whichever end first, and the connection that follows it has a token of its own.
const LIFETIME: Duration = Duration::from_secs(900);
const USER_AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

pub(crate) const LOG_IN: &str = "log in (`aws sso login`), or set AWS_PROFILE";

/// Who we are in AWS. It is asked again for each connection: credentials rotate.
#[derive(Debug, Clone)]
pub struct Iam(Arc<Identity>);

#[derive(Debug)]
struct Identity {
    credentials: Option<SharedCredentialsProvider>,
    region: Option<String>,
}

/// The same identity, and not only an equal one.
impl PartialEq for Iam {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Iam {}

impl Iam {
    /// `region` is that of brokers whose names do not tell theirs.
    pub fn new(credentials: Option<SharedCredentialsProvider>, region: Option<String>) -> Self {
        Iam(Arc::new(Identity { credentials, region }))
    }

    /// A token for a connection that is made now.
    pub(crate) async fn token(&self, bootstrap: &str) -> Result<Secret> {
        let region = region_of(bootstrap).or(self.0.region.as_deref());
        let region = region.ok_or_else(|| {
            let error = Error::config("the brokers' names tell no AWS region, and none is set");
            error.with_hint("set AWS_REGION to the region of the cluster")
        })?;
        let provider = self.0.credentials.as_ref().ok_or_else(|| no_credentials("no AWS credentials are set"))?;
        let credentials = provider.provide_credentials().await.map_err(|error| match error {
            CredentialsError::ProviderTimedOut(_) => {
                Error::unavailable("AWS credentials have not come in time").because(error)
            }
            _ => no_credentials("AWS credentials cannot be had").because(error),
        })?;
        signed(credentials, region, SystemTime::now())
    }

    /// What the client asks for a token with, for each connection that it makes.
    pub(crate) fn bearer(&self, bootstrap: &str) -> OauthBearerCredentials {
        let (iam, bootstrap) = (self.clone(), bootstrap.to_owned());
        let callback = Arc::new(move || -> futures::future::BoxFuture<'static, _> {
            let (iam, bootstrap) = (iam.clone(), bootstrap.clone());
            Box::pin(async move {
                let token = iam.token(&bootstrap).await.map_err(|error| error.chain())?;
                Ok(token.expose().to_owned())
            })
        });
        OauthBearerCredentials { callback, authz_id: None, bearer_kvs: Vec::new() }
    }
}

fn no_credentials(message: &str) -> Error {
    Error::new(Kind::Auth, message).with_hint(LOG_IN)
}

/// The region that brokers of MSK have in their names, such as `b-1.shop.a1b2c3.c2.kafka.eu-west-1.amazonaws.com`.
fn region_of(bootstrap: &str) -> Option<&str> {
    let host = bootstrap.split([',', ':']).next()?.trim();
    let name = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
    let (cluster, region) = name.rsplit_once('.')?;
    cluster.rsplit('.').next()?.starts_with("kafka").then_some(region)
}

fn signed(credentials: Credentials, region: &str, now: SystemTime) -> Result<Secret> {
    if credentials.expiry().is_some_and(|end| end <= now) {
        return Err(no_credentials("the AWS credentials have expired"));
    }
    let unsigned = |error: String| Error::internal("cannot sign a token for Kafka").because(error);
    let request = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder().identity(&identity).region(region).name(SERVICE).time(now);
    let parameters = parameters.settings(settings).build().map_err(|error| unsigned(error.to_string()))?.into();
    let signable = SignableRequest::new("GET", &request, iter::empty(), SignableBody::empty());
    let signable = signable.map_err(|error| unsigned(error.to_string()))?;
    let (instructions, _) = sign(signable, &parameters).map_err(|error| unsigned(error.to_string()))?.into_parts();
    let query = Serializer::new(String::new())
        .extend_pairs(instructions.params())
        // Behind the signature, which does not cover it.
        .append_pair("User-Agent", USER_AGENT)
        .finish();
    Ok(Secret::new(URL_SAFE_NO_PAD.encode_to_string(format!("{request}&{query}"))))
}

#[cfg(test)]
mod tests;
