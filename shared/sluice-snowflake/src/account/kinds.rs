//! The kinds of objects of an account, and for each field of each kind how the file calls it, where the account shows it
//! and how a statement sets it. Everything else here is driven by these tables.

use serde::{Serialize, Serializer};

use super::value::Value;

mod access;
mod field;
mod things;

pub(crate) const ACCOUNTADMIN: &str = "ACCOUNTADMIN";
pub(crate) const SYSADMIN: &str = "SYSADMIN";
pub(crate) const SECURITYADMIN: &str = "SECURITYADMIN";
pub(crate) const USERADMIN: &str = "USERADMIN";

/// The database that Snowflake shares with every account. Its roles are there from the beginning.
pub(crate) const SHARED: &str = "SNOWFLAKE";

/// Roles that every account has.
pub(crate) const SYSTEM_ROLES: [&str; 6] = [ACCOUNTADMIN, SYSADMIN, SECURITYADMIN, USERADMIN, "PUBLIC", "ORGADMIN"];

/// In the order in which objects can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Role,
    ResourceMonitor,
    Warehouse,
    Database,
    Schema,
    DatabaseRole,
    NetworkRule,
    Tag,
    MaskingPolicy,
    AuthenticationPolicy,
    NetworkPolicy,
    User,
    StorageIntegration,
    FileFormat,
    Stage,
    Table,
    Pipe,
    Account,
}

impl Kind {
    pub const ALL: [Kind; 18] = [
        Kind::Role,
        Kind::ResourceMonitor,
        Kind::Warehouse,
        Kind::Database,
        Kind::Schema,
        Kind::DatabaseRole,
        Kind::NetworkRule,
        Kind::Tag,
        Kind::MaskingPolicy,
        Kind::AuthenticationPolicy,
        Kind::NetworkPolicy,
        Kind::User,
        Kind::StorageIntegration,
        Kind::FileFormat,
        Kind::Stage,
        Kind::Table,
        Kind::Pipe,
        Kind::Account,
    ];

    /// What a statement and a message call it.
    pub fn word(self) -> &'static str {
        self.spec().word
    }

    pub(crate) fn spec(self) -> &'static Spec {
        match self {
            Kind::Role => &access::ROLE,
            Kind::ResourceMonitor => &things::RESOURCE_MONITOR,
            Kind::Warehouse => &things::WAREHOUSE,
            Kind::Database => &things::DATABASE,
            Kind::Schema => &things::SCHEMA,
            Kind::DatabaseRole => &access::DATABASE_ROLE,
            Kind::NetworkRule => &access::NETWORK_RULE,
            Kind::Tag => &things::TAG,
            Kind::MaskingPolicy => &access::MASKING_POLICY,
            Kind::AuthenticationPolicy => &access::AUTHENTICATION_POLICY,
            Kind::NetworkPolicy => &access::NETWORK_POLICY,
            Kind::User => &access::USER,
            Kind::StorageIntegration => &things::STORAGE_INTEGRATION,
            Kind::FileFormat => &things::FILE_FORMAT,
            Kind::Stage => &things::STAGE,
            Kind::Table => &things::TABLE,
            Kind::Pipe => &things::PIPE,
            Kind::Account => &things::ACCOUNT,
        }
    }

    /// What grants call it, which is shorter for an integration.
    pub(crate) fn grant_word(self) -> &'static str {
        if self == Kind::StorageIntegration { "INTEGRATION" } else { self.word() }
    }

    /// The kind that grants call so.
    pub(crate) fn granted_as(word: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.grant_word() == word)
    }

    #[cfg(test)]
    pub(crate) fn field(self, name: &str) -> Option<&'static Field> {
        self.spec().fields.iter().find(|field| field.name == name)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.word().to_lowercase())
    }
}

/// What is true of every object of a kind.
pub(crate) struct Spec {
    pub word: &'static str,
    /// The setting of the file that holds its entries; "" for what only `sources.yaml` makes.
    pub section: &'static str,
    /// How many parts a name has.
    pub depth: usize,
    /// The least role that may make one.
    pub maker: &'static str,
    /// What is lost when an object is dropped or replaced; "" when nothing is.
    pub holds: &'static str,
    /// Needs the Enterprise edition.
    pub enterprise: bool,
    #[cfg_attr(not(test), expect(dead_code, reason = "said in the schema for editors, which a test writes"))]
    pub about: &'static str,
    pub fields: &'static [Field],
}

pub(crate) struct Field {
    pub name: &'static str,
    pub form: Form,
    pub absent: Absent,
    pub seen: Seen,
    pub set: Set,
    /// The role that may set it, where that is another than the object's.
    pub by: Option<&'static str>,
    /// Set after everything else is there: it names what is made later, or it may lock somebody out.
    pub late: bool,
    pub enterprise: bool,
    pub about: &'static str,
}

impl Field {
    /// Whether this is a value that keeps somebody out whether the file names it or not.
    pub(crate) fn guards(&self, value: &Value) -> bool {
        self.absent == Absent::Kept && !value.is_empty() && *value != Value::Flag(false)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    /// Text that the account keeps in upper case.
    Upper,
    /// A data type, compared as DESC prints it.
    Type,
    /// SQL text: compared without comments, line ends and the space between words.
    Code,
    /// One of these, in upper case.
    Word(&'static [&'static str]),
    /// A warehouse's size, which the account spells in another way than a statement.
    Size,
    Number(i64, i64),
    Flag,
    /// A flag that the account keeps as the list `ALL` or an empty one.
    AllOrNone,
    List,
    /// The name of an object of this kind.
    Name(Kind),
    /// The name of an account role or of a database role.
    Role,
    Names(Kind),
    Percent,
    Percents,
    /// Options of a file format; only those that the file names are compared.
    Options,
    /// Tags and their values.
    Tags,
    /// Columns and their types; only `sources.yaml` says them.
    Columns,
    /// Columns and the policies that mask them.
    Masks,
    /// A public key; compared by its fingerprint.
    Key,
}

/// What it means that the file does not name a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It must be named.
    Required,
    Text(&'static str),
    Number(i64),
    Flag(bool),
    EmptyList,
    EmptyMap,
    /// It has no value of its own.
    Unset,
    /// Whatever the account has is right.
    Ignored,
    /// What the account has stays and is told: it may be what keeps somebody out.
    Kept,
    /// The object's own name.
    OwnName,
    /// The role that makes objects of this kind.
    Maker,
}

/// Where the account shows a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A column of the kind's SHOW.
    Column(&'static str),
    /// A word in the column `options`.
    Option(&'static str),
    /// Whether a column of the kind's SHOW holds anything.
    Present(&'static str),
    /// A row of the kind's DESC.
    Property(&'static str),
    /// A parameter, and only its own value.
    Parameter(&'static str),
    /// Elsewhere; the reader knows.
    Apart,
}

/// How a statement sets a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// `X = value`, in CREATE and in ALTER.
    Property(&'static str),
    /// `X = value` in CREATE only; a difference is told and never mended.
    OnlyMade(&'static str),
    /// In CREATE only, by a word of its own.
    OnlyMadeBy,
    /// By a clause or statement of its own, which the renderer knows.
    Apart,
}

impl Field {
    pub(crate) fn is_only_made(&self) -> bool {
        matches!(self.set, Set::OnlyMade(_) | Set::OnlyMadeBy)
    }
}
