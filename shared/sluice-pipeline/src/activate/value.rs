//! One form for each value, so that what a destination writes in another way is still the same, and its digest.

use chrono::{DateTime, NaiveDate, SecondsFormat};
use uuid::Uuid;

use super::port::{Field, FieldKind};

/// The one form of a value, or why the property cannot hold it. The empty text clears.
pub(super) fn canonical(field: &Field, text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let formed = match field.kind {
        FieldKind::Text => Some(text.to_owned()),
        FieldKind::Number => number(text),
        FieldKind::Boolean => Some(text.to_lowercase()).filter(|text| text == "true" || text == "false"),
        FieldKind::Date => date(text).map(|date| date.to_string()),
        FieldKind::Time => time(text),
    };
    let value = formed.ok_or_else(|| format!("the value is no {}", word(field.kind)))?;
    match &field.options {
        Some(options) if !options.contains(&value) => Err("the value is none of the property's options".to_owned()),
        _ => Ok(value),
    }
}

fn word(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "text",
        FieldKind::Number => "number",
        FieldKind::Boolean => "truth value",
        FieldKind::Date => "date",
        FieldKind::Time => "time",
    }
}

/// Digits with at most one point, without zeros that mean nothing.
fn number(text: &str) -> Option<String> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let value = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    Some(if value == "0" { value } else { format!("{sign}{value}") })
}

fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok().or_else(|| Some(DateTime::from_timestamp_millis(text.parse().ok()?)?.date_naive()))
}

fn time(text: &str) -> Option<String> {
    let iso = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    let at = text.parse().ok().and_then(DateTime::from_timestamp_millis).or_else(iso)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// What the ledger keeps of a value.
pub(super) fn digest(value: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, value.as_bytes()).simple().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn values_that_mean_the_same_have_one_form() {
        let form = |kind, text: &str| canonical(&Field { kind, options: None }, text).ok();
        for (kind, text, expected) in [
            (FieldKind::Number, "10.00", Some("10")),
            (FieldKind::Number, "-007.50", Some("-7.5")),
            (FieldKind::Number, "-0.0", Some("0")),
            (FieldKind::Number, ".5", Some("0.5")),
            (FieldKind::Number, "1,000", None),
            (FieldKind::Number, "1e3", None),
            (FieldKind::Number, ".", None),
            (FieldKind::Boolean, "TRUE", Some("true")),
            (FieldKind::Boolean, "yes", None),
            (FieldKind::Date, "2026-01-31", Some("2026-01-31")),
            (FieldKind::Date, "1769817600000", Some("2026-01-31")),
            (FieldKind::Time, "2026-01-31T12:00:00+01:00", Some("2026-01-31T11:00:00.000Z")),
            (FieldKind::Time, "soon", None),
            (FieldKind::Text, " 007 ", Some(" 007 ")),
            (FieldKind::Number, "", Some("")),
        ] {
            assert_eq!(form(kind, text).as_deref(), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn a_choice_takes_only_its_options() {
        let options = Some(BTreeSet::from(["gold".to_owned()]));
        let field = Field { kind: FieldKind::Text, options };
        assert!(canonical(&field, "gold").is_ok() && canonical(&field, "Gold").is_err());
    }
}
