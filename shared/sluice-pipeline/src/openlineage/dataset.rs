//! Tables, topics, folders of the lake and objects of an API, as OpenLineage names and describes them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sluice_core::{Table, lake, sources::Source};

use super::facet::facet;
use crate::why::{How, Lineage};

/// The names of the places. A place that has two names is two places to those who draw the graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Of jobs: whose runs they are.
    pub stack: String,
    /// The lake's bucket.
    pub bucket: String,
    /// Of tables and views: the warehouse's own namespace.
    pub warehouse: String,
    /// Namespaces of sources by their kind, where the deployment knows more than the kind: `postgres://host:5432`.
    pub sources: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dataset {
    pub namespace: String,
    pub name: String,
    /// Names and types.
    pub columns: Vec<(String, Option<String>)>,
    /// Of an output: rows, bytes and files.
    pub statistics: Option<Statistics>,
    /// Of an output: its columns with the columns that they come from.
    pub lineage: Vec<(String, Vec<Input>)>,
    pub version: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    pub rows: u64,
    pub bytes: Option<u64>,
    pub files: Option<u64>,
}

/// A column that another one comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub namespace: String,
    pub name: String,
    pub field: String,
    pub how: How,
}

impl Names {
    /// What a table is read from.
    pub fn source(&self, table: &Table) -> Dataset {
        let kind = table.source.kind();
        let namespace = match self.sources.get(kind) {
            Some(namespace) => namespace.clone(),
            None => match &table.source {
                Source::Currencies | Source::ExchangeRates { .. } => "https://openexchangerates.org".to_owned(),
                Source::HubspotContacts => "https://api.hubapi.com".to_owned(),
                _ => format!("{kind}://{}", self.stack),
            },
        };
        Dataset { namespace, name: table.source.object(), columns: contract(table, false), ..Dataset::default() }
    }

    /// The folder of a table's files.
    pub fn lake(&self, table: &Table) -> Dataset {
        let name = lake::data_prefix(&table.table).trim_end_matches('/').to_owned();
        Dataset {
            namespace: format!("s3://{}", self.bucket),
            name,
            columns: contract(table, true),
            ..Dataset::default()
        }
    }

    pub fn raw(&self, table: &Table) -> Dataset {
        Dataset { columns: contract(table, true), ..self.relation(&table.table.to_string()) }
    }

    /// A table or view of the warehouse.
    pub fn relation(&self, name: &str) -> Dataset {
        Dataset { namespace: self.warehouse.clone(), name: name.to_owned(), ..Dataset::default() }
    }

    /// A model with its columns and what each comes from.
    pub fn model(&self, lineage: &Lineage, name: &str) -> Dataset {
        let Some(model) = lineage.models.get(name) else { return self.relation(name) };
        let input = |origin: &crate::why::Origin| Input {
            namespace: self.warehouse.clone(),
            name: origin.table.clone(),
            field: origin.column.clone(),
            how: origin.how,
        };
        let of = |(column, known): (&String, &crate::why::Column)| {
            let inputs: Vec<Input> = known.from.iter().filter(|origin| origin.column != "*").map(input).collect();
            (!inputs.is_empty()).then(|| (column.clone(), inputs))
        };
        Dataset {
            columns: model.columns.keys().map(|column| (column.clone(), None)).collect(),
            lineage: model.columns.iter().filter_map(of).collect(),
            ..self.relation(name)
        }
    }
}

/// The contract's columns, by the names of the source or of the warehouse.
fn contract(table: &Table, is_folded: bool) -> Vec<(String, Option<String>)> {
    let name = |column: &sluice_core::Column| match (is_folded, &column.source_name) {
        (true, _) => sluice_core::names::fold(&column.name),
        (false, Some(name)) => name.clone(),
        (false, None) => column.name.clone(),
    };
    let columns = table.columns.columns().iter();
    columns.map(|column| (name(column), Some(column.column_type.to_string()))).collect()
}

impl Dataset {
    pub(super) fn input(&self) -> Value {
        json!({ "namespace": self.namespace, "name": self.name, "facets": self.facets() })
    }

    pub(super) fn output(&self) -> Value {
        let mut output = self.input();
        if !self.lineage.is_empty() {
            output["facets"]["columnLineage"] = self.column_lineage();
        }
        if let Some(statistics) = self.statistics {
            let mut told = Map::from_iter([("rowCount".to_owned(), json!(statistics.rows))]);
            told.extend(statistics.bytes.map(|bytes| ("size".to_owned(), json!(bytes))));
            told.extend(statistics.files.map(|files| ("fileCount".to_owned(), json!(files))));
            let statistics = facet("1-0-2/OutputStatisticsOutputDatasetFacet.json", Value::Object(told));
            output["outputFacets"] = json!({ "outputStatistics": statistics });
        }
        output
    }

    fn facets(&self) -> Value {
        let mut facets = Map::new();
        if !self.columns.is_empty() {
            let field = |(name, of_type): &(String, Option<String>)| {
                of_type
                    .as_ref()
                    .map_or_else(|| json!({ "name": name }), |of_type| json!({ "name": name, "type": of_type }))
            };
            let fields: Vec<Value> = self.columns.iter().map(field).collect();
            facets.insert("schema".to_owned(), facet("1-2-0/SchemaDatasetFacet.json", json!({ "fields": fields })));
        }
        if let Some(version) = self.version {
            let version = json!({ "datasetVersion": version.to_string() });
            facets.insert("version".to_owned(), facet("1-0-1/DatasetVersionDatasetFacet.json", version));
        }
        Value::Object(facets)
    }

    fn column_lineage(&self) -> Value {
        let field = |(column, inputs): &(String, Vec<Input>)| {
            let input = |input: &Input| {
                let subtype = match input.how {
                    How::Same => "IDENTITY",
                    How::Computed | How::Window => "TRANSFORMATION",
                    How::Aggregate => "AGGREGATION",
                };
                let transformations = json!([{ "type": "DIRECT", "subtype": subtype }]);
                let Input { namespace, name, field, .. } = input;
                json!({ "namespace": namespace, "name": name, "field": field, "transformations": transformations })
            };
            let inputs: Vec<Value> = inputs.iter().map(input).collect();
            (column.clone(), json!({ "inputFields": inputs }))
        };
        let fields: Map<String, Value> = self.lineage.iter().map(field).collect();
        facet("1-2-0/ColumnLineageDatasetFacet.json", json!({ "fields": fields }))
    }
}
