//! What Snowflake refuses of one kind or another, beyond the shape of its properties.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{NaiveDateTime, Utc};

use super::{
    Account, Kind, Object, Setting, Settings,
    assign::{invalid_property, invalid_value},
};
use crate::{failure::Failure, names::shown, request::Request};

/// What a person has and a service has not.
const OF_PERSONS: [&str; 6] =
    ["FIRST_NAME", "MIDDLE_NAME", "LAST_NAME", "PASSWORD", "MUST_CHANGE_PASSWORD", "MINS_TO_BYPASS_MFA"];

/// Refuses settings that do not go together, and adds what Snowflake makes up.
pub(super) fn check(
    account: &Account,
    kind: &Kind,
    settings: &mut Settings,
    old: Option<&Object>,
    creates: bool,
) -> Result<(), Failure> {
    let text = |settings: &Settings, name: &str| settings.get(name).map(Setting::printed);
    let differs = |name: &str| old.is_none_or(|old| old.settings.get(name) != settings.get(name));
    match kind.words {
        "RESOURCE MONITOR" => {
            if settings.contains_key("TRIGGERS") && creates && !settings.contains_key("CREDIT_QUOTA") {
                return Err(Failure::syntax("unexpected 'TRIGGERS': a resource monitor has no quota"));
            }
            if settings.contains_key("FREQUENCY") != settings.contains_key("START_TIMESTAMP") {
                return Err(Failure::syntax("FREQUENCY and START_TIMESTAMP are set together"));
            }
            if differs("START_TIMESTAMP") && text(settings, "START_TIMESTAMP").is_some_and(|time| is_past(&time)) {
                let text = "The specified Start time has already passed.";
                return Err(Failure::new("090263", "42601", text));
            }
            if let Some(quota) = text(settings, "CREDIT_QUOTA").and_then(|quota| quota.parse::<f64>().ok()) {
                settings.insert("CREDIT_QUOTA".to_owned(), Setting::Text(format!("{quota:.2}")));
            }
        }
        "USER" => {
            let of_persons = OF_PERSONS.into_iter().find(|name| settings.contains_key(*name));
            match of_persons.filter(|_| text(settings, "TYPE").as_deref() == Some("SERVICE")) {
                Some(name) if differs(name) => return Err(invalid_property(kind, name)),
                _ => {}
            }
            if let Some(Setting::List(roles)) = settings.get("DEFAULT_SECONDARY_ROLES")
                && !(roles.is_empty() || roles.len() == 1 && roles[0].eq_ignore_ascii_case("ALL"))
            {
                return Err(invalid_value("DEFAULT_SECONDARY_ROLES", &roles.join(",")));
            }
        }
        "INTEGRATION" => {
            let needed = ["TYPE", "STORAGE_PROVIDER", "STORAGE_AWS_ROLE_ARN", "STORAGE_ALLOWED_LOCATIONS"].into_iter();
            if let Some(name) = needed.filter(|_| creates).find(|name| !settings.contains_key(*name)) {
                return Err(Failure::syntax(format!("missing property '{name}' of a storage integration")));
            }
            let made_up = STANDARD.encode(&uuid::Uuid::new_v4().into_bytes()[..9]);
            let id = Setting::Text(format!("{}_SFCRole=2_{made_up}=", account.name));
            settings.entry("STORAGE_AWS_EXTERNAL_ID".to_owned()).or_insert(id);
        }
        "NETWORK RULE" => {
            if creates && !settings.contains_key("TYPE") {
                return Err(Failure::syntax("missing property 'TYPE' of a network rule"));
            }
            if let (Some("IPV4"), Some(Setting::List(values))) =
                (text(settings, "TYPE").as_deref(), settings.get("VALUE_LIST"))
                && let Some(value) = values.iter().find(|value| super::login::range(value).is_none())
            {
                return Err(invalid_value("VALUE_LIST", value));
            }
        }
        "STAGE" => {
            let integration = text(settings, "STORAGE_INTEGRATION");
            let integration =
                integration.and_then(|name| account.of("INTEGRATION").find(|found| shown(&found.path) == name));
            let (url, is_below) = (text(settings, "URL").unwrap_or_default(), |url: &str, list: &[String]| {
                list.iter().any(|location| location == "*" || url.starts_with(location.as_str()))
            });
            if let Some(found) = integration
                && (!is_below(&url, found.list("STORAGE_ALLOWED_LOCATIONS"))
                    || is_below(&url, found.list("STORAGE_BLOCKED_LOCATIONS")))
            {
                let text = format!(
                    "SQL compilation error:\nLocation '{url}' is not allowed by integration '{}'. Please use DESC INTEGRATION \
                     to check out allowed and blocked locations.",
                    shown(&found.path)
                );
                return Err(Failure::new("001059", "22023", text));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Refuses a network policy that is empty or shuts out who sets it.
pub(super) fn attach(
    account: &Account,
    request: &Request<'_>,
    old: &Object,
    settings: &Settings,
) -> Result<(), Failure> {
    let Some(Setting::Text(policy)) = settings.get("NETWORK_POLICY") else { return Ok(()) };
    if old.text("NETWORK_POLICY") == Some(policy) {
        return Ok(());
    }
    let lists = ["ALLOWED_IP_LIST", "BLOCKED_IP_LIST", "ALLOWED_NETWORK_RULE_LIST", "BLOCKED_NETWORK_RULE_LIST"];
    let object = account.of("NETWORK POLICY").find(|object| shown(&object.path) == *policy);
    if object.is_some_and(|object| lists.iter().all(|list| object.list(list).is_empty())) {
        let text = format!("Network policy {policy} is empty and cannot be attached.");
        return Err(Failure::new("098519", "22023", text));
    }
    let is_mine = old.kind == "ACCOUNT" || old.path == [request.caller.user.clone()];
    if is_mine && !account.admits(policy, request.caller.address) {
        let text = format!(
            "Changes cannot be applied to the network policy {policy}: the current IP address {} would be blocked.",
            request.caller.address
        );
        return Err(Failure::new("001493", "42601", text));
    }
    Ok(())
}

/// Where a policy or a rule is attached: on objects, by their kind and name.
pub(super) fn attached<'a>(account: &'a Account, kind: &Kind, path: &[String]) -> Vec<&'a Object> {
    let name = shown(path);
    let is_it = |(key, value): (&String, &Setting)| match value {
        Setting::Text(text) => {
            *text == name
                && (key.starts_with(kind.words) && kind.words.ends_with("POLICY") || *key == kind.underscored())
        }
        Setting::List(rules) => kind.words == "NETWORK RULE" && key.ends_with("_RULE_LIST") && rules.contains(&name),
        Setting::Group(_) => false,
    };
    let wanted = ["NETWORK POLICY", "NETWORK RULE", "AUTHENTICATION POLICY", "MASKING POLICY"].contains(&kind.words);
    account.objects.values().filter(|object| wanted && object.settings.iter().any(is_it)).collect()
}

/// CREATE OR ALTER does not touch a network policy in use.
pub(super) fn refuse_attached(account: &Account, kind: &Kind, path: &[String]) -> Result<(), Failure> {
    if kind.words != "NETWORK POLICY" || attached(account, kind, path).is_empty() {
        return Ok(());
    }
    let text =
        format!("Cannot perform Create or alter operation on network policy {}. The policy is attached.", shown(path));
    Err(Failure::new("001492", "42601", text))
}

fn is_past(time: &str) -> bool {
    let day = time.get(..10).unwrap_or_default();
    let clock = time.get(11..16).unwrap_or("00:00");
    let read = NaiveDateTime::parse_from_str(&format!("{day} {clock}"), "%Y-%m-%d %H:%M");
    read.is_ok_and(|time| time.and_utc() < Utc::now())
}
