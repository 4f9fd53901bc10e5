//! What is taken for a whole deployment, and what a half one leaves.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Path as Address, State},
    http::StatusCode,
    routing::get,
};
use tokio::net::TcpListener;

use super::*;

type Known = Arc<Mutex<BTreeSet<String>>>;

/// A Lambda that knows these functions.
async fn lambda(known: Known) -> SdkConfig {
    async fn look(State(known): State<Known>, Address(name): Address<String>) -> (StatusCode, &'static str) {
        match known.lock().expect("unbroken").contains(&name) {
            true => (StatusCode::OK, "{}"),
            false => (StatusCode::NOT_FOUND, "{}"),
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().route("/2015-03-31/functions/{name}", get(look)).with_state(known);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test");
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::from_static(REGION))
        .endpoint_url(url)
        .credentials_provider(credentials)
        .load()
        .await
}

fn folders() -> Folders {
    let base = std::env::temp_dir().join(format!("sluice-deploy-{}", uuid::Uuid::new_v4()));
    let folders = Folders::find(&base).expect("the project's folder is above");
    drop(folders.take().expect("a new folder"));
    folders
}

fn deployment<'a>(folders: &'a Folders, aws: &'a SdkConfig) -> Deployment<'a> {
    Deployment {
        folders,
        aws,
        endpoint: aws.endpoint_url().expect("an address").to_owned(),
        platform: Path::new("platform"),
        parameters: Vec::new(),
        binaries: PathBuf::new(),
        fingerprint: "as it is".to_owned(),
    }
}

#[tokio::test]
async fn a_deployment_that_did_not_end_or_lost_a_function_is_half_made() {
    let folders = folders();
    let all: BTreeSet<String> = functions::ALL.iter().map(|function| format!("{STACK}-{}", function.logical)).collect();
    let known: Known = Known::default();
    let aws = lambda(Arc::clone(&known)).await;
    let deployment = deployment(&folders, &aws);
    let is = async || {
        let half_made = deployment.is_half_made().await.expect("looked at");
        (deployment.is_in_force().await.expect("looked at"), half_made)
    };
    assert_eq!(is().await, (false, false), "a first start");
    let stack = deployment.ministack("state/cloudformation.json");
    fs::create_dir_all(stack.parent().expect("a folder")).expect("made");
    fs::write(&stack, "{}").expect("written");
    assert_eq!(is().await, (false, true), "killed, or the disk was full: a stack without functions");
    let error = deployment.note().await.expect_err("no function is there").to_string();
    assert!(error.contains(functions::ALL[0].logical) && error.contains("disk"), "{error}");
    known.lock().expect("unbroken").extend(all);
    assert_eq!(is().await, (false, true), "killed before it was noted");
    deployment.note().await.expect("everything is there");
    assert_eq!(is().await, (true, false));
    write_whole(&deployment.path(), "as it was").expect("written");
    assert_eq!(is().await, (false, false), "whole, and to be brought up to date");
    known.lock().expect("unbroken").remove(&format!("{STACK}-{}", functions::STREAM_KAFKA.logical));
    write_whole(&deployment.path(), "as it is").expect("written");
    assert_eq!(is().await, (false, true), "a function was lost since");
    fs::remove_dir_all(folders.base()).expect("removed");
}

#[tokio::test]
async fn what_is_made_again_keeps_the_lakes_objects() {
    let folders = folders();
    let aws = lambda(Known::default()).await;
    let deployment = deployment(&folders, &aws);
    let put = |path: &str, text: &str| {
        let path = deployment.ministack(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    let lake = format!("{ACCOUNT}/{STACK}-lake-{ACCOUNT}");
    put("state/lambda.json", "half");
    put(&format!("s3/{lake}/log/1.json"), "a commit");
    put(&format!("s3/.versions/{lake}/v1"), "an older version");
    put(&format!("s3/{ACCOUNT}/{STACK}-artifacts/zip"), "old");
    for round in 0..2 {
        deployment.forget().expect("forgotten");
        assert!(!deployment.ministack("state").exists(), "round {round}");
        assert!(!deployment.ministack("s3").exists(), "a bucket that is there could not be made, round {round}");
        // The second round is that of a start after a kill in the middle of the first.
        put(&format!("s3/{lake}/empty"), "");
        put(&format!("s3/{ACCOUNT}/{STACK}-artifacts/zip"), "new");
    }
    deployment.bring_back_the_lake().expect("brought back");
    let read = |path: &str| fs::read_to_string(deployment.ministack(path)).ok();
    assert_eq!(read(&format!("s3/{lake}/log/1.json")).as_deref(), Some("a commit"));
    assert_eq!(read(&format!("s3/.versions/{lake}/v1")).as_deref(), Some("an older version"));
    assert_eq!(read(&format!("s3/{ACCOUNT}/{STACK}-artifacts/zip")).as_deref(), Some("new"));
    assert!(!deployment.ministack("s3-aside").exists());
    deployment.bring_back_the_lake().expect("nothing is aside");
    fs::remove_dir_all(folders.base()).expect("removed");
}

#[test]
fn own_settings_replace_those_of_the_set() {
    let folders = folders();
    let (ports, _) = Ports::choose(&folders).expect("free ports");
    let settings = |cluster_id, all_rates_at_once| Settings {
        ports: &ports,
        platform: Path::new("platform"),
        cluster_id,
        all_rates_at_once,
    };
    let named = |parameters: &[String], name: &str| -> Vec<String> {
        parameters.iter().filter(|parameter| parameter.starts_with(name)).cloned().collect()
    };
    let usual = parameters(&folders, &settings("local", false)).expect("parameters");
    assert_eq!(named(&usual, "KafkaClusterId="), ["KafkaClusterId=local"]);
    assert_eq!(named(&usual, "OpenExchangeRatesDailyShare="), ["OpenExchangeRatesDailyShare=400"]);
    assert_eq!(named(&usual, "Stage="), ["Stage=local"]);
    let other = parameters(&folders, &settings("local-2", true)).expect("parameters");
    assert_eq!(named(&other, "KafkaClusterId="), ["KafkaClusterId=local-2"]);
    assert_eq!(named(&other, "OpenExchangeRatesDailyShare="), ["OpenExchangeRatesDailyShare=1000000"]);
    fs::remove_dir_all(folders.base()).expect("removed");
}
