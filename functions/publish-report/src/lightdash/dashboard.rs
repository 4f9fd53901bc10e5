//! A dashboard's file: tiles in rows, texts, and filters that reach tiles.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    Compiled,
    chart::Chart,
    field::Table,
    filters::{Group, Rule, Settings, Target},
    read,
};

#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    pub slug: String,
    pub name: String,
    /// From the top to the bottom, each from the left to the right.
    pub rows: Vec<Vec<Tile>>,
    rules: Vec<DashboardRule>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Tile {
    Chart { slug: String, chart: String, width: u8 },
    Text { title: String, content: String, width: u8 },
}

#[derive(Debug, Clone, PartialEq)]
struct DashboardRule {
    rule: Rule,
    /// By tile: none of it, or another field.
    targets: BTreeMap<String, Option<Target>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what says nothing about the tiles is let through and not read")]
struct File {
    content_type: Option<IgnoredAny>,
    version: Option<IgnoredAny>,
    space_slug: Option<IgnoredAny>,
    updated_at: Option<IgnoredAny>,
    downloaded_at: Option<IgnoredAny>,
    verified: Option<IgnoredAny>,
    description: Option<IgnoredAny>,
    name: String,
    slug: String,
    tabs: Vec<IgnoredAny>,
    tiles: Vec<Placed>,
    #[serde(default)]
    filters: Filters,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filters {
    #[serde(default)]
    dimensions: Vec<FilterFile>,
    #[serde(default)]
    metrics: Vec<IgnoredAny>,
    #[serde(default)]
    table_calculations: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FilterFile {
    target: Target,
    operator: String,
    #[serde(default)]
    values: Vec<Value>,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    disabled: bool,
    #[serde(default, rename = "label")]
    _label: Option<String>,
    #[serde(default)]
    tile_targets: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Placed {
    #[serde(rename = "type")]
    kind: String,
    x: u16,
    y: u16,
    w: u8,
    #[serde(rename = "h")]
    _height: IgnoredAny,
    tile_slug: Option<String>,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Properties {
    chart_slug: Option<String>,
    title: Option<String>,
    content: Option<String>,
}

impl Dashboard {
    pub fn read(file: &str, value: &Value) -> Compiled<Self> {
        let mut dashboard: File = read(file, value)?;
        for (key, is_empty) in [
            ("tabs", dashboard.tabs.is_empty()),
            ("filters.metrics", dashboard.filters.metrics.is_empty()),
            ("filters.tableCalculations", dashboard.filters.table_calculations.is_empty()),
        ] {
            if !is_empty {
                return Err(format!("{file}: {key}: they are not compiled"));
            }
        }
        dashboard.tiles.sort_by_key(|tile| (tile.y, tile.x));
        let (mut rows, mut row) = (Vec::<Vec<Tile>>::new(), None);
        let tile = |tile: Placed| match (tile.kind.as_str(), tile.properties) {
            ("saved_chart", Properties { chart_slug: Some(chart), .. }) => {
                let slug = tile.tile_slug.ok_or_else(|| format!("{file}: the tile of {chart} needs a tileSlug"))?;
                Ok(Tile::Chart { slug, chart, width: tile.w })
            }
            ("markdown", Properties { title: Some(title), content: Some(content), .. }) => {
                Ok(Tile::Text { title, content, width: tile.w })
            }
            (other, _) => Err(format!("{file}: tiles of type {other} are not compiled, or lack what they show")),
        };
        let rule = |filter: FilterFile| {
            let target = |(tile, value): (String, Value)| match value {
                Value::Bool(false) => Ok((tile, None)),
                value => read(&format!("{file}: filters.dimensions.tileTargets.{tile}"), &value)
                    .map(|target| (tile, Some(target))),
            };
            let targets = filter.tile_targets.into_iter().map(target).collect::<Compiled<_>>()?;
            let rule = Rule::new(filter.target, filter.operator, filter.values, filter.settings, filter.disabled);
            Ok(DashboardRule { rule, targets })
        };
        for placed in dashboard.tiles {
            if row.replace(placed.y) != Some(placed.y) {
                rows.push(Vec::new());
            }
            let tile = tile(placed)?;
            if let Some(row) = rows.last_mut() {
                row.push(tile);
            }
        }
        Ok(Dashboard {
            rows,
            rules: dashboard.filters.dimensions.into_iter().map(rule).collect::<Compiled<_>>()?,
            slug: dashboard.slug,
            name: dashboard.name,
        })
    }

    /// The chart with those of the dashboard's filters that reach the tile. One without values reaches none.
    pub fn filtered(&self, tile: &str, mut chart: Chart, table: &Table) -> Chart {
        let mut rules = Vec::new();
        for DashboardRule { rule, targets } in &self.rules {
            let needs_values = !matches!(rule.operator.as_str(), "isNull" | "notNull");
            if rule.disabled || needs_values && rule.values.is_empty() {
                continue;
            }
            let target = match targets.get(tile) {
                Some(None) => continue,
                Some(Some(target)) => target,
                None => &rule.target,
            };
            if table.field(&target.field_id).is_some() {
                let mut rule = rule.clone();
                rule.target = target.clone();
                rules.push(rule);
            }
        }
        if !rules.is_empty() {
            let own = chart.where_.take().unwrap_or_else(Group::nothing);
            chart.where_ = Some(own.overridden(&rules));
        }
        chart
    }
}
