//! Privileges, where they are checked: what a role may not, and what it cannot even see.

use serde_json::json;

use crate::support::{Warehouse, private_key, token_of};

const SELECT: &str = "SELECT A FROM D.S.T";
const INSERT: &str = "INSERT INTO D.S.T (A) VALUES ('x')";

/// A table in a warehouse that checks privileges, and a role of the newcomer's without any. Its user has no secondary roles.
async fn checked() -> Warehouse {
    let warehouse = Warehouse::empty().await;
    for statement in [
        "CREATE DATABASE D",
        "CREATE SCHEMA D.S",
        "CREATE WAREHOUSE LOADING",
        "CREATE TABLE IF NOT EXISTS D.S.T (A VARCHAR)",
        "CREATE ROLE READER",
        "GRANT ROLE READER TO USER NEWCOMER",
        "ALTER USER NEWCOMER SET DEFAULT_SECONDARY_ROLES = ()",
    ] {
        warehouse.admin(statement).await;
    }
    warehouse.play("standard", true).await;
    warehouse
}

#[tokio::test]
async fn a_role_reads_a_table_once_it_has_every_privilege_on_the_way() {
    let warehouse = checked().await;
    let code = async |statement: &str| {
        let answer = warehouse.ask("newcomer", "READER", statement).await;
        if answer.status == 200 { "done".to_owned() } else { answer.refusal().0.to_owned() }
    };
    assert_eq!(code(SELECT).await, "002003");
    for (grant, then) in [
        ("USAGE ON DATABASE D", "002003"),
        ("USAGE ON SCHEMA D.S", "002003"),
        ("INSERT ON TABLE D.S.T", "003001"),
        ("SELECT ON TABLE D.S.T", "000606"),
        ("USAGE ON WAREHOUSE LOADING", "done"),
    ] {
        warehouse.admin(&format!("GRANT {grant} TO ROLE READER")).await;
        assert_eq!(code(SELECT).await, then, "{grant}");
    }
    assert_eq!(code(INSERT).await, "done");
    assert_eq!(code("DELETE FROM ADMIN.OBSERVABILITY.LOADS WHERE A = 1").await, "002003");
    assert_eq!(code("UPDATE D.S.T SET A = 'y' WHERE A = 'x'").await, "003001");
    assert_eq!(code("ALTER TABLE D.S.T ADD COLUMN IF NOT EXISTS B VARCHAR").await, "003001");
    assert_eq!(code("CREATE TABLE IF NOT EXISTS D.S.U (A VARCHAR)").await, "003001");
    assert_eq!(code("CREATE SCHEMA D.X").await, "003001");
    assert_eq!(code("CREATE DATABASE X").await, "003001");
    assert_eq!(code("DROP WAREHOUSE LOADING").await, "003001");
}

#[tokio::test]
async fn a_new_table_is_readable_through_future_grants_alone() {
    let warehouse = checked().await;
    for grant in [
        "USAGE ON DATABASE D",
        "USAGE ON FUTURE SCHEMAS IN DATABASE D",
        "SELECT ON FUTURE TABLES IN DATABASE D",
        "USAGE ON WAREHOUSE LOADING",
    ] {
        warehouse.admin(&format!("GRANT {grant} TO ROLE READER")).await;
    }
    warehouse.admin("CREATE SCHEMA D.LATER").await;
    warehouse.admin("CREATE TABLE IF NOT EXISTS D.LATER.T (A VARCHAR)").await;
    assert_eq!(warehouse.ask("newcomer", "READER", "SELECT A FROM D.LATER.T").await.status, 200);
    assert_eq!(warehouse.ask("newcomer", "READER", SELECT).await.refusal().0, "002003", "it was there before");
}

#[tokio::test]
async fn secondary_roles_allow_everything_but_to_create() {
    let warehouse = checked().await;
    for grant in ["USAGE ON DATABASE D", "ALL ON SCHEMA D.S", "SELECT ON TABLE D.S.T", "USAGE ON WAREHOUSE LOADING"] {
        warehouse.admin(&format!("GRANT {grant} TO ROLE READER")).await;
    }
    let create = "CREATE TABLE IF NOT EXISTS D.S.U (A VARCHAR)";
    let as_public = async |statement: &str| warehouse.ask("newcomer", "PUBLIC", statement).await.status;
    assert_eq!((as_public(SELECT).await, as_public(create).await), (422, 422));
    warehouse.admin("ALTER USER NEWCOMER UNSET DEFAULT_SECONDARY_ROLES").await;
    assert_eq!((as_public(SELECT).await, as_public(create).await), (200, 422));
    assert_eq!(warehouse.ask("newcomer", "READER", create).await.status, 200);
    let owner = warehouse.admin("SHOW GRANTS ON TABLE D.S.U").await.cells(&["privilege", "grantee_name"]);
    assert_eq!(owner, ["OWNERSHIP|READER"], "the primary role owns what it makes");
}

#[tokio::test]
async fn show_lists_only_what_the_role_has_something_on() {
    let warehouse = checked().await;
    let names = async |statement: &str| warehouse.ask("newcomer", "READER", statement).await.cells(&["name"]);
    assert!(names("SHOW WAREHOUSES").await.is_empty() && names("SHOW DATABASES").await.is_empty());
    warehouse.admin("GRANT MONITOR ON WAREHOUSE LOADING TO ROLE READER").await;
    warehouse.admin("GRANT MONITOR USAGE ON ACCOUNT TO ROLE READER").await;
    assert_eq!(names("SHOW WAREHOUSES").await, ["LOADING"]);
    assert!(names("SHOW DATABASES").await.contains(&"D".to_owned()));
    let users = warehouse.ask("newcomer", "READER", "SHOW USERS LIKE 'admin'").await;
    assert_eq!(users.cells(&["name", "login_name", "type"]), ["ADMIN|NULL|NULL"]);
    let refused = warehouse.ask("newcomer", "READER", "SHOW GRANTS TO ROLE ACCOUNTADMIN").await;
    assert_eq!(refused.refusal().0, "003001");
    let refused = warehouse.ask("newcomer", "READER", "DESC USER ADMIN").await;
    assert_eq!(refused.refusal().0, "003001");
}

#[tokio::test]
async fn a_role_below_a_granted_one_may_be_used_and_no_other() {
    let warehouse = checked().await;
    let status = async |role: &str| warehouse.ask("newcomer", role, "SELECT CURRENT_ROLE() AS A").await.status;
    assert_eq!(status("READER").await, 200);
    assert_eq!(status("SYSADMIN").await, 422);
    warehouse.admin("GRANT ROLE SYSADMIN TO ROLE READER").await;
    assert_eq!(status("SYSADMIN").await, 200);
    warehouse.admin("REVOKE ROLE SYSADMIN FROM ROLE READER").await;
    assert_eq!(status("SYSADMIN").await, 422);
}

#[tokio::test]
async fn snowpipe_takes_files_from_a_role_that_operates_the_pipe() {
    let warehouse = Warehouse::founded().await;
    let schema = "SNOWPIPE.OPEN_EXCHANGE_RATES";
    let pipe = format!("{schema}.EXCHANGE_RATES_PIPE");
    let path = format!("/v1/data/pipes/{pipe}/insertFiles?requestId=1");
    let insert = async || {
        let token = token_of("newcomer", &private_key());
        warehouse.post(&path, &token, json!({"files": [{"path": "a", "size": 1}]})).await.0
    };
    for statement in
        ["CREATE ROLE READER", "GRANT ROLE READER TO USER NEWCOMER", "ALTER USER NEWCOMER SET DEFAULT_ROLE = READER"]
    {
        warehouse.admin(statement).await;
    }
    warehouse.play("standard", true).await;
    assert_eq!(insert().await, 404, "what may not be used is not there");
    for grant in [
        "USAGE ON DATABASE SNOWPIPE".to_owned(),
        format!("USAGE ON SCHEMA {schema}"),
        format!("MONITOR ON PIPE {pipe}"),
    ] {
        warehouse.admin(&format!("GRANT {grant} TO ROLE READER")).await;
        assert_eq!(insert().await, 404, "{grant}");
    }
    warehouse.admin(&format!("GRANT OPERATE ON PIPE {pipe} TO ROLE READER")).await;
    assert_eq!(insert().await, 200);
}

#[tokio::test]
async fn a_network_policy_needs_its_rules_and_an_owner_who_has_the_user_too() {
    let warehouse = checked().await;
    warehouse.admin("CREATE NETWORK RULE D.S.R TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('127.0.0.0/24')").await;
    warehouse.admin("ALTER USER ADMIN SET DEFAULT_SECONDARY_ROLES = ()").await;
    let as_role = async |role: &str, statement: &str| warehouse.ask("admin", role, statement).await.status;
    let create = "CREATE NETWORK POLICY P ALLOWED_NETWORK_RULE_LIST = ('D.S.R')";
    for grant in ["USAGE ON DATABASE D", "USAGE ON SCHEMA D.S", "USAGE ON NETWORK RULE D.S.R"] {
        assert_eq!(as_role("SECURITYADMIN", create).await, 422, "before {grant}");
        warehouse.admin(&format!("GRANT {grant} TO ROLE SECURITYADMIN")).await;
    }
    assert_eq!(as_role("SECURITYADMIN", create).await, 200);
    let attach = "ALTER USER NEWCOMER SET NETWORK_POLICY = P";
    assert_eq!(as_role("USERADMIN", attach).await, 422, "it owns the user alone");
    warehouse.admin("GRANT OWNERSHIP ON USER NEWCOMER TO ROLE SYSADMIN").await;
    assert_eq!(as_role("SECURITYADMIN", attach).await, 422, "it owns the policy alone");
    assert_eq!(as_role("ACCOUNTADMIN", attach).await, 200);
}

#[tokio::test]
async fn what_reads_rows_of_the_information_schema_needs_a_warehouse() {
    let warehouse = checked().await;
    let query = "SELECT REF_ENTITY_NAME FROM TABLE(D.INFORMATION_SCHEMA.POLICY_REFERENCES(POLICY_NAME => 'P'))";
    warehouse.admin("GRANT USAGE ON DATABASE D TO ROLE READER").await;
    assert_eq!(warehouse.ask("newcomer", "READER", query).await.refusal().0, "000606");
    warehouse.admin("GRANT USAGE ON WAREHOUSE LOADING TO ROLE READER").await;
    assert_eq!(warehouse.ask("newcomer", "READER", query).await.status, 200);
}
