//! As whom: the role that a request names, that its token has, or that its user has by default.

use serde_json::json;
use sluice_core::{DataFile, Kind, Secret, port::Statements};
use sluice_pipeline::stream::Channels;
use sluice_snowflake::{Signer, Snowpipe, SqlApi, Streaming, pipe::FileStatus, sql::session};
use uuid::Uuid;

use crate::{
    snowpipe::rate,
    streaming::channel,
    support::{Warehouse, table_id},
};

const RATES: &str = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";

#[tokio::test]
async fn streaming_runs_as_its_scopes_role_and_snowpipe_as_the_default_one() {
    let warehouse = Warehouse::founded().await;
    let account = warehouse.account_of("newcomer");
    let rates = table_id("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES");
    let select = "SELECT STATUS FROM ADMIN.OBSERVABILITY.LOADS";
    SqlApi::new(account.clone()).execute(select, Uuid::new_v4(), "t").await.expect("statements name their role");
    Streaming::new(account.clone()).open(&channel("c")).await.expect("the scope names the role");
    let error = Snowpipe::new(account).insert_report(&rates, None).await.expect_err("its default role is PUBLIC");
    assert_eq!(error.kind(), Kind::NotFound, "Snowpipe does not tell what is missing from what is forbidden");
    warehouse.snowpipe().insert_report(&rates, None).await.expect("the loader's default role is its own");
}

#[tokio::test]
async fn a_token_without_a_role_is_refused_where_the_default_role_may_not() {
    let warehouse = Warehouse::founded().await;
    let exchange = async |user: &str, scope: &str| {
        let signer = Signer::new("myorg-acct", user, &Secret::new(crate::support::private_key())).expect("a signer");
        let token = signer.sign(chrono::Utc::now()).expect("a token");
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&scope={scope}&assertion={}",
            token.expose()
        );
        let request = warehouse.http.post(format!("{}/oauth/token", warehouse.url)).header("accept", "*/*");
        let answer = request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let opened = async |token: &str| {
        let path = "/v2/streaming/databases/STREAMING/schemas/PUBLIC/pipes/PURCHASES-STREAMING/channels/c";
        let request = warehouse.http.put(format!("{}{path}", warehouse.url)).bearer_auth(token).header("accept", "*/*");
        request.json(&json!({})).send().await.expect("an answer").status().as_u16()
    };
    for (user, scope, status) in [
        ("loader", "host", 200),
        ("newcomer", "host", 403),
        ("newcomer", "host%20session%3Arole%3ALOADER", 200),
        ("loader", "host%20session%3Arole%3ASYSADMIN", 403),
    ] {
        let (exchanged, token) = exchange(user, scope).await;
        assert_eq!((exchanged, opened(&token).await), (200, status), "{user} {scope}");
    }
    let (status, body) = exchange("newcomer", "host%20session%3Arole%3ASYSADMIN").await;
    assert!(status == 401 && body.contains("390186"), "a role that was not granted: {status} {body}");
    let (status, body) = warehouse
        .post("/api/v2/statements", &crate::support::token(), json!({"statement": "SELECT 1", "role": "OWNER"}))
        .await;
    assert_eq!((status, body["code"].as_str()), (422, Some("390186")));
}

/// Who names the files needs OPERATE on the pipe and no right on its table; whose pipe it is needs the table's, at each load.
#[tokio::test]
async fn a_pipe_loads_as_its_owner_and_takes_files_from_the_default_role() {
    let warehouse = Warehouse::founded().await;
    let (rates, pipe) = (table_id(RATES), format!("PIPE {RATES}_PIPE"));
    for statement in [
        "CREATE ROLE PIPER",
        "CREATE ROLE SENDER",
        "GRANT ROLE SENDER TO USER LOADER",
        "GRANT USAGE ON DATABASE SNOWPIPE TO ROLE SENDER",
        "GRANT USAGE ON SCHEMA SNOWPIPE.OPEN_EXCHANGE_RATES TO ROLE SENDER",
        "ALTER USER LOADER SET DEFAULT_ROLE = SENDER",
        &format!("GRANT OWNERSHIP ON {pipe} TO ROLE PIPER"),
    ] {
        warehouse.admin(statement).await;
    }
    warehouse.play("standard", true).await;
    warehouse.put("raw/rates/a.parquet", &rate("EUR"));
    let file = DataFile { path: "raw/rates/a.parquet".into(), rows: 1, bytes: 1, checksum: "x".into(), values: vec![] };
    let client = warehouse.snowpipe();
    let refused = client.insert_files(&rates, std::slice::from_ref(&file), Uuid::new_v4()).await.expect_err("no right");
    assert_eq!(refused.kind(), Kind::NotFound, "the role of statements does not count: {refused}");
    warehouse.admin(&format!("GRANT OPERATE, MONITOR ON {pipe} TO ROLE SENDER")).await;
    let mut mark = None;
    for grant in [
        "USAGE ON DATABASE ADMIN",
        "USAGE ON SCHEMA ADMIN.OBSERVABILITY",
        "USAGE ON STAGE ADMIN.OBSERVABILITY.LAKE",
        "USAGE ON FILE FORMAT ADMIN.OBSERVABILITY.SLUICE_PARQUET",
        "USAGE ON DATABASE SNOWPIPE",
        "USAGE ON SCHEMA SNOWPIPE.OPEN_EXCHANGE_RATES",
        "INSERT ON TABLE SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES",
        "SELECT ON TABLE SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES",
    ] {
        client.insert_files(&rates, std::slice::from_ref(&file), Uuid::new_v4()).await.expect("queued");
        // Answered after what was queued before it.
        warehouse.admin("SELECT 1 AS A").await;
        let report = client.insert_report(&rates, mark.as_deref()).await.expect("a report");
        let loaded = &report.files[0];
        assert_eq!((loaded.status, loaded.rows_parsed), (FileStatus::Failed, 0), "{grant}");
        mark = report.next_begin_mark;
        warehouse.admin(&format!("GRANT {grant} TO ROLE PIPER")).await;
        let error = loaded.first_error.clone().unwrap_or_default();
        assert!(error.contains("not authorized") || error.contains("Insufficient privileges"), "{grant}: {error}");
    }
    client.insert_files(&rates, &[file], Uuid::new_v4()).await.expect("queued");
    warehouse.admin("SELECT 1 AS A").await;
    let report = client.insert_report(&rates, mark.as_deref()).await.expect("a report");
    assert_eq!((report.files[0].status, report.files[0].rows_inserted), (FileStatus::Loaded, 1), "{report:?}");
    warehouse.admin(&format!("REVOKE OPERATE, MONITOR ON {pipe} FROM ROLE SENDER")).await;
    client.insert_report(&rates, None).await.expect_err("the default role is asked at each request");
}

#[tokio::test]
async fn a_session_tells_its_role_and_how_long_it_waits_for_a_table() {
    let warehouse = Warehouse::with_lock_timeout(std::time::Duration::from_secs(240)).await;
    let role = async |api: SqlApi<crate::support::OneSecret>| {
        let rows = api.execute(session::ROLE, Uuid::new_v4(), "t").await.expect("a role");
        rows[0]["role_name"].clone().expect("a name")
    };
    for (user, default_role) in [("loader", "LOADER"), ("newcomer", "PUBLIC")] {
        let account = warehouse.account_of(user);
        assert_eq!(role(SqlApi::new(account.clone())).await, "LOADER", "{user}: statements name their role");
        assert_eq!(role(SqlApi::new(account).as_default_role()).await, default_role, "{user}");
    }
    let rows = warehouse.run(session::LOCK_TIMEOUT).await.expect("a parameter");
    let cell = |name: &str| rows[0][name].as_deref();
    assert_eq!((cell("key"), cell("value"), cell("level")), (Some("LOCK_TIMEOUT"), Some("240"), Some("USER")));
    assert_eq!((cell("default"), cell("type")), (Some("43200"), Some("NUMBER")));
    for other in ["SHOW PARAMETERS", "SHOW PARAMETERS LIKE 'TIMEZONE' IN SESSION", "SELECT CURRENT_ROLE() AS A, 1 AS B"]
    {
        let refused = warehouse.run(other).await.expect_err(other);
        assert_eq!(refused.kind(), Kind::Internal, "{other}: {refused}");
    }
}
