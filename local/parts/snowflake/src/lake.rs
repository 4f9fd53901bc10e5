//! The lake as a stage reads it: named objects of one bucket, fetched to files that DuckDB can read.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, ResponseChecksumValidation},
};
use tokio::runtime::Handle;

use crate::failure::Failure;

/// How many objects are fetched at the same time.
pub(crate) const AT_ONCE: usize = 8;

/// All that the role of the lake's reader may list and read, as the template says it.
const LISTED: &str = "raw/";

pub(crate) struct Lake {
    bucket: String,
    client: Client,
    /// The warehouse's thread is not one of the runtime's, so it waits for downloads through this.
    runtime: Handle,
    folder: PathBuf,
}

/// A fetched object; the file goes with it.
pub(crate) struct Download {
    pub(crate) key: String,
    pub(crate) path: PathBuf,
}

impl Drop for Download {
    fn drop(&mut self) {
        // What cannot be removed now is removed with the folder.
        let _ = fs::remove_file(&self.path);
    }
}

impl Lake {
    pub(crate) fn new(bucket: &str, endpoint: &str, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("test", "test", None, None, "emulator"))
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Ok(Lake {
            bucket: bucket.to_owned(),
            client: Client::from_conf(config),
            runtime: Handle::current(),
            folder: folder.to_owned(),
        })
    }

    /// Whether the role of the lake's reader lists a location: in the lake's bucket, data files and nothing else.
    pub(crate) fn lets_list(&self, url: &str) -> bool {
        let place = url.strip_prefix("s3://").and_then(|url| url.split_once('/'));
        place.is_some_and(|(bucket, prefix)| bucket == self.bucket && prefix.starts_with(LISTED))
    }

    /// Fetches files of a stage. Nothing is put between the stage's URL and a file's name, as in Snowflake.
    pub(crate) fn download(&self, stage_url: &str, files: &[String]) -> std::result::Result<Vec<Download>, Failure> {
        let (bucket, prefix) = stage_url.strip_prefix("s3://").and_then(|url| url.split_once('/')).unwrap_or_default();
        if bucket != self.bucket {
            return Err(Failure::missing("Stage location", stage_url));
        }
        let fetches = files.iter().map(|file| self.fetch(format!("{prefix}{file}")));
        self.runtime.block_on(futures::future::try_join_all(fetches))
    }

    async fn fetch(&self, key: String) -> std::result::Result<Download, Failure> {
        let answer = self.client.get_object().bucket(&self.bucket).key(&key).send().await;
        let mut object =
            answer.map_err(|error| match error.raw_response().map(|response| response.status().as_u16()) {
                Some(403) => Failure::new(
                    "091003",
                    "22000",
                    "Failure using stage area. Cause: [Access Denied (Status Code: 403; Error Code: AccessDenied)]",
                ),
                Some(404) => {
                    Failure::new("091016", "22000", format!("remote file 's3://{}/{key}' was not found", self.bucket))
                }
                _ => Failure::internal(format!("cannot get s3://{}/{key}: {error:?}", self.bucket)),
            })?;
        let download = Download { path: self.folder.join(uuid::Uuid::new_v4().to_string()), key };
        let failed =
            |error: &dyn std::fmt::Display| Failure::internal(format!("cannot fetch {}: {error}", download.key));
        let mut file = fs::File::create(&download.path).map_err(|error| failed(&error))?;
        while let Some(chunk) = object.body.next().await {
            file.write_all(&chunk.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
        }
        Ok(download)
    }
}
