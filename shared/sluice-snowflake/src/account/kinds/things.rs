//! The fields of what is used: compute, containers and what is in them.

use super::{
    ACCOUNTADMIN,
    Absent::{self, EmptyList, EmptyMap, Ignored, Required, Unset},
    Form, Kind, SYSADMIN,
    Seen::{self, Apart, Column, Parameter, Property},
    Set, Spec,
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
        field(
            "credits",
            Form::Number(1, 1_000_000_000),
            Required,
            Column("credit_quota"),
            Set::Property("CREDIT_QUOTA"),
            "Credits of a period.",
        ),
        field(
            "frequency",
            Form::Word(&["MONTHLY", "DAILY", "WEEKLY", "YEARLY", "NEVER"]),
            Absent::Text("MONTHLY"),
            Column("frequency"),
            Set::Apart,
            "When it begins again.",
        ),
        field(
            "notify_at",
            Form::Percents,
            EmptyList,
            Column("notify_at"),
            Set::Apart,
            "Percentages at which people are told; five at most.",
        ),
        field(
            "suspend_at",
            Form::Percent,
            Unset,
            Column("suspend_at"),
            Set::Apart,
            "Percentage at which warehouses take no new statement.",
        ),
        field(
            "suspend_immediately_at",
            Form::Percent,
            Unset,
            Column("suspend_immediately_at"),
            Set::Apart,
            "Percentage at which running statements are ended.",
        ),
        field(
            "notify_users",
            Form::Names(Kind::User),
            EmptyList,
            Column("notify_users"),
            Set::Apart,
            "Users with a verified address.",
        )
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
        field("size", Form::Size, Absent::Text("XSMALL"), Column("size"), Set::Property("WAREHOUSE_SIZE"), "Its size."),
        field(
            "auto_suspend",
            Form::Number(0, 31_536_000),
            Absent::Number(60),
            Column("auto_suspend"),
            Set::Property("AUTO_SUSPEND"),
            "Seconds without work after which it is suspended; 0 is never.",
        ),
        field(
            "auto_resume",
            Form::Flag,
            Absent::Flag(true),
            Column("auto_resume"),
            Set::Property("AUTO_RESUME"),
            "Whether a statement wakes it.",
        ),
        field(
            "statement_timeout",
            Form::Number(0, 604_800),
            Unset,
            Parameter("STATEMENT_TIMEOUT_IN_SECONDS"),
            Set::Property("STATEMENT_TIMEOUT_IN_SECONDS"),
            "Seconds that a statement may run.",
        ),
        field(
            "queue_timeout",
            Form::Number(0, 604_800),
            Unset,
            Parameter("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"),
            Set::Property("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"),
            "Seconds that a statement may wait.",
        ),
        field(
            "max_concurrency",
            Form::Number(1, 32),
            Unset,
            Parameter("MAX_CONCURRENCY_LEVEL"),
            Set::Property("MAX_CONCURRENCY_LEVEL"),
            "Statements at once.",
        ),
        field(
            "min_clusters",
            Form::Number(1, 10),
            Absent::Number(1),
            Column("min_cluster_count"),
            Set::Property("MIN_CLUSTER_COUNT"),
            "Clusters at least.",
        )
        .enterprise(),
        field(
            "max_clusters",
            Form::Number(1, 10),
            Absent::Number(1),
            Column("max_cluster_count"),
            Set::Property("MAX_CLUSTER_COUNT"),
            "Clusters at most.",
        )
        .enterprise(),
        field(
            "scaling_policy",
            Form::Word(&["STANDARD", "ECONOMY"]),
            Absent::Text("STANDARD"),
            Column("scaling_policy"),
            Set::Property("SCALING_POLICY"),
            "When a cluster is added.",
        )
        .enterprise(),
        field(
            "query_acceleration",
            Form::Flag,
            Absent::Flag(false),
            Column("enable_query_acceleration"),
            Set::Property("ENABLE_QUERY_ACCELERATION"),
            "Whether parts of large statements run elsewhere, for credits.",
        )
        .enterprise(),
        COMMENT,
        field(
            "resource_monitor",
            Form::Name(Kind::ResourceMonitor),
            Unset,
            Column("resource_monitor"),
            Set::Property("RESOURCE_MONITOR"),
            "The monitor that limits it.",
        )
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
        field(
            "transient",
            Form::Flag,
            Absent::Flag(false),
            Seen::Option("TRANSIENT"),
            Set::OnlyMadeBy,
            "Whether it has no fail-safe.",
        ),
        field(
            "retention_days",
            Form::Number(0, 90),
            Absent::Number(1),
            Column("retention_time"),
            Set::Property("DATA_RETENTION_TIME_IN_DAYS"),
            "Days of Time Travel; more than one needs Enterprise.",
        ),
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
        field(
            "transient",
            Form::Flag,
            Absent::Flag(false),
            Seen::Option("TRANSIENT"),
            Set::OnlyMadeBy,
            "Whether it has no fail-safe.",
        ),
        field(
            "managed_access",
            Form::Flag,
            Absent::Flag(true),
            Seen::Option("MANAGED ACCESS"),
            Set::Apart,
            "Whether only the schema's owner grants on what is in it.",
        ),
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
        field(
            "allowed_values",
            Form::List,
            EmptyList,
            Column("allowed_values"),
            Set::Apart,
            "Values that it may have.",
        ),
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
        field(
            "enabled",
            Form::Flag,
            Absent::Flag(true),
            Property("ENABLED"),
            Set::Property("ENABLED"),
            "Whether it works.",
        ),
        field(
            "role_arn",
            Form::Text,
            Required,
            Property("STORAGE_AWS_ROLE_ARN"),
            Set::Property("STORAGE_AWS_ROLE_ARN"),
            "The role that it assumes.",
        ),
        field(
            "external_id",
            Form::Text,
            Required,
            Property("STORAGE_AWS_EXTERNAL_ID"),
            Set::Property("STORAGE_AWS_EXTERNAL_ID"),
            "The id that the role's trust asks for.",
        ),
        field(
            "allowed_locations",
            Form::List,
            Required,
            Property("STORAGE_ALLOWED_LOCATIONS"),
            Set::Property("STORAGE_ALLOWED_LOCATIONS"),
            "Prefixes that stages may name.",
        ),
        field(
            "blocked_locations",
            Form::List,
            EmptyList,
            Property("STORAGE_BLOCKED_LOCATIONS"),
            Set::Property("STORAGE_BLOCKED_LOCATIONS"),
            "Prefixes that they may not.",
        ),
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
        field(
            "type",
            Form::Word(&["PARQUET", "CSV", "JSON", "AVRO", "ORC", "XML"]),
            Required,
            Column("type"),
            Set::OnlyMade("TYPE"),
            "The form of the files.",
        ),
        field(
            "options",
            Form::Options,
            EmptyMap,
            Column("format_options"),
            Set::Apart,
            "Options by their names in Snowflake.",
        ),
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
        field("url", Form::Text, Required, Column("url"), Set::Property("URL"), "s3://bucket/prefix/"),
        field(
            "storage_integration",
            Form::Name(Kind::StorageIntegration),
            Required,
            Column("storage_integration"),
            Set::Property("STORAGE_INTEGRATION"),
            "The way into the bucket.",
        ),
        field(
            "directory",
            Form::Flag,
            Absent::Flag(false),
            Column("directory_enabled"),
            Set::Apart,
            "Whether files can be listed by SQL.",
        ),
        field(
            "file_format",
            Form::Name(Kind::FileFormat),
            Unset,
            Property("FORMAT_NAME"),
            Set::Apart,
            "How its files are read.",
        ),
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
        field("columns", Form::Columns, EmptyMap, Apart, Set::Apart, ""),
        field("masks", Form::Masks, Ignored, Apart, Set::Apart, "").by(ACCOUNTADMIN).late(),
        field("comment", Form::Text, Absent::Text(""), Column("comment"), Set::Apart, "").late(),
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
        field("copy", Form::Code, Required, Column("definition"), Set::OnlyMadeBy, "The COPY INTO that it runs."),
        field("running", Form::Flag, Absent::Flag(true), Apart, Set::Apart, "Whether it takes files."),
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
        field(
            "timezone",
            Form::Text,
            Unset,
            Parameter("TIMEZONE"),
            Set::Property("TIMEZONE"),
            "Where its clocks stand.",
        )
        .late(),
        field(
            "statement_timeout",
            Form::Number(0, 604_800),
            Unset,
            Parameter("STATEMENT_TIMEOUT_IN_SECONDS"),
            Set::Property("STATEMENT_TIMEOUT_IN_SECONDS"),
            "Seconds that a statement may run.",
        )
        .late(),
        field(
            "network_policy",
            Form::Name(Kind::NetworkPolicy),
            Ignored,
            Parameter("NETWORK_POLICY"),
            Set::Property("NETWORK_POLICY"),
            "From where any user may come who has no policy of its own.",
        )
        .late(),
    ],
};
