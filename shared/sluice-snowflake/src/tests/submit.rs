//! Statements that nobody waits for: what is sent, and what each answer means.

use std::time::Duration;

use serde_json::json;
use sluice_core::{
    Kind,
    port::{Progress, Submissions},
};
use uuid::Uuid;

use super::{
    fake::{Answer, Fake},
    key::{OneSecret, TestKey},
};
use crate::SqlApi;

const HANDLE: &str = "01bf3f5a-010b-4d87-0000-53493abb7cce";

async fn api(script: impl IntoIterator<Item = Answer>) -> (SqlApi<OneSecret>, Fake, TestKey) {
    let (key, fake) = (TestKey::generate(), Fake::start(script).await);
    (SqlApi::new(key.account(&fake.url)), fake, key)
}

fn running() -> Answer {
    Answer::json(202, json!({"code": "333334", "message": "running", "statementHandle": HANDLE}))
}

fn failed(code: &str) -> Answer {
    Answer::json(422, json!({"code": code, "sqlState": "42000", "message": "it failed", "statementHandle": HANDLE}))
}

#[tokio::test]
async fn a_statement_is_handed_in_with_its_tag_and_its_limit_and_nobody_waits() {
    let (api, fake, key) = api([running()]).await;
    let submitted =
        api.submit("EXECUTE DBT PROJECT A.B.C", Uuid::from_u128(7), "run 7", Duration::from_secs(3600)).await;
    assert_eq!(submitted.expect("a handle"), HANDLE);
    let asked = fake.asked();
    assert_eq!((asked[0].line(), asked[0].query["async"].as_str()), ("POST /api/v2/statements".into(), "true"));
    key.verify(asked[0].token()).expect("a token signed by the user's key");
    let body = asked[0].json();
    assert_eq!((&body["timeout"], &body["parameters"]["query_tag"]), (&json!(3600), &json!("run 7")));
}

#[tokio::test]
async fn a_lost_answer_is_not_sent_again() {
    let (api, fake, _) = api([Answer::lost()]).await;
    api.submit("EXECUTE DBT PROJECT A.B.C", Uuid::from_u128(7), "t", Duration::from_secs(1)).await.expect_err("lost");
    assert_eq!(fake.asked().len(), 1, "two runs would be one too many");
    let (api, fake, _) = self::api([failed("002003")]).await;
    let refused = api.submit("EXECUTE DBT PROJECT A.B.C", Uuid::from_u128(7), "t", Duration::from_secs(1)).await;
    assert_eq!(refused.expect_err("no such project").kind(), Kind::NotFound);
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn each_state_of_a_statement_is_told_apart() {
    let meta = json!({"rowType": [{"name": "0|1 Success", "type": "boolean"}], "partitionInfo": [{"rowCount": 1}]});
    let ended = json!({"resultSetMetaData": meta, "data": [["false"]], "code": "090001", "statementHandle": HANDLE});
    let script = [running(), Answer::json(200, ended), failed("002003"), failed("000604"), failed("000630")];
    let (api, fake, _) = api(script).await;
    assert_eq!(api.look(HANDLE).await.expect("an answer"), Progress::UnderWay);
    let Progress::Ended(rows) = api.look(HANDLE).await.expect("an answer") else { panic!("it has ended") };
    assert_eq!(rows[0]["0|1 success"].as_deref(), Some("false"));
    let failure = api.look(HANDLE).await.expect("an answer");
    assert!(matches!(&failure, Progress::Failed { reason } if reason.contains("it failed")), "{failure:?}");
    for _ in 0..2 {
        assert_eq!(api.look(HANDLE).await.expect("an answer"), Progress::Cancelled);
    }
    assert!(fake.asked().iter().all(|asked| asked.line() == format!("GET /api/v2/statements/{HANDLE}")));
}

#[tokio::test]
async fn a_statement_that_has_ended_need_not_be_cancelled() {
    let (api, fake, _) = api([Answer::json(200, json!({"code": "000604"})), failed("000605")]).await;
    for _ in 0..2 {
        api.cancel(HANDLE).await.expect("an answer");
    }
    assert_eq!(fake.asked()[0].line(), format!("POST /api/v2/statements/{HANDLE}/cancel"));
}
