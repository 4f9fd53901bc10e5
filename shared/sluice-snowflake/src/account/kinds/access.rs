//! The fields of who may come, and what they may.

use super::{
    ACCOUNTADMIN,
    Absent::{self, EmptyList, Ignored, OwnName, Required, Unset},
    Form, Kind, SECURITYADMIN, SYSADMIN,
    Seen::{Apart, Column, Parameter, Property},
    Set, Spec, USERADMIN,
    field::{COMMENT, OWNER, field},
};

pub(super) const ROLE: Spec = Spec {
    word: "ROLE",
    section: "roles",
    depth: 1,
    maker: USERADMIN,
    holds: "",
    enterprise: false,
    about: "Functional and service roles; each is granted to SYSADMIN.",
    fields: &[COMMENT, OWNER],
};

pub(super) const DATABASE_ROLE: Spec = Spec {
    word: "DATABASE ROLE",
    section: "database_roles",
    depth: 2,
    maker: SYSADMIN,
    holds: "",
    enterprise: false,
    about: "Roles of one database; each is granted to SYSADMIN.",
    fields: &[COMMENT, OWNER],
};

pub(super) const NETWORK_RULE: Spec = Spec {
    word: "NETWORK RULE",
    section: "network_rules",
    depth: 3,
    maker: SYSADMIN,
    holds: "",
    enterprise: false,
    about: "Addresses that a network policy names.",
    fields: &[
        field(
            "type",
            Form::Word(&["IPV4", "AWSVPCEID"]),
            Absent::Text("IPV4"),
            Column("type"),
            Set::OnlyMade("TYPE"),
            "What its values are.",
        ),
        field(
            "mode",
            Form::Word(&["INGRESS", "INTERNAL_STAGE"]),
            Absent::Text("INGRESS"),
            Column("mode"),
            Set::OnlyMade("MODE"),
            "What it guards.",
        ),
        field(
            "values",
            Form::List,
            Required,
            Column("value_list"),
            Set::Property("VALUE_LIST"),
            "Addresses, never all of them.",
        ),
        COMMENT,
        OWNER,
    ],
};

pub(super) const MASKING_POLICY: Spec = Spec {
    word: "MASKING POLICY",
    section: "masking_policies",
    depth: 3,
    maker: SYSADMIN,
    holds: "",
    enterprise: true,
    about: "What a column shows to whom.",
    fields: &[
        field("type", Form::Text, Required, Property("RETURN_TYPE"), Set::OnlyMadeBy, "The type of the columns, such as VARCHAR."),
        field("body", Form::Code, Required, Property("BODY"), Set::Apart, "An expression over VAL."),
        COMMENT,
        OWNER,
    ],
};

pub(super) const AUTHENTICATION_POLICY: Spec = Spec {
    word: "AUTHENTICATION POLICY",
    section: "authentication_policies",
    depth: 3,
    maker: SYSADMIN,
    holds: "",
    enterprise: false,
    about: "How users may log in.",
    fields: &[
        field(
            "methods",
            Form::List,
            Required,
            Property("AUTHENTICATION_METHODS"),
            Set::Property("AUTHENTICATION_METHODS"),
            "KEYPAIR, SAML, OAUTH, PASSWORD, PROGRAMMATIC_ACCESS_TOKEN, WORKLOAD_IDENTITY or ALL.",
        ),
        field(
            "client_types",
            Form::List,
            Absent::Text("ALL"),
            Property("CLIENT_TYPES"),
            Set::Property("CLIENT_TYPES"),
            "DRIVERS, SNOWFLAKE_UI, SNOWFLAKE_CLI, SNOWSQL or ALL.",
        ),
        COMMENT,
        OWNER,
    ],
};

pub(super) const NETWORK_POLICY: Spec = Spec {
    word: "NETWORK POLICY",
    section: "network_policies",
    depth: 1,
    maker: SECURITYADMIN,
    holds: "",
    enterprise: false,
    about: "From where users may come.",
    fields: &[
        field(
            "allowed_rules",
            Form::Names(Kind::NetworkRule),
            Required,
            Property("ALLOWED_NETWORK_RULE_LIST"),
            Set::Property("ALLOWED_NETWORK_RULE_LIST"),
            "Network rules whose addresses may come.",
        ),
        field(
            "blocked_rules",
            Form::Names(Kind::NetworkRule),
            EmptyList,
            Property("BLOCKED_NETWORK_RULE_LIST"),
            Set::Property("BLOCKED_NETWORK_RULE_LIST"),
            "Network rules whose addresses may not, whatever is allowed.",
        ),
        field(
            "allowed_ips",
            Form::List,
            EmptyList,
            Property("ALLOWED_IP_LIST"),
            Set::Property("ALLOWED_IP_LIST"),
            "Addresses that may come besides.",
        ),
        field(
            "blocked_ips",
            Form::List,
            EmptyList,
            Property("BLOCKED_IP_LIST"),
            Set::Property("BLOCKED_IP_LIST"),
            "Addresses that may not.",
        ),
        COMMENT,
    ],
};

pub(super) const USER: Spec = Spec {
    word: "USER",
    section: "users",
    depth: 1,
    maker: USERADMIN,
    holds: "its keys, worksheets and history",
    enterprise: false,
    about: "Services by key pair, people by single sign-on.",
    fields: &[
        field("type", Form::Word(&["SERVICE", "PERSON"]), Required, Column("type"), Set::Property("TYPE"), "What it is."),
        field("login_name", Form::Text, OwnName, Column("login_name"), Set::Property("LOGIN_NAME"), "The name of a login."),
        field(
            "display_name",
            Form::Text,
            OwnName,
            Column("display_name"),
            Set::Property("DISPLAY_NAME"),
            "The name that people see.",
        ),
        field("first_name", Form::Text, Absent::Text(""), Column("first_name"), Set::Property("FIRST_NAME"), "Of a person."),
        field("last_name", Form::Text, Absent::Text(""), Column("last_name"), Set::Property("LAST_NAME"), "Of a person."),
        field("email", Form::Text, Absent::Text(""), Column("email"), Set::Property("EMAIL"), "Of a person."),
        field("disabled", Form::Flag, Absent::Flag(false), Column("disabled"), Set::Property("DISABLED"), "Whether it may not log in."),
        field(
            "default_role",
            Form::Name(Kind::Role),
            Unset,
            Column("default_role"),
            Set::Property("DEFAULT_ROLE"),
            "The role of a session that names none.",
        ),
        field(
            "default_warehouse",
            Form::Name(Kind::Warehouse),
            Unset,
            Column("default_warehouse"),
            Set::Property("DEFAULT_WAREHOUSE"),
            "The warehouse of a session that names none.",
        ),
        field(
            "default_namespace",
            Form::Name(Kind::Schema),
            Unset,
            Column("default_namespace"),
            Set::Property("DEFAULT_NAMESPACE"),
            "The database or schema of a session that names none.",
        ),
        field(
            "secondary_roles",
            Form::AllOrNone,
            Absent::Flag(false),
            Column("default_secondary_roles"),
            Set::Property("DEFAULT_SECONDARY_ROLES"),
            "Whether all its other roles count too.",
        ),
        field(
            "public_key",
            Form::Key,
            Ignored,
            Property("RSA_PUBLIC_KEY_FP"),
            Set::Property("RSA_PUBLIC_KEY"),
            "The first key slot; without one rotation keeps it.",
        ),
        field(
            "public_key_2",
            Form::Key,
            Ignored,
            Property("RSA_PUBLIC_KEY_2_FP"),
            Set::Property("RSA_PUBLIC_KEY_2"),
            "The second key slot; without one rotation keeps it.",
        ),
        field(
            "lock_timeout",
            Form::Number(0, 604_800),
            Unset,
            Parameter("LOCK_TIMEOUT"),
            Set::Property("LOCK_TIMEOUT"),
            "Seconds that a statement waits for a table that another one holds.",
        ),
        field(
            "statement_timeout",
            Form::Number(0, 604_800),
            Unset,
            Parameter("STATEMENT_TIMEOUT_IN_SECONDS"),
            Set::Property("STATEMENT_TIMEOUT_IN_SECONDS"),
            "Seconds that a statement may run.",
        ),
        COMMENT,
        field(
            "network_policy",
            Form::Name(Kind::NetworkPolicy),
            Unset,
            Parameter("NETWORK_POLICY"),
            Set::Property("NETWORK_POLICY"),
            "From where it may come.",
        )
        .by(SECURITYADMIN)
        .late(),
        field(
            "authentication_policy",
            Form::Name(Kind::AuthenticationPolicy),
            Unset,
            Apart,
            Set::Apart,
            "How it may log in.",
        )
        .by(ACCOUNTADMIN)
        .late(),
        OWNER,
    ],
};
