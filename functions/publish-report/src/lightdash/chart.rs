//! A chart's file: its query, and how it is drawn.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{Compiled, filters::Group, read};

/// A chart as its file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    pub slug: String,
    pub name: String,
    pub description: Option<String>,
    pub table: String,
    pub dimensions: Vec<String>,
    pub metrics: Vec<String>,
    pub(super) where_: Option<Group>,
    pub(super) having: Option<Group>,
    pub(super) sorts: Vec<Sort>,
    pub limit: u64,
    /// The dimension whose values are series.
    pub pivot: Option<String>,
    pub drawing: Drawing,
}

/// How a chart is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Drawing {
    BigNumber { field: String, label: Option<String> },
    Cartesian { x: String, series: Vec<Series>, flipped: bool, x_name: Option<String>, y_name: Option<String> },
    Pie { group: String, metric: String },
    Table,
}

/// One field that is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub field: String,
    pub name: Option<String>,
    pub is_line: bool,
    pub color: Option<String>,
    pub stack: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Sort {
    pub field_id: String,
    #[serde(default)]
    pub descending: bool,
    /// Warehouses differ about nulls, so a sort says where they go.
    pub nulls_first: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what says nothing about the query or the drawing is let through and not read")]
struct File {
    content_type: Option<IgnoredAny>,
    version: Option<IgnoredAny>,
    space_slug: Option<IgnoredAny>,
    table_config: Option<IgnoredAny>,
    updated_at: Option<IgnoredAny>,
    downloaded_at: Option<IgnoredAny>,
    verified: Option<IgnoredAny>,
    dashboard_slug: Option<IgnoredAny>,
    name: String,
    description: Option<String>,
    slug: String,
    table_name: String,
    metric_query: MetricQuery,
    pivot_config: Option<PivotConfig>,
    chart_config: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MetricQuery {
    explore_name: String,
    dimensions: Vec<String>,
    metrics: Vec<String>,
    filters: Filters,
    sorts: Vec<Sort>,
    limit: u64,
    table_calculations: Vec<IgnoredAny>,
    timezone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filters {
    dimensions: Option<Value>,
    metrics: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PivotConfig {
    columns: Vec<String>,
}

impl Chart {
    pub fn read(file: &str, value: &Value) -> Compiled<Self> {
        let chart: File = read(file, value)?;
        let query = chart.metric_query;
        let refuse = |key: &str, why: &str| Err(format!("{file}: metricQuery.{key}: {why}"));
        if query.explore_name != chart.table_name {
            return refuse("exploreName", "it differs from tableName");
        }
        if !query.table_calculations.is_empty() {
            return refuse("tableCalculations", "they are not compiled");
        }
        if query.timezone.is_some_and(|zone| zone != "UTC") {
            return refuse("timezone", "only UTC is compiled");
        }
        let group = |key: &str, value: &Option<Value>| {
            let place = format!("{file}: metricQuery.filters.{key}");
            value.as_ref().map(|value| Group::read(&place, value)).transpose()
        };
        let pivot = match chart.pivot_config.map(|pivot| pivot.columns).unwrap_or_default() {
            columns if columns.len() > 1 => return Err(format!("{file}: pivotConfig.columns: one is compiled")),
            columns => columns.into_iter().next(),
        };
        let chart = Chart {
            slug: chart.slug,
            name: chart.name,
            description: chart.description,
            table: chart.table_name,
            where_: group("dimensions", &query.filters.dimensions)?,
            having: group("metrics", &query.filters.metrics)?,
            dimensions: query.dimensions,
            metrics: query.metrics,
            sorts: query.sorts,
            limit: query.limit,
            pivot,
            drawing: drawing(&format!("{file}: chartConfig"), &chart.chart_config)?,
        };
        match chart.shown().into_iter().find(|id| !chart.dimensions.contains(id) && !chart.metrics.contains(id)) {
            Some(id) => Err(format!("{file}: chartConfig: {id} is not in the query")),
            None => Ok(chart),
        }
    }

    /// What drawing, order and pivot name.
    fn shown(&self) -> Vec<&String> {
        let mut ids: Vec<&String> = self.pivot.iter().chain(self.sorts.iter().map(|sort| &sort.field_id)).collect();
        match &self.drawing {
            Drawing::BigNumber { field, .. } => ids.push(field),
            Drawing::Cartesian { x, series, .. } => {
                ids.push(x);
                ids.extend(series.iter().map(|series| &series.field));
            }
            Drawing::Pie { group, metric } => ids.extend([group, metric]),
            Drawing::Table => {}
        }
        ids
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    config: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BigNumber {
    selected_field: String,
    label: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Cartesian {
    layout: Layout,
    e_charts_config: ECharts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Layout {
    x_field: String,
    y_field: Vec<String>,
    #[serde(default)]
    flip_axes: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ECharts {
    series: Vec<Drawn>,
    #[serde(default)]
    x_axis: Vec<Axis>,
    #[serde(default)]
    y_axis: Vec<Axis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Axis {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Drawn {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    color: Option<String>,
    stack: Option<String>,
    encode: Encode,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Encode {
    x_ref: Reference,
    y_ref: Reference,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    field: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the report has one look for all pies")]
struct Pie {
    group_field_ids: Vec<String>,
    metric_id: String,
    is_donut: Option<IgnoredAny>,
    value_label: Option<IgnoredAny>,
    show_legend: Option<IgnoredAny>,
}

fn drawing(place: &str, value: &Value) -> Compiled<Drawing> {
    let config: Config = read(place, value)?;
    let place = format!("{place}.config");
    match config.kind.as_str() {
        "table" => Ok(Drawing::Table),
        "big_number" => {
            let BigNumber { selected_field: field, label } = read(&place, &config.config)?;
            Ok(Drawing::BigNumber { field, label })
        }
        "pie" => {
            let pie: Pie = read(&place, &config.config)?;
            let [group] = <[String; 1]>::try_from(pie.group_field_ids)
                .map_err(|_| format!("{place}.groupFieldIds: one is compiled"))?;
            Ok(Drawing::Pie { group, metric: pie.metric_id })
        }
        "cartesian" => cartesian(&place, &config.config),
        other => Err(format!("{place}: charts of type {other} are not compiled")),
    }
}

fn cartesian(place: &str, value: &Value) -> Compiled<Drawing> {
    let Cartesian { layout, e_charts_config: echarts } = read(place, value)?;
    let mut series = Vec::new();
    for drawn in echarts.series {
        let is_line = match drawn.kind.as_str() {
            "line" => true,
            "bar" => false,
            other => return Err(format!("{place}.eChartsConfig.series: type {other} is not compiled")),
        };
        let field = drawn.encode.y_ref.field;
        if drawn.encode.x_ref.field != layout.x_field || !layout.y_field.contains(&field) {
            return Err(format!("{place}.eChartsConfig.series: {field} is not what layout names"));
        }
        series.push(Series { field, name: drawn.name, is_line, color: drawn.color, stack: drawn.stack });
    }
    let name = |axes: Vec<Axis>| axes.into_iter().next().map(|axis| axis.name);
    Ok(Drawing::Cartesian {
        x: layout.x_field,
        series,
        flipped: layout.flip_axes,
        x_name: name(echarts.x_axis),
        y_name: name(echarts.y_axis),
    })
}
