//! The plain case of a record's value, read at the speed of its bytes: one flat JSON object whose strings hold no
//! escapes. Nearly every record is one.
//!
//! This reader only ever agrees: it accepts what the exact reader in `row.rs` accepts, with the same result, and
//! leaves everything else to it, whatever is wrong with it or merely unusual.

use sluice_core::Schema;

/// Tables with more columns than this take the exact reader.
pub(super) const MOST_COLUMNS: usize = 32;

/// A field's value as it stands in the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// What stands between the quotes: no escape and no control character.
    Text(&'a str),
    /// Number, true, false or null.
    Word(&'a str),
}

/// One token per column, in the columns' order.
pub(super) type Tokens<'a> = [Option<Token<'a>>; MOST_COLUMNS];

/// A record as the plain reader sees it.
pub(super) struct Plain<'a> {
    pub tokens: Tokens<'a>,
    /// Fields that the contract does not know.
    pub unknown: u64,
}

/// Reads the object, or declines.
pub(super) fn read<'a>(schema: &Schema, text: &'a str) -> Option<Plain<'a>> {
    let columns = schema.columns();
    if columns.len() > MOST_COLUMNS {
        return None;
    }
    let mut tokens = [None; MOST_COLUMNS];
    let mut scanner = Scanner { text, at: 0 };
    let mut expected = 0;
    let mut unknown = 0;
    scanner.space();
    scanner.byte(b'{')?;
    loop {
        scanner.space();
        let name = scanner.string()?;
        scanner.space();
        scanner.byte(b':')?;
        scanner.space();
        let token = scanner.value()?;
        // Producers mostly write the fields in the order of the contract.
        let position = match columns.get(expected) {
            Some(column) if column.source() == name => Some(expected),
            _ => schema.position_of_source(name),
        };
        if let Some(position) = position {
            if tokens[position].replace(token).is_some() {
                return None;
            }
            expected = position + 1;
        } else {
            unknown += 1;
        }
        scanner.space();
        match scanner.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    scanner.space();
    (scanner.at == text.len()).then_some(Plain { tokens, unknown })
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn byte(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Token<'a>> {
        if self.peek()? == b'"' {
            return self.string().map(Token::Text);
        }
        let rest = &self.text.as_bytes()[self.at..];
        let end = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t'))?;
        let word = self.text.get(self.at..self.at + end)?;
        self.at += end;
        (matches!(word, "true" | "false" | "null") || is_number(word)).then_some(Token::Word(word))
    }

    /// A string without escapes; what stands between its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.byte(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let start = self.at;
        self.at += end + 1;
        if rest[end] == b'"' { self.text.get(start..start + end) } else { None }
    }
}

/// The grammar of JSON numbers.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (word, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}
