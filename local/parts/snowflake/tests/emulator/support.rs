//! A warehouse, a lake in memory and clients for one test.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sluice_core::{
    Commit, Error, Result, RunId, Secret, Sources, Table, TableId, lake,
    port::{Row, Secrets, Statements},
};
use sluice_snowflake::{
    Account, Pace, Signer, SnowflakeConfig, Snowpipe, SqlApi, Streaming,
    account::{self, Allowed, Deployment, Desired, Settings},
    sql,
};
use snowflake_emulator::{Config, Edition, Emulator, User};
use tokio::{net::TcpListener, sync::watch};
use uuid::Uuid;

pub(crate) use crate::lake::Lake;

pub(crate) const BUCKET: &str = "test-lake";
pub(crate) const LAKE: &str = "test";

/// The least that an account's file may say.
const ACCOUNT: &str = r#"
edition: standard
environments: { test: {} }
storage_integrations:
  SLUICE_LAKE:
    role_arn: ${lake_role_arn}
    external_id: ${lake_external_id}
    allowed_locations: ["s3://${lake_bucket}/"]
"#;

/// An account in which there is nothing.
struct Nothing;

impl account::Account for Nothing {
    async fn run(&self, _: &str, _: &str, _: &str) -> Result<Vec<Row>> {
        Ok(Vec::new())
    }

    async fn ask(&self, _: &[&account::Name], _: &str, _: &str, _: &str) -> Result<Vec<Row>> {
        Ok(Vec::new())
    }
}

/// What makes the databases, schemas, tables, stages and pipes of these sources in an account that has none.
pub(crate) async fn foundation(sources: &Sources) -> Vec<String> {
    let deployment = Deployment { lake: LAKE.into(), bucket: BUCKET.into(), ..Deployment::default() };
    let desired = Desired::parse(ACCOUNT, &Settings::of("test", deployment), sources).expect("a file");
    let (_, plan) = account::look(&Nothing, &desired, &Allowed::default(), "test").await.expect("a plan");
    let kinds = ["database", "schema", "file format", "stage", "table", "pipe"];
    let is_one = |what: &str| {
        kinds.iter().any(|kind| what.strip_prefix(kind).is_some_and(|name| name.starts_with(' ')))
            && !what.starts_with("database role ")
    };
    let changes = plan.changes.iter().filter(|change| is_one(&change.what));
    changes.flat_map(|change| &change.statements).map(|statement| statement.text.clone()).collect()
}

pub(crate) type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// The lake's bucket as the emulator sees it.
#[derive(Clone)]
struct S3 {
    objects: Objects,
    /// Whether the lake's policy denies every read.
    denied: Arc<AtomicBool>,
    /// Keys whose downloads do not begin until they are let go: what they begin with.
    held: Arc<watch::Sender<Option<String>>>,
    /// The keys that were asked for.
    asked: Arc<watch::Sender<BTreeSet<String>>>,
}

/// A private key as PEM and its public key as base64, made once.
fn keys() -> &'static (String, String) {
    static KEYS: OnceLock<(String, String)> = OnceLock::new();
    KEYS.get_or_init(new_keys)
}

pub(crate) fn new_keys() -> (String, String) {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair");
    let private: Pkcs8V1Der<'_> = pair.as_der().expect("a private key");
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a public key");
    let body = STANDARD.encode(private.as_ref());
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|i| &body[i..body.len().min(i + 64)]).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    (pem, STANDARD.encode(public.as_ref()))
}

#[derive(Clone)]
pub(crate) struct OneSecret;

impl Secrets for OneSecret {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new(serde_json::json!({ "private_key": keys().0 }).to_string()))
    }
}

pub(crate) struct Warehouse {
    pub emulator: Emulator,
    pub url: String,
    pub folder: PathBuf,
    pub http: reqwest::Client,
    s3: S3,
    endpoint: String,
    lock_timeout: Duration,
    shutdown: watch::Sender<bool>,
}

impl Drop for Warehouse {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Warehouse {
    /// An empty warehouse.
    pub(crate) async fn empty() -> Self {
        Warehouse::with_lock_timeout(Duration::from_secs(60)).await
    }

    /// An empty warehouse whose user has this LOCK_TIMEOUT.
    pub(crate) async fn with_lock_timeout(lock_timeout: Duration) -> Self {
        let folder = std::env::temp_dir().join(format!("emulator-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let s3 = S3 {
            objects: Objects::default(),
            denied: Arc::default(),
            held: Arc::new(watch::Sender::new(None)),
            asked: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let lake = Router::new().route("/{bucket}/{*key}", get(object)).with_state(s3.clone());
        tokio::spawn(async move { axum::serve(listener, lake).await });
        let (emulator, url, shutdown) = start(&folder, &endpoint, lock_timeout).await;
        let http = reqwest::Client::builder().user_agent("test/1").build().expect("a client");
        Warehouse { emulator, url, folder, http, s3, endpoint, lock_timeout, shutdown }
    }

    /// With every table, stage and pipe of the shipped sources.
    pub(crate) async fn founded() -> Self {
        Warehouse::empty().await.found(&sources()).await
    }

    /// Makes every table, stage, pipe and lock of these sources.
    pub(crate) async fn found(self, sources: &Sources) -> Self {
        let api = self.sql();
        for statement in foundation(sources).await {
            api.execute(&statement, Uuid::new_v4(), "test").await.expect("a statement of the foundation");
        }
        self
    }

    /// Ends the process, as far as a test can, and starts another on the same file.
    pub(crate) async fn restart(&mut self) {
        self.shutdown.send_replace(true);
        self.emulator.release_file().await.expect("the file is closed");
        let (emulator, url, shutdown) = start(&self.folder, &self.endpoint, self.lock_timeout).await;
        (self.emulator, self.url, self.shutdown) = (emulator, url, shutdown);
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("warehouse.duckdb")
    }

    pub(crate) fn account(&self) -> Arc<Account<OneSecret>> {
        self.account_of("loader")
    }

    pub(crate) fn config_of(&self, user: &str) -> SnowflakeConfig {
        SnowflakeConfig {
            account: "myorg-acct".into(),
            url: Some(self.url.clone()),
            user: user.into(),
            role: "LOADER".into(),
            warehouse: "LOADING".into(),
            secret: "x".into(),
        }
    }

    pub(crate) fn account_of(&self, user: &str) -> Arc<Account<OneSecret>> {
        let config = self.config_of(user);
        let pace =
            Pace { poll: Duration::from_millis(1), poll_cap: Duration::from_millis(20), ..Pace::without_waits() };
        Arc::new(Account::new(config, OneSecret, sluice_http::Client::new().expect("a client")).with_pace(pace))
    }

    pub(crate) fn sql(&self) -> SqlApi<OneSecret> {
        SqlApi::new(self.account())
    }

    pub(crate) fn streaming(&self) -> Streaming<OneSecret> {
        Streaming::new(self.account())
    }

    pub(crate) fn snowpipe(&self) -> Snowpipe<OneSecret> {
        self.snowpipe_of("loader")
    }

    pub(crate) fn snowpipe_of(&self, user: &str) -> Snowpipe<OneSecret> {
        Snowpipe::new(self.account_of(user))
    }

    pub(crate) async fn run(&self, statement: &str) -> Result<Vec<Row>> {
        self.sql().execute(statement, Uuid::new_v4(), "test").await
    }

    /// Runs the load block of a commit; what it answers.
    pub(crate) async fn load(&self, commit: &Commit) -> Result<String> {
        let rows = self.run(&sql::load::render(commit)?).await?;
        let answer = rows.into_iter().next().and_then(|mut row| row.remove(sql::load::RESULT_COLUMN)).flatten();
        answer.ok_or_else(|| Error::internal("no answer"))
    }

    /// The first column of a query's rows.
    pub(crate) async fn column(&self, sql: &str) -> Vec<String> {
        let rows = self.emulator.query(sql).await.expect("an answer");
        rows.into_iter().map(|mut row| row.remove(0).unwrap_or_else(|| "NULL".to_owned())).collect()
    }

    /// A POST without the platform's client; status and body.
    pub(crate) async fn post(&self, path: &str, token: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(token).header("accept", "*/*");
        let answer = request.json(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// A statement as a user and role, by no client of the platform.
    pub(crate) async fn ask(&self, user: &str, role: &str, statement: &str) -> Answer {
        let body = serde_json::json!({"statement": statement, "role": role, "warehouse": "LOADING"});
        let (status, body) = self.post("/api/v2/statements", &token_of(user, &private_key()), body).await;
        Answer { status, body, statement: statement.to_owned() }
    }

    /// The same as who may do everything; it must succeed.
    pub(crate) async fn admin(&self, statement: &str) -> Answer {
        let answer = self.ask("admin", "ACCOUNTADMIN", statement).await;
        assert_eq!(answer.status, 200, "{statement}: {}", answer.body);
        answer
    }

    /// Plays an edition, and checks privileges or does not.
    pub(crate) async fn play(&self, edition: &str, checks_privileges: bool) {
        self.play_with(edition, checks_privileges, serde_json::json!({})).await;
    }

    /// The same, with credits that resource monitors have seen used.
    pub(crate) async fn play_with(&self, edition: &str, checks_privileges: bool, credits_used: serde_json::Value) {
        let played = serde_json::json!({
            "edition": edition, "checks_privileges": checks_privileges, "credits_used": credits_used,
        });
        assert_eq!(self.post("/_emulator/account", "", played).await.0, 204);
    }

    pub(crate) async fn order(&self, path: &str, times: u32, fault: serde_json::Value) {
        let mut order = serde_json::json!({"path": path, "times": times});
        order.as_object_mut().expect("an object").extend(fault.as_object().expect("an object").clone());
        assert_eq!(self.post("/_emulator/faults", "", order).await.0, 204);
    }

    /// Writes a query's rows as a Parquet file into the lake.
    pub(crate) fn put(&self, key: &str, select: &str) {
        thread_local! {
            // A database takes longer to open than a file to write.
            static WRITER: duckdb::Connection = duckdb::Connection::open_in_memory().expect("a database");
        }
        let path = self.folder.join(Uuid::new_v4().to_string());
        let copy = format!("COPY ({select}) TO '{}' (FORMAT parquet, COMPRESSION zstd)", path.display());
        WRITER.with(|writer| writer.execute_batch(&copy)).expect("a file");
        self.s3.objects.lock().expect("objects").insert(key.to_owned(), std::fs::read(&path).expect("bytes"));
    }

    pub(crate) fn put_object(&self, key: &str, body: Vec<u8>) {
        self.s3.objects.lock().expect("objects").insert(key.to_owned(), body);
    }

    /// The lake as the functions see it.
    pub(crate) fn lake(&self) -> Lake {
        Lake(Arc::clone(&self.s3.objects))
    }

    /// Whether the stage's role may read the lake.
    pub(crate) fn deny_the_lake(&self, denied: bool) {
        self.s3.denied.store(denied, Ordering::Release);
    }

    /// Lets the downloads of keys that begin so wait, or lets every one go.
    pub(crate) fn hold(&self, key: Option<&str>) {
        self.s3.held.send_replace(key.map(str::to_owned));
    }

    /// Waits until somebody has asked for the key.
    pub(crate) async fn asked_for(&self, key: &str) {
        self.s3.asked.subscribe().wait_for(|asked| asked.contains(key)).await.expect("the bucket is there");
    }

    /// A commit of a shipped table with one file of these rows.
    pub(crate) fn commit(&self, table: &str, sequence: u64, rows: u64, select: &str) -> Commit {
        let sources = sources();
        self.commit_of(sources.table(&table_id(table)).expect("a shipped table"), sequence, rows, select)
    }

    /// The same for any table.
    pub(crate) fn commit_of(&self, table: &Table, sequence: u64, rows: u64, select: &str) -> Commit {
        let run = RunId(Uuid::now_v7().to_string());
        let path = lake::data_key(&table.table, &run, 0);
        self.put(&path, select);
        let commit = serde_json::json!({
            "format_version": 1, "lake_id": LAKE, "table": table.table, "sequence": sequence, "run_id": run,
            "loader": table.loader, "disposition": table.disposition, "key": table.key,
            "version_column": table.version_column, "schema": table.columns, "schema_fingerprint": "", "rows": rows,
            "files": [{"path": path, "rows": rows, "bytes": 1, "checksum": "x"}],
            "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
        });
        serde_json::from_value(commit).expect("a commit")
    }
}

/// What a statement was answered.
pub(crate) struct Answer {
    pub status: u16,
    pub body: serde_json::Value,
    statement: String,
}

impl Answer {
    pub(crate) fn columns(&self) -> Vec<&str> {
        let row_type = self.body["resultSetMetaData"]["rowType"].as_array().expect("columns");
        row_type.iter().map(|column| column["name"].as_str().expect("a name")).collect()
    }

    /// Cells of some columns, row by row, joined by `|`; NULL for none.
    pub(crate) fn cells(&self, columns: &[&str]) -> Vec<String> {
        assert_eq!(self.status, 200, "{}: {}", self.statement, self.body);
        let names = self.columns();
        let at: Vec<usize> = columns
            .iter()
            .map(|wanted| {
                names.iter().position(|name| name == wanted).unwrap_or_else(|| panic!("{wanted} in {names:?}"))
            })
            .collect();
        let rows = self.body["data"].as_array().expect("rows").iter();
        rows.map(|row| at.iter().map(|at| row[*at].as_str().unwrap_or("NULL")).collect::<Vec<_>>().join("|")).collect()
    }

    /// The value of one property of a DESCRIBE.
    pub(crate) fn property(&self, name: &str) -> String {
        let (keys, values) = if self.columns().contains(&"property") {
            ("property", if self.columns().contains(&"value") { "value" } else { "property_value" })
        } else {
            ("name", "value")
        };
        let rows = self.cells(&[keys, values]);
        let found = rows.iter().find_map(|row| row.strip_prefix(&format!("{name}|")));
        found.unwrap_or_else(|| panic!("{name} in {rows:?}")).to_owned()
    }

    /// The text of a status.
    pub(crate) fn text(&self) -> String {
        assert_eq!(self.status, 200, "{}: {}", self.statement, self.body);
        self.body["data"][0][0].as_str().expect("a text").to_owned()
    }

    /// Code and SQLSTATE of a refusal.
    pub(crate) fn refusal(&self) -> (&str, &str) {
        assert_ne!(self.status, 200, "{}: {}", self.statement, self.body);
        (self.body["code"].as_str().unwrap_or_default(), self.body["sqlState"].as_str().unwrap_or_default())
    }
}

pub(crate) fn sources() -> Sources {
    Sources::parse(include_str!("../../../../../platform/sources.yaml")).expect("the shipped sources")
}

pub(crate) fn table_id(table: &str) -> TableId {
    table.parse().expect("a table name")
}

pub(crate) fn private_key() -> String {
    keys().0.clone()
}

pub(crate) fn public_key() -> String {
    keys().1.clone()
}

pub(crate) fn token() -> String {
    token_of("loader", &private_key())
}

pub(crate) fn token_of(user: &str, key: &str) -> String {
    let signer = Signer::new("myorg-acct", user, &Secret::new(key.to_owned())).expect("a signer");
    signer.sign(chrono::Utc::now()).expect("a token").expose().to_owned()
}

fn user(name: &str, roles: &[&str], default_role: Option<&str>) -> User {
    User {
        name: name.into(),
        public_key: keys().1.clone(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        default_role: default_role.map(str::to_owned),
    }
}

async fn start(
    folder: &std::path::Path,
    endpoint: &str,
    lock_timeout: Duration,
) -> (Emulator, String, watch::Sender<bool>) {
    let config = Config {
        duckdb_path: folder.join("warehouse.duckdb"),
        account: "MYORG-ACCT".into(),
        users: vec![
            user("LOADER", &["LOADER", "SYSADMIN"], Some("LOADER")),
            // Its statements run as the loader; its default role is another.
            user("NEWCOMER", &["LOADER"], None),
            user("ADMIN", &["ACCOUNTADMIN"], Some("ACCOUNTADMIN")),
        ],
        lake_bucket: BUCKET.into(),
        s3_endpoint: endpoint.to_owned(),
        journal_dir: folder.join("journal"),
        commit_delay: Duration::from_millis(20),
        loader_role: "LOADER".into(),
        lock_timeout,
        edition: Edition::Standard,
        checks_privileges: false,
    };
    let emulator = Emulator::open(config).expect("a warehouse");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (shutdown, stopped) = watch::channel(false);
    tokio::spawn(emulator.clone().serve(listener, stopped));
    (emulator, url, shutdown)
}

async fn object(
    State(s3): State<S3>,
    Path((bucket, key)): Path<(String, String)>,
) -> std::result::Result<Vec<u8>, (StatusCode, &'static str)> {
    s3.asked.send_if_modified(|asked| asked.insert(key.clone()));
    let is_free = |held: &Option<String>| !held.as_ref().is_some_and(|held| key.starts_with(held.as_str()));
    s3.held.subscribe().wait_for(is_free).await.expect("the test goes on");
    if s3.denied.load(Ordering::Acquire) {
        return Err((StatusCode::FORBIDDEN, "<Error><Code>AccessDenied</Code></Error>"));
    }
    let found = s3.objects.lock().expect("objects").get(&key).filter(|_| bucket == BUCKET).cloned();
    found.ok_or((StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>"))
}
