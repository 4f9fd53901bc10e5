//! The SELECT of a chart, as Lightdash's server makes it.

use chrono::NaiveDate;

use super::{
    Compiled, Dialect,
    chart::{Chart, Sort},
    field::{Field, Table},
    filters::Group,
};

/// A chart that can be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// In the order of the columns.
    pub fields: Vec<Field>,
    pub where_: Option<String>,
    pub having: Option<String>,
    pub limit: u64,
    /// The labels of what is personal data among the columns and in the filters.
    pub personal: Vec<String>,
    /// Some rule counts from today.
    pub is_relative: bool,
    /// Without its limit.
    unlimited: String,
}

impl Query {
    /// Asks whether the warehouse answers at all.
    pub const ANYTHING: &str = "SELECT 1 AS \"one\"";

    /// `today` is the day from which filters such as "in the past 90 days" count.
    pub fn of(chart: &Chart, table: &Table, dialect: Dialect, today: NaiveDate) -> Compiled<Self> {
        let sql = |group: &Option<Group>| match group {
            Some(group) => group.sql(table, dialect, today),
            None => Ok(None),
        };
        let (where_, having) = (sql(&chart.where_)?, sql(&chart.having)?);
        let shown: Vec<&String> = chart.dimensions.iter().chain(&chart.metrics).collect();
        let mut fields = Vec::new();
        for (place, ids, is_metric) in [("dimensions", &chart.dimensions, false), ("metrics", &chart.metrics, true)] {
            for id in ids {
                let field = table.require(id).map_err(|why| format!("metricQuery.{place}: {why}"))?;
                if field.is_metric != is_metric {
                    return Err(format!("metricQuery.{place}: {id} is the other kind of field"));
                }
                fields.push(field.clone());
            }
        }
        // What only a filter needs is computed and not shown.
        let mut selected: Vec<&Field> = fields.iter().collect();
        for id in chart.having.iter().flat_map(Group::fields) {
            if !selected.iter().any(|field| field.id == id) {
                selected.push(table.require(id)?);
            }
        }
        let columns: Vec<String> =
            selected.iter().map(|field| format!("  {} AS \"{}\"", field.sql, field.id)).collect();
        let mut core = format!("SELECT\n{}\nFROM {} AS \"{}\"", columns.join(",\n"), table.relation, table.name);
        if let Some(text) = &where_ {
            core.push_str(&format!("\nWHERE {text}"));
        }
        if !chart.dimensions.is_empty() {
            let numbers: Vec<String> = (1..=chart.dimensions.len()).map(|number| number.to_string()).collect();
            core.push_str(&format!("\nGROUP BY {}", numbers.join(", ")));
        }
        if let Some(text) = &having {
            let shown: Vec<String> = shown.iter().map(|id| format!("\"{id}\"")).collect();
            core = format!("WITH metrics AS (\n{core}\n)\nSELECT {} FROM metrics\nWHERE {text}", shown.join(", "));
        }
        // One row has no order.
        if !chart.dimensions.is_empty() && !chart.sorts.is_empty() {
            let sorts: Vec<String> = chart.sorts.iter().map(sort_sql).collect();
            core.push_str(&format!("\nORDER BY {}", sorts.join(", ")));
        }
        let compared = chart.where_.iter().chain(&chart.having).flat_map(Group::compared);
        let compared =
            compared.filter_map(|id| table.field(id)).filter(|field| !fields.iter().any(|f| f.id == field.id));
        let personal =
            fields.iter().chain(compared).filter(|field| field.pii).map(|field| field.label.clone()).collect();
        let is_relative = chart.where_.as_ref().is_some_and(Group::is_relative);
        Ok(Query { fields, where_, having, limit: chart.limit, personal, is_relative, unlimited: core })
    }

    pub fn sql(&self) -> String {
        self.with_limit(self.limit)
    }

    pub fn with_limit(&self, limit: u64) -> String {
        format!("{}\nLIMIT {limit}", self.unlimited)
    }

    /// The newest value of the column that says how far a view's data reaches.
    pub fn newest(table: &Table) -> Option<String> {
        let column = table.time_column.as_ref()?;
        Some(format!("SELECT MAX({column}) AS \"newest\" FROM {}", table.relation))
    }
}

fn sort_sql(Sort { field_id, descending, nulls_first }: &Sort) -> String {
    let direction = if *descending { " DESC" } else { "" };
    format!("\"{field_id}\"{direction} NULLS {}", if *nulls_first { "FIRST" } else { "LAST" })
}
