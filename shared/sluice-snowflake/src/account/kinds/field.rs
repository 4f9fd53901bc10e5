//! How the tables say a field.

use super::{
    Absent::{self, EmptyList, EmptyMap, Maker, Required, Unset},
    Field, Form, Seen, Set,
};

/// A field that, unless more is said of it, has no value of its own where the file does not name it, and of which the
/// reader and the renderer know where it is shown and how it is set.
pub(super) const fn field(name: &'static str, form: Form) -> Field {
    let absent = match form {
        Form::List | Form::Names(_) | Form::Percents => EmptyList,
        Form::Options | Form::Tags | Form::Columns | Form::Masks => EmptyMap,
        _ => Unset,
    };
    Field {
        name,
        form,
        absent,
        seen: Seen::Apart,
        set: Set::Apart,
        by: None,
        late: false,
        enterprise: false,
        about: "",
    }
}

impl Field {
    pub(super) const fn or(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }

    pub(super) const fn required(self) -> Self {
        self.or(Required)
    }

    pub(super) const fn seen(mut self, seen: Seen) -> Self {
        self.seen = seen;
        self
    }

    pub(super) const fn set(mut self, set: Set) -> Self {
        self.set = set;
        self
    }

    /// A column of SHOW, and what a statement calls it.
    pub(super) const fn column(self, column: &'static str, word: &'static str) -> Self {
        self.seen(Seen::Column(column)).set(Set::Property(word))
    }

    /// A row of DESC, which a statement calls the same.
    pub(super) const fn property(self, word: &'static str) -> Self {
        self.seen(Seen::Property(word)).set(Set::Property(word))
    }

    /// A parameter, which a statement sets like a property.
    pub(super) const fn parameter(self, word: &'static str) -> Self {
        self.seen(Seen::Parameter(word)).set(Set::Property(word))
    }

    pub(super) const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

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
    field("comment", Form::Text).or(Absent::Text("")).column("comment", "COMMENT").about("What it is for.");
pub(super) const OWNER: Field = field("owner", Form::Role)
    .or(Maker)
    .seen(Seen::Column("owner"))
    .about("The role that owns it; without one the role that makes such objects.");
pub(super) const TAGS: Field = field("tags", Form::Tags).about("Tags and their values.");
