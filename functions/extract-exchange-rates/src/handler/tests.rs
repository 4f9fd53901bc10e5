//! The shipped events, from handler to commit.

use std::time::Duration;

use sluice_core::{Kind, LakeId, Sources, extract::Outcome};

use super::*;
use crate::testing::{Memory, OneSecret, serve};

async fn deps(secret: &'static str) -> Deps<Memory, OneSecret> {
    let (url, _) = serve().await;
    let config = Config {
        lake_bucket: "lake".into(),
        lake_id: LakeId("test".into()),
        url,
        secret: "open-exchange-rates".into(),
        daily_share: 400,
        sources: Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources"),
    };
    let http = sluice_http::Client::new().expect("a client");
    Deps { config, store: Memory::default(), secrets: OneSecret(secret), http }
}

async fn run(deps: &Deps<Memory, OneSecret>, event: &str) -> Result<ExtractSummary> {
    let request = serde_json::from_str(event).expect("an event of the function's shape");
    handle(request, &Invocation::new("request", Duration::from_secs(60)), deps).await
}

const SECRET: &str = r#"{"app_id": "0123"}"#;
const FINAL: &str = include_str!("../../../../events/extract-exchange-rates/rates-final.json");
const PROVISIONAL: &str = include_str!("../../../../events/extract-exchange-rates/rates-provisional.json");
const RANGE: &str = include_str!("../../../../events/extract-exchange-rates/rates-range.json");
const CURRENCIES: &str = include_str!("../../../../events/extract-exchange-rates/currencies.json");
const UNKNOWN: &str = include_str!("../../../../events/extract-exchange-rates/unknown-table.json");

#[tokio::test]
async fn each_event_commits_once_and_its_replay_does_nothing() {
    let deps = deps(SECRET).await;
    for (event, days) in [(RANGE, 14), (FINAL, 365 - 14), (PROVISIONAL, 1)] {
        let first = run(&deps, event).await.expect("a commit");
        assert_eq!((first.outcome, first.rows), (Outcome::Committed, days * 4), "{event}");
        let replay = run(&deps, event).await.expect("a run");
        assert_eq!((replay.outcome, replay.rows), (Outcome::NothingNew, 0), "{event}");
    }
    let listed = run(&deps, CURRENCIES).await.expect("a commit");
    assert_eq!((listed.outcome, listed.rows), (Outcome::Committed, 2));
}

#[tokio::test]
async fn an_unknown_table_or_a_secret_without_its_field_is_a_matter_of_configuration() {
    for (secret, event) in [(SECRET, UNKNOWN), (r#"{"token": "0123"}"#, FINAL)] {
        let error = run(&deps(secret).await, event).await.expect_err("refused");
        assert_eq!(error.kind(), Kind::Config);
        assert!(!error.chain().contains("0123"), "{error:?}");
    }
    let error = run(&deps(r#"{"app_id": "9999"}"#).await, FINAL).await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Auth);
}
