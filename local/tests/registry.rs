//! The schema registry of one machine, asked by the platform's client, and by hand for what a client never sees.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use sluice_core::{Kind, Result, Secret, port::Secrets};
use sluice_http::{Client, RetryPolicy};
use sluice_kafka::{Registry, RegistryConfig};
use sluice_local::schema_registry;
use tokio::{net::TcpListener, sync::watch};

struct NoSecrets;

impl Secrets for NoSecrets {
    async fn get(&self, name: &str) -> Result<Secret> {
        panic!("nobody asks for {name}")
    }
}

async fn serve(file: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let registry = schema_registry::Registry::open(file).expect("a registry");
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        // Held until the runtime of the test ends.
        let _stop = stop;
        registry.serve(listener, stopped).await
    });
    address
}

fn client(address: SocketAddr) -> Registry<NoSecrets> {
    let config = RegistryConfig { url: format!("http://{address}"), secret: None };
    Registry::new(config, Client::new().expect("a client"), NoSecrets).with_retry(RetryPolicy::without_waits(1))
}

fn schema(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#)
}

const A: &str = r#"{"name": "a", "type": "int"}"#;

#[tokio::test]
async fn a_schema_has_one_id_in_every_subject_and_after_a_restart() {
    let file = std::env::temp_dir().join(format!("registry-{}.json", uuid::Uuid::new_v4()));
    let registry = client(serve(file.clone()).await);
    let first = schema(A);
    assert!(!registry.has("t-value", &first).await.expect("an answer"));
    let id = registry.register("t-value", &first).await.expect("an id");
    assert_eq!(registry.register("t-value", &first.replace(": ", ":")).await.expect("the same id"), id);
    assert_eq!(registry.register("other-value", &first).await.expect("the same id"), id);
    assert!(registry.has("t-value", &first).await.expect("an answer"));

    let registry = client(serve(file.clone()).await);
    registry.schema(id).await.expect("an answer").expect("the schema, after a restart");
    assert!(registry.has("other-value", &first).await.expect("an answer"));
    let unknown = registry.schema(id + 7).await.expect("an answer").expect_err("no such schema");
    assert!(unknown.contains("does not know"), "{unknown}");
    std::fs::remove_file(&file).expect("removed");
}

#[tokio::test]
async fn a_schema_that_cannot_read_the_newest_version_is_not_taken() {
    let file = std::env::temp_dir().join(format!("registry-{}.json", uuid::Uuid::new_v4()));
    let registry = client(serve(file.clone()).await);
    registry.register("t-value", &schema(A)).await.expect("an id");
    let breaks = schema(&format!(r#"{A}, {{"name": "b", "type": "int"}}"#));
    assert!(!registry.faults("t-value", &breaks).await.expect("an answer").is_empty());
    let refused = registry.register("t-value", &breaks).await.expect_err("a conflict");
    assert!(refused.kind() == Kind::Config && refused.chain().contains("incompatible"), "{}", refused.chain());
    let fits = schema(&format!(r#"{A}, {{"name": "b", "type": "int", "default": 0}}"#));
    assert_eq!(registry.faults("t-value", &fits).await.expect("an answer"), [""; 0]);
    registry.register("t-value", &fits).await.expect("another version");
    let unreadable = registry.register("t-value", "{}").await.expect_err("no schema");
    assert_eq!(unreadable.kind(), Kind::Config, "{}", unreadable.chain());
    std::fs::remove_file(&file).expect("removed");
}

#[tokio::test]
async fn versions_are_counted_and_what_is_missing_has_the_registrys_code() {
    let file = std::env::temp_dir().join(format!("registry-{}.json", uuid::Uuid::new_v4()));
    let address = serve(file.clone()).await;
    let registry = client(address);
    let ask = async |path: &str| -> (u16, Value) {
        let answer = reqwest::get(format!("http://{address}{path}")).await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    };
    assert_eq!(ask("/subjects").await, (200, json!([])));
    assert_eq!(ask("/subjects/t-value/versions").await.1["error_code"], 40401);
    registry.register("t-value", &schema(A)).await.expect("an id");
    let latest = ask("/subjects/t-value/versions/latest").await.1;
    assert_eq!((&latest["version"], &latest["id"]), (&json!(1), &json!(1)));
    assert_eq!(ask("/subjects/t-value/versions").await, (200, json!([1])));
    for version in ["2", "0", "none"] {
        let (status, body) = ask(&format!("/subjects/t-value/versions/{version}")).await;
        assert_eq!((status, &body["error_code"]), (404, &json!(40402)), "{version}");
    }
    assert_eq!(ask("/schemas/ids/9").await.1["error_code"], 40403);
    std::fs::remove_file(&file).expect("removed");
}
