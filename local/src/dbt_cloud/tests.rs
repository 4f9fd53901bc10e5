use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;

/// A file of the repository: one written here could still be open in a process that another test is starting.
const FAKE_DBT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dbt_cloud/tests/fake-dbt");

#[derive(Default)]
struct CountedTurn {
    released: AtomicU32,
    taken_back: AtomicU32,
}

impl FileTurn for CountedTurn {
    fn release_file(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        self.released.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }.boxed()
    }

    fn take_back(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        self.taken_back.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }.boxed()
    }
}

struct RefusedTurn;

impl FileTurn for RefusedTurn {
    fn release_file(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        async { anyhow::bail!("a transaction is open") }.boxed()
    }

    fn take_back(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        unreachable!("the file was not released")
    }
}

struct Stage {
    url: String,
    dir: PathBuf,
    turn: Arc<CountedTurn>,
    stop: watch::Sender<bool>,
    server: JoinHandle<anyhow::Result<()>>,
}

impl Stage {
    async fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("dbt-cloud-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        Stage::at(dir).await
    }

    async fn at(dir: PathBuf) -> Self {
        let turn = Arc::new(CountedTurn::default());
        Stage::with_turn(dir, Arc::clone(&turn) as Arc<dyn FileTurn>, turn, REQUESTS_PER_MINUTE).await
    }

    async fn with_turn(
        dir: PathBuf,
        file_turn: Arc<dyn FileTurn>,
        turn: Arc<CountedTurn>,
        requests_per_minute: usize,
    ) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let config = Config {
            dbt_bin: FAKE_DBT.into(),
            project_dir: dir.clone(),
            work_dir: dir.join("work"),
            duckdb_path: dir.join("w.duckdb"),
            token: "t0ken".into(),
            account_id: 1,
            job_id: 2,
            requests_per_minute,
            turn: file_turn,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v2/accounts/1", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(serve(config, listener, stopped));
        Stage { url, dir, turn, stop, server }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = reqwest::Client::new().request(method, format!("{}/{path}", self.url));
        request = request.header("authorization", "Token t0ken");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn start(&self, steps: &[&str]) -> u64 {
        let body = json!({ "cause": "claim 7", "steps_override": steps });
        let (status, answer) = self.call(Method::POST, "jobs/2/run/", Some(body)).await;
        assert_eq!((status, &answer["data"]["status"]), (200, &json!(1)), "{answer}");
        answer["data"]["id"].as_u64().unwrap()
    }

    async fn show(&self, id: u64) -> Value {
        let (status, answer) =
            self.call(Method::GET, &format!("runs/{id}/?include_related=trigger,run_steps"), None).await;
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    /// Asks until the run has ended; the whole test run's time limit is the limit.
    async fn ended(&self, id: u64) -> Value {
        loop {
            let run = self.show(id).await;
            if run["is_complete"] == json!(true) {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn hanging(&self, id: u64) {
        let mark = self.dir.join(format!("work/runs/{id}/hanging"));
        while !mark.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn turns(&self) -> (u32, u32) {
        (self.turn.released.load(Ordering::SeqCst), self.turn.taken_back.load(Ordering::SeqCst))
    }

    async fn stop(self) -> PathBuf {
        self.stop.send_replace(true);
        self.server.await.unwrap().unwrap();
        self.dir
    }
}

fn clean_up(dir: &Path) {
    fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_run_executes_its_steps_and_keeps_logs_and_artifacts_of_each() {
    let stage = Stage::new("success").await;
    let id = stage.start(&["dbt source freshness", "dbt build --select source:a.b+ source:c.d+"]).await;
    let run = stage.ended(id).await;
    assert_eq!((&run["status"], &run["is_success"]), (&json!(10), &json!(true)), "{run}");
    assert_eq!(run["trigger"]["cause"], json!("claim 7"));
    assert_eq!(run["run_steps"][1]["logs"], json!("fake dbt: build --select source:a.b+ source:c.d+"));
    assert_eq!(stage.turns(), (1, 1));

    let (_, names) = stage.call(Method::GET, &format!("runs/{id}/artifacts/"), None).await;
    assert_eq!(names["data"], json!(["run_results.json"]));
    let artifact = format!("runs/{id}/artifacts/run_results.json");
    let (_, last) = stage.call(Method::GET, &artifact, None).await;
    assert_eq!((&last["command"], last["duckdb"].as_str()), (&json!("build"), stage.dir.join("w.duckdb").to_str()));
    let (_, first) = stage.call(Method::GET, &format!("{artifact}?step=1"), None).await;
    assert_eq!(first["command"], json!("source"));
    for missing in ["catalog.json", "..%2Frun.json", ".%2E%2Frun.json"] {
        let (status, _) = stage.call(Method::GET, &format!("runs/{id}/artifacts/{missing}"), None).await;
        assert_eq!(status, 404, "{missing}");
    }
    clean_up(&stage.stop().await);
}

#[tokio::test]
async fn a_cause_has_one_to_255_characters() {
    let stage = Stage::new("causes").await;
    for (cause, expected) in [(String::new(), 400), ("ü".repeat(256), 400), ("ü".repeat(255), 200)] {
        let body = json!({ "cause": cause, "steps_override": ["dbt build"] });
        let (status, answer) = stage.call(Method::POST, "jobs/2/run/", Some(body)).await;
        assert_eq!(status, expected, "{answer}");
    }
    clean_up(&stage.stop().await);
}

#[tokio::test]
async fn a_step_that_fails_ends_the_run_and_gives_the_file_back() {
    let stage = Stage::new("failure").await;
    let id = stage.start(&["dbt fail", "dbt build"]).await;
    let run = stage.ended(id).await;
    assert_eq!((&run["status"], &run["is_error"]), (&json!(20), &json!(true)));
    assert_eq!(run["status_message"], json!("step 1 ended with exit status: 1: dbt fail"));
    assert_eq!((&run["run_steps"][0]["status"], &run["run_steps"][1]["status"]), (&json!(20), &json!(30)));
    assert!(run["run_steps"][0]["logs"].as_str().unwrap().ends_with("it failed"), "standard error is in the log");
    let (status, results) = stage.call(Method::GET, &format!("runs/{id}/artifacts/run_results.json"), None).await;
    assert_eq!((status, &results["command"]), (200, &json!("fail")));
    assert_eq!(stage.turns(), (1, 1));
    clean_up(&stage.stop().await);
}

#[tokio::test]
async fn a_cancelled_run_is_killed_and_one_that_waits_never_starts() {
    let stage = Stage::new("cancel").await;
    let (first, second, third) =
        (stage.start(&["dbt hang"]).await, stage.start(&["dbt build"]).await, stage.start(&["dbt build"]).await);
    stage.hanging(first).await;
    assert_eq!((&stage.show(first).await["status"], &stage.show(second).await["status"]), (&json!(3), &json!(1)));

    let (_, answer) = stage.call(Method::POST, &format!("runs/{second}/cancel/"), None).await;
    assert_eq!(answer["data"]["status"], json!(30));
    stage.call(Method::POST, &format!("runs/{first}/cancel/"), None).await;
    assert_eq!(stage.ended(first).await["status"], json!(30));
    assert_eq!(stage.ended(third).await["status"], json!(10));
    assert_eq!(stage.show(second).await["started_at"], Value::Null);
    assert_eq!(stage.turns(), (2, 2), "the run that never started took no turn");
    clean_up(&stage.stop().await);
}

#[tokio::test]
async fn stopping_kills_the_run_and_the_next_process_knows_the_runs() {
    let stage = Stage::new("stop").await;
    let (hanging, waiting) = (stage.start(&["dbt hang"]).await, stage.start(&["dbt build"]).await);
    stage.hanging(hanging).await;
    let turn = Arc::clone(&stage.turn);
    let dir = stage.stop().await;
    assert_eq!(turn.taken_back.load(Ordering::SeqCst), 1);

    let stage = Stage::at(dir).await;
    assert_eq!(stage.show(hanging).await["status"], json!(30));
    assert_eq!(stage.show(waiting).await["status"], json!(30));
    assert_eq!(stage.start(&["dbt build"]).await, waiting + 1);
    clean_up(&stage.stop().await);
}

#[tokio::test]
async fn runs_are_listed_newest_first_with_causes_only_when_asked_for() {
    let stage = Stage::new("list").await;
    for _ in 0..3 {
        let id = stage.start(&["dbt build"]).await;
        stage.ended(id).await;
    }
    let ids =
        |answer: &Value| answer["data"].as_array().unwrap().iter().map(|run| run["id"].clone()).collect::<Value>();
    let query = "runs/?job_definition_id=2&order_by=-id&limit=2";
    let (_, answer) = stage.call(Method::GET, query, None).await;
    assert_eq!((ids(&answer), &answer["data"][0]["trigger"]), (json!([3, 2]), &Value::Null));
    assert_eq!(answer["extra"]["pagination"], json!({ "count": 2, "total_count": 3 }));
    let (_, answer) = stage.call(Method::GET, &format!("{query}&offset=2&include_related=trigger"), None).await;
    assert_eq!((ids(&answer), &answer["data"][0]["trigger"]["cause"]), (json!([1]), &json!("claim 7")));
    let (_, answer) = stage.call(Method::GET, "runs/?job_definition_id=3", None).await;
    assert_eq!(ids(&answer), json!([]));
    clean_up(&stage.stop().await);
}

#[tokio::test]
async fn a_file_that_is_not_released_is_an_error_of_the_run() {
    let dir = std::env::temp_dir().join(format!("dbt-cloud-{}-refused", std::process::id()));
    let stage = Stage::with_turn(dir, Arc::new(RefusedTurn), Arc::default(), REQUESTS_PER_MINUTE).await;
    let id = stage.start(&["dbt build"]).await;
    let run = stage.ended(id).await;
    assert_eq!(run["status"], json!(20));
    assert_eq!(run["status_message"], json!("the warehouse file was not released: a transaction is open"));
    clean_up(&stage.stop().await);
}

#[tokio::test]
async fn more_requests_than_an_account_may_send_are_refused() {
    let dir = std::env::temp_dir().join(format!("dbt-cloud-{}-throttled", std::process::id()));
    let stage = Stage::with_turn(dir, Arc::new(RefusedTurn), Arc::default(), 2).await;
    for expected in [200, 200, 429, 429] {
        let (status, answer) = stage.call(Method::GET, "runs/", None).await;
        assert_eq!((status, &answer["status"]["is_success"]), (expected, &json!(expected == 200)), "{answer}");
    }
    clean_up(&stage.stop().await);
}

#[tokio::test]
async fn refusals_have_their_status_and_the_envelope() {
    let stage = Stage::new("refusals").await;
    for header in [None, Some("t0ken"), Some("Token wrong")] {
        let mut request = reqwest::Client::new().get(format!("{}/runs/", stage.url));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        assert_eq!(request.send().await.unwrap().status(), 401, "{header:?}");
    }
    let cases = [
        ("jobs/2/run/", json!({ "cause": "" }), 400),
        ("jobs/2/run/", json!({}), 400),
        ("jobs/2/run/", json!({ "cause": "c", "steps_override": [] }), 400),
        ("jobs/2/run/", json!({ "cause": "c", "steps_override": ["rm -rf /"] }), 400),
        ("jobs/2/run/", json!({ "cause": "c", "git_branch": "b" }), 400),
        ("jobs/3/run/", json!({ "cause": "c" }), 404),
        ("runs/99/cancel/", json!({}), 404),
        ("jobs/2/run", json!({ "cause": "c" }), 404),
    ];
    for (path, body, expected) in cases {
        let (status, answer) = stage.call(Method::POST, path, Some(body)).await;
        assert_eq!((status, &answer["status"]["code"]), (expected, &json!(expected)), "{path}: {answer}");
    }
    let (status, answer) = stage.call(Method::DELETE, "runs/1/", None).await;
    assert_eq!((status, &answer["status"]["code"]), (404, &json!(404)), "another method: {answer}");
    clean_up(&stage.stop().await);
}
