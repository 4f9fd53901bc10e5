//! Fields and the views that they are of.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Compiled;

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    String,
    Number,
    Boolean,
    Date,
    Timestamp,
}

/// A dimension or a metric, as Lightdash would call it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    pub id: String,
    pub is_metric: bool,
    /// A metric's aggregate, or a dimension's kind of values.
    #[serde(rename = "type")]
    pub type_name: String,
    #[serde(skip)]
    pub kind: Kind,
    pub label: String,
    pub description: Option<String>,
    pub format: Option<String>,
    pub interval: Option<String>,
    pub hidden: bool,
    /// The column is marked as personal data in dbt's YAML.
    #[serde(skip)]
    pub pii: bool,
    pub sql: String,
}

/// One view.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub name: String,
    pub label: String,
    pub relation: String,
    /// The column that says how far the data reaches.
    pub time_column: Option<String>,
    pub fields: Vec<Field>,
}

/// Views by name.
pub type Tables = BTreeMap<String, Table>;

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
        }
    }
}

impl Table {
    pub fn field(&self, id: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }

    pub fn require(&self, id: &str) -> Compiled<&Field> {
        self.field(id).ok_or_else(|| format!("there is no field {id} in {}", self.name))
    }

    pub(super) fn add(&mut self, field: Field, place: &str) -> Compiled<()> {
        if self.field(&field.id).is_some() {
            return Err(format!("{place}: two fields are called {}", field.id));
        }
        self.fields.push(field);
        Ok(())
    }

    pub(super) fn id(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }
}
