//! The part of Lightdash's files that the report needs, as SQL: metrics and dimensions from dbt's YAML, charts, dashboards.
//!
//! What is compiled gives the rows that Lightdash gives. Everything else is an error that names the file and the key, so that
//! nothing is shown which only resembles a chart.

mod chart;
mod dashboard;
mod field;
mod filters;
pub mod model;
mod query;
#[cfg(test)]
mod tests;

pub use chart::{Chart, Drawing, Series};
pub use dashboard::{Dashboard, Tile};
pub use field::{Field, Kind, Table, Tables};
pub use query::Query;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Which warehouse the SQL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Snowflake,
    DuckDb,
}

impl Dialect {
    /// Where readers find a published view.
    fn relation(self, model: &str) -> String {
        match self {
            Dialect::Snowflake => format!("ANALYTICS.REPORTING.{model}"),
            Dialect::DuckDb => format!("\"ANALYTICS__REPORTING\".\"{model}\""),
        }
    }

    /// A text as a literal; in Snowflake a backslash begins an escape.
    fn literal(self, text: &str) -> String {
        let text = if self == Dialect::Snowflake { text.replace('\\', "\\\\") } else { text.to_owned() };
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// What a file or a key of it is refused for.
pub type Compiled<T> = Result<T, String>;

/// A part of a file as its type; the message names the key that it does not have.
fn read<T: DeserializeOwned>(place: &str, value: &Value) -> Compiled<T> {
    serde_json::from_value(value.clone()).map_err(|error| format!("{place}: {error}"))
}
