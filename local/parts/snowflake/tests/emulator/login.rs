//! Who gets in: keys in two slots, users that are disabled, network policies.

use std::net::IpAddr;

use serde_json::json;

use crate::support::{Warehouse, new_keys, token_of};

const PATH: &str = "/api/v2/statements";

/// Status and code of a statement of NEWCOMER's with a key.
async fn sign_in(warehouse: &Warehouse, key: &str) -> (u16, String) {
    let body = json!({"statement": "SELECT CURRENT_ROLE() AS A"});
    let (status, body) = warehouse.post(PATH, &token_of("newcomer", key), body).await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_key_in_either_slot_lets_in_and_a_removed_one_does_not() {
    let warehouse = Warehouse::empty().await;
    let (old, new) = (crate::support::private_key(), new_keys());
    assert_eq!(sign_in(&warehouse, &new.0).await, (401, "390144".into()));
    warehouse.admin(&format!("ALTER USER NEWCOMER SET RSA_PUBLIC_KEY_2 = '{}'", new.1)).await;
    assert_eq!(sign_in(&warehouse, &new.0).await.0, 200);
    assert_eq!(sign_in(&warehouse, &old).await.0, 200);
    warehouse.admin("ALTER USER NEWCOMER UNSET RSA_PUBLIC_KEY").await;
    assert_eq!(sign_in(&warehouse, &old).await, (401, "390144".into()));
    assert_eq!(sign_in(&warehouse, &new.0).await.0, 200);
}

#[tokio::test]
async fn each_slot_says_when_its_own_key_was_set() {
    let warehouse = Warehouse::empty().await;
    let times = async || {
        let described = warehouse.admin("DESC USER NEWCOMER").await;
        ["RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"].map(|slot| described.property(&format!("{slot}_LAST_SET_TIME")))
    };
    let [first, none] = times().await;
    assert_eq!(none, "null");
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    warehouse.admin(&format!("ALTER USER NEWCOMER SET RSA_PUBLIC_KEY_2 = '{}'", new_keys().1)).await;
    let [before, second] = times().await;
    assert!(before == first && second > first, "{before} {first} {second}");
    warehouse.admin("ALTER USER NEWCOMER SET COMMENT = 'x'").await;
    assert_eq!(times().await, [before, second]);
}

#[tokio::test]
async fn a_disabled_or_dropped_user_does_not_get_in() {
    let warehouse = Warehouse::empty().await;
    let key = crate::support::private_key();
    warehouse.admin("ALTER USER NEWCOMER SET DISABLED = TRUE").await;
    assert_eq!(sign_in(&warehouse, &key).await, (401, "390101".into()));
    warehouse.admin("ALTER USER NEWCOMER SET DISABLED = FALSE LOGIN_NAME = 'other'").await;
    assert_eq!(sign_in(&warehouse, &key).await, (401, "390144".into()), "it signs in by its login name");
    warehouse.admin("ALTER USER NEWCOMER UNSET LOGIN_NAME").await;
    assert_eq!(sign_in(&warehouse, &key).await.0, 200);
    warehouse.admin("DROP USER NEWCOMER").await;
    assert_eq!(sign_in(&warehouse, &key).await, (401, "390144".into()));
}

#[tokio::test]
async fn a_network_policy_admits_its_addresses_and_the_users_beats_the_accounts() {
    let warehouse = Warehouse::empty().await;
    let from = async |address: &str| {
        let address: IpAddr = address.parse().expect("an address");
        let client = reqwest::Client::builder().user_agent("test/1").local_address(address).build().expect("a client");
        let token = token_of("newcomer", &crate::support::private_key());
        let request = client.post(format!("{}{PATH}", warehouse.url)).bearer_auth(token).header("accept", "*/*");
        let answer = request.json(&json!({"statement": "SELECT CURRENT_ROLE() AS A"})).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.expect("JSON");
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    for statement in [
        "CREATE DATABASE D",
        "CREATE NETWORK RULE D.PUBLIC.OWN TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('127.0.0.0/24')",
        "CREATE NETWORK POLICY OWN ALLOWED_NETWORK_RULE_LIST = ('D.PUBLIC.OWN') BLOCKED_IP_LIST = ('127.0.0.3')",
        "CREATE NETWORK POLICY OFFICE ALLOWED_IP_LIST = ('127.0.1.0/24', '127.0.0.1')",
        "ALTER USER NEWCOMER SET NETWORK_POLICY = OWN",
    ] {
        warehouse.admin(statement).await;
    }
    assert_eq!(from("127.0.0.2").await.0, 200);
    assert_eq!(from("127.0.0.3").await, (401, "390422".into()), "what is blocked is not let in");
    assert_eq!(from("127.0.1.2").await, (401, "390422".into()));
    warehouse.admin("ALTER ACCOUNT SET NETWORK_POLICY = OFFICE").await;
    assert_eq!(from("127.0.0.2").await.0, 200, "the user's own policy counts");
    warehouse.admin("ALTER USER NEWCOMER UNSET NETWORK_POLICY").await;
    assert_eq!(from("127.0.0.2").await, (401, "390422".into()));
    assert_eq!(from("127.0.1.2").await.0, 200);
    warehouse.admin("CREATE NETWORK POLICY ELSEWHERE ALLOWED_IP_LIST = ('10.0.0.0/8')").await;
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "ALTER ACCOUNT SET NETWORK_POLICY = ELSEWHERE").await;
    assert!(
        refused.body["message"].as_str().is_some_and(|text| text.contains("Changes cannot be applied")),
        "{}",
        refused.body
    );
}
