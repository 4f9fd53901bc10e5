use std::time::UNIX_EPOCH;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::*;

/// A token that Amazon's signer has made; tests/clients/msk_signer.py makes it again.
#[derive(Deserialize)]
struct Made {
    region: String,
    access_key: String,
    secret_key: String,
    session_token: Option<String>,
    time: DateTime<Utc>,
    token: String,
    ends: i64,
}

fn url(token: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode_to_vec(token).expect("base64")).expect("text")
}

/// The parts of an address in a fixed order, without the signer's name.
fn parts(token: &str) -> Vec<String> {
    let url = url(token);
    let mut parts: Vec<String> = url.split(['?', '&']).map(str::to_owned).collect();
    let all = parts.len();
    parts.retain(|part| !part.starts_with("User-Agent="));
    assert_eq!(parts.len(), all - 1, "{url}");
    parts.sort();
    parts
}

#[test]
fn tokens_are_those_of_amazons_own_signer() {
    let made: Vec<Made> = serde_json::from_str(include_str!("tokens.json")).expect("tokens");
    assert!(made.len() >= 4 && made.iter().any(|made| made.session_token.is_some()));
    for made in made {
        let credentials = Credentials::new(made.access_key, made.secret_key, made.session_token, None, "test");
        let ours = signed(credentials, &made.region, made.time.into()).expect("a token");
        assert_eq!(parts(ours.expose()), parts(&made.token));
        assert_eq!(made.ends - made.time.timestamp(), LIFETIME.as_secs() as i64);
        assert!(url(ours.expose()).contains("&User-Agent=sluice%2F"));
    }
}

#[test]
fn the_region_is_the_one_in_the_brokers_names() {
    for (bootstrap, region) in [
        ("boot-a1b2c3.c1.kafka-serverless.eu-west-1.amazonaws.com:9098", Some("eu-west-1")),
        (
            "b-1.shop.a1b2c3.c2.kafka.us-east-2.amazonaws.com:9098,b-2.shop.a1b2c3.c2.kafka.us-east-2.amazonaws.com:9098",
            Some("us-east-2"),
        ),
        ("b-1-public.shop.a1b2c3.c2.kafka-beta.us-east-1.amazonaws.com:9198", Some("us-east-1")),
        ("b-1.shop.a1b2c3.c1.kafka.cn-north-1.amazonaws.com.cn:9098", Some("cn-north-1")),
        ("kafka.shop.example:9098", None),
        ("bucket.s3.eu-west-1.amazonaws.com:9098", None),
        ("10.0.0.1:9098", None),
    ] {
        assert_eq!(region_of(bootstrap), region, "{bootstrap}");
    }
}

fn identity(expires: Option<SystemTime>, region: Option<&str>) -> Iam {
    let credentials = Credentials::new("AKIAEXAMPLE", "a/secret+of=tests", None, expires, "test");
    Iam::new(Some(SharedCredentialsProvider::new(credentials)), region.map(str::to_owned))
}

/// The kind of a refusal and what to do about it.
async fn refused(iam: &Iam) -> (Kind, String) {
    let error = iam.token("broker:9098").await.expect_err("no token");
    (error.kind(), error.hint().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_token_that_cannot_be_made_says_what_to_do() {
    identity(None, Some("eu-west-1")).token("broker:9098").await.expect("a token");
    let (kind, hint) = refused(&identity(None, None)).await;
    assert!(kind == Kind::Config && hint.contains("AWS_REGION"), "{kind} {hint}");
    let (kind, hint) = refused(&identity(Some(UNIX_EPOCH), Some("eu-west-1"))).await;
    assert!(kind == Kind::Auth && hint.contains("log in"), "{kind} {hint}");
    let (kind, hint) = refused(&Iam::new(None, Some("eu-west-1".into()))).await;
    assert!(kind == Kind::Auth && hint.contains("log in"), "{kind} {hint}");
}

#[tokio::test]
async fn a_broker_in_another_region_gets_a_token_of_that_region() {
    let token =
        identity(None, Some("eu-west-1")).token("boot-a.c1.kafka-serverless.us-east-2.amazonaws.com:9098").await;
    assert!(url(token.expect("a token").expose()).starts_with("https://kafka.us-east-2.amazonaws.com/?"));
}
