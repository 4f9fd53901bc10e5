use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request as Asked, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::*;

/// The dbt secret; what is remembered of it may be older.
struct OneSecret {
    remembered: Mutex<&'static str>,
}

impl OneSecret {
    const CURRENT: &str = "t0ken";

    fn remembering(token: &'static str) -> Self {
        OneSecret { remembered: Mutex::new(token) }
    }
}

impl Secrets for OneSecret {
    async fn get(&self, name: &str) -> Result<Secret> {
        assert_eq!(name, "stage/dbt");
        let token = *self.remembered.lock().expect("unbroken");
        Ok(Secret::new(json!({ "token": token }).to_string()))
    }

    fn forget(&self, _: &str) {
        *self.remembered.lock().expect("unbroken") = Self::CURRENT;
    }
}

type Script = Arc<Mutex<(VecDeque<(u16, String)>, Vec<(String, String)>)>>;

/// dbt Cloud, answering by script and keeping what it was asked.
struct Server {
    script: Script,
    config: DbtCloudConfig,
    http: Client,
    secrets: OneSecret,
}

impl Server {
    async fn start(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let answers = answers.into_iter().map(|(status, body)| (status, body.to_string())).collect();
        let script: Script = Arc::new(Mutex::new((answers, Vec::new())));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = DbtCloudConfig { url, account_id: 3, job_id: 5, secret: "stage/dbt".into() };
        let secrets = OneSecret::remembering(OneSecret::CURRENT);
        Server { script, config, http: Client::new().expect("a client"), secrets }
    }

    fn jobs(&self) -> DbtCloud<'_, OneSecret> {
        DbtCloud::new(&self.http, &self.secrets, &self.config)
    }

    fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.script.lock().expect("the script").1)
    }
}

async fn answer(State(script): State<Script>, asked: Asked) -> (StatusCode, String) {
    let (parts, body) = asked.into_parts();
    if parts.headers["authorization"] != "Token t0ken" {
        return (StatusCode::UNAUTHORIZED, json!({"status": {"user_message": "Invalid token."}}).to_string());
    }
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let mut script = script.lock().expect("the script");
    script.1.push((format!("{} {}", parts.method, parts.uri), String::from_utf8_lossy(&body).into_owned()));
    let (status, body) = script.0.pop_front().unwrap_or((599, "the script is used up".into()));
    (StatusCode::from_u16(status).expect("a status"), body)
}

fn enveloped(data: Value) -> Value {
    json!({"status": {"code": 200, "is_success": true, "user_message": "Success!"}, "data": data})
}

#[tokio::test]
async fn a_job_is_started_once_with_its_cause_and_steps() {
    let server = Server::start([(200, enveloped(json!({"id": 9, "status": 1, "trigger": null})))]).await;
    let run = server.jobs().start("why", &["dbt build --select a+".into()]).await.expect("a run");
    assert_eq!(run, JobRun { id: "9".into(), cause: "why".into(), state: JobState::UnderWay });
    let asked = server.asked();
    assert_eq!(asked[0].0, "POST /api/v2/accounts/3/jobs/5/run/");
    let body: Value = serde_json::from_str(&asked[0].1).expect("JSON");
    assert_eq!(body, json!({"cause": "why", "steps_override": ["dbt build --select a+"]}));

    let server = Server::start([(503, json!({}))]).await;
    server.jobs().start("why", &[]).await.expect_err("away");
    assert_eq!(server.asked().len(), 1, "a second trigger could be a second run");
}

#[tokio::test]
async fn the_runs_of_a_cause_are_found_with_their_states() {
    let run = |id: u64, status: u8, cause: &str| json!({"id": id, "status": status, "status_message": "it broke", "trigger": {"cause": cause}});
    let runs =
        [run(9, 3, "a 1: x"), run(8, 30, "a 1: y"), run(7, 20, "a 1: "), run(6, 10, "a 1: "), run(5, 10, "a 11: ")];
    let server = Server::start([(200, enveloped(json!(runs)))]).await;
    let found = server.jobs().recent("a 1: ").await.expect("runs");
    let states: Vec<(&str, &JobState)> = found.iter().map(|run| (run.id.as_str(), &run.state)).collect();
    let failed = JobState::Failed { reason: "it broke".into() };
    let expected =
        [("9", &JobState::UnderWay), ("8", &JobState::Cancelled), ("7", &failed), ("6", &JobState::Succeeded)];
    assert_eq!(states, expected);
    let query = "job_definition_id=5&order_by=-id&limit=50&include_related=trigger";
    assert_eq!(server.asked()[0].0, format!("GET /api/v2/accounts/3/runs/?{query}"));
}

#[tokio::test]
async fn a_file_comes_as_it_is_and_one_that_is_not_there_is_none() {
    let server = Server::start([(200, json!({"results": []})), (404, enveloped(Value::Null)), (401, json!({}))]).await;
    let file = server.jobs().artifact("9", "run_results.json").await.expect("a file");
    assert_eq!(file.as_deref(), Some(&br#"{"results":[]}"#[..]));
    assert_eq!(server.jobs().artifact("9", "sources.json").await.expect("no file"), None);
    let refused = server.jobs().artifact("9", "manifest.json").await.expect_err("no access");
    assert_eq!(refused.kind(), Kind::Auth);
    assert_eq!(server.asked()[0].0, "GET /api/v2/accounts/3/runs/9/artifacts/run_results.json");
}

#[tokio::test]
async fn a_run_is_cancelled_by_its_id() {
    let server = Server::start([(200, enveloped(json!({"id": 9, "status": 30})))]).await;
    server.jobs().cancel("9").await.expect("an answer");
    assert_eq!(server.asked()[0].0, "POST /api/v2/accounts/3/runs/9/cancel/");
}

#[tokio::test]
async fn a_rotated_token_is_read_again_and_the_job_is_started_once() {
    let started = enveloped(json!({"id": 9, "status": 1, "trigger": null}));
    let mut server = Server::start([(200, started), (200, enveloped(json!([])))]).await;
    server.secrets = OneSecret::remembering("t0ken-of-last-year");
    assert_eq!(server.jobs().start("why", &[]).await.expect("a run").id, "9");
    assert_eq!(server.jobs().recent("why").await.expect("an answer"), []);
    let asked: Vec<String> = server.asked().into_iter().map(|(request, _)| request).collect();
    assert_eq!(asked.len(), 2, "what was refused has started nothing: {asked:?}");
}
