//! Snowflake SQL as tokens, and a cursor that the recognisers read them with.

use crate::{failure::Failure, names::Name};

/// One token. Words are upper-cased as Snowflake stores bare names; what was quoted keeps its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Number(String),
    /// What stands between two `$$`.
    Dollars(String),
    Symbol(&'static str),
}

/// Longest first, so that `<>` is not read as `<` and `>`.
const SYMBOLS: [&str; 23] = [
    ":=", "=>", "<>", "<=", ">=", "!=", "||", "::", "(", ")", ",", ";", ".", "=", "<", ">", "+", "-", "*", "/", "@",
    ":", "%",
];

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        match self {
            Token::Word(word) => word == text,
            Token::Symbol(symbol) => *symbol == text,
            _ => false,
        }
    }
}

/// Splits a statement into tokens; comments vanish.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Failure> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
        } else if rest.starts_with("--") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(body) = rest.strip_prefix("$$") {
            let end = body.find("$$").ok_or_else(|| Failure::syntax("a $$ is not closed"))?;
            tokens.push(Token::Dollars(body[..end].to_owned()));
            rest = &body[end + 2..];
        } else if first == '\'' || first == '"' {
            let (value, length) = quoted(rest, first)?;
            tokens.push(if first == '"' { Token::Quoted(value) } else { Token::Text(value) });
            rest = &rest[length..];
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            tokens.push(Token::Number(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_ascii_uppercase()));
            rest = &rest[end..];
        } else {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
            let symbol = symbol.ok_or_else(|| Failure::syntax(format!("unexpected '{first}'")))?;
            tokens.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        }
    }
    Ok(tokens)
}

/// The value of a quoted text or name and how many bytes it took. Only a text has backslash escapes.
pub(crate) fn quoted(text: &str, quote: char) -> Result<(String, usize), Failure> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            if chars.next_if(|(_, next)| *next == quote).is_none() {
                return Ok((value, at + 1));
            }
            value.push(quote);
        } else if c == '\\' && quote == '\'' {
            match chars.next() {
                Some((_, escaped @ ('\\' | '\''))) => value.push(escaped),
                _ => return Err(Failure::unsupported("an escape other than \\\\ and \\'")),
            }
        } else {
            value.push(c);
        }
    }
    Err(Failure::syntax("a quote is not closed"))
}

/// A position in a statement's tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a>(&'a [Token]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(tokens: &'a [Token]) -> Self {
        Cursor(tokens)
    }

    pub(crate) fn rest(&self) -> &'a [Token] {
        self.0
    }

    pub(crate) fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Goes past `words` if they are what comes next.
    pub(crate) fn eat(&mut self, words: &str) -> bool {
        let mut rest = self.0;
        for word in words.split(' ') {
            match rest.split_first() {
                Some((token, after)) if token.is(word) => rest = after,
                _ => return false,
            }
        }
        self.0 = rest;
        true
    }

    pub(crate) fn expect(&mut self, words: &str) -> Result<(), Failure> {
        if self.eat(words) { Ok(()) } else { Err(self.unexpected(words)) }
    }

    pub(crate) fn identifier(&mut self) -> Result<String, Failure> {
        match self.next() {
            Some(Token::Word(name) | Token::Quoted(name)) => Ok(name.clone()),
            _ => Err(self.unexpected("a name")),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Failure> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            _ => Err(self.unexpected("a text")),
        }
    }

    /// A full name. A shorter one needs a current schema, which no request of ours has.
    pub(crate) fn name(&mut self) -> Result<Name, Failure> {
        name(&self.path()?)
    }

    /// A name of any number of parts.
    pub(crate) fn path(&mut self) -> Result<Vec<String>, Failure> {
        let mut parts = vec![self.identifier()?];
        while self.eat(".") {
            parts.push(self.identifier()?);
        }
        Ok(parts)
    }

    /// What stands in parentheses, up to the one that closes the next token.
    pub(crate) fn group(&mut self) -> Result<&'a [Token], Failure> {
        self.expect("(")?;
        let inner = self.0;
        let mut depth = 1;
        while let Some(token) = self.next() {
            depth += i32::from(token.is("(")) - i32::from(token.is(")"));
            if depth == 0 {
                return Ok(&inner[..inner.len() - self.0.len() - 1]);
            }
        }
        Err(Failure::syntax("a parenthesis is not closed"))
    }

    /// What stands before the next `;`, and goes past it.
    pub(crate) fn statement(&mut self) -> Result<&'a [Token], Failure> {
        let all = self.0;
        while let Some(token) = self.next() {
            if token.is(";") {
                return Ok(&all[..all.len() - self.0.len() - 1]);
            }
        }
        Err(Failure::syntax("a statement does not end in ';'"))
    }

    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        self.eat(";");
        if self.0.is_empty() { Ok(()) } else { Err(self.unexpected("the end of the statement")) }
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> Failure {
        match self.0.first() {
            Some(found) => Failure::unsupported(format!("{found:?} where the emulator knows only {wanted}")),
            None => Failure::syntax(format!("the statement ends where {wanted} should be")),
        }
    }
}

/// A full name from its parts.
pub(crate) fn name(parts: &[String]) -> Result<Name, Failure> {
    match parts {
        [database, schema, object] => {
            Ok(Name { database: database.clone(), schema: schema.clone(), object: object.clone() })
        }
        [_] | [_, _] => Err(Failure::new(
            "090105",
            "22000",
            format!("cannot resolve '{}': there is no current database", parts.join(".")),
        )),
        _ => Err(Failure::unsupported(format!("the name '{}'", parts.join(".")))),
    }
}

/// The full name in a text, such as the value of FORMAT_NAME.
pub(crate) fn name_in(text: &str) -> Result<Name, Failure> {
    let tokens = tokens(text)?;
    let mut cursor = Cursor::new(&tokens);
    let name = cursor.name()?;
    cursor.end()?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_end_where_snowflake_ends_them() {
        let text = r#"x = 'it''s \\ \'' AND "a""b.C" <> 1.5 -- gone
            ;"#;
        let expected = [
            Token::Word("X".into()),
            Token::Symbol("="),
            Token::Text(r"it's \ '".into()),
            Token::Word("AND".into()),
            Token::Quoted("a\"b.C".into()),
            Token::Symbol("<>"),
            Token::Number("1.5".into()),
            Token::Symbol(";"),
        ];
        assert_eq!(tokens(text).expect("tokens"), expected);
        for bad in ["'open", "\"open", "$$open", "'\\n'", "§"] {
            assert!(tokens(bad).is_err(), "{bad} was accepted");
        }
    }
}
