//! How the tables say a field: in the order in which a statement names them.

use super::{
    Absent::{self, EmptyMap, Maker},
    Field, Form,
    Seen::{self, Apart, Column},
    Set,
};

pub(super) const fn field(
    name: &'static str,
    form: Form,
    absent: Absent,
    seen: Seen,
    set: Set,
    about: &'static str,
) -> Field {
    Field { name, form, absent, seen, set, by: None, late: false, enterprise: false, about }
}

impl Field {
    pub(super) const fn by(mut self, role: &'static str) -> Self {
        self.by = Some(role);
        self
    }

    pub(super) const fn late(mut self) -> Self {
        self.late = true;
        self
    }

    pub(super) const fn enterprise(mut self) -> Self {
        self.enterprise = true;
        self
    }
}

pub(super) const COMMENT: Field =
    field("comment", Form::Text, Absent::Text(""), Column("comment"), Set::Property("COMMENT"), "What it is for.");
pub(super) const OWNER: Field = field(
    "owner",
    Form::Role,
    Maker,
    Column("owner"),
    Set::Apart,
    "The role that owns it; without one the role that makes such objects.",
);
pub(super) const TAGS: Field = field("tags", Form::Tags, EmptyMap, Apart, Set::Apart, "Tags and their values.");
