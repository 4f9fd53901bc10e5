//! What each kind of object is: one description, from which CREATE, ALTER, SHOW, DESCRIBE and GRANT follow.

use super::property::{Property, Shape::*, p};
use crate::{failure::Failure, statements::Cursor};

/// A kind of object.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As statements name one of it, and as they name many.
    pub(crate) words: &'static str,
    pub(crate) plural: &'static str,
    /// How many parts its name has: 1 in the account, 2 in a database, 3 in a schema.
    pub(crate) parts: usize,
    pub(crate) properties: &'static [Property],
    /// The columns of SHOW: a column, `column=PROPERTY`, `column='text'`, `column=#LIST` for how many; `*` is not in Standard.
    pub(crate) show: &'static str,
    pub(crate) describe: Describe,
    /// What GRANT ALL gives.
    pub(crate) privileges: &'static [&'static str],
    /// What one must have to make it, where that is not `CREATE` and its words.
    pub(crate) made_by: Option<&'static str>,
    pub(crate) can: &'static [Can],
}

/// What only some kinds know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Can {
    /// CREATE OR ALTER.
    OrAlter,
    /// CREATE IF NOT EXISTS.
    IfNotExists,
    /// LIMIT n FROM 'name' in SHOW.
    Page,
    /// GRANT .. ON FUTURE.
    Future,
}
use Can::{Future, IfNotExists, OrAlter, Page};

/// How DESCRIBE answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Describe {
    /// There is no DESCRIBE.
    Not,
    /// One row with the columns of SHOW that are listed.
    Row(&'static str),
    /// A row for each property, with these columns.
    Properties(&'static str),
}
use Describe::{Not, Properties, Row};

/// A kind that is only granted on: no object of it is made here.
const GRANTED: Kind = Kind {
    words: "",
    plural: "",
    parts: 3,
    properties: &[],
    show: "",
    describe: Not,
    privileges: &[],
    made_by: None,
    can: &[Future],
};

const COMMENT: Property = p("COMMENT", Text, "");

/// What makes a column of an object in a schema.
macro_rules! in_schema {
    ($columns:literal) => {
        concat!("created_on, name, database_name, schema_name, owner, comment, owner_role_type, ", $columns)
    };
}

const FOUR: Describe = Properties("property, property_type, property_value, property_default");
const WORDS: Describe = Properties("property, value, default, description");

pub(crate) static KINDS: [Kind; 30] = [
    Kind {
        words: "ACCOUNT",
        parts: 0,
        privileges: &[
            "CREATE DATABASE",
            "CREATE INTEGRATION",
            "CREATE NETWORK POLICY",
            "CREATE ROLE",
            "CREATE SHARE",
            "CREATE USER",
            "CREATE WAREHOUSE",
            "MANAGE GRANTS",
            "MANAGE WAREHOUSES",
            "MONITOR EXECUTION",
            "MONITOR USAGE",
            "EXECUTE TASK",
            "EXECUTE MANAGED TASK",
            "EXECUTE ALERT",
            "APPLY TAG",
            "APPLY MASKING POLICY",
            "APPLY AUTHENTICATION POLICY",
            "APPLY PASSWORD POLICY",
            "APPLY SESSION POLICY",
            "ATTACH POLICY",
            "IMPORT SHARE",
        ],
        properties: &[
            p("NETWORK_POLICY", Name("NETWORK POLICY"), "").parameter("USER"),
            p("RESOURCE_MONITOR", Name("RESOURCE MONITOR"), ""),
            p("STATEMENT_TIMEOUT_IN_SECONDS", Number, "172800").parameter("USER WAREHOUSE"),
            p("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", Number, "0").parameter("USER WAREHOUSE"),
            p("MAX_CONCURRENCY_LEVEL", Number, "8").parameter("WAREHOUSE"),
            p("LOCK_TIMEOUT", Number, "43200").parameter("USER"),
            p("TIMEZONE", Text, "America/Los_Angeles").parameter("USER"),
            p("QUERY_TAG", Text, "").parameter("USER"),
            p("DATA_RETENTION_TIME_IN_DAYS", Number, "1").parameter("DATABASE SCHEMA"),
            p("MAX_DATA_EXTENSION_TIME_IN_DAYS", Number, "14").parameter("DATABASE SCHEMA"),
            p("LOG_LEVEL", Word("OFF|TRACE|DEBUG|INFO|WARN|ERROR|FATAL"), "OFF").parameter("DATABASE SCHEMA"),
            p("TRACE_LEVEL", Word("OFF|ALWAYS|ON_EVENT|PROPAGATE"), "OFF").parameter("DATABASE SCHEMA"),
            p("PERIODIC_DATA_REKEYING", Flag, "false").parameter("").enterprise(),
        ],
        ..GRANTED
    },
    Kind {
        words: "WAREHOUSE",
        plural: "WAREHOUSES",
        parts: 1,
        properties: &[
            p("WAREHOUSE_TYPE", Word("STANDARD|SNOWPARK-OPTIMIZED"), "STANDARD"),
            p("WAREHOUSE_SIZE", Size, "X-Small"),
            p("GENERATION", Word("1|2"), "2"),
            p("RESOURCE_CONSTRAINT", Word(""), ""),
            p("MIN_CLUSTER_COUNT", Number, "1").enterprise(),
            p("MAX_CLUSTER_COUNT", Number, "1").enterprise(),
            p("SCALING_POLICY", Word("STANDARD|ECONOMY"), "STANDARD").enterprise(),
            p("AUTO_SUSPEND", Number, "600"),
            p("AUTO_RESUME", Flag, "true"),
            p("INITIALLY_SUSPENDED", Flag, "false").fixed(),
            p("RESOURCE_MONITOR", Name("RESOURCE MONITOR"), "null"),
            p("ENABLE_QUERY_ACCELERATION", Flag, "true").enterprise(),
            p("QUERY_ACCELERATION_MAX_SCALE_FACTOR", Number, "2").enterprise(),
            p("MAX_CONCURRENCY_LEVEL", Number, "8"),
            p("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", Number, "0"),
            p("STATEMENT_TIMEOUT_IN_SECONDS", Number, "172800"),
            COMMENT,
        ],
        show: "name, state, type=WAREHOUSE_TYPE, size=WAREHOUSE_SIZE, *min_cluster_count, *max_cluster_count, \
               *started_clusters='0', running='0', queued='0', is_default, is_current, is_interactive='N', auto_suspend, \
               auto_resume, available='', provisioning='', quiescing='', other='', created_on, resumed_on='0.000000000', \
               updated_on, owner, comment, *enable_query_acceleration, *query_acceleration_max_scale_factor, \
               resource_monitor, actives='0', pendings='0', failed='0', suspended='0', uuid='0', *scaling_policy, \
               owner_role_type, resource_constraint, generation",
        describe: Row("created_on, name, kind='WAREHOUSE'"),
        privileges: &["MODIFY", "MONITOR", "OPERATE", "USAGE", "APPLYBUDGET"],
        can: &[OrAlter, IfNotExists],
        ..GRANTED
    },
    Kind {
        words: "RESOURCE MONITOR",
        plural: "RESOURCE MONITORS",
        parts: 1,
        properties: &[
            p("CREDIT_QUOTA", Number, ""),
            p("FREQUENCY", Word("MONTHLY|DAILY|WEEKLY|YEARLY|NEVER"), "MONTHLY"),
            p("START_TIMESTAMP", Text, ""),
            p("END_TIMESTAMP", Text, ""),
            p("NOTIFY_USERS", Names("USER"), ""),
            p("TRIGGERS", Triggers, ""),
        ],
        show: "name, credit_quota, used_credits='0.00', remaining_credits, level, frequency, start_time=START_TIMESTAMP, \
               end_time=END_TIMESTAMP, notify_at, suspend_at, suspend_immediately_at, created_on, owner, comment='', \
               notify_users",
        privileges: &["MODIFY", "MONITOR"],
        made_by: Some("ACCOUNTADMIN"),
        can: &[IfNotExists],
        ..GRANTED
    },
    Kind {
        words: "DATABASE",
        plural: "DATABASES",
        parts: 1,
        properties: &[
            p("DATA_RETENTION_TIME_IN_DAYS", Number, "1"),
            p("MAX_DATA_EXTENSION_TIME_IN_DAYS", Number, "14"),
            p("LOG_LEVEL", Word("OFF|TRACE|DEBUG|INFO|WARN|ERROR|FATAL"), "OFF"),
            p("TRACE_LEVEL", Word("OFF|ALWAYS|ON_EVENT|PROPAGATE"), "OFF"),
            COMMENT,
        ],
        show: "created_on, name, is_default='N', is_current='N', origin='', owner, comment, options, \
               retention_time=DATA_RETENTION_TIME_IN_DAYS, kind, owner_role_type, object_visibility, \
               data_quality_monitoring_settings, resharing_settings",
        describe: Row("created_on, name, kind"),
        privileges: &["CREATE DATABASE ROLE", "CREATE SCHEMA", "MODIFY", "MONITOR", "USAGE", "APPLYBUDGET"],
        can: &[OrAlter, IfNotExists, Page],
        ..GRANTED
    },
    Kind {
        words: "SCHEMA",
        plural: "SCHEMAS",
        parts: 2,
        properties: &[
            p("DATA_RETENTION_TIME_IN_DAYS", Number, "1"),
            p("MAX_DATA_EXTENSION_TIME_IN_DAYS", Number, "14"),
            p("LOG_LEVEL", Word("OFF|TRACE|DEBUG|INFO|WARN|ERROR|FATAL"), "OFF"),
            p("TRACE_LEVEL", Word("OFF|ALWAYS|ON_EVENT|PROPAGATE"), "OFF"),
            COMMENT,
        ],
        show: "created_on, name, is_default='N', is_current='N', database_name, owner, comment, options, \
               retention_time=DATA_RETENTION_TIME_IN_DAYS, owner_role_type, object_visibility, is_nested='N'",
        describe: Row("created_on, name, kind='SCHEMA'"),
        privileges: &[
            "CREATE AUTHENTICATION POLICY",
            "CREATE DYNAMIC TABLE",
            "CREATE FILE FORMAT",
            "CREATE FUNCTION",
            "CREATE MASKING POLICY",
            "CREATE MATERIALIZED VIEW",
            "CREATE NETWORK RULE",
            "CREATE PIPE",
            "CREATE PROCEDURE",
            "CREATE SEQUENCE",
            "CREATE STAGE",
            "CREATE STREAM",
            "CREATE TABLE",
            "CREATE TAG",
            "CREATE TASK",
            "CREATE TEMPORARY TABLE",
            "CREATE VIEW",
            "MODIFY",
            "MONITOR",
            "USAGE",
            "APPLYBUDGET",
        ],
        can: &[OrAlter, IfNotExists, Page, Future],
        ..GRANTED
    },
    Kind {
        words: "ROLE",
        plural: "ROLES",
        parts: 1,
        properties: &[COMMENT],
        show: "created_on, name, is_default, is_current, is_inherited, assigned_to_users, granted_to_roles, granted_roles, \
               owner, comment, is_from_organization_user_group='N'",
        privileges: &["USAGE"],
        can: &[OrAlter, IfNotExists, Page],
        ..GRANTED
    },
    Kind {
        words: "DATABASE ROLE",
        plural: "DATABASE ROLES",
        parts: 2,
        properties: &[COMMENT],
        show: "created_on, name, is_default='N', is_current='N', is_inherited, granted_to_roles, \
               granted_to_database_roles, granted_database_roles, owner, comment, owner_role_type",
        privileges: &["USAGE"],
        can: &[OrAlter, IfNotExists, Page],
        ..GRANTED
    },
    Kind {
        words: "USER",
        plural: "USERS",
        parts: 1,
        properties: &[
            p("LOGIN_NAME", Upper, ""),
            p("DISPLAY_NAME", Text, ""),
            p("FIRST_NAME", Text, ""),
            p("MIDDLE_NAME", Text, ""),
            p("LAST_NAME", Text, ""),
            p("EMAIL", Text, ""),
            p("PASSWORD", Text, ""),
            p("MUST_CHANGE_PASSWORD", Flag, "false"),
            p("DISABLED", Flag, "false"),
            p("MINS_TO_UNLOCK", Number, ""),
            p("MINS_TO_BYPASS_MFA", Number, ""),
            p("DAYS_TO_EXPIRY", Number, ""),
            p("DEFAULT_WAREHOUSE", Name(""), ""),
            p("DEFAULT_NAMESPACE", Name(""), ""),
            p("DEFAULT_ROLE", Name(""), ""),
            p("DEFAULT_SECONDARY_ROLES", List, ""),
            p("RSA_PUBLIC_KEY", Key, ""),
            p("RSA_PUBLIC_KEY_2", Key, ""),
            p("TYPE", Word("PERSON|SERVICE|LEGACY_SERVICE|SERVICE_AGENT"), ""),
            p("WORKLOAD_IDENTITY", Group, ""),
            p("NETWORK_POLICY", Name("NETWORK POLICY"), ""),
            p("STATEMENT_TIMEOUT_IN_SECONDS", Number, "172800"),
            p("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", Number, "0"),
            p("LOCK_TIMEOUT", Number, "43200"),
            p("TIMEZONE", Text, "America/Los_Angeles"),
            p("QUERY_TAG", Text, ""),
            COMMENT,
        ],
        show: "name, created_on, login_name, display_name, first_name, last_name, email, mins_to_unlock, days_to_expiry, \
               comment, disabled, must_change_password, snowflake_lock='false', default_warehouse, default_namespace, \
               default_role, default_secondary_roles, ext_authn_duo='false', ext_authn_uid='', mins_to_bypass_mfa, owner, \
               last_success_login, expires_at_time, locked_until_time, has_password, has_rsa_public_key, type, \
               has_mfa='false', has_pat='false', has_workload_identity, is_from_organization_user='false'",
        describe: WORDS,
        privileges: &["MONITOR", "MODIFY PROGRAMMATIC AUTHENTICATION METHODS"],
        can: &[IfNotExists, Page],
        ..GRANTED
    },
    Kind {
        words: "INTEGRATION",
        plural: "INTEGRATIONS",
        parts: 1,
        properties: &[
            p("TYPE", Word("EXTERNAL_STAGE"), "").fixed(),
            p("STORAGE_PROVIDER", Word("S3"), "").fixed(),
            p("ENABLED", Flag, "false").kept(),
            p("STORAGE_AWS_ROLE_ARN", Text, "").kept(),
            p("STORAGE_AWS_EXTERNAL_ID", Text, "").kept(),
            p("STORAGE_AWS_OBJECT_ACL", Text, ""),
            p("STORAGE_ALLOWED_LOCATIONS", List, "").kept(),
            p("STORAGE_BLOCKED_LOCATIONS", List, ""),
            p("USE_PRIVATELINK_ENDPOINT", Flag, "false"),
            COMMENT,
        ],
        show: "name, type, category='STORAGE', enabled, comment, created_on",
        describe: FOUR,
        privileges: &["USAGE"],
        can: &[IfNotExists],
        ..GRANTED
    },
    Kind {
        words: "NETWORK POLICY",
        plural: "NETWORK POLICIES",
        parts: 1,
        properties: &[
            p("ALLOWED_NETWORK_RULE_LIST", Names("NETWORK RULE"), "").kept(),
            p("BLOCKED_NETWORK_RULE_LIST", Names("NETWORK RULE"), "").kept(),
            p("ALLOWED_IP_LIST", List, "").kept(),
            p("BLOCKED_IP_LIST", List, "").kept(),
            COMMENT,
        ],
        show: "created_on, name, comment, entries_in_allowed_ip_list=#ALLOWED_IP_LIST, \
               entries_in_blocked_ip_list=#BLOCKED_IP_LIST, entries_in_allowed_network_rules=#ALLOWED_NETWORK_RULE_LIST, \
               entries_in_blocked_network_rules=#BLOCKED_NETWORK_RULE_LIST",
        describe: Properties("name, value"),
        privileges: &["USAGE"],
        can: &[OrAlter, IfNotExists],
        ..GRANTED
    },
    Kind {
        words: "NETWORK RULE",
        plural: "NETWORK RULES",
        properties: &[
            p("TYPE", Word("IPV4|IPV6|AWSVPCEID|AZURELINKID|HOST_PORT|PRIVATE_HOST_PORT"), "").fixed(),
            p("MODE", Word("INGRESS|INTERNAL_STAGE|EGRESS|SNOWFLAKE_MANAGED_STORAGE_VOLUME"), "INGRESS").fixed(),
            p("VALUE_LIST", List, ""),
            COMMENT,
        ],
        show: in_schema!("type, mode, entries_in_valuelist=#VALUE_LIST"),
        describe: Row("created_on, name, database_name, schema_name, owner, comment, type, mode, value_list"),
        privileges: &["USAGE"],
        can: &[OrAlter],
        ..GRANTED
    },
    Kind {
        words: "AUTHENTICATION POLICY",
        plural: "AUTHENTICATION POLICIES",
        properties: &[
            p("AUTHENTICATION_METHODS", Lists(AUTHENTICATION_METHODS), "[ALL]"),
            p("CLIENT_TYPES", Lists("ALL|SNOWFLAKE_UI|DRIVERS|SNOWSQL|SNOWFLAKE_CLI"), "[ALL]"),
            p("SECURITY_INTEGRATIONS", List, "[ALL]"),
            p("MFA_ENROLLMENT", Word("REQUIRED|REQUIRED_PASSWORD_ONLY|OPTIONAL"), "REQUIRED_PASSWORD_ONLY"),
            p("CLIENT_POLICY", Group, "null"),
            p("MFA_POLICY", Group, "null"),
            p("PAT_POLICY", Group, "null"),
            p("WORKLOAD_IDENTITY_POLICY", Group, "null"),
            COMMENT,
        ],
        show: in_schema!("kind='AUTHENTICATION_POLICY', options=''"),
        describe: WORDS,
        can: &[OrAlter, IfNotExists],
        ..GRANTED
    },
    Kind {
        words: "TAG",
        plural: "TAGS",
        properties: &[
            p("ALLOWED_VALUES", Values, ""),
            p("PROPAGATE", Word("ON_DEPENDENCY_AND_DATA_MOVEMENT|ON_DEPENDENCY|ON_DATA_MOVEMENT|NONE"), "")
                .enterprise(),
            COMMENT,
        ],
        show: in_schema!("allowed_values, propagate, on_conflict"),
        privileges: &["APPLY", "READ"],
        can: &[OrAlter, IfNotExists],
        ..GRANTED
    },
    Kind {
        words: "MASKING POLICY",
        plural: "MASKING POLICIES",
        properties: &[p("EXEMPT_OTHER_POLICIES", Flag, "false").fixed(), COMMENT],
        show: in_schema!("kind='MASKING_POLICY', options=''"),
        describe: Row("name, signature=SIGNATURE, return_type=RETURN_TYPE, body=BODY"),
        privileges: &["APPLY"],
        can: &[IfNotExists],
        ..GRANTED
    },
    Kind {
        words: "STAGE",
        plural: "STAGES",
        properties: &[
            p("URL", Text, "").kept(),
            p("STORAGE_INTEGRATION", Name("INTEGRATION"), "").kept(),
            p("ENCRYPTION", Group, ""),
            p("FILE_FORMAT", Group, ""),
            p("DIRECTORY", Group, ""),
            COMMENT,
        ],
        show: in_schema!(
            "url, has_credentials='N', has_encryption_key='N', region, type, cloud, notification_channel, \
             storage_integration, endpoint, directory_enabled"
        ),
        describe: Properties("parent_property, property, property_type, property_value, property_default"),
        privileges: &["READ", "USAGE", "WRITE"],
        can: &[OrAlter, IfNotExists, Future],
        ..GRANTED
    },
    Kind {
        words: "FILE FORMAT",
        plural: "FILE FORMATS",
        properties: &[
            p("TYPE", Word("PARQUET|JSON|CSV|AVRO|ORC|XML"), "CSV").fixed(),
            p("COMPRESSION", Word("AUTO|SNAPPY|LZO|GZIP|ZSTD|BROTLI|NONE"), "AUTO"),
            p("TRIM_SPACE", Flag, "false"),
            p("NULL_IF", List, "[\\N]"),
            p("BINARY_AS_TEXT", Flag, "true"),
            p("USE_LOGICAL_TYPE", Flag, "false"),
            p("USE_VECTORIZED_SCANNER", Flag, "false"),
            p("REPLACE_INVALID_CHARACTERS", Flag, "false"),
            p("STRIP_OUTER_ARRAY", Flag, "false"),
            p("DATE_FORMAT", Text, "AUTO"),
            p("TIMESTAMP_FORMAT", Text, "AUTO"),
            COMMENT,
        ],
        show: in_schema!("type, format_options"),
        describe: FOUR,
        privileges: &["USAGE"],
        can: &[OrAlter, IfNotExists, Future],
        ..GRANTED
    },
    Kind {
        words: "PIPE",
        plural: "PIPES",
        properties: &[
            p("AUTO_INGEST", Flag, "false").fixed(),
            p("ERROR_INTEGRATION", Name(""), ""),
            p("AWS_SNS_TOPIC", Text, "").fixed(),
            p("PIPE_EXECUTION_PAUSED", Flag, "false"),
            COMMENT,
        ],
        show: in_schema!(
            "definition=DEFINITION, notification_channel, integration, pattern, error_integration, invalid_reason, \
             kind='STAGE'"
        ),
        describe: Row(
            "created_on, name, database_name, schema_name, definition=DEFINITION, owner, notification_channel, comment, \
             integration, pattern, error_integration, invalid_reason, kind='STAGE'",
        ),
        privileges: &["MONITOR", "OPERATE", "APPLYBUDGET"],
        can: &[IfNotExists, Future],
        ..GRANTED
    },
    Kind {
        words: "TABLE",
        plural: "TABLES",
        properties: &[COMMENT],
        privileges: &[
            "DELETE",
            "EVOLVE SCHEMA",
            "INSERT",
            "REBUILD",
            "REFERENCES",
            "SELECT",
            "TRUNCATE",
            "UPDATE",
            "APPLYBUDGET",
        ],
        ..GRANTED
    },
    Kind { words: "VIEW", plural: "VIEWS", privileges: &["REFERENCES", "SELECT"], ..GRANTED },
    Kind { words: "MATERIALIZED VIEW", plural: "MATERIALIZED VIEWS", privileges: &["REFERENCES", "SELECT"], ..GRANTED },
    Kind { words: "DYNAMIC TABLE", plural: "DYNAMIC TABLES", privileges: &["MONITOR", "OPERATE", "SELECT"], ..GRANTED },
    Kind { words: "EXTERNAL TABLE", plural: "EXTERNAL TABLES", privileges: &["REFERENCES", "SELECT"], ..GRANTED },
    Kind { words: "ICEBERG TABLE", plural: "ICEBERG TABLES", privileges: TABLE_LIKE, ..GRANTED },
    Kind { words: "EVENT TABLE", plural: "EVENT TABLES", privileges: TABLE_LIKE, ..GRANTED },
    Kind { words: "SEMANTIC VIEW", plural: "SEMANTIC VIEWS", privileges: &["REFERENCES", "SELECT"], ..GRANTED },
    Kind { words: "STREAM", plural: "STREAMS", privileges: &["SELECT"], ..GRANTED },
    Kind { words: "TASK", plural: "TASKS", privileges: &["MONITOR", "OPERATE"], ..GRANTED },
    Kind { words: "SEQUENCE", plural: "SEQUENCES", privileges: &["USAGE"], ..GRANTED },
    Kind { words: "FUNCTION", plural: "FUNCTIONS", privileges: &["USAGE"], ..GRANTED },
    Kind { words: "PROCEDURE", plural: "PROCEDURES", privileges: &["USAGE"], ..GRANTED },
];

const TABLE_LIKE: &[&str] = &["DELETE", "INSERT", "REFERENCES", "SELECT", "TRUNCATE", "UPDATE"];
const AUTHENTICATION_METHODS: &str = "ALL|SAML|OIDC|PASSWORD|OAUTH|KEYPAIR|PROGRAMMATIC_ACCESS_TOKEN|WORKLOAD_IDENTITY";

impl Kind {
    /// The kind of these words. Every word in the code is one of the list, whose first stands for what is not.
    pub(crate) fn of(words: &str) -> &'static Kind {
        KINDS.iter().find(|kind| kind.words == words).unwrap_or(&KINDS[0])
    }

    /// Goes past a kind, one of it (or many).
    pub(crate) fn eat(cursor: &mut Cursor<'_>, many: bool) -> Option<&'static Kind> {
        if cursor.rest().get(1).is_some_and(|next| next.is("INTEGRATION") || next.is("INTEGRATIONS")) {
            cursor.eat("STORAGE");
        }
        let words = |kind: &Kind| if many { kind.plural } else { kind.words };
        let mut longest_first: Vec<&Kind> = KINDS.iter().filter(|kind| !words(kind).is_empty()).collect();
        longest_first.sort_by_key(|kind| std::cmp::Reverse(words(kind).len()));
        longest_first.into_iter().find(|kind| cursor.eat(words(kind)))
    }

    /// The same where nothing else may stand.
    pub(crate) fn expect(cursor: &mut Cursor<'_>, many: bool) -> Result<&'static Kind, Failure> {
        Kind::eat(cursor, many).ok_or_else(|| cursor.unexpected("a kind of object"))
    }

    pub(crate) fn can(&self, what: Can) -> bool {
        self.can.contains(&what)
    }

    /// Whether objects of it are made here by the account's own statements.
    pub(crate) fn is_made_here(&self) -> bool {
        !self.show.is_empty()
    }

    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        let properties: &'static [Property] = self.properties;
        properties.iter().find(|property| property.name == name)
    }

    /// As results name it: `NETWORK_RULE`.
    pub(crate) fn underscored(&self) -> String {
        self.words.replace(' ', "_")
    }

    /// As messages name it: `Network rule`.
    pub(crate) fn spoken(&self) -> String {
        let (first, rest) = self.words.split_at(1);
        format!("{first}{}", rest.to_lowercase())
    }
}
