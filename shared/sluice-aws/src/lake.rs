//! The lake on S3.

use aws_sdk_s3::{
    Client,
    config::{RequestChecksumCalculation, ResponseChecksumValidation},
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use futures::future::join;
use sluice_core::{
    Error, Kind, Result,
    port::{Content, Deletion, Erasure, Listing, ObjectStore, PutIfAbsent, Stored},
};

use crate::{SdkConfig, error::classify};

/// A put that met another one under way is sent again this often; S3 answers 409 only while the other one lasts.
const CONFLICT_ATTEMPTS: usize = 5;

/// The least that S3 takes as a part which is not the last. Two are in memory at a time: one on its way, one being made.
const PART_BYTES: usize = 5 * 1024 * 1024;

/// One bucket. Addressed by path, so that an endpoint without wildcard DNS serves too.
#[derive(Debug, Clone)]
pub struct S3Lake {
    client: Client,
    bucket: String,
}

impl S3Lake {
    /// A body carries the CRC32 that was made of it in memory: S3 compares it, keeps it, and sends it to whom reads, who compares it
    /// again. That of an upload in parts is one of the whole object.
    pub fn new(config: &SdkConfig, bucket: impl Into<String>) -> Self {
        let config = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
            .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
            .build();
        S3Lake { client: Client::from_conf(config), bucket: bucket.into() }
    }

    /// Sends one part while the next is being made, and ends the upload.
    async fn send_parts(&self, key: &str, upload: &str, first: Part, content: &mut impl Content) -> Result<Stored> {
        let mut sent = Vec::new();
        let mut current = first;
        for number in 1.. {
            let send = self.client.upload_part().bucket(&self.bucket).key(key).upload_id(upload);
            let send = send.part_number(number).body(ByteStream::from(current.body)).send();
            let (answer, next) = if current.is_last {
                (send.await, None)
            } else {
                let (answer, next) = join(send, part(content)).await;
                (answer, Some(next?))
            };
            let answer = answer.map_err(|e| classify(e, format!("cannot upload part {number} of {key}")))?;
            let part = CompletedPart::builder().part_number(number).e_tag(answer.e_tag().unwrap_or_default());
            sent.push(part.set_checksum_crc32(answer.checksum_crc32).build());
            match next {
                Some(next) if !(next.is_last && next.body.is_empty()) => current = next,
                _ => break,
            }
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(sent)).build();
        let end = self.client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        let ended = end.multipart_upload(parts).send().await;
        let ended = ended.map_err(|e| classify(e, format!("cannot complete the upload of {key}")))?;
        Ok(Self::stored(ended.e_tag()))
    }

    fn stored(etag: Option<&str>) -> Stored {
        Stored { checksum: etag.unwrap_or_default().trim_matches('"').to_owned() }
    }
}

/// A part of an upload, at least as long as S3 demands unless it is the last.
struct Part {
    body: Bytes,
    is_last: bool,
}

async fn part(content: &mut impl Content) -> Result<Part> {
    let mut body = BytesMut::new();
    while let Some(piece) = content.next().await? {
        if body.is_empty() {
            // Most row groups are parts as they are.
            if piece.len() >= PART_BYTES {
                return Ok(Part { body: piece, is_last: false });
            }
            body.reserve(PART_BYTES + piece.len());
        }
        body.extend_from_slice(&piece);
        if body.len() >= PART_BYTES {
            return Ok(Part { body: body.freeze(), is_last: false });
        }
    }
    Ok(Part { body: body.freeze(), is_last: true })
}

impl ObjectStore for S3Lake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body));
        let answer = put.send().await.map_err(|e| classify(e, format!("cannot put {key} into the lake")))?;
        Ok(Self::stored(answer.e_tag()))
    }

    async fn put_content(&self, key: &str, content: &mut impl Content) -> Result<Stored> {
        let first = part(content).await?;
        if first.is_last {
            return self.put(key, first.body).await;
        }
        let begin = self.client.create_multipart_upload().bucket(&self.bucket).key(key);
        let begin = begin.checksum_algorithm(ChecksumAlgorithm::Crc32).checksum_type(ChecksumType::FullObject);
        let begun = begin.send().await.map_err(|e| classify(e, format!("cannot begin the upload of {key}")))?;
        let upload = begun.upload_id().unwrap_or_default();
        let failed = match self.send_parts(key, upload, first, content).await {
            Ok(stored) => return Ok(stored),
            Err(failed) => failed,
        };
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        if let Err(error) = abort.send().await {
            // The parts stay until the bucket's lifecycle rule ends the upload; what failed first is what matters.
            let error = classify(error, format!("cannot abort the upload of {key}"));
            tracing::warn!(error = %error.chain(), "an upload stays unfinished");
        }
        Err(failed)
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
        let body = body
            .map_err(|e| Error::unavailable("an object's body broke off, or is damaged").with("key", key).because(e))?;
        Ok(Some(body.into_bytes()))
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(1);
        let answer = list.send().await.map_err(|e| classify(e, format!("cannot list {prefix} in the lake")))?;
        Ok(answer.contents().first().and_then(|object| object.key()).map(str::to_owned))
    }
}

impl Listing for S3Lake {
    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| classify(e, format!("cannot list {prefix} in the lake")))?;
            keys.extend(page.contents().iter().filter_map(|object| object.key()).map(str::to_owned));
        }
        Ok(keys)
    }

    async fn keys_after(&self, prefix: &str, after: &str) -> Result<Vec<String>> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).start_after(after);
        let page = list.send().await.map_err(|e| classify(e, format!("cannot list {prefix} in the lake")))?;
        Ok(page.contents().iter().filter_map(|object| object.key()).map(str::to_owned).collect())
    }
}

impl Deletion for S3Lake {
    async fn delete(&self, key: &str) -> Result<()> {
        let deleted = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        // The key comes last: where the text is cut, the reason must still be read.
        deleted.map(drop).map_err(|e| classify(e, "cannot delete an object of the lake".into()).with("key", key))
    }
}

impl Erasure for S3Lake {
    async fn erase(&self, key: &str) -> Result<()> {
        let failed = |error| Error::with(error, "key", key);
        // Two versions on a page may be of another key that begins alike; a marker of a deletion counts as a version.
        let mut after: (Option<String>, Option<String>) = (None, None);
        loop {
            let list = self.client.list_object_versions().bucket(&self.bucket).prefix(key);
            let list = list.set_key_marker(after.0.take()).set_version_id_marker(after.1.take()).send();
            let page = list.await.map_err(|e| failed(classify(e, "cannot list the versions of an object".into())))?;
            let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
            for (_, version) in versions.chain(markers).filter(|(of, _)| *of == Some(key)) {
                let delete = self.client.delete_object().bucket(&self.bucket).key(key);
                let deleted = delete.set_version_id(version.map(str::to_owned)).send().await;
                deleted.map_err(|e| failed(classify(e, "cannot erase a version of an object".into())))?;
            }
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            after = (page.next_key_marker().map(str::to_owned), page.next_version_id_marker().map(str::to_owned));
        }
    }
}

#[cfg(test)]
mod tests;
