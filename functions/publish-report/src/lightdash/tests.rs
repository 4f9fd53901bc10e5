//! The compiler on the shipped files and on planted faults.

use std::{collections::BTreeSet, path::Path};

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::*;
use crate::files::Files;

/// The day of `tests/analytics/shop.py`, which compares the snapshots with what Lightdash's own package gives.
const TODAY: (i32, u32, u32) = (2026, 3, 15);

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(TODAY.0, TODAY.1, TODAY.2).expect("a day")
}

fn shipped(dialect: Dialect) -> Files {
    Files::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dbt"), dialect).expect("the folder dbt")
}

/// Every view with its fields, and every tile with its SQL.
fn compiled(dialect: Dialect) -> Value {
    let files = shipped(dialect);
    assert_eq!(files.problems, [""; 0]);
    let tables = files.tables.values().map(|table| {
        (table.name.clone(), json!({"label": table.label, "relation": table.relation, "fields": table.fields}))
    });
    let mut tiles = serde_json::Map::new();
    for dashboard in &files.dashboards {
        for tile in dashboard.rows.iter().flatten() {
            let Tile::Chart { slug, chart, .. } = tile else { continue };
            let chart = files.charts[chart].clone().expect("a chart");
            let table = &files.tables[&chart.table];
            let query = Query::of(&dashboard.filtered(slug, chart, table), table, dialect, today()).expect("a query");
            let fields: Vec<&str> = query.fields.iter().map(|field| field.id.as_str()).collect();
            let query = json!({"fields": fields, "where": query.where_, "having": query.having, "sql": query.sql()});
            tiles.insert(format!("{}/{slug}", dashboard.slug), query);
        }
    }
    json!({"tables": tables.collect::<serde_json::Map<_, _>>(), "tiles": tiles})
}

#[test]
fn shipped_files_compile_to_what_is_compared_with_lightdash() {
    for (name, dialect) in [("snowflake", Dialect::Snowflake), ("duckdb", Dialect::DuckDb)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/lightdash/snapshots/{name}.json"));
        let text = serde_json::to_string_pretty(&compiled(dialect)).expect("JSON") + "\n";
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(&path, &text).expect("a writable snapshot");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text == kept, "{} is not what is compiled; UPDATE_SNAPSHOTS=1 accepts it", path.display());
    }
}

/// A small view, by the file that says it.
fn table(changes: Value) -> Compiled<Table> {
    let mut model = json!({"name": "t", "columns": [
        {"name": "day", "data_type": "date"},
        {"name": "at", "data_type": "datetime", "config": {"meta": {"dimension": {"time_intervals": ["MONTH"]}}}},
        {"name": "who", "data_type": "varchar", "config": {"meta": {"metrics": {"rows": {"type": "count"}}}}},
        {"name": "paid", "data_type": "decimal(38,2)", "config": {"meta": {"metrics": {
            "sum": {"type": "sum"}, "big": {"type": "sum", "filters": [{"paid": ">= 10.5"}]},
            "share": {"type": "number", "sql": "${big} / nullif(${sum}, 0)"}}}}}]});
    model.as_object_mut().expect("a mapping").extend(changes.as_object().expect("a mapping").clone());
    model::read("m.yml", &model, Dialect::Snowflake)
}

fn chart(query: Value, config: Value) -> Compiled<Chart> {
    let mut metric_query = json!({"exploreName": "t", "dimensions": ["t_who"], "metrics": ["t_sum"], "filters": {},
        "sorts": [], "limit": 7, "tableCalculations": []});
    metric_query.as_object_mut().expect("a mapping").extend(query.as_object().expect("a mapping").clone());
    let config = if config.is_null() { json!({"type": "table"}) } else { config };
    Chart::read(
        "c.yml",
        &json!({"name": "C", "slug": "c", "tableName": "t", "metricQuery": metric_query, "chartConfig": config}),
    )
}

fn sql(query: Value) -> Compiled<String> {
    let table = table(json!({}))?;
    Query::of(&chart(query, Value::Null)?, &table, Dialect::Snowflake, today()).map(|query| query.sql())
}

fn rule(field: &str, operator: &str, values: Value, settings: Value) -> Value {
    json!({"filters": {"dimensions": {"and": [
        {"target": {"fieldId": field}, "operator": operator, "values": values, "settings": settings}]}}})
}

#[test]
fn each_operator_has_the_text_that_lightdash_gives_it() {
    let none = json!({});
    for (field, operator, values, settings, expected) in [
        ("t_who", "equals", json!(["o'a\\b"]), &none, r#"(("t".who) IN ('o''a\\b'))"#),
        ("t_who", "equals", json!([]), &none, "(true)"),
        ("t_who", "notEquals", json!(["a", "b"]), &none, r#"((("t".who) NOT IN ('a','b') OR ("t".who) IS NULL))"#),
        ("t_who", "isNull", json!([]), &none, r#"(("t".who) IS NULL)"#),
        ("t_at", "notNull", json!([]), &none, r#"(("t".at) IS NOT NULL)"#),
        ("t_paid", "greaterThan", json!([1.5]), &none, r#"(("t".paid) > (1.5))"#),
        ("t_paid", "lessThanOrEqual", json!([2]), &none, r#"(("t".paid) <= (2))"#),
        ("t_day", "lessThan", json!(["2026-01-02"]), &none, r#"(("t".day) < ('2026-01-02'))"#),
        (
            "t_day",
            "inBetween",
            json!(["2026-01-02", "2026-02-01"]),
            &none,
            r#"((("t".day) >= ('2026-01-02') AND ("t".day) <= ('2026-02-01')))"#,
        ),
        (
            "t_day",
            "inThePast",
            json!([2]),
            &json!({"unitOfTime": "weeks"}),
            r#"((("t".day) >= ('2026-03-01') AND ("t".day) <= ('2026-03-15')))"#,
        ),
        (
            "t_day",
            "inThePast",
            json!([1]),
            &json!({"unitOfTime": "quarters", "completed": true}),
            r#"((("t".day) >= ('2025-10-01') AND ("t".day) < ('2026-01-01')))"#,
        ),
        (
            "t_day",
            "inThePast",
            json!([6]),
            &json!({"unitOfTime": "months", "completed": true}),
            r#"((("t".day) >= ('2025-09-01') AND ("t".day) < ('2026-03-01')))"#,
        ),
    ] {
        let sql = sql(rule(field, operator, values, settings.clone())).expect("compiled");
        let text = sql.lines().find_map(|line| line.strip_prefix("WHERE ")).expect("a condition");
        assert_eq!(text, format!("({expected})"), "{operator}");
    }
}

#[test]
fn a_day_that_a_month_lacks_is_the_months_last() {
    let group = rule("t_day", "inThePast", json!([1]), json!({"unitOfTime": "months"}));
    let chart = chart(group, Value::Null).expect("a chart");
    let day = NaiveDate::from_ymd_opt(2026, 3, 31).expect("a day");
    let query = Query::of(&chart, &table(json!({})).expect("a table"), Dialect::Snowflake, day).expect("a query");
    assert!(query.sql().contains("'2026-02-28'"), "{}", query.sql());
}

#[test]
fn a_metric_may_be_filtered_and_made_of_metrics() {
    let text = sql(json!({"metrics": ["t_share"], "filters": {"metrics": {"or": [
        {"target": {"fieldId": "t_rows"}, "operator": "greaterThan", "values": [3]}]}},
        "sorts": [{"fieldId": "t_share", "descending": true, "nullsFirst": false}]}));
    let big = r#"(SUM(CASE WHEN (("t".paid) >= (10.5)) THEN ("t".paid) ELSE NULL END))"#;
    let expected = format!(
        "WITH metrics AS (\nSELECT\n  \"t\".who AS \"t_who\",\n  {big} / nullif((SUM(\"t\".paid)), 0) AS \"t_share\",\n  \
        COUNT(\"t\".who) AS \"t_rows\"\nFROM ANALYTICS.REPORTING.t AS \"t\"\nGROUP BY 1\n)\nSELECT \"t_who\", \"t_share\" FROM metrics\n\
        WHERE (((\"t_rows\") > (3)))\nORDER BY \"t_share\" DESC NULLS LAST\nLIMIT 7"
    );
    assert_eq!(text.expect("compiled"), expected);
}

#[test]
fn what_is_not_compiled_is_an_error_that_names_file_and_key() {
    let refused = [
        (chart(json!({"additionalMetrics": []}), Value::Null).map(drop), "c.yml: unknown field `additionalMetrics`"),
        (chart(json!({"tableCalculations": [{}]}), Value::Null).map(drop), "c.yml: metricQuery.tableCalculations"),
        (chart(json!({"timezone": "Europe/London"}), Value::Null).map(drop), "c.yml: metricQuery.timezone"),
        (chart(json!({"filters": {"dimensions": {"xor": []}}}), Value::Null).map(drop), "c.yml: metricQuery.filters.dimensions: xor"),
        (chart(json!({"limt": 1}), Value::Null).map(drop), "c.yml: unknown field `limt`"),
        (chart(json!({}), json!({"type": "sankey"})).map(drop), "c.yml: chartConfig.config: charts of type sankey"),
        (chart(json!({}), json!({"type": "big_number", "config": {"selectedField": "t_x"}})).map(drop), "c.yml: chartConfig: t_x"),
        (chart(json!({"sorts": [{"fieldId": "t_who"}]}), Value::Null).map(drop), "missing field `nullsFirst`"),
        (sql(json!({"metrics": ["t_nope"]})).map(drop), "metricQuery.metrics: there is no field t_nope"),
        (sql(rule("t_at", "inThePast", json!([1]), json!({}))).map(drop), "filters: t_at: operator: inThePast on a timestamp"),
        (sql(rule("t_who", "include", json!(["a"]), json!({}))).map(drop), "filters: t_who: operator: include on a string"),
        (sql(rule("t_day", "inThePast", json!([1]), json!({"unitOfTime": "hours"}))).map(drop), "settings: 1 hours"),
        (sql(rule("t_paid", "equals", json!(["1) OR (1=1"]), json!({}))).map(drop), "is no number"),
        (table(json!({"config": {"meta": {"joins": []}}})).map(drop), "m.yml: t: config.meta: unknown field `joins`"),
        (table(json!({"columns": [{"name": "x", "data_type": "varchar", "config": {"meta": {"metrics": {"m": {"type": "sum", "labl": 1}}}}}]}))
            .map(drop), "m.yml: t.x.metrics.m: unknown field `labl`"),
        (table(json!({"columns": [{"name": "x", "data_type": "bigint", "config": {"meta": {"metrics": {"m": {"type": "running_total"}}}}}]}))
            .map(drop), "m.yml: t.x.metrics.m: type: running_total"),
        (table(json!({"columns": [{"name": "x", "data_type": "bigint", "config": {"meta": {"metrics": {"m": {"type": "number", "sql": "${m}"}}}}}]}))
            .map(drop), "it refers to itself"),
        (table(json!({"columns": [{"name": "x", "data_type": "timestamp_tz"}]})).map(drop), "m.yml: t.x: data_type: timestamp_tz"),
    ];
    for (outcome, expected) in refused {
        let why = outcome.expect_err(expected);
        assert!(why.contains(expected), "{why} says nothing of {expected}");
    }
}

fn dashboard(filters: Value) -> Dashboard {
    let tile = json!({"type": "saved_chart", "x": 0, "y": 0, "w": 12, "h": 3, "tileSlug": "c", "properties": {"chartSlug": "c"}});
    Dashboard::read(
        "d.yml",
        &json!({"name": "D", "slug": "d", "tabs": [], "tiles": [tile], "filters": {"dimensions": filters}}),
    )
    .expect("a dashboard")
}

#[test]
fn a_dashboards_filter_takes_the_place_of_the_charts_rule_on_the_field() {
    let who = |values: Value| json!({"target": {"fieldId": "t_who", "tableName": "t"}, "operator": "equals", "values": values});
    let table = table(json!({})).expect("a table");
    let filtered = |filters: Value, own: Value| {
        let chart = chart(own, Value::Null).expect("a chart");
        let chart = dashboard(filters).filtered("c", chart, &table);
        Query::of(&chart, &table, Dialect::Snowflake, today()).expect("a query").where_.unwrap_or_default()
    };
    let own = || rule("t_who", "equals", json!(["own"]), json!({}));
    assert_eq!(filtered(json!([who(json!(["theirs"]))]), own()), r#"((("t".who) IN ('theirs')))"#);
    assert_eq!(
        filtered(json!([who(json!([]))]), own()),
        r#"((("t".who) IN ('own')))"#,
        "without values it says nothing"
    );
    assert_eq!(filtered(json!([who(json!(["theirs"]))]), json!({})), r#"((("t".who) IN ('theirs')))"#);
    let mut elsewhere = who(json!(["theirs"]));
    elsewhere["tileTargets"] = json!({"c": false});
    assert_eq!(filtered(json!([elsewhere.clone()]), own()), r#"((("t".who) IN ('own')))"#);
    elsewhere["tileTargets"] = json!({"c": {"fieldId": "t_paid", "tableName": "t"}});
    elsewhere["values"] = json!([5]);
    assert_eq!(filtered(json!([elsewhere]), own()), r#"((("t".who) IN ('own')) AND (("t".paid) IN (5)))"#);
}

/// A view with an e-mail that is personal data.
fn with_email(columns: Value, metrics: Value) -> Compiled<Table> {
    let mut all =
        vec![json!({"name": "email", "data_type": "varchar", "config": {"meta": {"pii": true, "metrics": metrics}}})];
    all.extend(columns.as_array().expect("columns").clone());
    table(json!({"columns": all}))
}

#[test]
fn what_sql_may_show_of_personal_data_is_personal_data() {
    let metrics = json!({
        "last": {"type": "max"}, "of_sql": {"type": "number", "sql": "MAX(${TABLE}.EMAIL)"},
        "of_dimension": {"type": "max", "sql": "${email}"}, "of_metric": {"type": "number", "sql": "${of_sql}"},
        "middle": {"type": "median", "sql": "length(${TABLE}.email)"},
        "one": {"type": "count", "sql": "${id}", "filters": [{"email": "a@b.com"}]},
        "how_many": {"type": "count_distinct"}, "by_sql": {"type": "count", "sql": "${TABLE}.email"},
        "twice": {"type": "number", "sql": "${how_many} * 2"}, "other": {"type": "max", "sql": "${id}"},
    });
    let id = json!({"name": "id", "data_type": "bigint", "config": {"meta": {"additional_dimensions": {
        "domain": {"type": "string", "sql": "split_part(${TABLE}.\"email\", '@', 2)"},
        "email_kind": {"type": "string", "sql": "${TABLE}.email_kind"}}}}});
    let table = with_email(json!([id]), metrics).expect("a table");
    let pii: BTreeSet<&str> = table.fields.iter().filter(|field| field.pii).map(|field| &field.id[2..]).collect();
    assert_eq!(pii, ["domain", "email", "last", "middle", "of_dimension", "of_metric", "of_sql", "one"].into());
    let kind = |id: &str| table.field(id).map(|field| field.kind);
    assert_eq!((kind("t_of_dimension"), kind("t_other")), (Some(Kind::String), Some(Kind::Number)));
    let typeless = with_email(json!([]), json!({"m": {"type": "max", "sql": "${TABLE}.email"}})).expect_err("no type");
    assert!(typeless.contains("m.yml: t.email.metrics.m: type: min and max of SQL have no type"), "{typeless}");
}

#[test]
fn a_filter_that_names_a_personal_value_is_personal_data() {
    let id = json!([{"name": "who", "data_type": "varchar"}, {"name": "paid", "data_type": "bigint",
        "config": {"meta": {"metrics": {"sum": {"type": "sum"}}}}}]);
    let table = with_email(id, json!({})).expect("a table");
    let personal = |query: Value| {
        let chart = chart(query, Value::Null).expect("a chart");
        Query::of(&chart, &table, Dialect::Snowflake, today()).expect("a query").personal
    };
    assert_eq!(personal(rule("t_email", "equals", json!(["a@b.com"]), json!({}))), ["Email"]);
    assert_eq!(personal(rule("t_email", "notNull", json!([]), json!({}))), [""; 0], "it names no value");
    assert_eq!(personal(json!({"dimensions": ["t_email"]})), ["Email"]);
    assert_eq!(personal(json!({})), [""; 0]);
}
