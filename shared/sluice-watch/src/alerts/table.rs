//! `platform/alerts.yaml`: which fault has which severity, and who is reported of it.

use chrono::{DateTime, Utc};
use sluice_core::{
    Result,
    judge::{self, Report},
    yaml::{Node, Value},
};

use crate::{
    finding::{Kind, Object, Origin},
    objectives::{Objective, names},
    prices::Prices,
    settings::Limits,
};

mod read;
mod rules;
mod size;

/// Where the file lies in the project.
pub const FILE: &str = "platform/alerts.yaml";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// By a bot token: a message is edited as its incident changes.
    Slack,
    /// One message at opening, one at resolving.
    SlackWebhook,
    PagerDuty,
    /// A topic, and e-mail by it.
    Sns,
    /// One message at opening, one at resolving.
    Webhook,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    pub name: String,
    pub kind: ChannelKind,
    /// Slack's channel.
    pub channel: Option<String>,
}

/// What a severity means; 1 is the worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Severity {
    pub severity: u8,
    pub channels: Vec<String>,
    /// Hours from the opening until each reminder.
    pub remind_hours: Vec<u32>,
    /// Whom a message on Slack calls.
    pub mention: Option<String>,
}

/// A row of the table. What it does not name it takes all of.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub source: Option<Origin>,
    pub kind: Option<Kind>,
    /// An object's name; a star at its end stands for anything.
    pub object: Option<String>,
    /// In the unit of the kind.
    pub at_least: Option<f64>,
    pub severity: u8,
}

/// A fault as the table looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Fault<'a> {
    pub source: Origin,
    pub object: &'a Object,
    pub kind: Kind,
    pub size: f64,
}

/// From when to when no incident opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    pub name: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Names as in a route; none means all objects.
    pub objects: Vec<String>,
}

/// A message once a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Daily {
    pub hour_utc: u32,
    pub channels: Vec<String>,
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub channels: Vec<Channel>,
    pub severities: Vec<Severity>,
    pub routes: Vec<Route>,
    pub maintenance: Vec<Maintenance>,
    pub summary: Option<Daily>,
    pub canary: Option<Daily>,
    pub limits: Limits,
    pub prices: Prices,
    pub objectives: Vec<Objective>,
    /// Where the pages of `docs/` are published; messages link to runbooks there.
    pub docs_url: Option<String>,
}

impl Table {
    /// Reads and judges the text of the file.
    pub fn parse(yaml: &str) -> Result<Self> {
        let mut report = Report::default();
        let table = judge::tree(yaml, &mut report).and_then(|root| whole(root.as_ref(), &mut report));
        report.finish(FILE)?;
        Ok(table.unwrap_or_default())
    }

    /// The severity of a fault, by the first row that takes it. The last row takes everything.
    pub fn severity(&self, fault: Fault<'_>) -> u8 {
        let route = self.routes.iter().find(|route| route.takes(fault));
        route.map_or(1, |route| route.severity)
    }

    pub fn of_severity(&self, severity: u8) -> Option<&Severity> {
        self.severities.iter().find(|of| of.severity == severity)
    }

    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// The maintenance in which an object is.
    pub fn maintenance(&self, object: &Object, now: DateTime<Utc>) -> Option<&Maintenance> {
        self.maintenance.iter().find(|window| {
            let is_of = window.objects.is_empty() || window.objects.iter().any(|name| names(name, &object.name));
            is_of && window.from <= now && now < window.to
        })
    }
}

impl Route {
    pub fn takes(&self, fault: Fault<'_>) -> bool {
        self.source.is_none_or(|source| source == fault.source)
            && self.kind.is_none_or(|kind| kind == fault.kind)
            && self.object.as_ref().is_none_or(|name| names(name, &fault.object.name))
            && self.at_least.is_none_or(|least| fault.size >= least)
    }

    /// Whether it takes all that another row takes.
    fn covers(&self, other: &Route) -> bool {
        let source = |route: &Route| route.source.or_else(|| route.kind.and_then(Kind::origin));
        (self.source.is_none() || self.source == source(other))
            && (self.kind.is_none() || self.kind == other.kind)
            && match (&self.object, &other.object) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(other)) => own == other || names(own, other.trim_end_matches('*')),
            }
            && match (self.at_least, other.at_least) {
                (None, _) => true,
                (Some(own), Some(other)) => own <= other,
                (Some(_), None) => false,
            }
    }

    fn takes_everything(&self) -> bool {
        self.source.is_none() && self.kind.is_none() && self.object.is_none() && self.at_least.is_none()
    }
}

fn whole(root: Option<&Node>, report: &mut Report) -> Option<Table> {
    let top = sluice_core::yaml::Place { line: 1, column: 1 };
    let Some(root) = root.filter(|root| root.value != Value::Null) else {
        report.add(top, "the file is empty; docs/watching.md shows what it needs");
        return None;
    };
    let table = read::table(root, report)?;
    rules::judge(&table, report);
    Some(table.into_plain())
}
