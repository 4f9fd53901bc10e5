//! The text of one file: UTF-8, without the mark that spreadsheets and Windows put in front, and where its lines begin.

use std::path::Path;

use super::BadLine;

/// The bytes of the longest text that the platform keeps.
pub(super) const LONGEST: usize = 16 << 20;

/// Reads the file. What keeps the whole of it from being read goes to `problems`.
pub(super) fn read(folder: &Path, file: &'static str, problems: &mut Vec<BadLine>) -> Option<Vec<u8>> {
    let mut bad = |problem: String| problems.push(BadLine { file, line: None, problem });
    let mut text = match std::fs::read(folder.join(file)) {
        Ok(text) => text,
        Err(error) => {
            bad(format!("cannot be read: {error}"));
            return None;
        }
    };
    if is_utf16(&text) {
        bad("is UTF-16 or UTF-32; save it as UTF-8".to_owned());
        return None;
    }
    if text.starts_with("\u{feff}".as_bytes()) {
        text.drain(.."\u{feff}".len());
    }
    Some(text)
}

/// By its mark or, without one, by the zero byte that each of the first letters has beside it.
fn is_utf16(text: &[u8]) -> bool {
    text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) || text.iter().take(4).any(|byte| *byte == 0)
}

/// Where each line begins. A line ends with a line feed, with or without a carriage return before it, or with a carriage
/// return alone.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    ends: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        let ends_here = |(at, byte): (usize, &u8)| match byte {
            b'\n' => Some(at),
            b'\r' if text.get(at + 1) != Some(&b'\n') => Some(at),
            _ => None,
        };
        Lines { text, ends: text.iter().enumerate().filter_map(ends_here).collect() }
    }

    /// The number of the line of the first character at or after this byte that ends no line. The first line is 1.
    pub(super) fn number(&self, byte: u64) -> u64 {
        let start = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        let blank = self.text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.ends.partition_point(|end| *end < start + blank) as u64 + 1
    }
}
