//! The search: filters, one sort rule, integer offsets, and the cap on what one search can page through.

use std::cmp::Reverse;

use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_testkit::generate::Contact;

use super::record::{find, property, render};
use super::state::Account;

const MAX_GROUPS: usize = 5;
const MAX_FILTERS_PER_GROUP: usize = 6;
const MAX_FILTERS: usize = 18;
const MAX_LIMIT: usize = 200;

/// The request's body. A field that is not here is refused: what it asks for would silently not happen.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SearchRequest {
    #[serde(default)]
    filter_groups: Vec<Group>,
    /// One group, as the first version of the search took it.
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    sorts: Vec<Sort>,
    #[serde(default)]
    properties: Vec<String>,
    limit: Option<usize>,
    after: Option<Offset>,
}

/// Documented as a text; HubSpot reads a number as well.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Offset {
    Text(String),
    Number(usize),
}

impl Offset {
    fn read(&self) -> Result<usize, String> {
        match self {
            Offset::Number(offset) => Ok(*offset),
            Offset::Text(text) => text.parse().map_err(|_| "after is not an offset".to_owned()),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    filters: Vec<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    property_name: String,
    operator: Operator,
    #[serde(default, deserialize_with = "text")]
    value: Option<String>,
    #[serde(default, deserialize_with = "text")]
    high_value: Option<String>,
}

/// Documented as a text; HubSpot reads a number as well.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Operator {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
    Between,
    HasProperty,
    NotHasProperty,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sort {
    property_name: String,
    direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Direction {
    Ascending,
    Descending,
}

/// A value as the search compares it: numbers and times as numbers, texts without case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Comparable {
    Number(i64),
    Text(String),
}

/// Answers a search, or says what is wrong with it.
pub(super) fn search(account: &Account, request: &SearchRequest) -> Result<Value, String> {
    let filters: usize = request.filter_groups.iter().map(|group| group.filters.len()).sum();
    let longest = request.filter_groups.iter().map(|group| group.filters.len()).max().unwrap_or_default();
    if request.filter_groups.len() > MAX_GROUPS || longest > MAX_FILTERS_PER_GROUP || filters > MAX_FILTERS {
        return Err("too many filter groups or filters".to_owned());
    }
    if request.sorts.len() > 1 {
        return Err("only one sort rule can be applied".to_owned());
    }
    let limit = request.limit.unwrap_or(10);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(format!("limit must be between 1 and {MAX_LIMIT}"));
    }
    let offset = request.after.as_ref().map_or(Ok(0), Offset::read)?;
    let cap = account.config.result_cap;
    if offset >= cap {
        return Err(format!("a search cannot page past {cap} results"));
    }

    let alone = (!request.filters.is_empty()).then_some(request.filters.as_slice());
    let all = request.filter_groups.iter().map(|group| group.filters.as_slice()).chain(alone);
    let groups: Vec<Vec<Test>> = all.map(compile).collect::<Result<_, _>>()?;
    let passes = |contact: &&Contact| {
        groups.is_empty() || groups.iter().any(|group| group.iter().all(|t| t.holds(account, contact)))
    };
    let mut found: Vec<&Contact> = account.searchable().filter(passes).collect();
    let default = Sort { property_name: "createdate".to_owned(), direction: Direction::Ascending };
    let sort = request.sorts.first().unwrap_or(&default);
    check_property(&sort.property_name)?;
    found.sort_by_cached_key(|contact| sort_key(account, sort, contact));

    let end = (offset + limit.min(account.config.page_size)).min(cap).min(found.len());
    let page = found.get(offset..end).unwrap_or_default();
    let results: Vec<Value> = page.iter().map(|contact| render(account, contact, &request.properties)).collect();
    let mut answer = json!({"total": found.len(), "results": results});
    if end < found.len() {
        answer["paging"] = json!({"next": {"after": end.to_string()}});
    }
    Ok(answer)
}

/// Records that the sort cannot tell apart come highest id first: no client may count on the opposite.
fn sort_key(
    account: &Account,
    sort: &Sort,
    contact: &Contact,
) -> (Option<Comparable>, Option<Reverse<Comparable>>, Reverse<i64>) {
    let value = property(account, contact, &sort.property_name).and_then(|text| comparable(&sort.property_name, &text));
    match sort.direction {
        Direction::Ascending => (value, None, Reverse(contact.id)),
        Direction::Descending => (None, value.map(Reverse), Reverse(contact.id)),
    }
}

/// A filter whose operands have been read.
struct Test<'a> {
    property: &'a str,
    operator: Operator,
    low: Option<Comparable>,
    high: Option<Comparable>,
}

fn compile(filters: &[Filter]) -> Result<Vec<Test<'_>>, String> {
    filters.iter().map(Test::new).collect()
}

impl<'a> Test<'a> {
    fn new(filter: &'a Filter) -> Result<Self, String> {
        let property = filter.property_name.as_str();
        check_property(property)?;
        let operand = |text: &Option<String>| {
            let text = text.as_deref().ok_or_else(|| format!("the filter on {property} lacks an operand"))?;
            comparable(property, text).ok_or_else(|| format!("the operand of {property} cannot be compared"))
        };
        let (low, high) = match filter.operator {
            Operator::HasProperty | Operator::NotHasProperty => (None, None),
            Operator::Between => (Some(operand(&filter.value)?), Some(operand(&filter.high_value)?)),
            _ => (Some(operand(&filter.value)?), None),
        };
        Ok(Test { property, operator: filter.operator, low, high })
    }

    fn holds(&self, account: &Account, contact: &Contact) -> bool {
        let value = property(account, contact, self.property).and_then(|text| comparable(self.property, &text));
        if value.is_none() {
            return self.operator == Operator::NotHasProperty;
        }
        match self.operator {
            Operator::Eq => value == self.low,
            Operator::Neq => value != self.low,
            Operator::Lt => value < self.low,
            Operator::Lte => value <= self.low,
            Operator::Gt => value > self.low,
            Operator::Gte => value >= self.low,
            Operator::Between => value >= self.low && value <= self.high,
            Operator::HasProperty => true,
            Operator::NotHasProperty => false,
        }
    }
}

fn check_property(name: &str) -> Result<(), String> {
    if find(name).is_some() { Ok(()) } else { Err(format!("there is no property {name}")) }
}

/// Times are given in milliseconds since 1970 or as ISO 8601; the index keeps milliseconds.
fn comparable(property: &str, text: &str) -> Option<Comparable> {
    match property {
        "hs_object_id" => text.parse().ok().map(Comparable::Number),
        "createdate" | "lastmodifieddate" => {
            let iso = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis());
            text.parse().ok().or_else(iso).map(Comparable::Number)
        }
        _ => Some(Comparable::Text(text.to_lowercase())),
    }
}
