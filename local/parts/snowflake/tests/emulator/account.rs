//! The account's objects: how they are made, shown, described, changed and dropped.

use crate::support::{Warehouse, new_keys};

/// A warehouse with a database and a schema for what is in one.
async fn with_a_schema() -> Warehouse {
    let warehouse = Warehouse::empty().await;
    warehouse.admin("CREATE DATABASE D").await;
    warehouse.admin("CREATE SCHEMA D.S WITH MANAGED ACCESS COMMENT = 'it''s'").await;
    warehouse
}

#[tokio::test]
async fn the_words_of_create_and_drop_are_snowflakes() {
    let warehouse = Warehouse::empty().await;
    let text = async |statement: &str| warehouse.admin(statement).await.text();
    assert_eq!(text("CREATE WAREHOUSE W").await, "Warehouse W successfully created.");
    assert_eq!(text("CREATE WAREHOUSE IF NOT EXISTS W").await, "W already exists, statement succeeded.");
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "CREATE WAREHOUSE W").await;
    assert_eq!(refused.refusal(), ("002002", "42710"));
    assert_eq!(text("DROP WAREHOUSE W").await, "W successfully dropped.");
    let gone = text("DROP WAREHOUSE IF EXISTS W").await;
    assert_eq!(gone, "Drop statement executed successfully (W already dropped).");
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "DROP WAREHOUSE W").await;
    assert_eq!(refused.refusal(), ("002003", "02000"));
    for statement in ["CREATE OR REPLACE ROLE IF NOT EXISTS R", "CREATE NETWORK RULE IF NOT EXISTS D.S.R TYPE = IPV4"] {
        assert_ne!(warehouse.ask("admin", "ACCOUNTADMIN", statement).await.status, 200, "{statement}");
    }
}

#[tokio::test]
async fn a_warehouse_is_shown_with_its_defaults_and_what_was_set() {
    let warehouse = Warehouse::empty().await;
    warehouse.admin("CREATE RESOURCE MONITOR M WITH CREDIT_QUOTA = 100 TRIGGERS ON 75 PERCENT DO NOTIFY").await;
    warehouse
        .admin(
            "CREATE WAREHOUSE A WITH WAREHOUSE_SIZE = 'XXLARGE' AUTO_SUSPEND = 0 INITIALLY_SUSPENDED = TRUE \
             RESOURCE_MONITOR = M STATEMENT_TIMEOUT_IN_SECONDS = 60",
        )
        .await;
    warehouse.admin("CREATE WAREHOUSE \"b c\"").await;
    let shown = warehouse.admin("SHOW WAREHOUSES").await;
    let columns = ["name", "state", "size", "auto_suspend", "auto_resume", "resource_monitor", "generation", "owner"];
    let rows = ["A|SUSPENDED|2X-Large|NULL|true|M|2|ACCOUNTADMIN", "b c|STARTED|X-Small|600|true|null|2|ACCOUNTADMIN"];
    assert_eq!(shown.cells(&columns), rows);
    assert!(!shown.columns().contains(&"max_cluster_count"), "Standard has no clusters");
    let parameters = warehouse.admin("SHOW PARAMETERS IN WAREHOUSE A").await;
    let rows = parameters.cells(&["key", "value", "default", "level"]);
    assert!(rows.contains(&"STATEMENT_TIMEOUT_IN_SECONDS|60|172800|WAREHOUSE".to_owned()), "{rows:?}");
    assert!(rows.contains(&"MAX_CONCURRENCY_LEVEL|8|8|".to_owned()), "{rows:?}");
    warehouse.admin("ALTER WAREHOUSE A SET WAREHOUSE_SIZE = MEDIUM, AUTO_RESUME = FALSE").await;
    warehouse.admin("ALTER WAREHOUSE A UNSET RESOURCE_MONITOR, STATEMENT_TIMEOUT_IN_SECONDS").await;
    warehouse.admin("ALTER WAREHOUSE A RESUME IF SUSPENDED").await;
    let shown = warehouse.admin("SHOW WAREHOUSES LIKE 'a'").await;
    assert_eq!(shown.cells(&columns), ["A|STARTED|Medium|NULL|false|null|2|ACCOUNTADMIN"]);
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "ALTER WAREHOUSE A SET INITIALLY_SUSPENDED = TRUE").await;
    assert_eq!(refused.refusal(), ("001420", "22023"), "it is for CREATE only");
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "CREATE WAREHOUSE C WAREHOUSE_SIZE = HUGE").await;
    assert_eq!(refused.refusal().0, "001422");
}

#[tokio::test]
async fn create_or_alter_resets_what_it_leaves_out() {
    let warehouse = with_a_schema().await;
    let options = async || warehouse.admin("SHOW SCHEMAS LIKE 'S' IN DATABASE D").await.cells(&["options", "comment"]);
    assert_eq!(options().await, ["MANAGED ACCESS|it's"]);
    warehouse.admin("CREATE OR ALTER SCHEMA D.S").await;
    assert_eq!(options().await, ["|"]);
    warehouse.admin("ALTER SCHEMA D.S ENABLE MANAGED ACCESS").await;
    assert_eq!(options().await, ["MANAGED ACCESS|"]);
}

#[tokio::test]
async fn what_needs_enterprise_is_refused_on_the_standard_edition() {
    let warehouse = with_a_schema().await;
    let policy = "CREATE MASKING POLICY D.S.P AS (val VARCHAR) RETURNS VARCHAR -> '***' COMMENT = 'c'";
    let clusters = "CREATE WAREHOUSE W MAX_CLUSTER_COUNT = 3";
    let retention = "ALTER SCHEMA D.S SET DATA_RETENTION_TIME_IN_DAYS = 7";
    for (statement, code) in [(policy, "000002"), (clusters, "000002"), (retention, "001422")] {
        assert_eq!(warehouse.ask("admin", "ACCOUNTADMIN", statement).await.refusal().0, code, "{statement}");
    }
    warehouse.play("enterprise", false).await;
    for statement in [policy, clusters, retention] {
        warehouse.admin(statement).await;
    }
    let shown = warehouse.admin("SHOW WAREHOUSES").await;
    assert_eq!(shown.cells(&["max_cluster_count", "query_acceleration_max_scale_factor"]), ["3|2"]);
    let described = warehouse.admin("DESC MASKING POLICY D.S.P").await;
    let columns = ["name", "signature", "return_type", "body"];
    assert_eq!(described.cells(&columns), ["P|(VAL VARCHAR)|VARCHAR(16777216)|'***'"]);
    warehouse.admin("CREATE TABLE IF NOT EXISTS D.S.T (A VARCHAR, B NUMBER(19,0) NOT NULL)").await;
    warehouse.admin("ALTER TABLE D.S.T MODIFY COLUMN A SET MASKING POLICY D.S.P").await;
    let described = warehouse.admin("DESC TABLE D.S.T").await;
    let rows = described.cells(&["name", "type", "null?", "policy name"]);
    assert_eq!(rows, ["A|VARCHAR(16777216)|Y|D.S.P", "B|NUMBER(19,0)|N|NULL"]);
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "DROP MASKING POLICY D.S.P").await;
    assert_eq!(refused.refusal().0, "001492", "it is attached");
    let where_used = "SELECT REF_ENTITY_NAME, REF_COLUMN_NAME FROM TABLE(D.INFORMATION_SCHEMA.POLICY_REFERENCES(\
                      POLICY_NAME => 'D.S.P'))";
    assert_eq!(warehouse.admin(where_used).await.cells(&["REF_ENTITY_NAME", "REF_COLUMN_NAME"]), ["T|A"]);
    warehouse.admin("ALTER TABLE D.S.T MODIFY COLUMN A UNSET MASKING POLICY").await;
    warehouse.admin("ALTER MASKING POLICY D.S.P SET BODY -> sha2(val)").await;
    assert_eq!(warehouse.admin("DESC MASKING POLICY D.S.P").await.cells(&["body"]), ["sha2(val)"]);
    warehouse.admin("DROP MASKING POLICY D.S.P").await;
}

#[tokio::test]
async fn a_resource_monitor_is_an_accountadmins_and_its_start_lies_ahead() {
    let warehouse = Warehouse::empty().await;
    let monitor = "CREATE RESOURCE MONITOR M WITH CREDIT_QUOTA = 100 FREQUENCY = MONTHLY START_TIMESTAMP = '2099-01-01 \
                   00:00' TRIGGERS ON 75 PERCENT DO NOTIFY ON 90 PERCENT DO NOTIFY ON 100 PERCENT DO SUSPEND ON 110 PERCENT \
                   DO SUSPEND_IMMEDIATE";
    warehouse.admin(monitor).await;
    let shown = warehouse.admin("SHOW RESOURCE MONITORS").await;
    let columns = ["name", "credit_quota", "notify_at", "suspend_at", "suspend_immediately_at", "level", "comment"];
    assert_eq!(shown.cells(&columns), ["M|100.00|75%,90%|100%|110%|NULL|"]);
    for (statement, code) in [
        (
            "CREATE RESOURCE MONITOR N WITH CREDIT_QUOTA = 1 FREQUENCY = DAILY START_TIMESTAMP = '2020-01-01 00:00'",
            "090263",
        ),
        ("CREATE RESOURCE MONITOR N WITH CREDIT_QUOTA = 1 FREQUENCY = DAILY", "001003"),
        ("CREATE RESOURCE MONITOR N WITH TRIGGERS ON 5 PERCENT DO NOTIFY", "001003"),
        ("ALTER RESOURCE MONITOR M SET TRIGGERS ON 5 PERCENT DO NOTIFY", "001003"),
        ("DESC RESOURCE MONITOR M", "001003"),
    ] {
        assert_eq!(warehouse.ask("admin", "ACCOUNTADMIN", statement).await.refusal().0, code, "{statement}");
    }
    warehouse.admin("ALTER RESOURCE MONITOR M SET CREDIT_QUOTA = 50 TRIGGERS ON 80 PERCENT DO NOTIFY").await;
    let shown = warehouse.admin("SHOW RESOURCE MONITORS").await;
    assert_eq!(shown.cells(&columns), ["M|50.00|80%|NULL|NULL|NULL|"], "triggers are replaced");
    warehouse.play("standard", true).await;
    let refused = warehouse.ask("loader", "SYSADMIN", "CREATE RESOURCE MONITOR N WITH CREDIT_QUOTA = 1").await;
    assert_eq!(refused.refusal(), ("003001", "42501"));
}

#[tokio::test]
async fn a_user_is_described_with_the_fingerprints_of_both_its_keys() {
    let warehouse = Warehouse::empty().await;
    let key = new_keys().1;
    warehouse.admin(&format!("CREATE USER U TYPE = SERVICE DEFAULT_ROLE = NOT_THERE RSA_PUBLIC_KEY_2 = '{key}'")).await;
    let described = warehouse.admin("DESC USER U").await;
    assert!(described.property("RSA_PUBLIC_KEY_2_FP").starts_with("SHA256:"));
    for (property, value) in [
        ("RSA_PUBLIC_KEY_FP", "null"),
        ("TYPE", "SERVICE"),
        ("DEFAULT_ROLE", "NOT_THERE"),
        ("DEFAULT_SECONDARY_ROLES", "[ALL]"),
        ("LOGIN_NAME", "U"),
        ("DISABLED", "false"),
        ("EMAIL", "null"),
    ] {
        assert_eq!(described.property(property), value, "{property}");
    }
    warehouse.admin("ALTER USER U SET DEFAULT_SECONDARY_ROLES = ()").await;
    let shown = warehouse.admin("SHOW USERS LIKE 'u'").await;
    let columns = ["name", "default_secondary_roles", "has_rsa_public_key", "type", "default_warehouse"];
    assert_eq!(shown.cells(&columns), ["U|[]|true|SERVICE|NULL"]);
    for statement in [
        "ALTER USER U SET PASSWORD = 'secret'",
        "CREATE USER V TYPE = SERVICE FIRST_NAME = 'A'",
        "ALTER USER U SET DEFAULT_SECONDARY_ROLES = ('LOADER')",
        "ALTER USER U SET RSA_PUBLIC_KEY = 'nonsense'",
    ] {
        assert_eq!(warehouse.ask("admin", "ACCOUNTADMIN", statement).await.status, 422, "{statement}");
    }
    warehouse.admin("CREATE USER P TYPE = PERSON FIRST_NAME = 'A' EMAIL = 'a@b.c'").await;
}

#[tokio::test]
async fn an_integration_tells_the_accounts_iam_user_and_its_external_id() {
    let warehouse = with_a_schema().await;
    let create = |verb: &str, name: &str, id: &str| {
        format!(
            "{verb} STORAGE INTEGRATION {name} TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE \
             STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::1:role/r' STORAGE_ALLOWED_LOCATIONS = ('s3://test-lake/', 's3://b/p/') {id}"
        )
    };
    warehouse.admin(&create("CREATE", "OWN", "STORAGE_AWS_EXTERNAL_ID = 'ours'")).await;
    warehouse.admin(&create("CREATE", "MADE_UP", "")).await;
    let own = warehouse.admin("DESC INTEGRATION OWN").await;
    assert_eq!(own.columns(), ["property", "property_type", "property_value", "property_default"]);
    let made_up = warehouse.admin("DESC STORAGE INTEGRATION MADE_UP").await;
    let (user, id) = ("STORAGE_AWS_IAM_USER_ARN", "STORAGE_AWS_EXTERNAL_ID");
    assert_eq!(own.property(user), made_up.property(user));
    assert_eq!(own.property(id), "ours");
    assert_eq!(own.property("STORAGE_ALLOWED_LOCATIONS"), "s3://test-lake/,s3://b/p/");
    assert!(made_up.property(id).contains("_SFCRole="));
    warehouse.admin(&create("CREATE OR REPLACE", "MADE_UP", "")).await;
    let replaced = warehouse.admin("DESC INTEGRATION MADE_UP").await;
    assert_ne!(replaced.property(id), made_up.property(id), "the trust breaks");
    let shown = warehouse.admin("SHOW INTEGRATIONS").await;
    let row = "EXTERNAL_STAGE|STORAGE|true";
    assert_eq!(shown.cells(&["name", "type", "category", "enabled"]), [format!("MADE_UP|{row}"), format!("OWN|{row}")]);
    let refused = "CREATE STAGE D.S.X URL = 's3://other/' STORAGE_INTEGRATION = OWN";
    assert_eq!(warehouse.ask("admin", "ACCOUNTADMIN", refused).await.status, 422);
    let refused = "ALTER STORAGE INTEGRATION OWN SET STORAGE_PROVIDER = 'S3'";
    assert_eq!(warehouse.ask("admin", "ACCOUNTADMIN", refused).await.refusal().0, "001420");
}

#[tokio::test]
async fn an_integration_lists_no_more_than_the_lakes_role_may() {
    let warehouse = with_a_schema().await;
    let create = "CREATE STORAGE INTEGRATION OWN TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE \
                  STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::1:role/r' STORAGE_ALLOWED_LOCATIONS = ('s3://test-lake/')";
    warehouse.admin(create).await;
    warehouse.put("raw/x/f.parquet", "SELECT 1 AS a");
    let whole = format!("s3://test-lake/{}", sluice_core::lake::RAW);
    for (location, file, action, status) in [
        (whole.as_str(), "f", "list", "success"),
        ("s3://test-lake/", "f", "list", "failure"),
        ("s3://test-lake/archive/", "f", "list", "failure"),
        ("s3://other/raw/", "f", "list", "failure"),
        ("s3://test-lake/raw/x/", "f.parquet", "read", "success"),
        ("s3://test-lake/raw/x/", "none.parquet", "read", "failure"),
    ] {
        let ask = format!("SELECT SYSTEM$VALIDATE_STORAGE_INTEGRATION('OWN', '{location}', '{file}', '{action}')");
        let answer = warehouse.admin(&ask).await.text();
        assert!(answer.contains(&format!(r#""status":"{status}""#)), "{ask}: {answer}");
    }
}

#[tokio::test]
async fn stages_formats_and_pipes_are_shown_and_described() {
    let warehouse = with_a_schema().await;
    warehouse.admin("CREATE FILE FORMAT D.S.F TYPE = PARQUET USE_LOGICAL_TYPE = TRUE NULL_IF = ()").await;
    let stage = "CREATE STAGE D.S.L URL = 's3://test-lake/a/' STORAGE_INTEGRATION = I DIRECTORY = (ENABLE = TRUE) \
                 FILE_FORMAT = (FORMAT_NAME = 'D.S.F')";
    warehouse.admin(stage).await;
    let shown = warehouse.admin("SHOW STAGES IN ACCOUNT").await;
    let columns = ["name", "database_name", "schema_name", "url", "type", "storage_integration", "directory_enabled"];
    assert_eq!(shown.cells(&columns), ["L|D|S|s3://test-lake/a/|EXTERNAL|I|Y"]);
    let described = warehouse.admin("DESC STAGE D.S.L").await;
    assert_eq!(described.columns()[0], "parent_property");
    assert_eq!(described.property("URL"), r#"["s3://test-lake/a/"]"#);
    assert_eq!(described.property("FORMAT_NAME"), "D.S.F");
    let described = warehouse.admin("DESC FILE FORMAT D.S.F").await;
    assert_eq!(described.property("USE_LOGICAL_TYPE"), "true");
    assert_eq!(described.property("NULL_IF"), "[]");
    warehouse.admin("CREATE TABLE IF NOT EXISTS D.S.T (A VARCHAR)").await;
    let copy =
        "COPY INTO D.S.T FROM @D.S.L FILE_FORMAT = (FORMAT_NAME = 'D.S.F') MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE";
    warehouse.admin(&format!("CREATE PIPE D.S.P AUTO_INGEST = TRUE COMMENT = 'p' AS {copy};")).await;
    warehouse.admin(&format!("CREATE PIPE D.S.Q AS {copy}")).await;
    let shown = warehouse.admin("SHOW PIPES IN SCHEMA D.S").await;
    let rows = shown.cells(&["name", "definition", "comment", "invalid_reason"]);
    assert_eq!(rows, [format!("P|{copy}|p|NULL"), format!("Q|{copy}||NULL")]);
    let channels = shown.cells(&["notification_channel"]);
    assert!(channels[0].starts_with("arn:aws:sqs:") && channels[1] == "NULL", "{channels:?}");
    let state = async || warehouse.admin("SELECT SYSTEM$PIPE_STATUS('D.S.P')").await.text();
    assert!(state().await.contains("RUNNING"));
    warehouse.admin("ALTER PIPE D.S.P SET PIPE_EXECUTION_PAUSED = TRUE").await;
    assert!(state().await.contains("PAUSED"));
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "ALTER PIPE D.S.P SET AUTO_INGEST = FALSE").await;
    assert_eq!(refused.refusal().0, "001420");
    warehouse.admin("DROP STAGE D.S.L").await;
    assert!(state().await.contains("STOPPED_STAGE_DROPPED"));
}

#[tokio::test]
async fn a_network_rule_in_use_outlives_its_policy_and_a_policy_its_user() {
    let warehouse = with_a_schema().await;
    warehouse
        .admin("CREATE NETWORK RULE D.S.R TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('127.0.0.0/8', '10.0.0.1')")
        .await;
    warehouse
        .admin("CREATE NETWORK POLICY P ALLOWED_NETWORK_RULE_LIST = ('D.S.R') BLOCKED_IP_LIST = ('10.0.0.9')")
        .await;
    warehouse.admin("CREATE NETWORK POLICY EMPTY").await;
    warehouse.admin("CREATE USER U TYPE = SERVICE NETWORK_POLICY = P").await;
    let described = warehouse.admin("DESC NETWORK POLICY P").await;
    let rules = r#"[{"fullyQualifiedRuleName":"D.S.R"}]"#;
    let rows = [format!("ALLOWED_NETWORK_RULE_LIST|{rules}"), "BLOCKED_IP_LIST|10.0.0.9".to_owned()];
    assert_eq!(described.cells(&["name", "value"]), rows, "there is no row for an empty list");
    let shown = warehouse.admin("SHOW NETWORK POLICIES LIKE 'P'").await;
    let columns = ["entries_in_allowed_ip_list", "entries_in_allowed_network_rules", "entries_in_blocked_ip_list"];
    assert_eq!(shown.cells(&columns), ["0|1|1"]);
    assert_eq!(
        warehouse.admin("SHOW NETWORK RULES IN ACCOUNT").await.cells(&["name", "type", "entries_in_valuelist"]),
        ["R|IPV4|2"]
    );
    assert_eq!(warehouse.admin("DESC NETWORK RULE D.S.R").await.cells(&["value_list"]), ["127.0.0.0/8,10.0.0.1"]);
    for (statement, code) in [
        ("DROP NETWORK POLICY P", "001492"),
        ("CREATE OR ALTER NETWORK POLICY P COMMENT = 'x'", "001492"),
        ("DROP NETWORK RULE D.S.R", "001492"),
        ("DROP SCHEMA D.S", "098508"),
        ("DROP DATABASE D", "098507"),
        ("ALTER USER U SET NETWORK_POLICY = EMPTY", "098519"),
        ("ALTER NETWORK RULE D.S.R SET TYPE = IPV6", "001420"),
        ("ALTER NETWORK POLICY P UNSET ALLOWED_NETWORK_RULE_LIST", "001420"),
    ] {
        assert_eq!(warehouse.ask("admin", "ACCOUNTADMIN", statement).await.refusal().0, code, "{statement}");
    }
    let used = "SELECT REF_ENTITY_NAME FROM TABLE(D.INFORMATION_SCHEMA.POLICY_REFERENCES(POLICY_NAME => 'P', POLICY_KIND \
                => 'NETWORK_POLICY'))";
    assert_eq!(warehouse.admin(used).await.cells(&["REF_ENTITY_NAME"]), ["U"]);
    let level = warehouse.admin("SHOW PARAMETERS LIKE 'NETWORK_POLICY' IN USER U").await;
    assert_eq!(level.cells(&["value", "level"]), ["P|USER"]);
    for statement in ["ALTER USER U UNSET NETWORK_POLICY", "DROP NETWORK POLICY P", "DROP DATABASE D"] {
        warehouse.admin(statement).await;
    }
    assert!(warehouse.admin("SHOW NETWORK RULES IN ACCOUNT").await.cells(&["name"]).is_empty());
}

#[tokio::test]
async fn tags_and_authentication_policies_are_attached_and_found() {
    let warehouse = with_a_schema().await;
    warehouse.admin("CREATE TAG D.S.COST ALLOWED_VALUES 'a', 'b' COMMENT = 'c'").await;
    warehouse.admin("ALTER TAG D.S.COST ADD ALLOWED_VALUES 'z'").await;
    let shown = warehouse.admin("SHOW TAGS IN ACCOUNT").await;
    assert_eq!(shown.cells(&["name", "allowed_values", "propagate"]), [r#"COST|["a","b","z"]|NULL"#]);
    warehouse.admin("CREATE TABLE IF NOT EXISTS D.S.T (A VARCHAR)").await;
    warehouse.admin("ALTER DATABASE D SET TAG D.S.COST = 'a'").await;
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "ALTER DATABASE D SET TAG D.S.COST = 'x'").await;
    assert_eq!(refused.refusal().0, "003541");
    let tags = "SELECT TAG_NAME, TAG_VALUE, LEVEL, APPLY_METHOD FROM TABLE(D.INFORMATION_SCHEMA.TAG_REFERENCES('D.S.T', 'TABLE'))";
    let columns = ["TAG_NAME", "TAG_VALUE", "LEVEL", "APPLY_METHOD"];
    assert_eq!(warehouse.admin(tags).await.cells(&columns), ["COST|a|DATABASE|INHERITED"]);
    warehouse.admin("ALTER DATABASE D UNSET TAG D.S.COST").await;
    assert!(warehouse.admin(tags).await.cells(&columns).is_empty());

    let policy = "CREATE AUTHENTICATION POLICY D.S.KEYS AUTHENTICATION_METHODS = ('KEYPAIR') COMMENT = 'k'";
    warehouse.admin(policy).await;
    let refused =
        warehouse.ask("admin", "ACCOUNTADMIN", "ALTER AUTHENTICATION POLICY D.S.KEYS SET CLIENT_TYPES = ('X')").await;
    assert_eq!(refused.refusal(), ("004800", "22023"));
    let described = warehouse.admin("DESC AUTHENTICATION POLICY D.S.KEYS").await;
    assert_eq!(described.property("AUTHENTICATION_METHODS"), "[KEYPAIR]");
    assert_eq!(described.property("CLIENT_TYPES"), "[ALL]");
    warehouse.admin("ALTER USER NEWCOMER SET AUTHENTICATION POLICY D.S.KEYS").await;
    let of_user = "SELECT POLICY_NAME, POLICY_KIND FROM TABLE(D.INFORMATION_SCHEMA.POLICY_REFERENCES(REF_ENTITY_NAME => \
                   'NEWCOMER', REF_ENTITY_DOMAIN => 'USER'))";
    let rows = warehouse.admin(of_user).await.cells(&["POLICY_NAME", "POLICY_KIND"]);
    assert_eq!(rows, ["KEYS|AUTHENTICATION_POLICY"]);
    assert_ne!(warehouse.ask("admin", "ACCOUNTADMIN", "DROP AUTHENTICATION POLICY D.S.KEYS").await.status, 200);
    warehouse.admin("ALTER USER NEWCOMER UNSET AUTHENTICATION POLICY").await;
    warehouse.admin("DROP AUTHENTICATION POLICY D.S.KEYS").await;
}

#[tokio::test]
async fn a_list_is_filtered_and_paged_by_name() {
    let warehouse = Warehouse::empty().await;
    for name in ["A1", "A2", "B1", "\"a3\""] {
        warehouse.admin(&format!("CREATE DATABASE {name}")).await;
    }
    let names = async |statement: &str| warehouse.admin(statement).await.cells(&["name"]);
    assert_eq!(names("SHOW DATABASES LIKE 'a%'").await, ["A1", "A2", "a3"]);
    assert_eq!(names("SHOW DATABASES STARTS WITH 'A'").await, ["A1", "A2"]);
    assert_eq!(names("SHOW DATABASES LIMIT 2 FROM 'A1'").await, ["A2", "B1"]);
    assert_eq!(names("SHOW SCHEMAS IN DATABASE A1").await, ["INFORMATION_SCHEMA", "PUBLIC"]);
    let kinds = warehouse.admin("SHOW DATABASES").await.cells(&["name", "kind", "owner"]);
    assert!(
        kinds.contains(&"SNOWFLAKE|APPLICATION|".to_owned()) && kinds.contains(&"A1|STANDARD|ACCOUNTADMIN".to_owned())
    );
    let terse = warehouse.admin("SHOW TERSE DATABASES").await;
    assert_eq!(terse.columns(), ["created_on", "name", "kind", "database_name", "schema_name"]);
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "SHOW WAREHOUSES LIMIT 1 FROM 'A'").await;
    assert_eq!(refused.refusal().0, "001003", "warehouses have no pages");
    let refused = warehouse.ask("admin", "ACCOUNTADMIN", "SHOW STAGES IN DATABASE NOPE").await;
    assert_eq!(refused.refusal(), ("002043", "02000"));
}

#[tokio::test]
async fn the_account_survives_a_restart() {
    let mut warehouse = Warehouse::founded().await;
    warehouse.admin("CREATE WAREHOUSE W COMMENT = 'kept'").await;
    warehouse.admin("CREATE ROLE R").await;
    warehouse.admin("GRANT USAGE ON WAREHOUSE W TO ROLE R WITH GRANT OPTION").await;
    warehouse.admin("DROP USER NEWCOMER").await;
    let pipes = warehouse.admin("SHOW PIPES IN ACCOUNT").await.cells(&["name", "definition"]);
    warehouse.restart().await;
    assert_eq!(warehouse.admin("SHOW WAREHOUSES LIKE 'W'").await.cells(&["comment"]), ["kept"]);
    let granted = warehouse.admin("SHOW GRANTS TO ROLE R").await;
    assert_eq!(granted.cells(&["privilege", "granted_on", "name", "grant_option"]), ["USAGE|WAREHOUSE|W|true"]);
    assert_eq!(warehouse.admin("SHOW PIPES IN ACCOUNT").await.cells(&["name", "definition"]), pipes);
}

#[tokio::test]
async fn an_older_file_keeps_its_stages_formats_and_pipes() {
    let mut warehouse = Warehouse::founded().await;
    let rates = "SNOWPIPE.OPEN_EXCHANGE_RATES";
    let columns = ["name", "definition"];
    let pipes = warehouse.admin(&format!("SHOW PIPES IN SCHEMA {rates}")).await.cells(&columns);
    let copy = pipes[0].split_once('|').expect("a pipe").1.to_owned();
    warehouse.emulator.release_file().await.expect("released");
    let conn = duckdb::Connection::open(warehouse.database()).expect("the file");
    conn.execute_batch("DELETE FROM \"_STANDIN\".OBJECTS WHERE KIND IN ('object', 'grant')").expect("none");
    let pipe = format!("{rates}.EXCHANGE_RATES_PIPE");
    for (kind, name, text) in [
        ("database", "ADMIN", "CREATE DATABASE IF NOT EXISTS ADMIN"),
        ("file format", "ADMIN.OBSERVABILITY.SLUICE_PARQUET", "[]"),
        ("stage", "ADMIN.OBSERVABILITY.LAKE", "s3://test-lake/"),
        ("pipe", &pipe, &format!("CREATE PIPE IF NOT EXISTS {pipe} AS {copy}")),
    ] {
        conn.execute("INSERT INTO \"_STANDIN\".OBJECTS VALUES (?, ?, ?)", [kind, name, text]).expect("an old entry");
    }
    drop(conn);
    warehouse.restart().await;
    assert_eq!(warehouse.admin(&format!("SHOW PIPES IN SCHEMA {rates}")).await.cells(&columns), pipes);
    assert_eq!(warehouse.admin("SHOW STAGES IN ACCOUNT").await.cells(&["name", "url"]), ["LAKE|s3://test-lake/"]);
    let schemas = warehouse.admin("SHOW SCHEMAS IN DATABASE SNOWPIPE").await.cells(&["name", "owner"]);
    assert!(schemas.contains(&"OPEN_EXCHANGE_RATES|SYSADMIN".to_owned()), "{schemas:?}");
    let products = warehouse.commit("DLT.OPEN_EXCHANGE_RATES.CURRENCIES", 1, 0, "SELECT 'EUR' AS code LIMIT 0");
    assert_eq!(warehouse.load(&products).await.expect("a load"), "loaded");
}

#[tokio::test]
async fn a_table_is_shown_with_its_comment_and_described_with_its_digits() {
    let warehouse = Warehouse::founded().await;
    warehouse.admin("COMMENT ON TABLE ADMIN.OBSERVABILITY.LOADS IS 'it''s'").await;
    let shown = warehouse.admin("SHOW TABLES IN SCHEMA ADMIN.OBSERVABILITY").await.cells(&["name", "comment"]);
    assert!(shown.contains(&"LOADS|it's".to_owned()), "{shown:?}");
    let columns = warehouse.admin("DESC TABLE ADMIN.OBSERVABILITY.LOADS").await.cells(&["name", "type"]);
    for column in ["SEQUENCE|NUMBER(20,0)", "FILES|NUMBER(10,0)"] {
        assert!(columns.contains(&column.to_owned()), "{columns:?}");
    }
}

#[tokio::test]
async fn a_pipe_that_was_given_away_is_resumed_by_force() {
    let warehouse = Warehouse::founded().await;
    let pipe = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES_PIPE";
    let status =
        || warehouse.admin("SELECT SYSTEM$PIPE_STATUS('SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES_PIPE') AS STATUS");
    warehouse.admin("CREATE ROLE OTHER").await;
    warehouse.admin(&format!("ALTER PIPE {pipe} SET PIPE_EXECUTION_PAUSED = TRUE")).await;
    warehouse.admin(&format!("GRANT OWNERSHIP ON PIPE {pipe} TO ROLE OTHER COPY CURRENT GRANTS")).await;
    for resume in [
        format!("ALTER PIPE {pipe} SET PIPE_EXECUTION_PAUSED = FALSE"),
        format!("SELECT SYSTEM$PIPE_FORCE_RESUME('{pipe}')"),
    ] {
        let error = warehouse.run(&resume).await.expect_err("another owner");
        assert!(error.to_string().contains("ownership had been transferred"), "{resume}: {error}");
    }
    assert!(status().await.cells(&["STATUS"])[0].contains("PAUSED"));
    warehouse.admin(&format!("SELECT SYSTEM$PIPE_FORCE_RESUME('{pipe}', 'ownership_transfer_check_override')")).await;
    assert!(status().await.cells(&["STATUS"])[0].contains("RUNNING"));
}
