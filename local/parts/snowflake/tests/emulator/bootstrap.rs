//! The first user of an account, its key, and a key for another service, by the platform's own clients.

use std::sync::{Arc, Mutex};

use sluice_core::{
    Kind, Result, Secret,
    port::{SecretStore, Secrets, SystemClock},
};
use sluice_http::Client;
use sluice_snowflake::{
    Account, SnowflakeConfig, SqlApi,
    account::{AsRoles, Deployment, Did, KeysInSecret, Name, Settings, first_user, rotate, slots},
};
use tokio::time::{Duration, Instant};

use crate::{
    acceptance::account,
    support::{LAKE, Warehouse, foundation, private_key, sources},
};

/// A secret of Secrets Manager: it may have no value yet.
struct Store(Mutex<Option<Secret>>);

impl Secrets for Store {
    async fn get(&self, _: &str) -> Result<Secret> {
        self.0
            .lock()
            .expect("one at a time")
            .clone()
            .ok_or_else(|| sluice_core::Error::not_found("the secret has no value"))
    }
}

impl SecretStore for Store {
    async fn put(&self, _: &str, value: &Secret) -> Result<()> {
        self.0.lock().expect("one at a time").replace(value.clone());
        Ok(())
    }
}

fn config(warehouse: &Warehouse, user: &str) -> SnowflakeConfig {
    SnowflakeConfig {
        account: "myorg-acct".into(),
        url: Some(warehouse.url.clone()),
        user: user.into(),
        role: "ACCOUNTADMIN".into(),
        warehouse: "LOADING".into(),
        secret: "s".into(),
    }
}

#[tokio::test]
async fn the_first_user_gives_a_service_its_first_key_and_then_another() {
    let warehouse = Warehouse::empty().await;
    // The second time the user is there, with a key that its secret has lost.
    let mut secret = Secret::new("");
    for _ in 0..2 {
        let (made, statements) = first_user().expect("a key");
        for statement in statements.iter().filter(|statement| !statement.starts_with("USE ROLE")) {
            warehouse.admin(statement).await;
        }
        secret = made;
    }
    let http = Client::new().expect("a client");
    let account = Account::new(config(&warehouse, "SLUICE_PROVISIONER"), Store(Mutex::new(Some(secret))), http.clone());
    let api = SqlApi::new(Arc::new(account));
    let administrator = AsRoles { api: &api, deadline: Instant::now() + Duration::from_secs(60) };
    warehouse.admin("CREATE USER SVC TYPE = SERVICE").await;
    warehouse.admin("CREATE WAREHOUSE LOADING").await;
    let of_lease = ["DATABASE IF NOT EXISTS ADMIN", "SCHEMA IF NOT EXISTS ADMIN.OBSERVABILITY", ".ACCOUNT_LEASE"];
    let foundation = foundation(&sources()).await;
    for statement in foundation.iter().filter(|text| of_lease.iter().any(|part| text.contains(part))) {
        warehouse.admin(statement).await;
    }
    let deployment = Deployment { lake: LAKE.into(), ..Deployment::default() };
    let settings = Settings::of("test", deployment);

    let (store, config) = (Store(Mutex::new(None)), config(&warehouse, "SVC"));
    let keys = KeysInSecret { secrets: &store, config: &config, http: &http };
    let service = Name::of(["SVC"]);
    assert_eq!(
        rotate(&administrator, &SystemClock, &keys, &service, &settings, "r-1").await.expect("a key"),
        [Did::Switched]
    );
    let first = store.0.lock().expect("one at a time").clone();
    let done = rotate(&administrator, &SystemClock, &keys, &service, &settings, "r-2").await.expect("another key");
    assert_eq!(done, [Did::Switched, Did::Cleared]);
    assert!(*store.0.lock().expect("one at a time") != first, "the secret has the new key");

    // What is no JSON object is left as it is.
    store.0.lock().expect("one at a time").replace(Secret::new("a password"));
    let error = rotate(&administrator, &SystemClock, &keys, &service, &settings, "r-3").await.expect_err("unusable");
    assert_eq!((error.kind(), error.chain().contains("a password")), (Kind::Config, false));
}

#[tokio::test]
async fn in_prod_a_key_is_rotated_from_an_operators_address_alone() {
    let warehouse = account("prod").await;
    let api = SqlApi::new(warehouse.account_of("admin"));
    let administrator = AsRoles { api: &api, deadline: Instant::now() + Duration::from_secs(300) };
    let deployment = Deployment { lake: LAKE.into(), ..Deployment::default() };
    let (settings, http) = (Settings::of("prod", deployment), Client::new().expect("a client"));
    let first = serde_json::json!({"private_key": private_key()}).to_string();
    let outsiders = ["SVC_DBT", "SVC_LIGHTDASH"];
    for user in outsiders {
        let (store, config) = (Store(Mutex::new(Some(Secret::new(&first)))), config(&warehouse, user));
        let keys = KeysInSecret { secrets: &store, config: &config, http: &http };
        let service = Name::of([user]);
        let before = slots(&administrator, &service, "test").await.expect("slots");
        let error = rotate(&administrator, &SystemClock, &keys, &service, &settings, "r-1").await.expect_err("refused");
        assert_eq!(error.kind(), Kind::Auth, "{}", error.chain());
        assert!(error.chain().contains("127.0.0.1 is not allowed"), "{}", error.chain());
        // What was is as it was: the one key, in the slot and in the secret.
        assert_eq!(slots(&administrator, &service, "test").await.expect("slots"), before);
        assert_eq!(before.iter().flatten().count(), 1);
        assert!(store.0.lock().expect("one at a time").as_ref().is_some_and(|kept| kept.expose() == first));
    }
    warehouse.admin("ALTER NETWORK RULE ADMIN.SECURITY.OPERATORS SET VALUE_LIST = ('127.0.0.1')").await;
    for user in outsiders.into_iter().chain(["SLUICE_LOADER", "SVC_REPORT"]) {
        let (store, config) = (Store(Mutex::new(Some(Secret::new(&first)))), config(&warehouse, user));
        let keys = KeysInSecret { secrets: &store, config: &config, http: &http };
        let run = format!("r-{user}");
        let done = rotate(&administrator, &SystemClock, &keys, &Name::of([user]), &settings, &run).await;
        let done = done.unwrap_or_else(|error| panic!("{user}: {}", error.chain()));
        assert_eq!(done, [Did::Switched, Did::Cleared], "{user}");
    }
}
