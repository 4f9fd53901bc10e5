//! The difference between entries and what is there: pure, and told as people read it.

use std::fmt::Write;

use serde::Serialize;

use super::{Found, MS_PER_HOUR, POLICY, RETENTION, Registered, Topic};
use crate::{
    admin::{Existing, Settings},
    registry::subject,
};

/// A topic that Kafka's own tools and registries keep to themselves.
const OWN: char = '_';

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// What an entry asks for and nobody does.
    pub blocked: Vec<Blocked>,
    /// Topics that no entry names.
    pub unnamed: Vec<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub topic: String,
    #[serde(flatten)]
    pub what: What,
    /// Records that are deleted by it, for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loses: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum What {
    Create {
        /// `None` leaves it to the brokers.
        partitions: Option<u32>,
        settings: Settings,
    },
    Grow {
        from: u32,
        to: u32,
    },
    Set {
        from: Settings,
        to: Settings,
    },
    Register {
        subject: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    pub topic: String,
    pub reason: String,
    pub to_do: String,
}

impl Plan {
    /// Whether cluster and registry are as the entries say.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.blocked.is_empty()
    }

    pub(super) fn between(topics: &[Topic], found: &Found) -> Self {
        let mut plan = Plan { warnings: found.warnings.clone(), ..Plan::default() };
        for topic in topics {
            match found.topics.get(&topic.name) {
                None => {
                    let what = What::Create { partitions: topic.partitions, settings: topic.settings.clone() };
                    plan.change(topic, what, None);
                }
                Some(existing) => {
                    plan.partitions(topic, *existing);
                    plan.settings(topic, found);
                }
            }
            plan.schema(topic, found);
        }
        let is_unnamed = |(name, existing): &(&String, &Existing)| {
            !existing.is_internal && !name.starts_with(OWN) && !topics.iter().any(|topic| topic.name == **name)
        };
        plan.unnamed = found.topics.iter().filter(is_unnamed).map(|(name, _)| name.clone()).collect();
        plan
    }

    fn change(&mut self, topic: &Topic, what: What, loses: Option<String>) {
        self.changes.push(Change { topic: topic.name.clone(), what, loses });
    }

    fn block(&mut self, topic: &Topic, reason: String, to_do: &str) {
        self.blocked.push(Blocked { topic: topic.name.clone(), reason, to_do: to_do.to_owned() });
    }

    fn partitions(&mut self, topic: &Topic, existing: Existing) {
        let Some(wanted) = topic.partitions else { return };
        let has = existing.partitions;
        if wanted > has {
            self.change(topic, What::Grow { from: has, to: wanted }, None);
        } else if wanted < has {
            let reason = format!("it has {has} partitions and should have {wanted}; Kafka takes none away");
            self.block(topic, reason, "put the number of the cluster into the entry, or fill a new topic");
        }
    }

    fn settings(&mut self, topic: &Topic, found: &Found) {
        let Some(has) = found.settings.get(&topic.name) else { return };
        let differs = |(name, value): &(&String, &String)| !is_same(has.get(*name), value);
        let to: Settings =
            topic.settings.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect();
        if to.is_empty() {
            return;
        }
        let from = has.iter().filter(|(name, _)| to.contains_key(*name));
        let from: Settings = from.map(|(name, value)| (name.clone(), value.clone())).collect();
        let loses = lost(&from, &to);
        self.change(topic, What::Set { from, to }, loses);
    }

    fn schema(&mut self, topic: &Topic, found: &Found) {
        match found.schemas.get(&topic.name) {
            None | Some(Registered::Already) => {}
            Some(Registered::Fits) => self.change(topic, What::Register { subject: subject(&topic.name) }, None),
            Some(Registered::Breaks(faults)) => {
                let reason = format!("{} does not take its schema: {}", subject(&topic.name), faults.join("; "));
                self.block(topic, reason, "change the schema file so that it fits, or the subject's compatibility");
            }
        }
    }

    /// As people read it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let _ = writeln!(text, "{}", change.to_text());
        }
        for blocked in &self.blocked {
            let _ = writeln!(text, "! topic {}: {}\n    {}", blocked.topic, blocked.reason, blocked.to_do);
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "! {warning}");
        }
        if !self.unnamed.is_empty() {
            text.push_str("On the cluster and in no entry; left as it is:\n");
        }
        for topic in &self.unnamed {
            let _ = writeln!(text, "    topic {topic}");
        }
        if self.is_empty() {
            let seen =
                if self.warnings.is_empty() { "The topics are" } else { "As far as could be seen, the topics are" };
            let _ = writeln!(text, "{seen} as platform/sources.yaml says.");
        }
        text
    }
}

impl Change {
    pub fn to_text(&self) -> String {
        let (sign, what) = match &self.what {
            What::Create { partitions, settings } => {
                let partitions = partitions.map_or("as many as the brokers give".to_owned(), |count| count.to_string());
                let settings = settings.iter().map(|(name, value)| format!(", {}", said(name, value)));
                ('+', format!("partitions {partitions}{}", settings.collect::<String>()))
            }
            What::Grow { from, to } => {
                ('~', format!("partitions {from} -> {to}; from then on keys lie in other partitions than before"))
            }
            What::Set { from, to } => {
                let differences = to.iter().map(|(name, value)| {
                    let from = from.get(name).map_or("unknown".to_owned(), |value| said(name, value));
                    format!("{from} -> {}", said(name, value))
                });
                ('~', differences.collect::<Vec<_>>().join(", "))
            }
            What::Register { subject } => ('+', format!("its schema as {subject} in the registry")),
        };
        let loses = self.loses.as_ref().map(|loses| format!("; loses {loses}")).unwrap_or_default();
        format!("{sign} topic {}: {what}{loses}", self.topic)
    }
}

/// A list of policies has no order.
fn is_same(has: Option<&String>, wanted: &str) -> bool {
    let parts = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        parts.sort();
        parts
    };
    has.is_some_and(|has| parts(has) == parts(wanted))
}

/// A setting in words.
fn said(name: &str, value: &str) -> String {
    match (name, value.parse::<i64>()) {
        (RETENTION, Ok(ms)) if ms < 0 => "kept for good".to_owned(),
        (RETENTION, Ok(ms)) if ms.unsigned_abs() % MS_PER_HOUR == 0 => {
            format!("kept for {} hours", ms.unsigned_abs() / MS_PER_HOUR)
        }
        (RETENTION, Ok(ms)) => format!("kept for {ms} ms"),
        (POLICY, _) => format!("cleanup by {value}"),
        _ => format!("{name} {value}"),
    }
}

/// What the cluster deletes once these settings are others.
fn lost(from: &Settings, to: &Settings) -> Option<String> {
    // Kept for good is less than 0.
    let kept = |settings: &Settings| {
        let ms: i64 = settings.get(RETENTION)?.parse().ok()?;
        Some(u64::try_from(ms).unwrap_or(u64::MAX))
    };
    let is_policy = |settings: &Settings, word: &str| settings.get(POLICY).is_some_and(|policy| policy.contains(word));
    let mut parts = Vec::new();
    if let (Some(before), Some(after)) = (kept(from), kept(to))
        && after < before
    {
        parts.push(format!("records older than {} hours", after / MS_PER_HOUR));
    }
    if is_policy(to, "compact") && !is_policy(from, "compact") {
        parts.push("all but the newest record of each key".to_owned());
    }
    if is_policy(to, "delete") && !is_policy(from, "delete") {
        parts.push("records older than the retention".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(" and "))
}

#[cfg(test)]
mod tests;
