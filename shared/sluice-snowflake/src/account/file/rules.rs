//! What the entries of the file must keep, each by itself and among each other.

use std::{collections::BTreeSet, net::Ipv4Addr};

use sluice_core::{judge::Report, yaml::Place};

use super::{Raw, entries::Reading};
use crate::account::{
    graph::Graph,
    kinds::{Form, Kind, SYSADMIN, SYSTEM_ROLES},
    name::Name,
    state::{Grantee, Object},
    value::Value,
};

/// A network that is wider than this is no list of addresses that one knows.
const WIDEST_NETWORK: u8 = 8;

pub(super) fn judge(reading: &Reading, raw: &Raw, pii: Option<Place>, report: &mut Report) {
    let rules = Rules { reading, graph: Graph::of(&[&reading.state]) };
    for ((kind, name), object) in &reading.state.objects {
        rules.references(*kind, name, object, report);
        rules.edition(*kind, name, object, report);
        rules.owner(*kind, name, object, report);
        match kind {
            Kind::Warehouse => rules.warehouse(name, object, report),
            Kind::ResourceMonitor => rules.monitor(name, object, report),
            Kind::NetworkRule => rules.addresses(*kind, name, "values", object, report),
            Kind::NetworkPolicy => rules.policy(name, object, report),
            Kind::User => rules.user(name, object, report),
            Kind::StorageIntegration => rules.locations(name, object, report),
            Kind::Stage => rules.stage(name, object, report),
            _ => {}
        }
    }
    for (setting, kind, name) in [("owner", Kind::Role, &raw.owner), ("warehouse", Kind::Warehouse, &raw.warehouse)] {
        if let Some(name) = name.as_ref().filter(|name| !reading.state.has(kind, name)) {
            let text = format!("raw: `{setting}`: {name} has no entry under `{}`; add one", kind.spec().section);
            report.add(Place { line: 1, column: 1 }, text);
        }
    }
    if let Some(place) = pii.filter(|_| !reading.enterprise) {
        report.add(
            place,
            "pii: masking policies need `edition: enterprise`; on Standard keep the columns from readers by roles",
        );
    }
}

struct Rules<'r> {
    reading: &'r Reading,
    graph: Graph<'r>,
}

impl Rules<'_> {
    fn tell(&self, kind: Kind, name: &Name, field: &'static str, report: &mut Report, text: impl std::fmt::Display) {
        let of_field = self.reading.field_places.get(&(kind, name.clone(), field));
        let of_entry = || self.reading.places.get(&(kind, name.clone()));
        let place = of_field.or_else(of_entry).copied().unwrap_or(Place { line: 1, column: 1 });
        let about = match kind {
            Kind::Account => "account".to_owned(),
            _ => format!("{}: {name}", if kind == Kind::Table { "tables" } else { kind.spec().section }),
        };
        report.add(place, format!("{about}: {text}"));
    }

    /// What a field names must be there.
    fn references(&self, kind: Kind, name: &Name, object: &Object, report: &mut Report) {
        for field in kind.spec().fields {
            let Some(value) = object.get(field.name) else { continue };
            let named: Vec<(Kind, &str)> = match field.form {
                Form::Name(of) => value.as_text().map(|text| (of, text)).into_iter().collect(),
                Form::Role => value.as_text().map(|text| (Kind::Role, text)).into_iter().collect(),
                Form::Names(of) => value.items().map(|text| (of, text)).collect(),
                Form::Tags => value.entries().map(|(tag, _)| (Kind::Tag, tag)).collect(),
                _ => continue,
            };
            for (of, text) in named {
                let target = Name::parse(text).unwrap_or_default();
                let (of, known) = match of {
                    Kind::Role => (of, SYSTEM_ROLES.contains(&text) || self.reading.state.has_role(&target)),
                    Kind::Schema if target.depth() == 1 => {
                        (Kind::Database, self.reading.state.has(Kind::Database, &target))
                    }
                    of => (of, self.reading.state.has(of, &target)),
                };
                if !known {
                    let text = format!("`{}`: {text} has no entry under `{}`; add one", field.name, of.spec().section);
                    self.tell(kind, name, field.name, report, text);
                }
            }
        }
        if kind.spec().depth > 1 {
            let parent = name.up_to(name.depth() - 1);
            let of = if parent.depth() == 1 { Kind::Database } else { Kind::Schema };
            if !self.reading.state.has(of, &parent) {
                let text = format!("there is no entry {parent} under `{}`; add one", of.spec().section);
                self.tell(kind, name, "", report, text);
            }
        }
    }

    /// Who provisions has every role that is SYSADMIN's; what belongs to another one it could not change any more.
    fn owner(&self, kind: Kind, name: &Name, object: &Object, report: &mut Report) {
        let Some(owner) = Name::parse(object.text("owner")) else { return };
        let sysadmin = Grantee::role(&Name::of([SYSADMIN]));
        let is_own = SYSTEM_ROLES.contains(&owner.first()) || !self.reading.state.has_role(&owner);
        if !is_own && !self.graph.holders(&owner).contains_key(&sysadmin) {
            let text =
                format!("`owner`: {owner} is not under SYSADMIN, so no plan could change it; take another owner");
            self.tell(kind, name, "owner", report, text);
        }
    }

    /// What Standard cannot do.
    fn edition(&self, kind: Kind, name: &Name, object: &Object, report: &mut Report) {
        if self.reading.enterprise {
            return;
        }
        if kind.spec().enterprise && self.reading.places.contains_key(&(kind, name.clone())) {
            self.tell(kind, name, "", report, "needs `edition: enterprise`");
        }
        for field in kind.spec().fields.iter().filter(|field| field.enterprise && object.get(field.name).is_some()) {
            self.tell(kind, name, field.name, report, format_args!("`{}` needs `edition: enterprise`", field.name));
        }
        if let Some(Value::Number(days @ 2..)) = object.get("retention_days") {
            let text = format!("`retention_days`: Standard keeps 1 day at most, and {days} need `edition: enterprise`");
            self.tell(kind, name, "retention_days", report, text);
        }
    }

    fn number(&self, object: &Object, field: &str) -> Option<i64> {
        match object.get(field) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn warehouse(&self, name: &Name, object: &Object, report: &mut Report) {
        if self.number(object, "auto_suspend").is_some_and(|seconds| (1..60).contains(&seconds)) {
            let text = "`auto_suspend`: a start is billed for 60 seconds; take 60 or more, or 0 for never";
            self.tell(Kind::Warehouse, name, "auto_suspend", report, text);
        }
        let clusters = self.number(object, "min_clusters").zip(self.number(object, "max_clusters"));
        if clusters.is_some_and(|(least, most)| least > most) {
            self.tell(Kind::Warehouse, name, "min_clusters", report, "`min_clusters` is above `max_clusters`");
        }
    }

    fn monitor(&self, name: &Name, object: &Object, report: &mut Report) {
        let notices = object.get("notify_at").map_or(0, |list| list.items().count());
        if notices > 5 {
            let text = format!("`notify_at`: a monitor tells at five percentages at most, and there are {notices}");
            self.tell(Kind::ResourceMonitor, name, "notify_at", report, text);
        }
        let triggers = ["notify_at", "suspend_at", "suspend_immediately_at"];
        if !triggers.iter().any(|field| object.get(field).is_some_and(|value| !value.is_empty())) {
            let text = "it says neither `notify_at` nor `suspend_at`, so it does nothing";
            self.tell(Kind::ResourceMonitor, name, "", report, text);
        }
        let text = name.to_string();
        let is_named = |(_, warehouse): (&Name, &Object)| warehouse.text("resource_monitor") == text;
        if !self.reading.state.of(Kind::Warehouse).any(is_named) {
            let text = "no warehouse names it as its `resource_monitor`, so it limits nothing";
            self.tell(Kind::ResourceMonitor, name, "", report, text);
        }
    }

    fn addresses(&self, kind: Kind, name: &Name, field: &'static str, object: &Object, report: &mut Report) {
        let values: Vec<&str> = object.get(field).into_iter().flat_map(|list| list.items()).collect();
        if kind == Kind::NetworkRule && values.is_empty() {
            let text = format!("`{field}` is empty; name the addresses that may come");
            self.tell(kind, name, field, report, text);
        }
        if kind == Kind::NetworkRule && object.text("type") != "IPV4" {
            return;
        }
        for value in values {
            if let Some(problem) = address_problem(value) {
                self.tell(kind, name, field, report, format_args!("`{field}`: '{value}' {problem}"));
            }
        }
    }

    fn policy(&self, name: &Name, object: &Object, report: &mut Report) {
        if ["allowed_rules", "allowed_ips"].iter().all(|field| object.get(field).is_none_or(Value::is_empty)) {
            let text = "`allowed_rules` is empty: a policy that admits no address cannot be attached";
            self.tell(Kind::NetworkPolicy, name, "allowed_rules", report, text);
        }
        self.addresses(Kind::NetworkPolicy, name, "allowed_ips", object, report);
    }

    fn user(&self, name: &Name, object: &Object, report: &mut Report) {
        let is_service = object.text("type") == "SERVICE";
        for field in ["first_name", "last_name"] {
            if is_service && !object.text(field).is_empty() {
                let text = format!("`{field}`: a service has none; leave it out");
                self.tell(Kind::User, name, field, report, text);
            }
        }
        match object.get("default_role").and_then(|role| role.as_text()) {
            None if is_service => {
                let text = "`default_role` is missing: Snowpipe and streams run as it; name one of its `roles`";
                self.tell(Kind::User, name, "default_role", report, text);
            }
            Some(role) if !self.holds(name, role) => {
                let text = format!("`default_role`: {role} is none of its `roles`; add it there");
                self.tell(Kind::User, name, "default_role", report, text);
            }
            _ => {}
        }
    }

    fn holds(&self, user: &Name, role: &str) -> bool {
        role == "PUBLIC"
            || self
                .graph
                .paths(&Grantee::User(user.clone()))
                .values()
                .any(|path| matches!(&path[..], [direct] if direct.to_string() == role))
    }

    fn locations(&self, name: &Name, object: &Object, report: &mut Report) {
        for location in object.get("allowed_locations").into_iter().flat_map(|list| list.items()) {
            if !location.starts_with("s3://") || !location.ends_with('/') {
                let text = format!("`allowed_locations`: '{location}' must be s3://bucket/ or s3://bucket/prefix/");
                self.tell(Kind::StorageIntegration, name, "allowed_locations", report, text);
            }
        }
    }

    fn stage(&self, name: &Name, object: &Object, report: &mut Report) {
        let url = object.text("url");
        if !url.ends_with('/') {
            let text = "`url` must end in a slash: nothing stands between it and a file's name";
            self.tell(Kind::Stage, name, "url", report, text);
        }
        let integration = Name::parse(object.text("storage_integration")).unwrap_or_default();
        let Some(integration) = self.reading.state.object(Kind::StorageIntegration, &integration) else { return };
        let allowed: BTreeSet<&str> =
            integration.get("allowed_locations").into_iter().flat_map(|list| list.items()).collect();
        if !allowed.iter().any(|prefix| url.starts_with(prefix)) {
            let text = format!("`url`: {url} lies in none of the integration's `allowed_locations`");
            self.tell(Kind::Stage, name, "url", report, text);
        }
    }
}

/// Why a network is not one that a rule may name.
fn address_problem(text: &str) -> Option<String> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let (Ok(address), Ok(bits @ 0..=32)) = (address.parse::<Ipv4Addr>(), bits.parse::<u8>()) else {
        return Some("is no address of IPv4; write it as 203.0.113.0/24".to_owned());
    };
    if bits < WIDEST_NETWORK {
        return Some(format!("admits much of the internet; name networks of /{WIDEST_NETWORK} or smaller"));
    }
    let outside = u32::from(address) & u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
    (outside != 0).then(|| "has bits set outside of its network; write the network's first address".to_owned())
}
