//! Filter rules as SQL, with the very texts that Lightdash renders.

use chrono::{Datelike, Days, Months, NaiveDate};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Compiled, Dialect,
    field::{Field, Kind, Table},
    read,
};

/// One condition on a field.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(default, rename = "id")]
    _id: Option<String>,
    pub target: Target,
    pub operator: String,
    #[serde(default)]
    pub values: Vec<Value>,
    #[serde(default)]
    pub settings: Settings,
    #[serde(default)]
    pub disabled: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Target {
    pub field_id: String,
    #[serde(default)]
    pub table_name: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(default)]
    unit_of_time: Option<String>,
    #[serde(default)]
    completed: bool,
}

/// Rules and groups that all hold, or of which one does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub all: bool,
    pub items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Rule(Rule),
    Group(Group),
}

impl Rule {
    pub(super) fn new(
        target: Target,
        operator: String,
        values: Vec<Value>,
        settings: Settings,
        disabled: bool,
    ) -> Self {
        Rule { _id: None, target, operator, values, settings, disabled }
    }
}

impl Group {
    pub(super) fn nothing() -> Self {
        Group { all: true, items: Vec::new() }
    }

    /// The ids of the fields that rules are about.
    pub(super) fn fields(&self) -> Vec<&str> {
        let mut ids = Vec::new();
        for item in &self.items {
            match item {
                Item::Group(group) => ids.extend(group.fields()),
                Item::Rule(rule) => ids.push(rule.target.field_id.as_str()),
            }
        }
        ids
    }

    /// Reads `{and: […]}` or `{or: […]}`.
    pub(super) fn read(place: &str, value: &Value) -> Compiled<Self> {
        let fields = value.as_object().ok_or_else(|| format!("{place}: a group is a mapping of and or or"))?;
        if let Some(key) = fields.keys().find(|key| !["and", "or", "id"].contains(&key.as_str())) {
            return Err(format!("{place}: {key} is not compiled"));
        }
        let (all, items) = match (fields.get("and"), fields.get("or")) {
            (Some(items), None) => (true, items),
            (None, Some(items)) => (false, items),
            _ => return Err(format!("{place}: a group has either and or or")),
        };
        let place = format!("{place}.{}", if all { "and" } else { "or" });
        let items = items.as_array().ok_or_else(|| format!("{place} is no list"))?;
        let item = |(at, value): (usize, &Value)| {
            let place = format!("{place}[{at}]");
            match value.get("target") {
                Some(_) => read(&place, value).map(Item::Rule),
                None => Group::read(&place, value).map(Item::Group),
            }
        };
        Ok(Group { all, items: items.iter().enumerate().map(item).collect::<Compiled<_>>()? })
    }

    /// With the rules of a dashboard: one takes the place of what the chart says of the same field, and both never hold.
    pub(super) fn overridden(mut self, rules: &[Rule]) -> Self {
        let mut left = rules.to_vec();
        self.replace(rules, &mut left);
        let mut items = if self.all { self.items } else { vec![Item::Group(self)] };
        items.extend(left.into_iter().map(Item::Rule));
        Group { all: true, items }
    }

    fn replace(&mut self, rules: &[Rule], left: &mut Vec<Rule>) {
        for item in &mut self.items {
            match item {
                Item::Group(group) => group.replace(rules, left),
                Item::Rule(rule) => {
                    if let Some(by) = rules.iter().find(|by| by.target.field_id == rule.target.field_id) {
                        left.retain(|other| other.target.field_id != by.target.field_id);
                        *rule = by.clone();
                    }
                }
            }
        }
    }

    /// Each rule and group in parentheses; `None` when there is nothing to say.
    pub(super) fn sql(&self, table: &Table, dialect: Dialect, today: NaiveDate) -> Compiled<Option<String>> {
        let mut texts = Vec::new();
        for item in &self.items {
            match item {
                Item::Group(group) => texts.extend(group.sql(table, dialect, today)?),
                Item::Rule(rule) => {
                    let id = &rule.target.field_id;
                    let field = table.require(id).map_err(|why| format!("filters: {why}"))?;
                    let text =
                        rule_sql(rule, field, dialect, Some(today)).map_err(|why| format!("filters: {id}: {why}"))?;
                    texts.push(format!("({text})"));
                }
            }
        }
        let between = if self.all { " AND " } else { " OR " };
        Ok((!texts.is_empty()).then(|| format!("({})", texts.join(between))))
    }

    /// The ids of the fields whose values rules name. That there is one or none tells no value.
    pub(super) fn compared(&self) -> Vec<&str> {
        let mut ids = Vec::new();
        for item in &self.items {
            match item {
                Item::Group(group) => ids.extend(group.compared()),
                Item::Rule(rule) if rule.disabled || matches!(rule.operator.as_str(), "isNull" | "notNull") => {}
                Item::Rule(rule) => ids.push(rule.target.field_id.as_str()),
            }
        }
        ids
    }

    /// Whether a rule counts from today.
    pub(super) fn is_relative(&self) -> bool {
        self.items.iter().any(|item| match item {
            Item::Group(group) => group.is_relative(),
            Item::Rule(rule) => rule.operator == "inThePast" && !rule.disabled,
        })
    }
}

/// A filter of a metric: a value, or an operator with a number.
pub(super) fn of_metric(name: &str, value: &Value) -> Compiled<Rule> {
    let compared = value.as_str().and_then(|text| {
        let operators =
            [(">=", "greaterThanOrEqual"), ("<=", "lessThanOrEqual"), (">", "greaterThan"), ("<", "lessThan")];
        operators.into_iter().find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?.trim())))
    });
    let (operator, value) = match compared {
        Some((operator, text)) => {
            let number = text.parse::<serde_json::Number>();
            (operator, Value::Number(number.map_err(|_| format!("filters: {name}: {text} is no number"))?))
        }
        None if value
            .as_str()
            .is_some_and(|text| text.starts_with(['!', '%']) || text.contains('%') || text == "null") =>
        {
            return Err(format!("filters: {name}: {value} is not compiled"));
        }
        None => ("equals", value.clone()),
    };
    let target = Target { field_id: name.to_owned(), table_name: None };
    let settings = Settings::default();
    Ok(Rule::new(target, operator.to_owned(), vec![value], settings, false))
}

pub(super) fn rule_sql(rule: &Rule, field: &Field, dialect: Dialect, today: Option<NaiveDate>) -> Compiled<String> {
    if rule.disabled {
        return Ok("1=1".to_owned());
    }
    // A metric is filtered where it has been computed, by its name.
    let sql = if field.is_metric { format!("\"{}\"", field.id) } else { field.sql.clone() };
    let operator = rule.operator.as_str();
    match operator {
        "isNull" => return Ok(format!("({sql}) IS NULL")),
        "notNull" => return Ok(format!("({sql}) IS NOT NULL")),
        _ => {}
    }
    let refused = || format!("operator: {operator} on a {} is not compiled", field.kind.as_str());
    match (field.kind, operator) {
        (Kind::Boolean, "equals" | "notEquals") => {
            let [Value::Bool(value)] = rule.values[..] else { return Err("values: true or false".to_owned()) };
            Ok(match operator {
                "equals" => format!("({sql}) = {value}"),
                _ => format!("(({sql}) != {value} OR ({sql}) IS NULL)"),
            })
        }
        (Kind::String | Kind::Number, "equals" | "notEquals") => {
            if rule.values.is_empty() {
                return Ok("true".to_owned());
            }
            let values: Vec<String> =
                rule.values.iter().map(|value| literal(value, field.kind, dialect)).collect::<Compiled<_>>()?;
            let values = values.join(",");
            Ok(match operator {
                "equals" => format!("({sql}) IN ({values})"),
                _ => format!("(({sql}) NOT IN ({values}) OR ({sql}) IS NULL)"),
            })
        }
        (Kind::Number | Kind::Date, "greaterThan" | "greaterThanOrEqual" | "lessThan" | "lessThanOrEqual") => {
            let sign = match operator {
                "greaterThan" => ">",
                "greaterThanOrEqual" => ">=",
                "lessThan" => "<",
                _ => "<=",
            };
            let [value] = &rule.values[..] else { return Err("values: one is compared with".to_owned()) };
            Ok(format!("({sql}) {sign} ({})", literal(value, field.kind, dialect)?))
        }
        (Kind::Date, "inBetween") => {
            let [from, to] = &rule.values[..] else { return Err("values: the first and the last day".to_owned()) };
            let day = |value| literal(value, Kind::Date, dialect);
            Ok(format!("(({sql}) >= ({}) AND ({sql}) <= ({}))", day(from)?, day(to)?))
        }
        (Kind::Date, "inThePast") => in_the_past(rule, &sql, today.ok_or_else(refused)?),
        _ => Err(refused()),
    }
}

fn literal(value: &Value, kind: Kind, dialect: Dialect) -> Compiled<String> {
    match (kind, value) {
        (Kind::Number, Value::Number(number)) => Ok(number.to_string()),
        (Kind::String, Value::String(text)) => Ok(dialect.literal(text)),
        (Kind::Date, Value::String(text)) if text.parse::<NaiveDate>().is_ok() => Ok(format!("'{text}'")),
        _ => Err(format!(
            "values: {value} is no {}",
            match kind {
                Kind::Number => "number",
                Kind::Date => "day such as 2026-03-16",
                _ => "text",
            }
        )),
    }
}

/// The last days, weeks, months, quarters or years, today included; or only those that have ended.
fn in_the_past(rule: &Rule, sql: &str, today: NaiveDate) -> Compiled<String> {
    let [value] = &rule.values[..] else { return Err("values: one number".to_owned()) };
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    let count = count.ok_or("values: a whole number".to_owned())?;
    let unit = rule.settings.unit_of_time.as_deref().unwrap_or("days");
    let begin = |day: NaiveDate| match unit {
        "days" => Some(day),
        "weeks" => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
        "months" => day.with_day(1),
        "quarters" => day.with_day(1)?.with_month(day.month0() / 3 * 3 + 1),
        "years" => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        _ => None,
    };
    let months = |each: u32| count.checked_mul(each).map(Months::new);
    let back = |day: NaiveDate| match unit {
        "days" => day.checked_sub_days(Days::new(count.into())),
        "weeks" => day.checked_sub_days(Days::new(7 * u64::from(count))),
        "months" => day.checked_sub_months(months(1)?),
        "quarters" => day.checked_sub_months(months(3)?),
        "years" => day.checked_sub_months(months(12)?),
        _ => None,
    };
    let refused = || format!("settings: {count} {unit} in the past are not compiled");
    let completed = rule.settings.completed;
    let until = if completed { begin(today).ok_or_else(refused)? } else { today };
    let from = back(until).ok_or_else(refused)?;
    let sign = if completed { "<" } else { "<=" };
    Ok(format!("(({sql}) >= ('{from}') AND ({sql}) {sign} ('{until}'))"))
}
