//! Contacts and their properties as HubSpot writes them: every value is a text or null.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use sluice_testkit::generate::Contact;

use super::state::Account;

/// Name, label, type and field type of every property of a contact.
pub(super) const PROPERTIES: [(&str, &str, &str, &str); 9] = [
    ("createdate", "Create Date", "datetime", "date"),
    ("email", "Email", "string", "text"),
    ("firstname", "First Name", "string", "text"),
    ("hs_additional_emails", "Additional email addresses", "enumeration", "checkbox"),
    ("hs_merged_object_ids", "Merged record IDs", "enumeration", "checkbox"),
    ("hs_object_id", "Record ID", "number", "number"),
    ("lastmodifieddate", "Last Modified Date", "datetime", "date"),
    ("lastname", "Last Name", "string", "text"),
    ("lifecyclestage", "Lifecycle Stage", "enumeration", "radio"),
];

/// What comes without being asked for.
const DEFAULTS: [&str; 6] = ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"];

/// The text of a property; `None` when it has no value or does not exist.
pub(super) fn property(account: &Account, contact: &Contact, name: &str) -> Option<String> {
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

/// One record with the properties asked for; unknown ones are left out without a word.
pub(super) fn render(account: &Account, contact: &Contact, asked: &[String]) -> Value {
    let known = |name: &str| PROPERTIES.iter().any(|property| property.0 == name);
    let names = asked.iter().map(String::as_str).filter(|name| known(name)).chain(DEFAULTS);
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
pub(super) fn describe((name, label, kind, field): (&str, &str, &str, &str)) -> Value {
    json!({
        "name": name, "label": label, "type": kind, "fieldType": field, "description": "",
        "groupName": "contactinformation", "options": [], "hubspotDefined": true, "hidden": false, "archived": false,
        "modificationMetadata": {"archivable": true, "readOnlyDefinition": true, "readOnlyValue": kind == "datetime"},
    })
}

fn moment(micros: i64, digits: SecondsFormat) -> String {
    DateTime::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(digits, true)
}
