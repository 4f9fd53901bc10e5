//! Uploads in parts and deletions against a server that answers as S3 does and remembers what it was asked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

#[derive(Default)]
struct Seen {
    /// Method and target of each request, in order.
    requests: Vec<String>,
    parts: BTreeMap<i32, Vec<u8>>,
    object: Option<Vec<u8>>,
    /// This request fails, by the part of it that must occur.
    failing: Option<&'static str>,
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
        let first = String::from_utf8_lossy(&buffer[..head]).lines().next().unwrap().to_owned();
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = buffer[head..head + length].to_vec();
        buffer.drain(..head + length);
        let (status, etag, answer) = answer(&first, body, &mut seen.lock().unwrap());
        let head = format!("HTTP/1.1 {status} X\r\netag: \"{etag}\"\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
    }
}

fn answer(first: &str, body: Vec<u8>, seen: &mut Seen) -> (u16, String, String) {
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let request = format!("{method} {target}");
    let fails = seen.failing.is_some_and(|part| request.contains(part));
    seen.requests.push(request);
    if fails {
        return (403, String::new(), "<Error><Code>AccessDenied</Code></Error>".into());
    }
    let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber=")?.parse::<i32>().ok());
    if method == "GET" && query.contains("versions") {
        return (200, String::new(), versions(query));
    }
    if method == "GET" && query.contains("list-type=2") {
        // What comes after a place that is no key, which is missing where nobody names one.
        let keys =
            ["a/1", "a/2", "a/3"].into_iter().filter(|key| query.contains("start-after=a%2F1-~") && *key > "a/1-~");
        let contents: String = keys.map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        return (200, String::new(), format!("<ListBucketResult>{contents}</ListBucketResult>"));
    }
    match (method, number) {
        ("POST", _) if query.starts_with("uploads") => {
            let id = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
            (200, String::new(), id.into())
        }
        ("PUT", Some(number)) => {
            seen.parts.insert(number, body);
            (200, format!("part{number}"), String::new())
        }
        ("PUT", None) => {
            seen.object = Some(body);
            (200, "whole".into(), String::new())
        }
        ("POST", _) => {
            let listed = String::from_utf8(body).unwrap();
            for number in seen.parts.keys() {
                assert!(listed.contains(&format!("part{number}")), "{listed}");
            }
            seen.object = Some(seen.parts.values().flatten().copied().collect());
            let done = "<CompleteMultipartUploadResult><ETag>\"made\"</ETag></CompleteMultipartUploadResult>";
            (200, String::new(), done.into())
        }
        _ => (204, String::new(), String::new()),
    }
}

/// Two pages: a version of the key, one of another that begins alike, and the marker of a deletion.
fn versions(query: &str) -> String {
    let of = |element: &str, key: &str, version: &str| {
        format!("<{element}><Key>{key}</Key><VersionId>{version}</VersionId></{element}>")
    };
    let (entries, end) = match query.contains("version-id-marker=v2") {
        false => (
            of("Version", "raw/x", "v1") + &of("Version", "raw/x2", "v2"),
            "<IsTruncated>true</IsTruncated><NextKeyMarker>raw/x2</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>",
        ),
        true => (of("DeleteMarker", "raw/x", "v3"), "<IsTruncated>false</IsTruncated>"),
    };
    format!("<ListVersionsResult>{entries}{end}</ListVersionsResult>")
}

/// Pieces of one size in megabytes, each filled with its number; may fail instead of the piece after the last.
struct Pieces {
    next: usize,
    sizes: Vec<usize>,
    fails: bool,
}

impl Content for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(size) = self.sizes.get(self.next) else {
            return if self.fails { Err(Error::unavailable("the source broke off")) } else { Ok(None) };
        };
        self.next += 1;
        Ok(Some(Bytes::from(vec![self.next as u8; size << 20])))
    }
}

/// A lake on a server of its own, and what that server sees.
async fn served(failing: Option<&'static str>) -> (S3Lake, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen { failing, ..Seen::default() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, serving.clone()));
        }
    });
    (lake_at(address).await, seen)
}

async fn lake_at(address: SocketAddr) -> S3Lake {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("a", "b", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    S3Lake::new(&config, "lake")
}

async fn put(mut pieces: Pieces, failing: Option<&'static str>) -> (Result<Stored>, Arc<Mutex<Seen>>) {
    let (lake, seen) = served(failing).await;
    (lake.put_content("key", &mut pieces).await, seen)
}

fn pieces(sizes: &[usize]) -> Pieces {
    Pieces { next: 0, sizes: sizes.to_vec(), fails: false }
}

fn megabytes(sizes: &[usize]) -> Vec<u8> {
    sizes.iter().zip(1..).flat_map(|(size, number)| vec![number; size << 20]).collect()
}

#[tokio::test]
async fn keys_are_listed_from_a_place_on_in_one_request() {
    let (lake, seen) = served(None).await;
    assert_eq!(lake.keys_after("a/", "a/1-~").await.unwrap(), ["a/2", "a/3"]);
    assert_eq!(seen.lock().unwrap().requests.len(), 1);
}

/// What the lake reads of a body that comes with the checksum of `123456789`, as S3 sends it to those who ask.
async fn read(body: &'static str) -> Result<Option<Bytes>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lake = lake_at(listener.local_addr().unwrap()).await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut asked).await.unwrap();
        }
        assert!(String::from_utf8(asked).unwrap().to_lowercase().contains("x-amz-checksum-mode: enabled"));
        let head = format!("content-length: {}\r\nx-amz-checksum-crc32: y/Q5Jg==", body.len());
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    };
    tokio::join!(lake.get("raw/x"), serve).0
}

#[tokio::test]
async fn a_body_that_is_not_what_s3_has_taken_is_not_read() {
    assert_eq!(read("123456789").await.unwrap(), Some(Bytes::from_static(b"123456789")));
    let damaged = read("123456780").await.unwrap_err();
    assert_eq!(damaged.kind(), Kind::Unavailable, "{}", damaged.chain());
}

#[tokio::test]
async fn a_small_object_is_one_put() {
    for sizes in [&[][..], &[1], &[1; 4], &[4]] {
        let (stored, seen) = put(pieces(sizes), None).await;
        assert_eq!(stored.unwrap().checksum, "whole");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.requests.len(), 1, "{:?}", seen.requests);
        assert!(seen.object.as_deref() == Some(&megabytes(sizes)[..]));
    }
}

#[tokio::test]
async fn a_large_object_is_uploaded_in_parts_of_at_least_five_mebibytes() {
    let small = [1; 13];
    for (sizes, parts) in [
        (&small[..6], vec![5, 1]),
        (&small[..10], vec![5, 5]),
        (&small[..], vec![5, 5, 3]),
        // What is large enough is a part as it is.
        (&[6, 1, 12, 1], vec![6, 13, 1]),
        (&[6], vec![6]),
        (&[6, 7], vec![6, 7]),
    ] {
        let (stored, seen) = put(pieces(sizes), None).await;
        assert_eq!(stored.unwrap().checksum, "made");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.parts.values().map(|part| part.len() >> 20).collect::<Vec<_>>(), parts);
        assert!(seen.object.as_deref() == Some(&megabytes(sizes)[..]), "{sizes:?} MiB arrive whole and in order");
        assert!(!seen.requests.iter().any(|request| request.starts_with("DELETE")), "{:?}", seen.requests);
    }
}

#[tokio::test]
async fn an_upload_that_fails_is_aborted_and_says_why() {
    let broken = Pieces { fails: true, ..pieces(&[1; 12]) };
    let cases = [(broken, None, Kind::Unavailable), (pieces(&[1; 12]), Some("partNumber=2"), Kind::Auth)];
    for (pieces, failing, kind) in cases {
        let (stored, seen) = put(pieces, failing).await;
        assert_eq!(stored.unwrap_err().kind(), kind);
        let seen = seen.lock().unwrap();
        assert!(seen.requests.last().unwrap().starts_with("DELETE"), "{:?}", seen.requests);
        assert!(seen.object.is_none());
    }
}

#[tokio::test]
async fn an_object_is_deleted_and_a_refusal_names_it() {
    let key = "raw/A/B/C/data/replay-1/part-00000.parquet";
    let (lake, seen) = served(None).await;
    lake.delete(key).await.unwrap();
    let requests = seen.lock().unwrap().requests.clone();
    assert!(matches!(&requests[..], [one] if one.starts_with(&format!("DELETE /lake/{key}"))), "{requests:?}");
    let (lake, _) = served(Some("DELETE")).await;
    let error = lake.delete(key).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(error.to_string().contains(key), "{error}");
}

#[tokio::test]
async fn every_version_of_an_object_is_erased_and_of_no_other() {
    let (lake, seen) = served(None).await;
    lake.erase("raw/x").await.unwrap();
    let requests = seen.lock().unwrap().requests.clone();
    let deleted = requests.iter().filter(|request| request.starts_with("DELETE"));
    let deleted: Vec<_> = deleted.map(|request| request.split_once('?').unwrap()).collect();
    assert!(deleted.iter().all(|(target, _)| *target == "DELETE /lake/raw/x"), "{requests:?}");
    let has = |version: &str| deleted.iter().any(|(_, query)| query.contains(&format!("versionId={version}")));
    assert!(deleted.len() == 2 && has("v1") && has("v3"), "{requests:?}");
    let (lake, _) = served(Some("DELETE")).await;
    let error = lake.erase("raw/x").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(error.to_string().contains("raw/x"), "{error}");
}
