//! The lake on S3.

use aws_sdk_s3::{
    Client,
    config::{RequestChecksumCalculation, ResponseChecksumValidation},
    primitives::ByteStream,
};
use bytes::Bytes;
use sluice_core::{
    Error, Kind, Result,
    port::{ObjectStore, PutIfAbsent, Stored},
};

use crate::{SdkConfig, error::classify};

/// A put that met another one under way is sent again this often; S3 answers 409 only while the other one lasts.
const CONFLICT_ATTEMPTS: usize = 5;

/// One bucket. Addressed by path, so that an endpoint without wildcard DNS serves too.
#[derive(Debug, Clone)]
pub struct S3Lake {
    client: Client,
    bucket: String,
}

impl S3Lake {
    pub fn new(config: &SdkConfig, bucket: impl Into<String>) -> Self {
        let config = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        S3Lake { client: Client::from_conf(config), bucket: bucket.into() }
    }

    fn stored(etag: Option<&str>) -> Stored {
        Stored { checksum: etag.unwrap_or_default().trim_matches('"').to_owned() }
    }
}

impl ObjectStore for S3Lake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body));
        let answer = put.send().await.map_err(|e| classify(e, format!("cannot put {key} into the lake")))?;
        Ok(Self::stored(answer.e_tag()))
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        for attempt in 1.. {
            let put = self.client.put_object().bucket(&self.bucket).key(key).if_none_match("*");
            let error = match put.body(ByteStream::from(body.clone())).send().await {
                Ok(answer) => return Ok(PutIfAbsent::Stored(Self::stored(answer.e_tag()))),
                Err(error) => error,
            };
            let conflict = error.raw_response().is_some_and(|response| response.status().as_u16() == 409);
            let error = classify(error, format!("cannot put {key} into the lake"));
            if error.kind() == Kind::Conflict {
                return Ok(PutIfAbsent::Exists);
            }
            if !conflict || attempt == CONFLICT_ATTEMPTS {
                return Err(error);
            }
        }
        Err(Error::internal("a bounded loop ran out"))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let answer = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = classify(error, format!("cannot get {key} from the lake"));
                return if error.kind() == Kind::NotFound { Ok(None) } else { Err(error) };
            }
        };
        let body = answer.body.collect().await;
        let body = body.map_err(|e| Error::unavailable("an object's body broke off").with("key", key).because(e))?;
        Ok(Some(body.into_bytes()))
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(1);
        let answer = list.send().await.map_err(|e| classify(e, format!("cannot list {prefix} in the lake")))?;
        Ok(answer.contents().first().and_then(|object| object.key()).map(str::to_owned))
    }
}
