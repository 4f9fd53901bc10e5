//! The one form of a value, whatever the account or a person has written.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{
    kinds::{Absent, Field, Form},
    name::Name,
    value::Value,
};

/// The sizes of warehouses as a statement writes them.
pub(crate) const SIZES: [&str; 10] =
    ["XSMALL", "SMALL", "MEDIUM", "LARGE", "XLARGE", "X2LARGE", "X3LARGE", "X4LARGE", "X5LARGE", "X6LARGE"];

/// What a cell of an answer of SHOW or DESC says of a field. `None` is no value.
pub(crate) fn answered(field: &Field, cell: Option<&str>) -> Option<Value> {
    let text = cell.map(str::trim).filter(|text| !text.eq_ignore_ascii_case("null"));
    let text = match (text, field.form) {
        (Some(text), Form::Text) => text,
        (None, Form::Text) => "",
        (Some(text), _) if !text.is_empty() => text,
        _ => return nothing(field),
    };
    let value = match field.form {
        Form::Text if text.is_empty() => return nothing(field),
        Form::Text => Value::text(text),
        Form::Upper => Value::Text(text.to_uppercase()),
        Form::Type => Value::Text(data_type(text)),
        Form::Code => Value::Text(code(text)),
        Form::Word(_) => Value::Text(text.to_uppercase()),
        Form::Size => Value::Text(size(text).unwrap_or_else(|| text.to_uppercase())),
        Form::Number(..) | Form::Percent => Value::Number(number(text)?),
        Form::Flag => Value::Flag(matches!(text.to_ascii_lowercase().as_str(), "true" | "y" | "yes" | "on")),
        Form::AllOrNone => Value::Flag(list(text).iter().any(|item| item.eq_ignore_ascii_case("all"))),
        Form::List => Value::list(list(text)),
        Form::Names(_) => Value::list(list(text).iter().map(|name| canonical(name))),
        Form::Percents => Value::list(list(text).iter().filter_map(|item| number(item)).map(|n| n.to_string())),
        // A column shows the stored name, and one that holds a dot is quoted where it stands for more than one part.
        Form::Name(kind) if kind.spec().depth == 1 => Value::Text(Name::of([text]).to_string()),
        Form::Name(_) => Value::Text(canonical(text)),
        Form::Role => Value::Text(Name::of([text]).to_string()),
        Form::Options => Value::Map(options(text)),
        Form::Key => Value::text(text),
        Form::Tags | Form::Columns | Form::Masks => return None,
    };
    Some(value)
}

/// What an empty cell says.
fn nothing(field: &Field) -> Option<Value> {
    match (field.absent, field.form) {
        (Absent::Text(""), _) => Some(Value::text("")),
        (_, Form::List | Form::Names(_) | Form::Percents) => Some(Value::list(Vec::<String>::new())),
        (_, Form::Tags | Form::Options | Form::Columns | Form::Masks) => Some(Value::Map(BTreeMap::new())),
        (_, Form::Flag | Form::AllOrNone) => Some(Value::Flag(false)),
        // Never suspended.
        (Absent::Number(_), Form::Number(..)) => Some(Value::Number(0)),
        _ => None,
    }
}

/// `100.00`, `75%`.
fn number(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches('%');
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse().ok()
}

/// `2X-Large`, `XXLARGE` and `X2LARGE` are one size.
pub(crate) fn size(text: &str) -> Option<String> {
    let plain = text.trim_matches('\'').to_uppercase().replace('-', "");
    let mut size = plain.clone();
    let letters = plain.len() - plain.trim_start_matches('X').len();
    if (2..=3).contains(&letters) {
        size = format!("X{letters}{}", plain.trim_start_matches('X'));
    } else if let Some((digit, rest)) = plain.split_at_checked(1)
        && digit.bytes().all(|byte| byte.is_ascii_digit())
    {
        size = format!("X{digit}{}", rest.strip_prefix('X').unwrap_or(rest));
    }
    SIZES.contains(&size.as_str()).then_some(size)
}

/// A list in any of the forms in which SHOW and DESC print one: `[A, B]`, `["A"]`, `A,B`, or objects that name rules.
pub(crate) fn list(text: &str) -> Vec<String> {
    if let Ok(serde_json::Value::Array(items)) = serde_json::from_str(text) {
        let name = |item: serde_json::Value| match item {
            serde_json::Value::String(text) => Some(text),
            serde_json::Value::Object(fields) => Some(fields.get("fullyQualifiedRuleName")?.as_str()?.to_owned()),
            other => Some(other.to_string()),
        };
        return items.into_iter().filter_map(name).collect();
    }
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    inner.split(',').map(|item| item.trim().trim_matches('\'').to_owned()).filter(|item| !item.is_empty()).collect()
}

/// A name as statements print it, whether or not it was quoted.
pub(crate) fn canonical(text: &str) -> String {
    Name::parse(text.trim()).unwrap_or_else(|| Name::of([text])).to_string()
}

/// SQL without comments, with one space where there is any, and without the semicolon at its end.
pub(crate) fn code(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' | '"' => quoted(rest, first),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => first.len_utf8(),
        };
        let (part, after) = rest.split_at(taken);
        let is_gap = first.is_whitespace() || part.starts_with("--") || part.starts_with("/*");
        match is_gap {
            true if plain.ends_with(' ') || plain.is_empty() => {}
            true => plain.push(' '),
            false => plain.push_str(part),
        }
        rest = after;
    }
    plain.trim_end_matches([';', ' ']).to_owned()
}

/// How long the quoted text at the beginning is.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' if quote == '\'' => drop(chars.next()),
            char if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The options of a file format, which SHOW prints as JSON.
fn options(text: &str) -> BTreeMap<String, String> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    fields.into_iter().map(|(name, value)| (name.to_uppercase(), option(&value))).collect()
}

fn option(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => word(text),
        serde_json::Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(serde_json::Value::as_str).collect();
            format!("({})", items.iter().map(|item| format!("'{item}'")).collect::<Vec<_>>().join(", "))
        }
        other => word(&other.to_string()),
    }
}

/// A flag or a word in upper case; anything else as it is.
pub(crate) fn word(text: &str) -> String {
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word { text.to_uppercase() } else { text.to_owned() }
}

/// The fingerprint of a public key, as DESC USER shows it; of PEM with or without its first and last line.
pub(crate) fn fingerprint(key: &str) -> Option<String> {
    let der = STANDARD.decode(body(key)).ok()?;
    Some(format!("SHA256:{}", STANDARD.encode(Sha256::digest(der))))
}

/// A public key as a statement takes it: without its first and last line, in one.
pub(crate) fn body(key: &str) -> String {
    key.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect()
}

/// A column's type as DESC TABLE prints it: `VARCHAR` is `VARCHAR(16777216)`, `NUMBER` is `NUMBER(38,0)`.
pub(crate) fn data_type(text: &str) -> String {
    let plain = text.to_uppercase().replace(' ', "");
    match plain.as_str() {
        // The longest text became longer with a release; either is no limit.
        "VARCHAR" | "TEXT" | "STRING" | "VARCHAR(134217728)" => "VARCHAR(16777216)".to_owned(),
        "NUMBER" => "NUMBER(38,0)".to_owned(),
        "TIMESTAMP" | "TIMESTAMP_NTZ" => "TIMESTAMP_NTZ(9)".to_owned(),
        "TIMESTAMP_LTZ" => "TIMESTAMP_LTZ(9)".to_owned(),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::kinds::Kind;

    #[test]
    fn a_value_has_one_form_however_it_is_written() {
        for text in ["X-Small", "XSMALL", "xsmall", "'X-SMALL'"] {
            assert_eq!(size(text).as_deref(), Some("XSMALL"), "{text}");
        }
        for text in ["2X-Large", "XXLARGE", "X2LARGE", "2X-LARGE"] {
            assert_eq!(size(text).as_deref(), Some("X2LARGE"), "{text}");
        }
        assert_eq!(size("HUGE"), None);
        for text in
            ["A,B", "[A, B]", r#"["A","B"]"#, r#"[{"fullyQualifiedRuleName":"A"},{"fullyQualifiedRuleName":"B"}]"#]
        {
            assert_eq!(list(text), ["A", "B"], "{text}");
        }
        assert_eq!(list("[]"), Vec::<String>::new());
        assert_eq!(code("COPY  INTO A\r\n-- why\nFROM '@x  y' /* z */;\n"), "COPY INTO A FROM '@x  y'");
        assert_eq!(code("'it''s -- none'"), "'it''s -- none'");
        assert_eq!(data_type("VARCHAR(134217728)"), data_type("VARCHAR"));
    }

    #[test]
    fn a_cell_that_says_nothing_is_no_value_or_the_empty_one() {
        let says = |kind: Kind, name: &str, cell| answered(kind.field(name).expect("a field"), cell);
        for cell in [None, Some(""), Some("null")] {
            assert_eq!(says(Kind::Warehouse, "resource_monitor", cell), None);
            assert_eq!(says(Kind::Warehouse, "comment", cell), Some(Value::text("")));
            assert_eq!(says(Kind::Warehouse, "auto_suspend", cell), Some(Value::Number(0)));
            assert_eq!(says(Kind::NetworkPolicy, "blocked_ips", cell), Some(Value::list(Vec::<String>::new())));
        }
        assert_eq!(says(Kind::ResourceMonitor, "credits", Some("100.00")), Some(Value::Number(100)));
        assert_eq!(says(Kind::ResourceMonitor, "notify_at", Some("75%,90%")), Some(Value::list(["75", "90"])));
        assert_eq!(says(Kind::User, "secondary_roles", Some(r#"["ALL"]"#)), Some(Value::Flag(true)));
        assert_eq!(says(Kind::User, "secondary_roles", Some("[]")), Some(Value::Flag(false)));
    }
}
