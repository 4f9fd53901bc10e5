//! Contacts and their properties as HubSpot writes them: every value is a text or null.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use sluice_testkit::generate::Contact;

use super::state::{Account, HubSpotState};

/// A property of contacts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    pub name: &'static str,
    label: &'static str,
    pub kind: &'static str,
    field: &'static str,
    pub read_only: bool,
    /// Whether the account's owner has made it.
    own: bool,
    pub options: &'static [&'static str],
}

/// The stages in their order: the API moves a contact forward only.
pub(super) const STAGES: [&str; 8] = [
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
];

const fn hubspots(name: &'static str, label: &'static str, kind: &'static str, field: &'static str) -> Property {
    Property { name, label, kind, field, read_only: true, own: false, options: &[] }
}

const fn own(name: &'static str, label: &'static str, kind: &'static str, field: &'static str) -> Property {
    Property { own: true, ..writable(name, label, kind, field) }
}

const fn writable(name: &'static str, label: &'static str, kind: &'static str, field: &'static str) -> Property {
    Property { name, label, kind, field, read_only: false, own: false, options: &[] }
}

/// Every property of a contact.
pub(super) const PROPERTIES: [Property; 13] = [
    hubspots("createdate", "Create Date", "datetime", "date"),
    Property { options: &["low", "medium", "high"], ..own("customer_tier", "Customer tier", "enumeration", "select") },
    writable("email", "Email", "string", "text"),
    writable("firstname", "First Name", "string", "text"),
    hubspots("hs_additional_emails", "Additional email addresses", "enumeration", "checkbox"),
    hubspots("hs_email_optout", "Unsubscribed from all email", "bool", "booleancheckbox"),
    hubspots("hs_merged_object_ids", "Merged record IDs", "enumeration", "checkbox"),
    hubspots("hs_object_id", "Record ID", "number", "number"),
    hubspots("lastmodifieddate", "Last Modified Date", "datetime", "date"),
    writable("lastname", "Last Name", "string", "text"),
    Property { options: &STAGES, ..writable("lifecyclestage", "Lifecycle Stage", "enumeration", "radio") },
    own("lifetime_value", "Lifetime value", "number", "number"),
    own("total_orders", "Total orders", "number", "number"),
];

/// What comes without being asked for.
const DEFAULTS: [&str; 6] = ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"];

pub(super) fn find(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.name == name)
}

/// The text of a property; `None` when it has no value or does not exist.
pub(super) fn property(account: &Account, contact: &Contact, name: &str) -> Option<String> {
    if let Some(written) = account.written.value(contact.id, name) {
        return Some(written.to_owned()).filter(|value| !value.is_empty());
    }
    // Property values leave out a fraction of zero, the envelope's times do not.
    let time = |micros| Some(moment(micros, SecondsFormat::AutoSi));
    match name {
        "createdate" => time(contact.createdate),
        "email" => contact.email.clone(),
        "firstname" => contact.firstname.clone(),
        "hs_additional_emails" => {
            let emails = account.additional_emails(contact);
            (!emails.is_empty()).then(|| emails.join(";"))
        }
        "hs_email_optout" => account.opted_out.contains(&contact.id).then(|| "true".to_owned()),
        "hs_merged_object_ids" => {
            let ids: Vec<String> = account.consumed(contact).iter().map(ToString::to_string).collect();
            (!ids.is_empty()).then(|| ids.join(";"))
        }
        "hs_object_id" => Some(contact.id.to_string()),
        "lastmodifieddate" => time(contact.lastmodifieddate),
        "lastname" => contact.lastname.clone(),
        "lifecyclestage" => contact.lifecyclestage.clone(),
        _ => None,
    }
}

impl HubSpotState {
    /// What a live contact holds of a property.
    pub fn value(&self, id: i64, name: &str) -> Option<String> {
        let account = self.lock();
        property(&account, account.find(id)?, name)
    }
}

/// One record with the properties asked for; unknown ones are left out without a word.
pub(super) fn render<'a>(account: &Account, contact: &Contact, asked: impl IntoIterator<Item = &'a String>) -> Value {
    let names = asked.into_iter().map(String::as_str).filter(|name| find(name).is_some()).chain(DEFAULTS);
    let value = |name: &str| (name.to_owned(), json!(property(account, contact, name)));
    let properties: Map<String, Value> = names.map(value).collect();
    let mut record = json!({
        "id": contact.id.to_string(),
        "properties": properties,
        "createdAt": moment(contact.createdate, SecondsFormat::Millis),
        "updatedAt": moment(contact.lastmodifieddate, SecondsFormat::Millis),
        "archived": contact.archived,
    });
    if contact.archived {
        record["archivedAt"] = record["updatedAt"].clone();
    }
    record
}

/// A property's description.
pub(super) fn describe(property: Property) -> Value {
    let Property { name, label, kind, field, read_only, own, options } = property;
    let option =
        |(at, value): (usize, &&str)| json!({"label": value, "value": value, "displayOrder": at, "hidden": false});
    let options: Vec<Value> = options.iter().enumerate().map(option).collect();
    json!({
        "name": name, "label": label, "type": kind, "fieldType": field, "description": "",
        "groupName": "contactinformation", "options": options, "hubspotDefined": !own, "hidden": false, "archived": false,
        "calculated": false, "externalOptions": false, "hasUniqueValue": name == "email",
        "modificationMetadata": {"archivable": own, "readOnlyDefinition": !own, "readOnlyValue": read_only},
    })
}

pub(super) fn moment(micros: i64, digits: SecondsFormat) -> String {
    DateTime::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(digits, true)
}
