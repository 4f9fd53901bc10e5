//! Grants: who has what, what is granted on objects to come, and the words and codes of a grant that does not happen.

use crate::support::Warehouse;

/// A database with two schemas, one of which has managed access, and two roles.
async fn with_roles() -> Warehouse {
    let warehouse = Warehouse::empty().await;
    for statement in [
        "CREATE DATABASE D",
        "CREATE SCHEMA D.OPEN",
        "CREATE SCHEMA D.MANAGED WITH MANAGED ACCESS",
        "CREATE ROLE R",
        "CREATE ROLE Q",
        "CREATE DATABASE ROLE D.READER",
        "CREATE TABLE IF NOT EXISTS D.OPEN.T (A VARCHAR)",
    ] {
        warehouse.admin(statement).await;
    }
    warehouse
}

const ROW: [&str; 5] = ["privilege", "granted_on", "name", "grant_option", "granted_by"];

#[tokio::test]
async fn a_role_is_shown_with_its_grants_and_what_it_owns() {
    let warehouse = with_roles().await;
    warehouse.admin("GRANT USAGE, CREATE SCHEMA ON DATABASE D TO ROLE R").await;
    warehouse.admin("GRANT SELECT ON TABLE D.OPEN.T TO ROLE R WITH GRANT OPTION").await;
    warehouse.admin("GRANT DATABASE ROLE D.READER TO ROLE R").await;
    warehouse.admin("GRANT ROLE Q TO ROLE R").await;
    warehouse.admin("GRANT OWNERSHIP ON SCHEMA D.OPEN TO ROLE R").await;
    let shown = warehouse.admin("SHOW GRANTS TO ROLE R").await;
    let columns =
        ["created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option", "granted_by"];
    assert_eq!(shown.columns(), columns);
    let rows = [
        "OWNERSHIP|SCHEMA|D.OPEN|true|R",
        "CREATE SCHEMA|DATABASE|D|false|ACCOUNTADMIN",
        "USAGE|DATABASE|D|false|ACCOUNTADMIN",
        "USAGE|DATABASE_ROLE|D.READER|false|ACCOUNTADMIN",
        "USAGE|ROLE|Q|false|ACCOUNTADMIN",
        "SELECT|TABLE|D.OPEN.T|true|ACCOUNTADMIN",
    ];
    assert_eq!(shown.cells(&ROW), rows);
    let on = warehouse.admin("SHOW GRANTS ON TABLE D.OPEN.T").await;
    let columns = ["privilege", "granted_to", "grantee_name", "grant_option", "granted_by_role_type"];
    assert_eq!(on.cells(&columns), ["OWNERSHIP|ROLE|ACCOUNTADMIN|true|ROLE", "SELECT|ROLE|R|true|ROLE"]);
    let of = warehouse.admin("SHOW GRANTS OF ROLE Q").await;
    assert_eq!(of.columns(), ["created_on", "role", "granted_to", "grantee_name", "granted_by"]);
    assert_eq!(of.cells(&["role", "granted_to", "grantee_name"]), ["Q|ROLE|R"]);
    let user = warehouse.admin("SHOW GRANTS TO USER NEWCOMER").await;
    assert_eq!(user.cells(&["role", "granted_to", "grantee_name"]), ["LOADER|USER|NEWCOMER"]);
    let roles = warehouse.admin("SHOW ROLES LIKE 'r'").await;
    assert_eq!(roles.cells(&["name", "granted_to_roles", "granted_roles", "owner"]), ["R|0|1|ACCOUNTADMIN"]);
    let roles = warehouse.admin("SHOW DATABASE ROLES IN DATABASE D").await;
    assert_eq!(roles.cells(&["name", "granted_to_roles"]), ["READER|1"]);
}

#[tokio::test]
async fn a_grant_may_be_repeated_and_a_revoke_have_nothing_to_take() {
    let warehouse = with_roles().await;
    for _ in 0..2 {
        warehouse.admin("GRANT USAGE ON DATABASE D TO ROLE R").await;
    }
    assert_eq!(warehouse.admin("SHOW GRANTS TO ROLE R").await.cells(&ROW).len(), 1);
    for _ in 0..2 {
        warehouse.admin("REVOKE USAGE ON DATABASE D FROM ROLE R").await;
    }
    assert!(warehouse.admin("SHOW GRANTS TO ROLE R").await.cells(&ROW).is_empty());
    for (statement, code) in [
        ("GRANT SELECT ON DATABASE D TO ROLE R", "003042"),
        ("GRANT SELECT ON TABLE D.OPEN.NOPE TO ROLE R", "002003"),
        ("GRANT SELECT ON TABLE D.OPEN.T TO ROLE NOPE", "002003"),
        ("GRANT SELECT ON FUTURE TAGS IN SCHEMA D.OPEN TO ROLE R", "003042"),
        ("GRANT USAGE ON FUTURE SCHEMAS IN SCHEMA D.OPEN TO ROLE R", "003042"),
        ("GRANT OPERATE ON ALL PIPES IN SCHEMA D.OPEN TO ROLE R", "003042"),
        ("GRANT ROLE R TO DATABASE ROLE D.READER", "003042"),
        ("GRANT CREATE DATABASE ROLE ON DATABASE D TO DATABASE ROLE D.READER", "003042"),
        ("REVOKE OWNERSHIP ON TABLE D.OPEN.T FROM ROLE R", "001003"),
    ] {
        assert_eq!(warehouse.ask("admin", "ACCOUNTADMIN", statement).await.refusal().0, code, "{statement}");
    }
}

#[tokio::test]
async fn a_database_role_has_usage_on_its_database_from_nobody() {
    let warehouse = with_roles().await;
    warehouse.admin("REVOKE USAGE ON DATABASE D FROM DATABASE ROLE D.READER").await;
    let shown = warehouse.admin("SHOW GRANTS TO DATABASE ROLE D.READER").await;
    assert_eq!(shown.cells(&ROW), ["USAGE|DATABASE|D|false|"]);
}

#[tokio::test]
async fn a_future_grant_of_a_schema_switches_off_those_of_its_database() {
    let warehouse = with_roles().await;
    warehouse.admin("GRANT SELECT ON FUTURE TABLES IN DATABASE D TO ROLE R").await;
    warehouse.admin("GRANT SELECT ON FUTURE TABLES IN SCHEMA D.OPEN TO ROLE Q").await;
    warehouse.admin("GRANT USAGE ON FUTURE SCHEMAS IN DATABASE D TO ROLE R").await;
    let shown = warehouse.admin("SHOW FUTURE GRANTS IN DATABASE D").await;
    let columns = ["created_on", "privilege", "grant_on", "name", "grant_to", "grantee_name", "grant_option"];
    assert_eq!(shown.columns(), columns);
    let rows = shown.cells(&columns[1..]);
    assert_eq!(rows, ["USAGE|SCHEMA|D.<SCHEMA>|ROLE|R|false", "SELECT|TABLE|D.<TABLE>|ROLE|R|false"]);
    let rows = warehouse.admin("SHOW FUTURE GRANTS TO ROLE Q").await.cells(&["name"]);
    assert_eq!(rows, ["D.OPEN.<TABLE>"]);
    warehouse.admin("CREATE TABLE IF NOT EXISTS D.OPEN.NEW (A VARCHAR)").await;
    warehouse.admin("CREATE TABLE IF NOT EXISTS D.MANAGED.NEW (A VARCHAR)").await;
    warehouse.admin("CREATE SCHEMA D.LATER").await;
    let names =
        async |role: &str| warehouse.admin(&format!("SHOW GRANTS TO ROLE {role}")).await.cells(&["privilege", "name"]);
    assert_eq!(names("R").await, ["USAGE|D.LATER", "SELECT|D.MANAGED.NEW"], "D.OPEN.NEW is silenced");
    assert_eq!(names("Q").await, ["SELECT|D.OPEN.NEW"]);
    warehouse.admin("REVOKE SELECT ON FUTURE TABLES IN SCHEMA D.OPEN FROM ROLE Q").await;
    assert_eq!(names("Q").await, ["SELECT|D.OPEN.NEW"], "what was given stays");
    warehouse.admin("CREATE TABLE IF NOT EXISTS D.OPEN.NEWER (A VARCHAR)").await;
    assert!(names("R").await.contains(&"SELECT|D.OPEN.NEWER".to_owned()));
}

#[tokio::test]
async fn what_dbt_has_made_in_the_file_gets_the_future_grants_too() {
    let warehouse = with_roles().await;
    warehouse.admin("GRANT SELECT ON FUTURE VIEWS IN DATABASE D TO ROLE R").await;
    warehouse.emulator.release_file().await.expect("released");
    let conn = duckdb::Connection::open(warehouse.database()).expect("the file");
    conn.execute_batch("CREATE VIEW \"D__OPEN\".V AS SELECT 1 AS A; DROP TABLE \"D__OPEN\".T").expect("a view");
    drop(conn);
    warehouse.emulator.take_back().await.expect("taken back");
    let rows = warehouse.admin("SHOW GRANTS TO ROLE R").await.cells(&["privilege", "granted_on", "name"]);
    assert_eq!(rows, ["SELECT|VIEW|D.OPEN.V"]);
    let gone = warehouse.ask("admin", "ACCOUNTADMIN", "SHOW GRANTS ON TABLE D.OPEN.T").await;
    assert_eq!(gone.refusal().0, "002003");
}

#[tokio::test]
async fn ownership_moves_with_its_grants_only_when_told_what_becomes_of_them() {
    let warehouse = with_roles().await;
    warehouse.admin("GRANT SELECT ON TABLE D.OPEN.T TO ROLE R").await;
    let transfer = "GRANT OWNERSHIP ON TABLE D.OPEN.T TO ROLE Q";
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", transfer).await;
    assert_eq!(refused.refusal(), ("003036", "0A000"));
    warehouse.admin(&format!("{transfer} COPY CURRENT GRANTS")).await;
    let shown = warehouse.admin("SHOW GRANTS ON TABLE D.OPEN.T").await;
    let columns = ["privilege", "grantee_name", "granted_by"];
    assert_eq!(shown.cells(&columns), ["OWNERSHIP|Q|Q", "SELECT|R|Q"]);
    warehouse.admin("GRANT OWNERSHIP ON ALL TABLES IN SCHEMA D.OPEN TO ROLE R REVOKE CURRENT GRANTS").await;
    let shown = warehouse.admin("SHOW GRANTS ON TABLE D.OPEN.T").await;
    assert_eq!(shown.cells(&columns), ["OWNERSHIP|R|R"]);
    warehouse.admin("DROP ROLE R").await;
    let shown = warehouse.admin("SHOW GRANTS ON TABLE D.OPEN.T").await;
    assert_eq!(shown.cells(&columns), ["OWNERSHIP|ACCOUNTADMIN|ACCOUNTADMIN"], "its owner dropped the role");
}

#[tokio::test]
async fn a_grant_that_may_not_be_made_is_answered_with_success_or_in_part() {
    let warehouse = with_roles().await;
    for statement in [
        "GRANT USAGE ON DATABASE D TO ROLE LOADER",
        "GRANT USAGE ON SCHEMA D.OPEN TO ROLE LOADER",
        "GRANT SELECT ON TABLE D.OPEN.T TO ROLE LOADER WITH GRANT OPTION",
        "GRANT ROLE SECURITYADMIN TO USER LOADER",
    ] {
        warehouse.admin(statement).await;
    }
    warehouse.play("standard", true).await;
    let granted = warehouse.ask("loader", "LOADER", "GRANT INSERT ON TABLE D.OPEN.T TO ROLE Q").await;
    assert_eq!(granted.text(), "Statement executed successfully.", "by its secondary role");
    warehouse.admin("ALTER USER LOADER SET DEFAULT_SECONDARY_ROLES = ()").await;
    let granted = warehouse.ask("loader", "LOADER", "GRANT UPDATE ON TABLE D.OPEN.T TO ROLE Q").await;
    assert_eq!(granted.text(), "Grant not executed: Insufficient privileges.");
    let granted = warehouse.ask("loader", "LOADER", "GRANT SELECT ON TABLE D.OPEN.T TO ROLE Q").await;
    assert_eq!(granted.text(), "Statement executed successfully.", "it has the option");
    let granted = warehouse.ask("loader", "LOADER", "GRANT ALL ON TABLE D.OPEN.T TO ROLE Q").await;
    assert_eq!(granted.refusal(), ("003011", "42501"));
    let granted = warehouse.ask("loader", "SECURITYADMIN", "GRANT EXECUTE TASK ON ACCOUNT TO ROLE Q").await;
    assert_eq!(granted.text(), "Grant not executed: Insufficient privileges.", "MANAGE GRANTS is not enough");
    let revoked = warehouse.ask("admin", "ACCOUNTADMIN", "REVOKE SELECT ON TABLE D.OPEN.T FROM ROLE LOADER").await;
    assert_eq!(revoked.refusal(), ("003012", "42501"), "Q has it from LOADER");
    warehouse.admin("REVOKE SELECT ON TABLE D.OPEN.T FROM ROLE LOADER CASCADE").await;
    let rows = warehouse.admin("SHOW GRANTS TO ROLE Q").await.cells(&["privilege"]);
    assert_eq!(rows, ["INSERT"]);
}

#[tokio::test]
async fn in_a_managed_schema_only_its_owner_grants_and_who_manages_grants() {
    let warehouse = with_roles().await;
    for statement in [
        "GRANT USAGE ON DATABASE D TO ROLE LOADER",
        "GRANT ALL ON SCHEMA D.MANAGED TO ROLE LOADER",
        "GRANT ALL ON SCHEMA D.OPEN TO ROLE LOADER",
        "ALTER USER LOADER SET DEFAULT_SECONDARY_ROLES = ()",
    ] {
        warehouse.admin(statement).await;
    }
    warehouse.play("standard", true).await;
    for (schema, text) in
        [("MANAGED", "Grant not executed: Insufficient privileges."), ("OPEN", "Statement executed successfully.")]
    {
        let make = format!("CREATE TABLE IF NOT EXISTS D.{schema}.MINE (A VARCHAR)");
        assert_eq!(warehouse.ask("loader", "LOADER", &make).await.status, 200, "{schema}");
        let grant = format!("GRANT SELECT ON TABLE D.{schema}.MINE TO ROLE Q");
        assert_eq!(warehouse.ask("loader", "LOADER", &grant).await.text(), text, "{schema}");
    }
    let future = "GRANT SELECT ON FUTURE TABLES IN SCHEMA D.OPEN TO ROLE Q";
    assert_eq!(warehouse.ask("loader", "LOADER", future).await.refusal(), ("003001", "42501"));
    warehouse.admin("GRANT OWNERSHIP ON SCHEMA D.MANAGED TO ROLE LOADER COPY CURRENT GRANTS").await;
    let future = "GRANT SELECT ON FUTURE TABLES IN SCHEMA D.MANAGED TO ROLE Q";
    assert_eq!(warehouse.ask("loader", "LOADER", future).await.status, 200);
}
