//! Runs told to Prefect: to its own server, which `tests/watch/prefect_server.py` starts, and to none that works.

use std::{
    cell::RefCell,
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use chrono::DateTime;
use serde_json::{Value, json};
use sluice_core::{Error, Kind, LakeId, Result, RunId, Secret, extract::Outcome, port::Secrets};
use sluice_http::{Client, Request};
use sluice_pipeline::{
    runs::{Failure, LastRun},
    watch::EndedExtract,
};
use watch_platform::{event::News, prefect::Prefect};

/// Where the server's API is.
const VARIABLE: &str = "SLUICE_PREFECT_API";

struct One(String);

impl Secrets for One {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new(self.0.clone()))
    }
}

fn secret(api: &str) -> One {
    One(json!({"prefect": {"api": api, "key": "pnu_a-key-that-a-server-of-ones-own-does-not-ask-for"}}).to_string())
}

fn news(detail_type: &str, detail: Value) -> News {
    News { detail_type: detail_type.to_owned(), time: DateTime::UNIX_EPOCH, detail }
}

fn dbt(more: &Value) -> Value {
    let mut detail = json!({
        "id": "7#x", "run_id": "0195f3a0-0000-7000-8000-000000000007", "number": 7, "cause": "DLT.APPLICATION_DATA.PRODUCTS#4",
        "selectors": ["source:dlt_application_data.products+"],
    });
    detail.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    detail
}

fn extract(run: &str, failure: Option<Failure>) -> EndedExtract {
    let outcome = failure.is_none().then_some(Outcome::Committed);
    let (run_id, ended_at) = (RunId(run.to_owned()), DateTime::UNIX_EPOCH);
    EndedExtract { table: "A.B.C".to_owned(), run: LastRun { run_id, ended_at, outcome, failure, emptied: false } }
}

#[tokio::test]
#[ignore = "needs Prefect's server; tests/watch/prefect_server.py starts one and looks at what it then has"]
async fn each_run_is_a_flow_run_of_prefects_own_server() {
    let api = std::env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE} is not set"));
    let (http, secrets) = (Client::new().expect("a client"), secret(&api));
    let prefect = Prefect { http: &http, secrets: &secrets, secret: "alerts", lake: &LakeId("a-stack".into()) };
    let states = async || {
        let all =
            Request::post(format!("{api}/flow_runs/filter")).json(&json!({"sort": "NAME_ASC"})).expect("a request");
        let runs: Vec<Value> = http.send_once(&all).await.expect("an answer").json().expect("runs");
        runs.iter().map(|run| format!("{} {}", run["name"], run["state_type"]).replace('"', "")).collect::<Vec<_>>()
    };
    prefect.news(&news("RunStarted", dbt(&json!({})))).await;
    assert_eq!(states().await, ["dbt-7 RUNNING"], "it is live");
    let ended = dbt(
        &json!({"models": 3, "rows": 9, "seconds": 4, "built": ["sales"], "failed": ["test.x"], "reason": "a test failed"}),
    );
    for _ in 0..2 {
        prefect.news(&news("RunFailed", ended.clone())).await;
    }
    let loaded = json!({"id": "A.B.C#3", "run_id": "r", "lake_id": "l", "table": "A.B.C", "sequence": 3, "rows": 12});
    prefect.news(&news("TableLoaded", loaded.clone())).await;
    let of_another = Prefect { lake: &LakeId("another-stack".into()), ..prefect };
    of_another.news(&news("TableLoaded", loaded)).await;
    let failure =
        Failure { kind: "Auth".into(), reason: "refused".into(), hint: None, runs: 1, since: DateTime::UNIX_EPOCH };
    for ended in [extract("r-1", None), extract("r-2", Some(failure))] {
        assert_eq!(prefect.extracts(&[ended]).await.len(), 1);
    }
    let loads = ["A.B.C#3 COMPLETED"; 2];
    assert_eq!(states().await, [&["A.B.C COMPLETED", "A.B.C FAILED"][..], &loads, &["dbt-7 FAILED"]].concat());
}

#[tokio::test]
async fn a_prefect_that_is_away_or_refuses_holds_nothing_up() {
    let http = Client::new().expect("a client");
    // Nobody listens; somebody listens and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    for api in ["http://127.0.0.1:9/api".to_owned(), format!("http://127.0.0.1:{port}/api")] {
        let secrets = secret(&api);
        let prefect = Prefect { http: &http, secrets: &secrets, secret: "alerts", lake: &LakeId("a-stack".into()) };
        let began = Instant::now();
        prefect.news(&news("RunStarted", dbt(&json!({})))).await;
        assert!(prefect.extracts(&[extract("r-1", None)]).await.is_empty(), "it comes again");
        assert!(began.elapsed() < Duration::from_secs(21), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn without_an_address_nothing_is_told_and_nothing_comes_again() {
    let (http, secrets) = (Client::new().expect("a client"), One("{}".to_owned()));
    let prefect = Prefect { http: &http, secrets: &secrets, secret: "alerts", lake: &LakeId("a-stack".into()) };
    prefect.news(&news("RunStarted", dbt(&json!({})))).await;
    assert_eq!(prefect.extracts(&[extract("r-1", None)]).await.into_iter().collect::<Vec<_>>(), ["A.B.C"]);
}

/// What reads of a secret bring, one after another; the last of them again and again.
struct Reads(RefCell<Vec<Result<String, Kind>>>);

impl Secrets for Reads {
    async fn get(&self, _: &str) -> Result<Secret> {
        let mut reads = self.0.borrow_mut();
        let read = if reads.len() > 1 { reads.remove(0) } else { reads[0].clone() };
        read.map(Secret::new).map_err(|kind| Error::new(kind, "it cannot be read"))
    }
}

#[tokio::test]
async fn only_a_secret_without_a_value_is_no_prefect() {
    let http = Client::new().expect("a client");
    for (kind, told) in [(Kind::NotFound, 1), (Kind::Unavailable, 0)] {
        let secrets = Reads(RefCell::new(vec![Err(kind)]));
        let prefect = Prefect { http: &http, secrets: &secrets, secret: "alerts", lake: &LakeId("a-stack".into()) };
        assert_eq!(prefect.extracts(&[extract("r-1", None)]).await.len(), told);
    }
}

/// Knows one key, and any run of it.
fn server(key: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = vec![0; 64 * 1024];
            let length = stream.read(&mut request).unwrap_or_default();
            let is_known = String::from_utf8_lossy(&request[..length]).contains(&format!("Bearer {key}\r\n"));
            let (status, body) = match is_known {
                true => ("201 Created", r#"{"id": "x", "state_type": "COMPLETED"}"#),
                false => ("401 Unauthorized", "{}"),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    format!("http://{address}/api")
}

#[tokio::test]
async fn a_key_that_was_rotated_is_read_again() {
    let api = server("new");
    let with = |key: &str| Ok(json!({"prefect": {"api": api, "key": key}}).to_string());
    let secrets = Reads(RefCell::new(vec![with("old"), with("new")]));
    let http = Client::new().expect("a client");
    let prefect = Prefect { http: &http, secrets: &secrets, secret: "alerts", lake: &LakeId("a-stack".into()) };
    assert_eq!(prefect.extracts(&[extract("r-1", None)]).await.len(), 1);
}
