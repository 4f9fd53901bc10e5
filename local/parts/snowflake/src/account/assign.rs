//! How a statement sets properties, or takes them back.

use std::collections::BTreeMap;

use super::{
    Account,
    kinds::Kind,
    property::{Property, Setting, Shape},
};
use crate::{
    failure::Failure,
    jwt,
    names::shown,
    tokens::{Cursor, Token, tokens},
};

/// Reads `NAME = value` up to what is no property; `None` stands for NULL. Tags come under `TAG <name>`.
pub(crate) fn assignments(
    account: &Account,
    kind: &Kind,
    cursor: &mut Cursor<'_>,
    creates: bool,
) -> Result<BTreeMap<String, Option<Setting>>, Failure> {
    let mut found = BTreeMap::new();
    while let Some(Token::Word(word)) = cursor.rest().first() {
        if cursor.eat("TAG") || cursor.eat("WITH TAG") {
            let mut list = if creates { Cursor::new(cursor.group()?) } else { *cursor };
            loop {
                let (tag, value) = tag(account, &mut list)?;
                found.insert(format!("TAG {tag}"), Some(value));
                if !list.eat(",") {
                    break;
                }
            }
            if !creates {
                *cursor = list;
            }
            continue;
        }
        if cursor.eat("WITH") {
            continue;
        }
        let Some(property) = kind.property(word) else { break };
        if property.fixed && !creates {
            return Err(invalid_property(kind, property.name));
        }
        if property.enterprise && account.is_standard() {
            return Err(Failure::unsupported_feature(property.name));
        }
        cursor.next();
        if !cursor.eat("=") && !matches!(property.shape, Shape::Triggers | Shape::Values) {
            return Err(cursor.unexpected("="));
        }
        let value = match cursor.eat("NULL") {
            // NULL says never; its absence says the default.
            true if property.name == "AUTO_SUSPEND" => Some(Setting::Text("0".to_owned())),
            true => None,
            false => Some(value(account, property, cursor)?),
        };
        found.insert(property.name.to_owned(), value);
        cursor.eat(",");
    }
    Ok(found)
}

/// The names after UNSET, with commas between them.
pub(crate) fn names(kind: &Kind, cursor: &mut Cursor<'_>) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    loop {
        let name = cursor.identifier()?;
        match kind.property(&name) {
            Some(property) if !property.fixed && !property.kept => names.push(name),
            _ => return Err(invalid_property(kind, &name)),
        }
        if !cursor.eat(",") {
            return Ok(names);
        }
    }
}

/// `<tag> = '<value>'`.
fn tag(account: &Account, cursor: &mut Cursor<'_>) -> Result<(String, Setting), Failure> {
    let name = cursor.path()?;
    cursor.expect("=")?;
    let value = cursor.text()?;
    let tag = account.existing(Kind::of("TAG"), &name)?;
    if let Some(Setting::List(allowed)) = tag.settings.get("ALLOWED_VALUES")
        && !allowed.iter().any(|allowed| allowed == value)
    {
        let text = format!("Tag value {value} is not allowed for tag '{}'.", shown(&name));
        return Err(Failure::new("003541", "23001", text));
    }
    Ok((shown(&name), Setting::Text(value.to_owned())))
}

fn value(account: &Account, property: &Property, cursor: &mut Cursor<'_>) -> Result<Setting, Failure> {
    let checked = |words: &str, word: String| {
        let known = words.is_empty() || words.split('|').any(|known| known == word);
        if known { Ok(word.clone()) } else { Err(invalid_value(property.name, &word)) }
    };
    Ok(match property.shape {
        Shape::Word(words) => Setting::Text(checked(words, scalar(cursor)?.to_uppercase())?),
        Shape::Text => Setting::Text(scalar(cursor)?),
        Shape::Upper => Setting::Text(scalar(cursor)?.to_uppercase()),
        Shape::Number => {
            let text = scalar(cursor)?;
            let number: f64 = text.parse().map_err(|_| invalid_value(property.name, &text))?;
            let days = if account.is_standard() { 1.0 } else { 90.0 };
            if property.name == "DATA_RETENTION_TIME_IN_DAYS" && !(0.0..=days).contains(&number) {
                return Err(invalid_value(property.name, &text));
            }
            Setting::Text(text)
        }
        Shape::Flag => Setting::Text(checked("true|false", scalar(cursor)?.to_lowercase())?),
        Shape::Size => Setting::Text(size(&scalar(cursor)?).ok_or_else(|| invalid_value(property.name, "size"))?),
        Shape::Key => {
            let key = scalar(cursor)?.split_whitespace().collect::<String>();
            let text = "New public key rejected by current policy. Reason: 'Invalid public key'";
            jwt::PublicKey::read(&key).map_err(|_| Failure::new("003559", "22023", text))?;
            Setting::Text(key)
        }
        Shape::Name(kind) => Setting::Text(named(account, kind, cursor)?),
        Shape::Names(kind) => {
            let mut list = Cursor::new(cursor.group()?);
            let mut names = Vec::new();
            while !list.rest().is_empty() {
                names.push(named(account, kind, &mut list)?);
                list.eat(",");
            }
            Setting::List(names)
        }
        Shape::List("") => Setting::List(texts(cursor.group()?)?),
        Shape::List(words) => {
            let values = texts(cursor.group()?)?.into_iter().map(|value| checked(words, value.to_uppercase()));
            let values = values
                .collect::<Result<Vec<_>, _>>()
                .map_err(|failure| Failure::new("004800", "22023", failure.message))?;
            Setting::List(values)
        }
        Shape::Group => group(cursor.group()?)?,
        Shape::Triggers => triggers(cursor)?,
        Shape::Values => {
            let mut values = vec![cursor.text()?.to_owned()];
            while cursor.eat(",") {
                values.push(cursor.text()?.to_owned());
            }
            Setting::List(values)
        }
    })
}

/// A word, a text or a number, also below zero.
fn scalar(cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    let sign = if cursor.eat("-") { "-" } else { "" };
    match cursor.next() {
        Some(Token::Word(text) | Token::Quoted(text) | Token::Text(text) | Token::Number(text)) => {
            Ok(format!("{sign}{text}"))
        }
        _ => Err(cursor.unexpected("a value")),
    }
}

/// A name, bare or in a text, of an object that must be there.
fn named(account: &Account, kind: &'static str, cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    let path = match cursor.rest().first() {
        Some(Token::Text(text)) => {
            cursor.next();
            let tokens = tokens(text)?;
            let mut inner = Cursor::new(&tokens);
            let path = inner.path()?;
            inner.end()?;
            path
        }
        _ => cursor.path()?,
    };
    // A stage may come before its integration where nobody checks.
    if !kind.is_empty() && (kind != "INTEGRATION" || account.checks_privileges()) {
        account.existing(Kind::of(kind), &path)?;
    }
    Ok(shown(&path))
}

fn texts(list: &[Token]) -> Result<Vec<String>, Failure> {
    let mut list = Cursor::new(list);
    let mut texts = Vec::new();
    while !list.rest().is_empty() {
        texts.push(scalar(&mut list)?);
        list.eat(",");
    }
    Ok(texts)
}

/// `NAME = value [,] ..`, where a value may be a group or a list again.
fn group(list: &[Token]) -> Result<Setting, Failure> {
    let mut cursor = Cursor::new(list);
    let mut values = BTreeMap::new();
    while !cursor.rest().is_empty() {
        let name = cursor.identifier()?;
        cursor.expect("=")?;
        let value = if cursor.rest().first().is_some_and(|next| next.is("(")) {
            let inner = cursor.group()?;
            let is_group = inner.get(1).is_some_and(|second| second.is("="));
            if is_group { group(inner)? } else { Setting::List(texts(inner)?) }
        } else if matches!(cursor.rest().get(1), Some(dot) if dot.is(".")) {
            Setting::Text(shown(&cursor.path()?))
        } else {
            Setting::Text(scalar(&mut cursor)?)
        };
        values.insert(name, value);
        cursor.eat(",");
    }
    Ok(Setting::Group(values))
}

/// `ON <n> PERCENT DO <action> ..`, kept as `<n>% <action>`.
fn triggers(cursor: &mut Cursor<'_>) -> Result<Setting, Failure> {
    let mut triggers = Vec::new();
    while cursor.eat("ON") {
        let Some(Token::Number(percent)) = cursor.next() else { return Err(cursor.unexpected("a number of percent")) };
        cursor.expect("PERCENT DO")?;
        let action = cursor.identifier()?;
        triggers.push(format!("{percent}% {action}"));
    }
    for (action, most) in [("NOTIFY", 5), ("SUSPEND", 1), ("SUSPEND_IMMEDIATE", 1)] {
        let count = triggers.iter().filter(|trigger| trigger.ends_with(&format!(" {action}"))).count();
        if count > most {
            return Err(Failure::syntax(format!("a resource monitor has at most {most} triggers to {action}")));
        }
    }
    Ok(Setting::List(triggers))
}

/// A warehouse's size as SHOW prints it.
fn size(written: &str) -> Option<String> {
    let plain = written.to_uppercase().replace('-', "");
    let size = match plain.as_str() {
        "XSMALL" => "X-Small",
        "SMALL" => "Small",
        "MEDIUM" => "Medium",
        "LARGE" => "Large",
        "XLARGE" => "X-Large",
        "XXLARGE" | "X2LARGE" | "2XLARGE" => "2X-Large",
        "XXXLARGE" | "X3LARGE" | "3XLARGE" => "3X-Large",
        "X4LARGE" | "4XLARGE" => "4X-Large",
        "X5LARGE" | "5XLARGE" => "5X-Large",
        "X6LARGE" | "6XLARGE" => "6X-Large",
        _ => return None,
    };
    Some(size.to_owned())
}

pub(crate) fn invalid_property(kind: &Kind, name: &str) -> Failure {
    let text = format!("SQL compilation error:\ninvalid property '{name}' for '{}'", kind.underscored());
    Failure::new("001420", "22023", text)
}

pub(crate) fn invalid_value(name: &str, value: &str) -> Failure {
    let text = format!("SQL compilation error:\ninvalid value ['{value}'] for parameter '{name}'");
    Failure::new("001422", "22023", text)
}
