//! The fields of who may come, and what they may.

use super::{
    ACCOUNTADMIN,
    Absent::{self, Ignored, Kept, OwnName},
    Form, Kind, SECURITYADMIN, SYSADMIN, Seen, Set, Spec, USERADMIN,
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
        field("type", Form::Word(&["IPV4", "AWSVPCEID"]))
            .or(Absent::Text("IPV4"))
            .seen(Seen::Column("type"))
            .set(Set::OnlyMade("TYPE"))
            .about("What its values are."),
        field("mode", Form::Word(&["INGRESS", "INTERNAL_STAGE"]))
            .or(Absent::Text("INGRESS"))
            .seen(Seen::Column("mode"))
            .set(Set::OnlyMade("MODE"))
            .about("What it guards."),
        field("values", Form::List)
            .required()
            .column("value_list", "VALUE_LIST")
            .about("Addresses, never all of them."),
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
        field("type", Form::Type)
            .required()
            .seen(Seen::Property("RETURN_TYPE"))
            .set(Set::OnlyMadeBy)
            .about("The type of the columns, such as VARCHAR."),
        field("body", Form::Code).required().seen(Seen::Property("BODY")).about("An expression over VAL."),
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
        field("methods", Form::List)
            .required()
            .property("AUTHENTICATION_METHODS")
            .about("KEYPAIR, SAML, OAUTH, PASSWORD, PROGRAMMATIC_ACCESS_TOKEN, WORKLOAD_IDENTITY or ALL."),
        field("client_types", Form::List)
            .or(Absent::Text("ALL"))
            .property("CLIENT_TYPES")
            .about("DRIVERS, SNOWFLAKE_UI, SNOWFLAKE_CLI, SNOWSQL or ALL."),
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
        field("allowed_rules", Form::Names(Kind::NetworkRule))
            .property("ALLOWED_NETWORK_RULE_LIST")
            .about("Network rules whose addresses may come."),
        field("blocked_rules", Form::Names(Kind::NetworkRule))
            .or(Kept)
            .property("BLOCKED_NETWORK_RULE_LIST")
            .about("Network rules whose addresses may not, whatever is allowed; left out, they stay."),
        field("allowed_ips", Form::List).property("ALLOWED_IP_LIST").about("Addresses that may come besides."),
        field("blocked_ips", Form::List)
            .or(Kept)
            .property("BLOCKED_IP_LIST")
            .about("Addresses that may not; left out, they stay."),
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
        field("type", Form::Word(&["SERVICE", "PERSON"])).required().column("type", "TYPE").about("What it is."),
        field("login_name", Form::Upper).or(OwnName).column("login_name", "LOGIN_NAME").about("The name of a login."),
        field("display_name", Form::Text)
            .or(OwnName)
            .column("display_name", "DISPLAY_NAME")
            .about("The name that people see."),
        field("first_name", Form::Text).or(Absent::Text("")).column("first_name", "FIRST_NAME").about("Of a person."),
        field("last_name", Form::Text).or(Absent::Text("")).column("last_name", "LAST_NAME").about("Of a person."),
        field("email", Form::Text).or(Absent::Text("")).column("email", "EMAIL").about("Of a person."),
        field("disabled", Form::Flag)
            .or(Kept)
            .column("disabled", "DISABLED")
            .about("Whether it may not log in; left out, it stays as it is."),
        field("default_role", Form::Name(Kind::Role))
            .column("default_role", "DEFAULT_ROLE")
            .about("The role of a session that names none."),
        field("default_warehouse", Form::Name(Kind::Warehouse))
            .column("default_warehouse", "DEFAULT_WAREHOUSE")
            .about("The warehouse of a session that names none."),
        field("default_namespace", Form::Name(Kind::Schema))
            .column("default_namespace", "DEFAULT_NAMESPACE")
            .about("The database or schema of a session that names none."),
        field("secondary_roles", Form::AllOrNone)
            .or(Absent::Flag(false))
            .column("default_secondary_roles", "DEFAULT_SECONDARY_ROLES")
            .about("Whether all its other roles count too."),
        field("public_key", Form::Key)
            .or(Ignored)
            .seen(Seen::Property("RSA_PUBLIC_KEY_FP"))
            .set(Set::Property("RSA_PUBLIC_KEY"))
            .about("The first key slot; without one rotation keeps it."),
        field("public_key_2", Form::Key)
            .or(Ignored)
            .seen(Seen::Property("RSA_PUBLIC_KEY_2_FP"))
            .set(Set::Property("RSA_PUBLIC_KEY_2"))
            .about("The second key slot; without one rotation keeps it."),
        field("lock_timeout", Form::Number(0, 604_800))
            .parameter("LOCK_TIMEOUT")
            .about("Seconds that a statement waits for a table that another one holds."),
        field("statement_timeout", Form::Number(0, 604_800))
            .parameter("STATEMENT_TIMEOUT_IN_SECONDS")
            .about("Seconds that a statement may run."),
        COMMENT,
        field("network_policy", Form::Name(Kind::NetworkPolicy))
            .or(Kept)
            .parameter("NETWORK_POLICY")
            .about("From where it may come; left out, one that it has stays.")
            .by(SECURITYADMIN)
            .late(),
        field("authentication_policy", Form::Name(Kind::AuthenticationPolicy))
            .or(Kept)
            .about("How it may log in; left out, one that it has stays.")
            .by(ACCOUNTADMIN)
            .late(),
        OWNER,
    ],
};
