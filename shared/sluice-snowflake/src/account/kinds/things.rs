//! The fields of what is used: compute, containers and what is in them.

use super::{
    ACCOUNTADMIN,
    Absent::{self, Ignored, Kept},
    Form, Kind, SYSADMIN, Seen, Set, Spec,
    field::{COMMENT, OWNER, TAGS, field},
};

pub(super) const RESOURCE_MONITOR: Spec = Spec {
    word: "RESOURCE MONITOR",
    section: "resource_monitors",
    depth: 1,
    maker: ACCOUNTADMIN,
    holds: "",
    enterprise: false,
    about: "Limits of credits; a monitor does nothing before a warehouse names it.",
    fields: &[
        field("credits", Form::Number(1, 1_000_000_000))
            .required()
            .column("credit_quota", "CREDIT_QUOTA")
            .about("Credits of a period."),
        field("frequency", Form::Word(&["MONTHLY", "DAILY", "WEEKLY", "YEARLY", "NEVER"]))
            .or(Absent::Text("MONTHLY"))
            .seen(Seen::Column("frequency"))
            .about("When it begins again."),
        field("notify_at", Form::Percents)
            .seen(Seen::Column("notify_at"))
            .about("Percentages at which people are told; five at most."),
        field("suspend_at", Form::Percent)
            .seen(Seen::Column("suspend_at"))
            .about("Percentage at which warehouses take no new statement."),
        field("suspend_immediately_at", Form::Percent)
            .seen(Seen::Column("suspend_immediately_at"))
            .about("Percentage at which running statements are ended."),
        field("notify_users", Form::Names(Kind::User))
            .seen(Seen::Column("notify_users"))
            .about("Users with a verified address.")
            .late(),
    ],
};

pub(super) const WAREHOUSE: Spec = Spec {
    word: "WAREHOUSE",
    section: "warehouses",
    depth: 1,
    maker: SYSADMIN,
    holds: "",
    enterprise: false,
    about: "Compute, by purpose.",
    fields: &[
        field("size", Form::Size).or(Absent::Text("XSMALL")).column("size", "WAREHOUSE_SIZE").about("Its size."),
        field("auto_suspend", Form::Number(0, 31_536_000))
            .or(Absent::Number(60))
            .column("auto_suspend", "AUTO_SUSPEND")
            .about("Seconds without work after which it is suspended; 0 is never."),
        field("auto_resume", Form::Flag)
            .or(Absent::Flag(true))
            .column("auto_resume", "AUTO_RESUME")
            .about("Whether a statement wakes it."),
        field("statement_timeout", Form::Number(0, 604_800))
            .parameter("STATEMENT_TIMEOUT_IN_SECONDS")
            .about("Seconds that a statement may run."),
        field("queue_timeout", Form::Number(0, 604_800))
            .parameter("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS")
            .about("Seconds that a statement may wait."),
        field("max_concurrency", Form::Number(1, 32)).parameter("MAX_CONCURRENCY_LEVEL").about("Statements at once."),
        field("min_clusters", Form::Number(1, 10))
            .or(Absent::Number(1))
            .column("min_cluster_count", "MIN_CLUSTER_COUNT")
            .about("Clusters at least.")
            .enterprise(),
        field("max_clusters", Form::Number(1, 10))
            .or(Absent::Number(1))
            .column("max_cluster_count", "MAX_CLUSTER_COUNT")
            .about("Clusters at most.")
            .enterprise(),
        field("scaling_policy", Form::Word(&["STANDARD", "ECONOMY"]))
            .or(Absent::Text("STANDARD"))
            .column("scaling_policy", "SCALING_POLICY")
            .about("When a cluster is added.")
            .enterprise(),
        field("query_acceleration", Form::Flag)
            .or(Absent::Flag(false))
            .column("enable_query_acceleration", "ENABLE_QUERY_ACCELERATION")
            .about("Whether parts of large statements run elsewhere, for credits.")
            .enterprise(),
        COMMENT,
        field("resource_monitor", Form::Name(Kind::ResourceMonitor))
            .column("resource_monitor", "RESOURCE_MONITOR")
            .about("The monitor that limits it.")
            .by(ACCOUNTADMIN)
            .late(),
        OWNER,
        TAGS,
    ],
};

pub(super) const DATABASE: Spec = Spec {
    word: "DATABASE",
    section: "databases",
    depth: 1,
    maker: SYSADMIN,
    holds: "every row of its tables",
    enterprise: false,
    about: "Databases; those of raw tables are there without an entry.",
    fields: &[
        field("transient", Form::Flag)
            .or(Absent::Flag(false))
            .seen(Seen::Option("TRANSIENT"))
            .set(Set::OnlyMadeBy)
            .about("Whether it has no fail-safe."),
        field("retention_days", Form::Number(0, 90))
            .or(Absent::Number(1))
            .column("retention_time", "DATA_RETENTION_TIME_IN_DAYS")
            .about("Days of Time Travel; more than one needs Enterprise."),
        COMMENT,
        OWNER,
        TAGS,
    ],
};

pub(super) const SCHEMA: Spec = Spec {
    word: "SCHEMA",
    section: "schemas",
    depth: 2,
    maker: SYSADMIN,
    holds: "every row of its tables",
    enterprise: false,
    about: "Schemas; those of raw tables and of dbt's models are there without an entry.",
    fields: &[
        field("transient", Form::Flag)
            .or(Absent::Flag(false))
            .seen(Seen::Option("TRANSIENT"))
            .set(Set::OnlyMadeBy)
            .about("Whether it has no fail-safe."),
        field("managed_access", Form::Flag)
            .or(Absent::Flag(true))
            .seen(Seen::Option("MANAGED ACCESS"))
            .about("Whether only the schema's owner grants on what is in it."),
        COMMENT,
        OWNER,
        TAGS,
    ],
};

pub(super) const TAG: Spec = Spec {
    word: "TAG",
    section: "tags",
    depth: 3,
    maker: SYSADMIN,
    holds: "",
    enterprise: false,
    about: "Tags.",
    fields: &[
        field("allowed_values", Form::List).seen(Seen::Column("allowed_values")).about("Values that it may have."),
        COMMENT,
        OWNER,
    ],
};

pub(super) const STORAGE_INTEGRATION: Spec = Spec {
    word: "STORAGE INTEGRATION",
    section: "storage_integrations",
    depth: 1,
    maker: ACCOUNTADMIN,
    holds: "the identity that the lake's role trusts",
    enterprise: false,
    about: "The account's way into a bucket.",
    fields: &[
        field("enabled", Form::Flag).or(Absent::Flag(true)).property("ENABLED").about("Whether it works."),
        field("role_arn", Form::Text).required().property("STORAGE_AWS_ROLE_ARN").about("The role that it assumes."),
        field("external_id", Form::Text)
            .required()
            .property("STORAGE_AWS_EXTERNAL_ID")
            .about("The id that the role's trust asks for."),
        field("allowed_locations", Form::List)
            .required()
            .property("STORAGE_ALLOWED_LOCATIONS")
            .about("Prefixes that stages may name."),
        field("blocked_locations", Form::List)
            .or(Kept)
            .property("STORAGE_BLOCKED_LOCATIONS")
            .about("Prefixes that they may not; left out, they stay."),
        COMMENT,
    ],
};

pub(super) const FILE_FORMAT: Spec = Spec {
    word: "FILE FORMAT",
    section: "file_formats",
    depth: 3,
    maker: SYSADMIN,
    holds: "",
    enterprise: false,
    about: "How files are read; the lake's is there without an entry.",
    fields: &[
        field("type", Form::Word(&["PARQUET", "CSV", "JSON", "AVRO", "ORC", "XML"]))
            .required()
            .seen(Seen::Column("type"))
            .set(Set::OnlyMade("TYPE"))
            .about("The form of the files."),
        field("options", Form::Options)
            .seen(Seen::Column("format_options"))
            .about("Options by their names in Snowflake."),
        COMMENT,
        OWNER,
    ],
};

pub(super) const STAGE: Spec = Spec {
    word: "STAGE",
    section: "stages",
    depth: 3,
    maker: SYSADMIN,
    holds: "",
    enterprise: false,
    about: "Places of files; the lake's is there without an entry.",
    fields: &[
        field("url", Form::Text).required().column("url", "URL").about("s3://bucket/prefix/"),
        field("storage_integration", Form::Name(Kind::StorageIntegration))
            .required()
            .column("storage_integration", "STORAGE_INTEGRATION")
            .about("The way into the bucket."),
        field("directory", Form::Flag)
            .or(Absent::Flag(false))
            .seen(Seen::Column("directory_enabled"))
            .about("Whether files can be listed by SQL."),
        field("file_format", Form::Name(Kind::FileFormat))
            .seen(Seen::Property("FORMAT_NAME"))
            .about("How its files are read."),
        COMMENT,
        OWNER,
    ],
};

pub(super) const TABLE: Spec = Spec {
    word: "TABLE",
    section: "",
    depth: 3,
    maker: SYSADMIN,
    holds: "its rows",
    enterprise: false,
    about: "",
    fields: &[
        field("columns", Form::Columns),
        field("masks", Form::Masks).or(Ignored).by(ACCOUNTADMIN).late(),
        field("comment", Form::Text).or(Absent::Text("")).seen(Seen::Column("comment")).late(),
        OWNER,
    ],
};

pub(super) const PIPE: Spec = Spec {
    word: "PIPE",
    section: "pipes",
    depth: 3,
    maker: SYSADMIN,
    holds: "which files it has loaded",
    enterprise: false,
    about: "Loads by Snowpipe; those of raw tables are there without an entry.",
    fields: &[
        field("copy", Form::Code)
            .required()
            .seen(Seen::Column("definition"))
            .set(Set::OnlyMadeBy)
            .about("The COPY INTO that it runs."),
        field("auto_ingest", Form::Flag)
            .or(Absent::Flag(false))
            .seen(Seen::Present("notification_channel"))
            .set(Set::OnlyMadeBy)
            .about("Whether events of the bucket bring it files, and not Sluice."),
        field("running", Form::Flag).or(Absent::Flag(true)).about("Whether it takes files."),
        COMMENT,
        OWNER,
    ],
};

pub(super) const ACCOUNT: Spec = Spec {
    word: "ACCOUNT",
    section: "account",
    depth: 0,
    maker: ACCOUNTADMIN,
    holds: "",
    enterprise: false,
    about: "Settings of the whole account.",
    fields: &[
        field("timezone", Form::Text).parameter("TIMEZONE").about("Where its clocks stand.").late(),
        field("statement_timeout", Form::Number(0, 604_800))
            .parameter("STATEMENT_TIMEOUT_IN_SECONDS")
            .about("Seconds that a statement may run.")
            .late(),
        field("network_policy", Form::Name(Kind::NetworkPolicy))
            .or(Kept)
            .parameter("NETWORK_POLICY")
            .about("From where any user may come who has no policy of its own.")
            .late(),
    ],
};
