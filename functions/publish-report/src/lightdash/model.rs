//! A view's dimensions and metrics: what dbt's YAML says of it, compiled to SQL.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{
    Compiled, Dialect,
    field::{Field, Kind, Table},
    filters,
};

/// Reads a model of a file of dbt.
pub fn read(file: &str, model: &Value, dialect: Dialect) -> Compiled<Table> {
    let model: Model = super::read(file, model)?;
    let place = format!("{file}: {}", model.name);
    let meta: ModelMeta = meta(&place, &model.config)?;
    let name = &model.name;
    let mut table = Table {
        name: name.clone(),
        label: meta.label.unwrap_or_else(|| name.clone()),
        relation: dialect.relation(name),
        time_column: meta.default_time_dimension.map(|dimension| dimension.field),
        fields: Vec::new(),
    };
    let mut metrics = Vec::new();
    let mut columns = Vec::new();
    for column in &model.columns {
        let place = format!("{place}.{}", column.name);
        columns.push((column, self::meta::<ColumnMeta>(&place, &column.config)?));
    }
    let personal = Personal(columns.iter().filter(|(_, meta)| meta.pii).map(|(column, _)| &*column.name).collect());
    for (column, meta) in &columns {
        let column = *column;
        let place = format!("{place}.{}", column.name);
        for dimension in dimensions(&table, column, meta, dialect, &personal, &place)? {
            table.add(dimension, &place)?;
        }
        for (metric, value) in &meta.metrics {
            metrics.push((metric.clone(), column, super::read::<Metric>(&format!("{place}.metrics.{metric}"), value)?));
        }
    }
    for (metric, column, _) in &metrics {
        let compile = Compile { table: &table, metrics: &metrics, dialect, personal: &personal };
        let field = compile
            .metric(metric, column, 0)
            .map_err(|why| format!("{place}.{}.metrics.{metric}: {why}", column.name))?;
        let place = format!("{place}.{}", column.name);
        // A table is borrowed by what compiles, so it grows behind it.
        table.add(field, &place)?;
    }
    Ok(table)
}

#[derive(Deserialize)]
struct Model {
    name: String,
    #[serde(default)]
    config: Option<Value>,
    #[serde(default)]
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    data_type: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    config: Option<Value>,
}

/// What stands under `config.meta`, or nothing.
fn meta<T: serde::de::DeserializeOwned>(place: &str, config: &Option<Value>) -> Compiled<T> {
    let none = Value::Object(Map::new());
    let meta = config.as_ref().and_then(|config| config.get("meta")).unwrap_or(&none);
    super::read(&format!("{place}: config.meta"), meta)
}

/// `joins`, `sql_filter` and what else would change a query are no keys here, so they are refused by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what does not change a query is let through and not read")]
struct ModelMeta {
    label: Option<String>,
    default_time_dimension: Option<TimeDimension>,
    groups: Option<IgnoredAny>,
    primary_key: Option<IgnoredAny>,
    owner: Option<IgnoredAny>,
    readers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct TimeDimension {
    field: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnMeta {
    #[serde(default)]
    pii: bool,
    #[serde(default)]
    dimension: Dimension,
    #[serde(default)]
    additional_dimensions: Map<String, Value>,
    #[serde(default)]
    metrics: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dimension {
    #[serde(rename = "type")]
    kind: Option<String>,
    label: Option<String>,
    description: Option<String>,
    sql: Option<String>,
    format: Option<String>,
    #[serde(default)]
    hidden: bool,
    time_intervals: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    #[serde(rename = "type")]
    aggregate: String,
    label: Option<String>,
    description: Option<String>,
    sql: Option<String>,
    format: Option<String>,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    filters: Vec<Map<String, Value>>,
    percentile: Option<f64>,
    #[serde(default, rename = "tags")]
    _tags: Option<IgnoredAny>,
}

/// The columns of a model that are marked as personal data.
struct Personal<'a>(Vec<&'a str>);

impl Personal<'_> {
    /// Whether SQL may show one of them: it names it anywhere, in any case.
    fn is_named_in(&self, sql: &str) -> bool {
        let mut names = sql.split(|c: char| !c.is_alphanumeric() && c != '_');
        names.any(|name| self.0.iter().any(|column| column.eq_ignore_ascii_case(name)))
    }
}

/// A column's dimensions: its own, one for each interval of a day or a moment, and the additional ones.
fn dimensions(
    table: &Table,
    column: &Column,
    meta: &ColumnMeta,
    dialect: Dialect,
    personal: &Personal,
    place: &str,
) -> Compiled<Vec<Field>> {
    let own = format!("\"{}\".{}", table.name, column.name);
    let with_table = |sql: &String| sql.replace("${TABLE}", &format!("\"{}\"", table.name));
    let field = |name: &str, dimension: &Dimension, description: Option<&String>| -> Compiled<Field> {
        let sql = dimension.sql.as_ref().map_or_else(|| own.clone(), with_table);
        if let Some(at) = sql.find("${") {
            return Err(format!("{place}: a dimension of other fields is not compiled: {}", &sql[at..]));
        }
        let kind = kind(dimension.kind.as_deref(), &column.data_type).map_err(|why| format!("{place}: {why}"))?;
        Ok(Field {
            id: table.id(name),
            is_metric: false,
            type_name: kind.as_str().to_owned(),
            kind,
            label: dimension.label.clone().unwrap_or_else(|| friendly(name)),
            description: dimension.description.as_ref().or(description).cloned(),
            format: dimension.format.clone(),
            interval: None,
            hidden: dimension.hidden,
            pii: meta.pii || personal.is_named_in(&sql),
            sql,
        })
    };
    let own_field = field(&column.name, &meta.dimension, column.description.as_ref())?;
    let mut fields = vec![own_field.clone()];
    if matches!(own_field.kind, Kind::Date | Kind::Timestamp) {
        let usual = || ["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"].map(str::to_owned).to_vec();
        for interval in meta.dimension.time_intervals.clone().unwrap_or_else(usual) {
            fields.push(at_interval(&own_field, &interval, dialect).map_err(|why| format!("{place}: {why}"))?);
        }
    }
    for (name, value) in &meta.additional_dimensions {
        let dimension: Dimension = super::read(&format!("{place}.additional_dimensions.{name}"), value)?;
        fields.push(field(name, &dimension, column.description.as_ref())?);
    }
    Ok(fields)
}

fn at_interval(field: &Field, interval: &str, dialect: Dialect) -> Compiled<Field> {
    let word = match interval {
        "DAY" | "MONTH" | "QUARTER" | "YEAR" => interval.to_lowercase(),
        "WEEK" => "Week from Monday".to_owned(),
        other => return Err(format!("time_intervals: {other} is not compiled")),
    };
    let sql = match (interval, dialect) {
        ("WEEK", Dialect::DuckDb) => {
            format!("(DATE_TRUNC('WEEK', ({} - interval '0 days')) + interval '0 days')", field.sql)
        }
        _ => format!("DATE_TRUNC('{interval}', {})", field.sql),
    };
    Ok(Field {
        id: format!("{}_{}", field.id, interval.to_lowercase()),
        type_name: Kind::Date.as_str().to_owned(),
        kind: Kind::Date,
        label: format!("{} {word}", field.label),
        interval: Some(interval.to_owned()),
        sql,
        ..field.clone()
    })
}

/// What is said, or what the type of the contract says. Moments are UTC without a zone, so that no session's zone moves one.
fn kind(said: Option<&str>, data_type: &str) -> Compiled<Kind> {
    let name = data_type.split('(').next().unwrap_or_default().to_lowercase();
    Ok(match (said, name.as_str()) {
        (Some("string"), _) => Kind::String,
        (Some("number"), _) => Kind::Number,
        (Some("boolean"), _) => Kind::Boolean,
        (Some("date"), _) => Kind::Date,
        (Some(other), _) => return Err(format!("type: {other} is not compiled")),
        (None, "date") => Kind::Date,
        (None, "datetime" | "timestamp" | "timestamp_ntz") => Kind::Timestamp,
        (None, "boolean") => Kind::Boolean,
        (None, "bigint" | "integer" | "decimal" | "number" | "double" | "float") => Kind::Number,
        (None, "varchar" | "text" | "string") => Kind::String,
        (None, other) => return Err(format!("data_type: {other} is not compiled")),
    })
}

/// `unpriced_lines` → `Unpriced lines`
fn friendly(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut letters = spaced.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

/// What a metric may refer to.
struct Compile<'a> {
    table: &'a Table,
    metrics: &'a [(String, &'a Column, Metric)],
    dialect: Dialect,
    personal: &'a Personal<'a>,
}

/// SQL, whether it may show personal data, and the dimension that it is, where it is nothing else.
struct Resolved<'a> {
    sql: String,
    pii: bool,
    dimension: Option<&'a Field>,
}

/// A metric of metrics of metrics: deeper is a circle.
const DEEPEST: usize = 8;

impl Compile<'_> {
    fn metric(&self, name: &str, column: &Column, depth: usize) -> Compiled<Field> {
        if depth > DEEPEST {
            return Err("it refers to itself".to_owned());
        }
        let found = self.metrics.iter().find(|(other, _, _)| other == name);
        let (_, _, metric) = found.ok_or_else(|| format!("there is no metric {name}"))?;
        let base = match &metric.sql {
            Some(sql) => self.resolved(sql, metric.aggregate == "number", depth)?,
            None => Resolved::of(self.table.require(&self.table.id(&column.name))?),
        };
        let (conditions, condition_pii) = self.conditions(&metric.filters)?;
        let filtered = match metric.filters.is_empty() {
            true => base.sql,
            false => format!("CASE WHEN ({conditions}) THEN ({}) ELSE NULL END", base.sql),
        };
        let sql = self.aggregate(metric, &filtered)?;
        let kind = match (metric.aggregate.as_str(), base.dimension) {
            ("min" | "max", Some(dimension)) => dimension.kind,
            ("min" | "max", None) => {
                return Err(
                    "type: min and max of SQL have no type; make it a dimension, and sql: ${that dimension}".to_owned()
                );
            }
            _ => Kind::Number,
        };
        // How many there are says nothing of one; anything else may be the value of a single row.
        let is_count = matches!(metric.aggregate.as_str(), "count" | "count_distinct");
        let pii = condition_pii || (base.pii && !is_count);
        Ok(Field {
            id: self.table.id(name),
            is_metric: true,
            type_name: metric.aggregate.clone(),
            kind,
            label: metric.label.clone().unwrap_or_else(|| friendly(name)),
            description: metric.description.clone(),
            format: metric.format.clone(),
            interval: None,
            hidden: metric.hidden,
            pii,
            sql,
        })
    }

    fn aggregate(&self, metric: &Metric, sql: &str) -> Compiled<String> {
        let percentile = |share: f64| match self.dialect {
            Dialect::Snowflake => format!("PERCENTILE_CONT({share}) WITHIN GROUP (ORDER BY {sql})"),
            Dialect::DuckDb => format!("QUANTILE_CONT({sql}, {share})"),
        };
        Ok(match metric.aggregate.as_str() {
            "average" => format!("AVG({sql})"),
            "count" => format!("COUNT({sql})"),
            "count_distinct" => format!("COUNT(DISTINCT {sql})"),
            "max" => format!("MAX({sql})"),
            "min" => format!("MIN({sql})"),
            "sum" => format!("SUM({sql})"),
            "median" if self.dialect == Dialect::DuckDb => format!("MEDIAN({sql})"),
            "median" => percentile(0.5),
            "percentile" => percentile(metric.percentile.unwrap_or(50.0) / 100.0),
            "number" => sql.to_owned(),
            other => return Err(format!("type: {other} is not compiled")),
        })
    }

    /// SQL with each `${…}` in its place: the table, a dimension, and in a metric of metrics a metric, in parentheses.
    fn resolved(&self, sql: &str, of_metrics: bool, depth: usize) -> Compiled<Resolved<'_>> {
        let dimension =
            |name: &str| self.table.fields.iter().find(|field| !field.is_metric && field.id == self.table.id(name));
        let alone = sql.trim().strip_prefix("${").and_then(|rest| dimension(rest.strip_suffix('}')?));
        if let Some(alone) = alone {
            return Ok(Resolved { sql: format!("({})", alone.sql), ..Resolved::of(alone) });
        }
        let mut pieces = sql.split("${");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        let mut pii = self.personal.is_named_in(&text);
        for piece in pieces {
            let (name, rest) = piece.split_once('}').ok_or("sql: a ${ has no }")?;
            if name == "TABLE" {
                text.push_str(&format!("\"{}\"", self.table.name));
            } else if let Some(dimension) = dimension(name) {
                text.push_str(&format!("({})", dimension.sql));
                pii |= dimension.pii;
            } else {
                let other = self.metrics.iter().find(|(other, _, _)| other == name && of_metrics);
                let (_, column, _) = other.ok_or_else(|| format!("sql: there is no {name} to refer to"))?;
                let other = self.metric(name, column, depth + 1)?;
                text.push_str(&format!("({})", other.sql));
                pii |= other.pii;
            }
            text.push_str(rest);
            pii |= self.personal.is_named_in(rest);
        }
        Ok(Resolved { sql: text, pii, dimension: None })
    }

    /// The filters of a metric: `{is_known: true}`, `{total_transactions: "> 0"}`; and whether one names personal data.
    fn conditions(&self, filters: &[Map<String, Value>]) -> Compiled<(String, bool)> {
        let (mut texts, mut pii) = (Vec::new(), false);
        for (name, value) in filters.iter().flatten() {
            let field = self.table.require(&self.table.id(name)).map_err(|why| format!("filters: {why}"))?;
            let rule = filters::of_metric(name, value)?;
            texts.push(filters::rule_sql(&rule, field, self.dialect, None)?);
            pii |= field.pii;
        }
        Ok((texts.join(" AND "), pii))
    }
}

impl<'a> Resolved<'a> {
    fn of(dimension: &'a Field) -> Self {
        Resolved { sql: dimension.sql.clone(), pii: dimension.pii, dimension: Some(dimension) }
    }
}
