//! The account's properties against the table's columns: what is missing, what is of another type, what nobody takes.
//!
//! The columns are an allow-list: a property without a column is never asked for, and one that comes anyhow is dropped.
//! It is counted, so that a report can say what the account has beyond the contract.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sluice_core::{Column, ColumnType, Error, Kind, Result, Schema, drift::Observed};

/// Names of unmapped properties that a commit's facts hold; the count is always whole.
const NAMED: usize = 100;

/// The property in which a contact lists the records that merges made part of it.
pub(crate) const MERGED_IDS: &str = "hs_merged_object_ids";

/// The property in which a contact lists its further e-mails. That of a record that a merge made part of it is one.
const ADDITIONAL_EMAILS: &str = "hs_additional_emails";

/// One property of contacts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Property {
    pub name: String,
    #[serde(rename = "type", default)]
    pub kind: String,
    /// False for the properties that the account's owner has made.
    #[serde(default)]
    pub hubspot_defined: bool,
}

/// What the first answer of a run says about the account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    pub(crate) properties: BTreeMap<String, Property>,
    /// HubSpot's own clock, in microseconds: what is measured against HubSpot's times is not measured with another.
    pub(crate) now: Option<i64>,
    pub(crate) requests_left_today: Option<u64>,
}

/// The property that a column takes its values from; `None` for what every record has.
pub(crate) fn property_of(column: &Column) -> Option<&str> {
    match column.source() {
        "id" | "archived" => None,
        "merged_ids" => Some(MERGED_IDS),
        "additional_emails" => Some(ADDITIONAL_EMAILS),
        other => Some(other),
    }
}

impl Account {
    /// The account's properties as a contract sees them: those that its columns take, as the columns call them, and
    /// those that the account's owner has made. What HubSpot brings along by the hundred and no column takes comes and
    /// goes with its releases and is nobody's news.
    pub fn observed(&self, columns: &Schema) -> Vec<Observed> {
        let mut observed = Vec::new();
        for column in columns.columns() {
            let (source_type, readable) = match property_of(column) {
                None => ("record", true),
                Some(name) => match self.properties.get(name) {
                    Some(property) => (property.kind.as_str(), may_fit(column.column_type, &property.kind)),
                    None => continue,
                },
            };
            observed.push(shown(column.source(), source_type, readable));
        }
        let mapped: BTreeSet<&str> = columns.columns().iter().filter_map(property_of).collect();
        let own = self.properties.values().filter(|property| {
            let name = property.name.as_str();
            !property.hubspot_defined && !mapped.contains(name) && columns.position_of_source(name).is_none()
        });
        observed.extend(own.map(|property| shown(&property.name, &property.kind, true)));
        observed
    }

    /// The properties to ask for. One that does not exist would be left out of every answer without a word: a column of
    /// nulls, not an error.
    pub(crate) fn wanted<'a>(&self, columns: &'a Schema) -> Result<Vec<&'a str>> {
        let mut wanted: Vec<&str> = columns.columns().iter().filter_map(property_of).collect();
        if let Some(missing) = wanted.iter().find(|name| !self.properties.contains_key(**name)) {
            return Err(Error::new(Kind::SchemaMismatch, "contacts have no such property").with("property", missing));
        }
        // Merges are followed whether or not the table has a column for them.
        if !wanted.contains(&MERGED_IDS) && self.properties.contains_key(MERGED_IDS) {
            wanted.push(MERGED_IDS);
        }
        Ok(wanted)
    }

    /// What a commit tells about the account's properties.
    pub(crate) fn facts(&self, columns: &Schema) -> Map<String, Value> {
        let mapped: BTreeSet<&str> = columns.columns().iter().filter_map(property_of).collect();
        let unmapped: Vec<&Property> =
            self.properties.values().filter(|property| !mapped.contains(property.name.as_str())).collect();
        let custom: Vec<&str> = unmapped
            .iter()
            .filter(|property| !property.hubspot_defined)
            .map(|property| property.name.as_str())
            .collect();
        let drift: Vec<Value> = columns
            .columns()
            .iter()
            .filter_map(|column| {
                let property = self.properties.get(property_of(column)?)?;
                let fits = fits(column.column_type, &property.kind);
                (!fits).then(|| json!({
                    "column": column.name, "contract": column.column_type.to_string(), "property_type": property.kind,
                }))
            })
            .collect();
        let mut facts = Map::new();
        facts.insert("properties".into(), self.properties.len().into());
        facts.insert("properties_mapped".into(), mapped.len().into());
        facts.insert("properties_unmapped".into(), unmapped.len().into());
        facts.insert("properties_unmapped_custom".into(), json!(custom.iter().take(NAMED).collect::<Vec<_>>()));
        if !drift.is_empty() {
            facts.insert("property_type_drift".into(), drift.into());
        }
        if let Some(left) = self.requests_left_today {
            facts.insert("requests_left_today".into(), left.into());
        }
        facts
    }
}

/// Any property of a contact may be without a value. A number says nothing of its digits.
fn shown(name: &str, source_type: &str, readable: bool) -> Observed {
    let becomes = match source_type {
        "bool" => ColumnType::Boolean,
        "date" => ColumnType::Date,
        "datetime" => ColumnType::Timestamp,
        _ => ColumnType::Text,
    };
    let (name, source_type) = (name.to_owned(), source_type.to_owned());
    Observed { name, source_type, becomes, capacity: None, nullable: true, readable }
}

/// Whether some value of such a property can be one of the column. A text may spell what the column holds: its values are
/// judged one by one, and a row whose value does not fit is rejected.
fn may_fit(column: ColumnType, property: &str) -> bool {
    matches!(property, "string" | "enumeration" | "phone_number") || fits(column, property)
}

/// Whether the values of such a property can be values of the column. A text takes everything; a type that is not in
/// HubSpot's list is judged by the values.
fn fits(column: ColumnType, property: &str) -> bool {
    match property {
        "bool" => matches!(column, ColumnType::Boolean | ColumnType::Text),
        "date" => matches!(column, ColumnType::Date | ColumnType::Timestamp | ColumnType::Text),
        "datetime" => matches!(column, ColumnType::Timestamp | ColumnType::Date | ColumnType::Text),
        "number" => matches!(column, ColumnType::Bigint | ColumnType::Decimal(..) | ColumnType::Text),
        "string" | "enumeration" | "phone_number" => column == ColumnType::Text,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(properties: &[(&str, &str, bool)]) -> Account {
        let property = |&(name, kind, hubspot_defined): &(&str, &str, bool)| {
            (name.to_owned(), Property { name: name.into(), kind: kind.into(), hubspot_defined })
        };
        Account { properties: properties.iter().map(property).collect(), ..Account::default() }
    }

    fn columns(columns: Value) -> Schema {
        serde_json::from_value(columns).expect("columns")
    }

    #[test]
    fn properties_beyond_the_contract_are_counted_and_custom_ones_named() {
        let account = account(&[
            ("email", "string", true),
            ("score", "string", true),
            ("hs_persona", "enumeration", true),
            ("shoe_size", "number", false),
        ]);
        let columns = columns(json!([
            {"name": "id", "type": "bigint"}, {"name": "email", "type": "text"}, {"name": "score", "type": "bigint"},
        ]));
        let facts = account.facts(&columns);
        assert_eq!((&facts["properties"], &facts["properties_mapped"]), (&json!(4), &json!(2)));
        assert_eq!(facts["properties_unmapped"], 2);
        assert_eq!(facts["properties_unmapped_custom"], json!(["shoe_size"]));
        let drift = json!([{"column": "score", "contract": "bigint", "property_type": "string"}]);
        assert_eq!(facts["property_type_drift"], drift);
        assert_eq!(account.wanted(&columns).expect("all exist"), ["email", "score"], "nothing else is asked for");
    }

    #[test]
    fn a_contract_sees_what_its_columns_take_and_what_the_owner_has_made() {
        let account = account(&[
            ("email", "string", true),
            ("createdate", "bool", true),
            ("hs_persona", "enumeration", true),
            ("shoe_size", "number", false),
            ("archived", "string", false),
            (MERGED_IDS, "enumeration", true),
        ]);
        let columns = columns(json!([
            {"name": "id", "type": "bigint"}, {"name": "email", "type": "bigint"}, {"name": "createdate", "type": "timestamp"},
            {"name": "phone", "type": "text"}, {"name": "archived", "type": "boolean"}, {"name": "merged_ids", "type": "text"},
        ]));
        let observed = account.observed(&columns);
        let seen: Vec<_> = observed.iter().map(|o| (o.name.as_str(), o.source_type.as_str(), o.readable)).collect();
        assert_eq!(
            seen,
            [
                ("id", "record", true),
                ("email", "string", true),
                ("createdate", "bool", false),
                ("archived", "record", true),
                ("merged_ids", "enumeration", true),
                ("shoe_size", "number", true),
            ]
        );
    }

    #[test]
    fn a_property_is_asked_for_and_shown_by_its_own_name() {
        let account = account(&[("email", "string", true), ("shoe_size", "number", false)]);
        let columns = columns(json!([{"name": "size", "source_name": "shoe_size", "type": "bigint"}]));
        assert_eq!(account.wanted(&columns).expect("it exists"), ["shoe_size"]);
        let observed: Vec<_> = account.observed(&columns).into_iter().map(|seen| seen.name).collect();
        assert_eq!(observed, ["shoe_size"], "and not once more as one that nobody takes");
    }

    #[test]
    fn merges_are_asked_for_even_without_a_column() {
        let account = account(&[("email", "string", true), (MERGED_IDS, "enumeration", true)]);
        let without = columns(json!([{"name": "email", "type": "text"}]));
        assert_eq!(account.wanted(&without).expect("all exist"), ["email", MERGED_IDS]);
        let with = columns(json!([{"name": "merged_ids", "type": "text"}]));
        assert_eq!(account.wanted(&with).expect("all exist"), [MERGED_IDS]);
        assert!(account.facts(&with).get("property_type_drift").is_none());
    }
}
