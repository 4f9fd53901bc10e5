//! From the tree of the file to its rows, each with its place.

use chrono::{DateTime, Utc};
use sluice_core::{
    judge::{Count, Fields, List, Report, Setting},
    yaml::{At, Node, Place, Value},
};

use super::{Channel, ChannelKind, Daily, Maintenance, Route, Severity, Table, size::Size};
use crate::{
    finding::{Kind, Origin},
    objectives::Objective,
    prices::Prices,
    settings::Limits,
};

/// The table before it is judged.
pub(super) struct Draft {
    pub channels: Vec<At<Channel>>,
    pub severities: Vec<At<(Severity, List)>>,
    pub routes: Vec<At<Route>>,
    pub maintenance: Vec<At<Maintenance>>,
    pub summary: Option<At<(Daily, List)>>,
    pub canary: Option<At<(Daily, List)>>,
    limits: Limits,
    prices: Prices,
    objectives: Vec<At<Objective>>,
    docs_url: Option<String>,
}

impl Draft {
    pub(super) fn into_plain(self) -> Table {
        fn plain<T>(rows: Vec<At<T>>) -> Vec<T> {
            rows.into_iter().map(|row| row.value).collect()
        }
        let daily = |daily: Option<At<(Daily, List)>>| daily.map(|daily| daily.value.0);
        Table {
            channels: plain(self.channels),
            severities: self.severities.into_iter().map(|row| row.value.0).collect(),
            routes: plain(self.routes),
            maintenance: plain(self.maintenance),
            summary: daily(self.summary),
            canary: daily(self.canary),
            limits: self.limits,
            prices: self.prices,
            objectives: plain(self.objectives),
            docs_url: self.docs_url,
        }
    }
}

pub(super) fn table(root: &Node, report: &mut Report) -> Option<Draft> {
    let mut file = Fields::of("the file".to_owned(), root, report)?;
    let channels = file.mappings("channels", report);
    let severities = file.mappings("severities", report);
    let routes = file.mappings("routes", report);
    let maintenance = file.mappings("maintenance", report);
    let objectives = file.mappings("objectives", report);
    let summary = file.node("summary").and_then(|node| Fields::of("summary".to_owned(), node, report));
    let canary = file.node("canary").and_then(|node| Fields::of("canary".to_owned(), node, report));
    let limits = file.node("limits").and_then(|node| Fields::of("limits".to_owned(), node, report));
    let prices = file.node("prices").and_then(|node| Fields::of("prices".to_owned(), node, report));
    let docs_url = file.optional::<String>("docs_url", report).map(|url| url.value.trim_end_matches('/').to_owned());
    file.end(report);
    fn rows<T>(
        entries: Vec<Fields<'_>>,
        report: &mut Report,
        read: fn(Fields<'_>, &mut Report) -> Option<T>,
    ) -> Vec<At<T>> {
        let row = |entry: Fields<'_>| {
            let place = entry.place;
            read(entry, report).map(|value| At { value, place })
        };
        entries.into_iter().filter_map(row).collect()
    }
    Some(Draft {
        channels: rows(channels, report, channel),
        severities: rows(severities, report, severity),
        routes: rows(routes, report, route),
        maintenance: rows(maintenance, report, window),
        objectives: rows(objectives, report, objective),
        summary: summary.and_then(|fields| daily(fields, report)),
        canary: canary.and_then(|fields| daily(fields, report)),
        limits: limits.map_or_else(Limits::default, |fields| Limits::read(fields, report)),
        prices: prices.map_or_else(Prices::default, |fields| Prices::read(fields, report)),
        docs_url,
    })
}

fn channel(mut fields: Fields<'_>, report: &mut Report) -> Option<Channel> {
    let name = fields.required::<String>("name", report);
    let kind = fields.required::<ChannelKind>("kind", report);
    let is_slack = kind.as_ref().is_some_and(|kind| kind.value == ChannelKind::Slack);
    let channel = match is_slack {
        true => fields.required::<String>("channel", report).map(|channel| channel.value),
        false => None,
    };
    fields.end(report);
    Some(Channel { name: name?.value, kind: kind?.value, channel })
}

fn severity(mut fields: Fields<'_>, report: &mut Report) -> Option<(Severity, List)> {
    let number = fields.required::<i64>("severity", report);
    let channels = fields.list("channels", report).map(|list| list.value).unwrap_or_default();
    let remind_hours = hours(&mut fields, report);
    let mention = fields.optional::<String>("mention", report).map(|text| text.value);
    fields.end(report);
    let number = number?;
    let Some(severity) = u8::try_from(number.value).ok().filter(|number| (1..=9).contains(number)) else {
        report.add(number.place, "severities are numbered from 1, the worst, to 9");
        return None;
    };
    let plain = channels.iter().map(|name| name.value.clone()).collect();
    Some((Severity { severity, channels: plain, remind_hours, mention }, channels))
}

fn hours(fields: &mut Fields<'_>, report: &mut Report) -> Vec<u32> {
    let Some(node) = fields.node("remind_hours") else { return Vec::new() };
    let Value::List(items) = &node.value else {
        fields.tell(node.place, format_args!("`remind_hours` must be a list and is {}", node.value.kind()), report);
        return Vec::new();
    };
    let mut hours: Vec<u32> = Vec::new();
    for item in items {
        let hour = i64::read(&item.value).ok().and_then(|hour| u32::try_from(hour).ok());
        match hour.filter(|hour| *hour > hours.last().copied().unwrap_or(0)) {
            Some(hour) => hours.push(hour),
            None => fields.tell(item.place, "`remind_hours` are whole hours, each later than the one before", report),
        }
    }
    hours
}

fn route(mut fields: Fields<'_>, report: &mut Report) -> Option<Route> {
    let source = fields.optional::<Origin>("source", report);
    let kind = fields.optional::<Kind>("kind", report);
    let object = fields.optional::<String>("object", report).map(|name| name.value);
    let at_least = fields.optional::<Size>("at_least", report);
    let severity = fields.required::<i64>("severity", report);
    if let (Some(source), Some(kind)) = (&source, &kind)
        && kind.value.origin().is_some_and(|origin| origin != source.value)
    {
        let text = format!("{} is no kind of fault that {} has", kind.value, source.value.as_str());
        fields.tell(kind.place, text, report);
    }
    let at_least = at_least.and_then(|At { value, place }| {
        let Some(kind) = &kind else {
            fields.tell(place, "`at_least` needs a `kind`, whose unit it has", report);
            return None;
        };
        value.of(kind.value).map_err(|problem| fields.tell(place, format_args!("`at_least`: {problem}"), report)).ok()
    });
    fields.end(report);
    Some(Route {
        source: source.map(|source| source.value),
        kind: kind.map(|kind| kind.value),
        object,
        at_least,
        severity: u8::try_from(severity?.value).unwrap_or_default(),
    })
}

fn window(mut fields: Fields<'_>, report: &mut Report) -> Option<Maintenance> {
    let name = fields.required::<String>("name", report);
    let [from, to] = ["from", "to"].map(|name| fields.required::<Moment>(name, report));
    let objects = fields.list("objects", report).map(|list| list.value).unwrap_or_default();
    fields.end(report);
    let (from, to) = (from?, to?);
    if from.value.0 >= to.value.0 {
        report.add(to.place, "maintenance: `to` must be after `from`");
    }
    let objects = objects.into_iter().map(|object| object.value).collect();
    Some(Maintenance { name: name?.value, from: from.value.0, to: to.value.0, objects })
}

fn objective(mut fields: Fields<'_>, report: &mut Report) -> Option<Objective> {
    let name = fields.required::<String>("name", report);
    let days = fields.required::<Count>("days", report);
    let budget = fields.required::<Count>("budget_minutes", report);
    let named = fields.list("kinds", report).map(|list| list.value).unwrap_or_default();
    let objects = fields.list("objects", report).map(|list| list.value).unwrap_or_default();
    let mut kinds = Vec::new();
    for kind in &named {
        match Kind::read(&Value::Text(kind.value.clone())) {
            Ok(kind) => kinds.push(kind),
            Err(problem) => fields.tell(kind.place, format_args!("`kinds`: {problem}"), report),
        }
    }
    if named.is_empty() {
        fields.tell(fields.place, "`kinds` is empty, so no minute would be bad; name kinds of faults", report);
    }
    fields.end(report);
    let objects = objects.into_iter().map(|object| object.value).collect();
    Some(Objective { name: name?.value, days: days?.value.0, budget_minutes: budget?.value.0, kinds, objects })
}

fn daily(mut fields: Fields<'_>, report: &mut Report) -> Option<At<(Daily, List)>> {
    let place = fields.place;
    let hour = fields.required::<i64>("hour_utc", report);
    let channels = fields.list("channels", report).map(|list| list.value).unwrap_or_default();
    fields.end(report);
    let hour = hour?;
    let Some(hour_utc) = u32::try_from(hour.value).ok().filter(|hour| *hour < 24) else {
        report.add(hour.place, "`hour_utc` is an hour from 0 to 23");
        return None;
    };
    let plain = channels.iter().map(|name| name.value.clone()).collect();
    Some(At { value: (Daily { hour_utc, channels: plain }, channels), place })
}

/// A time in UTC.
struct Moment(DateTime<Utc>);

impl Setting for Moment {
    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        let parsed = DateTime::parse_from_rfc3339(&text).map(|time| Moment(time.to_utc()));
        parsed.map_err(|_| format!("'{text}' is no time; write it as 2026-12-01T22:00:00Z"))
    }
}

impl Setting for ChannelKind {
    fn read(value: &Value) -> Result<Self, String> {
        match String::read(value)?.as_str() {
            "slack" => Ok(ChannelKind::Slack),
            "slack_webhook" => Ok(ChannelKind::SlackWebhook),
            "pagerduty" => Ok(ChannelKind::PagerDuty),
            "sns" => Ok(ChannelKind::Sns),
            "webhook" => Ok(ChannelKind::Webhook),
            other => {
                Err(format!("'{other}' is no kind of channel; known are slack, slack_webhook, pagerduty, sns, webhook"))
            }
        }
    }
}

impl Setting for Origin {
    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        let found = Origin::ALL.iter().find(|(_, name)| *name == text).map(|(origin, _)| *origin);
        let known: Vec<&str> = Origin::ALL.iter().map(|(_, name)| *name).collect();
        found.ok_or_else(|| format!("'{text}' is no source of alerts; known are {}", known.join(", ")))
    }
}

impl Setting for Kind {
    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        let found = Kind::ALL.iter().copied().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is no kind of fault; known are {}", known.join(", ")))
    }
}

/// Whose place a message has that is about the whole file.
pub(super) const TOP: Place = Place { line: 1, column: 1 };
