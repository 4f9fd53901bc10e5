//! A registry of schemas by subject, written from the documentation of Confluent's: it judges compatibility by Avro's rules
//! (BACKWARD: the new schema reads what the newest one wrote) and answers what it lacks with 404 and a code of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use apache_avro::{Schema, schema_compatibility::SchemaCompatibility};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Clone)]
pub(crate) struct Fake {
    pub url: String,
    subjects: Arc<Mutex<BTreeMap<String, Vec<Schema>>>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let fake = Fake { url, subjects: Arc::default() };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        fake
    }

    pub(crate) fn versions(&self, subject: &str) -> usize {
        self.subjects.lock().expect("unbroken").get(subject).map_or(0, Vec::len)
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut head = vec![stream.read_u8().await.ok()?];
        if !head[0].is_ascii_alphabetic() {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.ok();
        }
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let mut body = vec![0; header("content-length:")?.parse().ok()?];
        stream.read_exact(&mut body).await.ok()?;
        assert_eq!(header("content-type:"), Some("application/vnd.schemaregistry.v1+json"));
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let (status, answer) = self.answer(head.split(' ').nth(1)?, body["schema"].as_str().expect("a schema"));
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        stream.write_all((head + &answer).as_bytes()).await.ok()
    }

    fn answer(&self, path: &str, schema: &str) -> (u16, Value) {
        let lacks = |code: u32, what: &str| (404, json!({"error_code": code, "message": format!("{what} not found.")}));
        let Ok(schema) = Schema::parse_str(schema) else {
            return (422, json!({"error_code": 42201, "message": "Invalid schema"}));
        };
        let mut subjects = self.subjects.lock().expect("unbroken");
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let fits = |versions: &Vec<Schema>| {
            versions.last().is_none_or(|newest| SchemaCompatibility::can_read(newest, &schema).is_ok())
        };
        match parts[..] {
            ["subjects", subject] => match subjects.get(subject) {
                None => lacks(40401, "Subject"),
                Some(versions) => match versions.iter().position(|version| *version == schema) {
                    None => lacks(40403, "Schema"),
                    Some(at) => (200, json!({"subject": subject, "id": at + 1, "version": at + 1})),
                },
            },
            ["compatibility", "subjects", subject, "versions?verbose=true"] => {
                let fits = subjects.get(subject).is_none_or(fits);
                let messages: &[&str] = if fits { &[] } else { &["READER_FIELD_MISSING_DEFAULT_VALUE"] };
                (200, json!({"is_compatible": fits, "messages": messages}))
            }
            ["subjects", subject, "versions"] => {
                let versions = subjects.entry(subject.to_owned()).or_default();
                if !fits(versions) {
                    return (409, json!({"error_code": 409, "message": "Schema being registered is incompatible"}));
                }
                if !versions.contains(&schema) {
                    versions.push(schema);
                }
                (200, json!({"id": versions.len()}))
            }
            _ => panic!("nobody expected {path}"),
        }
    }
}
