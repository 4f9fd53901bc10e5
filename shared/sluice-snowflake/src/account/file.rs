//! `platform/warehouse.yaml`: what an account is to be. One file serves every environment.
//!
//! The file is judged whole, by the loader of `sources.yaml`: every problem is told at once, with its line and column.
//! What `sources.yaml` already says (raw tables, their columns, pipes, locks) is derived from there.

use std::{collections::BTreeMap, path::Path};

use sluice_core::{
    Error, LakeId, Result, Sources,
    judge::{self, Fields, Report},
    yaml::{At, Node, Place, Value as Yaml},
};

use self::{entries::Reading, environments::Environments};
use super::{kinds::Kind, name::Name, state::State};

mod derive;
mod entries;
mod environments;
mod grants;
mod requests;
mod rules;
#[cfg(test)]
pub(crate) mod tests;

pub(super) use derive::lake_stage;

/// Where the file lies in the project and in a function's zip.
pub const FILE: &str = "platform/warehouse.yaml";

/// What the deployment knows and the file does not.
#[derive(Debug, Clone)]
pub struct Settings {
    /// One of the file's `environments`.
    pub environment: String,
    /// Values for `${name}` in the file, such as the bucket of the lake.
    pub values: BTreeMap<String, String>,
    pub lake: LakeId,
    pub bucket: String,
}

/// What a stack says of itself.
#[derive(Debug, Clone, Default)]
pub struct Deployment {
    pub lake: String,
    pub bucket: String,
    /// The role that reads the lake for the warehouse, and what it wants to hear.
    pub reader_role: String,
    pub external_id: String,
    /// The fixed addresses of the functions, joined by commas, where they have any.
    pub addresses: Option<String>,
}

impl Settings {
    pub fn of(environment: &str, deployment: Deployment) -> Self {
        let Deployment { lake, bucket, reader_role, external_id, addresses } = deployment;
        let named = [
            ("lake_bucket", Some(bucket.clone())),
            ("lake_role_arn", Some(reader_role)),
            ("lake_external_id", Some(external_id)),
            (
                "egress",
                addresses.map(|all| all.split(',').map(|one| format!("{one}/32")).collect::<Vec<_>>().join(", ")),
            ),
        ];
        let values = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Settings { environment: environment.to_owned(), values, lake: LakeId(lake), bucket }
    }
}

/// The account that a file asks for.
#[derive(Debug, Clone)]
pub struct Desired {
    pub state: State,
    pub enterprise: bool,
    pub environment: String,
    /// The lake whose account it is.
    pub lake: LakeId,
    /// Where each entry stands, for messages.
    pub(crate) file: String,
}

/// What the file says of raw tables as a whole.
#[derive(Debug, Clone, Default)]
struct Raw {
    /// The role that owns raw tables, their locks and pipes: that of the functions which load.
    owner: Option<Name>,
    /// The warehouse in which loads run.
    warehouse: Option<Name>,
    /// Roles that read every raw database.
    readers: Vec<Name>,
}

/// What the file says of personal data.
#[derive(Debug, Clone, Default)]
struct Pii {
    /// The schema that gets the policies.
    schema: Option<Name>,
    /// Roles that see the values.
    readers: Vec<Name>,
}

impl Desired {
    /// Reads and judges the text of the file.
    pub fn parse(yaml: &str, settings: &Settings, sources: &Sources) -> Result<Self> {
        judged(FILE, yaml, settings, sources)
    }

    pub fn read(path: &Path, settings: &Settings, sources: &Sources) -> Result<Self> {
        let unreadable =
            |hint| Error::config("cannot read what the account is to be").with("file", path.display()).with_hint(hint);
        let bytes =
            std::fs::read(path).map_err(|error| unreadable("the file must be there and readable").because(error))?;
        let text = String::from_utf8(bytes).map_err(|error| unreadable("save the file as UTF-8").because(error))?;
        judged(&path.display().to_string(), &text, settings, sources)
    }
}

fn judged(file: &str, text: &str, settings: &Settings, sources: &Sources) -> Result<Desired> {
    let mut report = Report::default();
    let root = judge::tree(text, &mut report);
    let Some(root) = root else {
        report.finish(file)?;
        return Err(Error::internal("a file without a tree has no problem"));
    };
    let desired = read(root, settings, sources, &mut report);
    report.finish(file)?;
    let mut desired = desired.ok_or_else(|| Error::internal("a file without a problem could not be read"))?;
    file.clone_into(&mut desired.file);
    Ok(desired)
}

/// What is wrong with a text, and in which line.
pub(crate) fn problems(text: &str, settings: &Settings, sources: &Sources) -> Vec<(usize, String)> {
    let mut report = Report::default();
    if let Some(root) = judge::tree(text, &mut report) {
        read(root, settings, sources, &mut report);
    }
    report.problems().iter().map(|(place, problem)| (place.line, problem.clone())).collect()
}

fn read(root: Option<Node>, settings: &Settings, sources: &Sources, report: &mut Report) -> Option<Desired> {
    let top = Place { line: 1, column: 1 };
    let Some(root) = root.filter(|root| root.value != Yaml::Null) else {
        report.add(top, "the file is empty; it needs `edition`, `environments` and what the account is to have");
        return None;
    };
    let mut fields = Fields::of("the file".to_owned(), &root, report)?;
    let environments = Environments::read(fields.node("environments"), settings, report)?;
    let edition = fields.node("edition").map(|node| environments.own(node, report));
    let enterprise = is_enterprise(edition.as_ref(), report);
    let mut reading = Reading::new(enterprise);
    let raw = fields.node("raw").map(|node| environments.own(node, report));
    let raw = raw.and_then(|node| whole(&node, report)).unwrap_or_default();
    let pii_at = fields.node("pii").map(|node| environments.own(node, report));
    let pii = pii_at.as_ref().and_then(|node| personal(node, report));
    for kind in Kind::ALL {
        let section = kind.spec().section;
        let Some(node) = (!section.is_empty()).then(|| fields.node(section)).flatten() else { continue };
        match kind {
            Kind::Account => reading.entry(kind, Name::default(), "account", &environments.own(node, report), report),
            _ => {
                for entry in environments.entries(section, kind.spec().depth, node, report) {
                    reading.entry(kind, entry.name, &entry.about, &entry.node, report);
                }
            }
        }
    }
    fields.end(report);
    derive::from_sources(&mut reading, &raw, settings, sources);
    if let Some(pii) = pii {
        derive::masks(&mut reading, &pii, raw.owner.as_ref(), sources);
    }
    grants::resolve(&mut reading, report);
    rules::judge(&reading, &raw, pii_at.as_ref().map(|node| node.place), report);
    let environment = settings.environment.clone();
    let lake = settings.lake.clone();
    Some(Desired { state: reading.state, enterprise, environment, lake, file: String::new() })
}

/// What is there without an entry of the file.
pub(crate) fn derived(settings: &Settings, sources: &Sources, owner: Option<&Name>, enterprise: bool) -> State {
    let mut reading = Reading::new(enterprise);
    let raw = Raw { owner: owner.cloned(), ..Raw::default() };
    derive::from_sources(&mut reading, &raw, settings, sources);
    grants::resolve(&mut reading, &mut Report::default());
    reading.state
}

fn is_enterprise(edition: Option<&Node>, report: &mut Report) -> bool {
    let Some(node) = edition else {
        report.add(Place { line: 1, column: 1 }, "`edition` is missing; say standard or enterprise");
        return false;
    };
    match &node.value {
        Yaml::Text(text) if text == "enterprise" => true,
        Yaml::Text(text) if text == "standard" => false,
        _ => {
            report.add(node.place, "`edition` must be standard or enterprise");
            false
        }
    }
}

fn whole(node: &Node, report: &mut Report) -> Option<Raw> {
    let mut fields = Fields::of("raw".to_owned(), node, report)?;
    let raw = Raw {
        owner: name("raw", &mut fields, "owner", report),
        warehouse: name("raw", &mut fields, "warehouse", report),
        readers: names("raw", &mut fields, "readers", report),
    };
    fields.end(report);
    Some(raw)
}

fn personal(node: &Node, report: &mut Report) -> Option<Pii> {
    let mut fields = Fields::of("pii".to_owned(), node, report)?;
    fields.needed("schema", report);
    let pii = Pii {
        schema: name("pii", &mut fields, "schema", report),
        readers: names("pii", &mut fields, "readers", report),
    };
    fields.end(report);
    Some(pii)
}

fn name(about: &str, fields: &mut Fields<'_>, setting: &'static str, report: &mut Report) -> Option<Name> {
    let text: At<String> = fields.optional(setting, report)?;
    named(about, setting, &text, report)
}

fn names(about: &str, fields: &mut Fields<'_>, setting: &'static str, report: &mut Report) -> Vec<Name> {
    let list = fields.list(setting, report).map(|list| list.value).unwrap_or_default();
    list.iter().filter_map(|text| named(about, setting, text, report)).collect()
}

/// A name as the file writes it: as the account stores it.
fn named(about: &str, setting: &str, text: &At<String>, report: &mut Report) -> Option<Name> {
    let name = Name::parse(&text.value).filter(|name| name.to_string() == text.value);
    if name.is_none() {
        let problem = format!(
            "{about}: `{setting}`: '{}' is no name; write names in upper case, their parts joined by '.', and any other \
             name in double quotes",
            text.value
        );
        report.add(text.place, problem);
    }
    name
}
