//! What can be granted on which type of object.

/// A type of object as grants name it.
pub(crate) struct Type {
    pub word: &'static str,
    /// For grants on all of them in a database or a schema; "" where there is no such grant.
    pub plural: &'static str,
    pub privileges: &'static [&'static str],
    /// Whether any `CREATE …` is a privilege on it.
    pub creates: bool,
}

const fn one(word: &'static str, privileges: &'static [&'static str]) -> Type {
    Type { word, plural: "", privileges, creates: false }
}

const fn many(word: &'static str, plural: &'static str, privileges: &'static [&'static str]) -> Type {
    Type { word, plural, privileges, creates: false }
}

const DML: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "EVOLVE SCHEMA"];

pub(crate) const TYPES: [Type; 26] = [
    one("WAREHOUSE", &["USAGE", "OPERATE", "MONITOR", "MODIFY", "APPLYBUDGET"]),
    Type { creates: true, ..one("DATABASE", &["USAGE", "MONITOR", "MODIFY", "IMPORTED PRIVILEGES", "APPLYBUDGET"]) },
    one("INTEGRATION", &["USAGE", "USE_ANY_ROLE"]),
    one("RESOURCE MONITOR", &["MONITOR", "MODIFY"]),
    one("USER", &["MONITOR", "MODIFY PROGRAMMATIC AUTHENTICATION METHODS"]),
    Type {
        creates: true,
        ..many("SCHEMA", "SCHEMAS", &["USAGE", "MONITOR", "MODIFY", "ADD SEARCH OPTIMIZATION", "APPLYBUDGET"])
    },
    many("TABLE", "TABLES", DML),
    many("EVENT TABLE", "EVENT TABLES", DML),
    many("ICEBERG TABLE", "ICEBERG TABLES", DML),
    many("EXTERNAL TABLE", "EXTERNAL TABLES", &["SELECT", "REFERENCES"]),
    many("DYNAMIC TABLE", "DYNAMIC TABLES", &["SELECT", "MONITOR", "OPERATE"]),
    many("VIEW", "VIEWS", &["SELECT", "REFERENCES"]),
    many("MATERIALIZED VIEW", "MATERIALIZED VIEWS", &["SELECT", "REFERENCES"]),
    many("STAGE", "STAGES", &["USAGE", "READ", "WRITE"]),
    many("FILE FORMAT", "FILE FORMATS", &["USAGE"]),
    many("SEQUENCE", "SEQUENCES", &["USAGE"]),
    many("FUNCTION", "FUNCTIONS", &["USAGE"]),
    many("PROCEDURE", "PROCEDURES", &["USAGE"]),
    many("STREAM", "STREAMS", &["SELECT"]),
    many("TASK", "TASKS", &["MONITOR", "OPERATE"]),
    many("PIPE", "PIPES", &["MONITOR", "OPERATE", "APPLYBUDGET"]),
    many("DBT PROJECT", "DBT PROJECTS", &["USAGE", "MONITOR"]),
    one("TAG", &["APPLY", "READ"]),
    one("MASKING POLICY", &["APPLY"]),
    one("AUTHENTICATION POLICY", &["APPLY"]),
    one("NETWORK RULE", &["USAGE"]),
];

/// What can be granted on the account, besides `CREATE …` and `APPLY …`.
const GLOBAL: [&str; 12] = [
    "MANAGE GRANTS",
    "MANAGE WAREHOUSES",
    "MONITOR",
    "MONITOR USAGE",
    "MONITOR EXECUTION",
    "MONITOR SECURITY",
    "EXECUTE TASK",
    "EXECUTE MANAGED TASK",
    "EXECUTE ALERT",
    "IMPORT SHARE",
    "OVERRIDE SHARE RESTRICTIONS",
    "BIND SERVICE ENDPOINT",
];

impl Type {
    pub(crate) fn of_word(word: &str) -> Option<&'static Type> {
        TYPES.iter().find(|kind| kind.word == word)
    }

    pub(crate) fn of_plural(plural: &str) -> Option<&'static Type> {
        TYPES.iter().find(|kind| !kind.plural.is_empty() && kind.plural == plural)
    }

    pub(crate) fn has(&self, privilege: &str) -> bool {
        self.privileges.contains(&privilege) || (self.creates && privilege.starts_with("CREATE "))
    }

    /// How many parts the name of one has.
    pub(crate) fn depth(&self) -> usize {
        match self.word {
            "WAREHOUSE" | "DATABASE" | "INTEGRATION" | "RESOURCE MONITOR" | "USER" => 1,
            "SCHEMA" => 2,
            _ => 3,
        }
    }
}

pub(crate) fn is_global(privilege: &str) -> bool {
    GLOBAL.contains(&privilege) || privilege.starts_with("CREATE ") || privilege.starts_with("APPLY ")
}
