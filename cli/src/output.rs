//! How answers look: tables that fit a terminal, times as people say them, JSON for programs.

use std::io::{ErrorKind, Write};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sluice_core::Error;

use crate::failure::Outcome;

/// No line is longer.
pub(crate) const WIDTH: usize = 100;

/// Prints the answer as JSON, or as the text made of it.
pub(crate) fn print<T: Serialize>(json: bool, answer: &T, text: impl FnOnce(&T) -> String) -> Outcome {
    if json {
        let encoded = serde_json::to_string_pretty(answer)
            .map_err(|error| Error::internal("cannot encode the answer").because(error))?;
        write(&(encoded + "\n")).map(drop)
    } else {
        write(&format!("{}\n", text(answer).trim_end())).map(drop)
    }
}

/// Says a line to the person, beside the answer. Where nobody listens any more there is nobody to tell.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes a text at once. Whether anybody still reads: a pipe's other end may have seen enough.
pub(crate) fn write(text: &str) -> Outcome<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::internal("cannot write the answer").because(error).into()),
    }
}

/// Which side of its column a text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Lines of cells under headings, in columns as wide as needed. When that is more than [`WIDTH`], the first column loses
/// the beginnings of its texts: names tell themselves apart by their ends.
pub(crate) fn table(columns: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = columns.iter().map(|(heading, _)| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    if let Some(first) = widths.first_mut().filter(|_| total > WIDTH) {
        *first = first.saturating_sub(total - WIDTH).max(8);
    }
    let line = |cells: Vec<&str>| {
        let mut line = String::new();
        for (i, ((cell, width), (_, side))) in cells.iter().zip(&widths).zip(columns).enumerate() {
            let cell = if i == 0 { end_of(cell, *width) } else { (*cell).to_owned() };
            let gap = if i == 0 { "" } else { "  " };
            match side {
                Side::Left => line.push_str(&format!("{gap}{cell:<width$}")),
                Side::Right => line.push_str(&format!("{gap}{cell:>width$}")),
            }
        }
        shortened(line.trim_end(), WIDTH)
    };
    let mut lines = vec![line(columns.iter().map(|(heading, _)| *heading).collect())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// The text, or its end after an ellipsis.
fn end_of(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let end: String = text.chars().skip(length + 1 - width).collect();
    format!("…{end}")
}

/// The text on one line, or its beginning before an ellipsis.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= width {
        return text;
    }
    let beginning: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{beginning}…")
}

/// How long ago, in one unit: `42s`, `3m`, `5h`, `12d`. A clock that is ahead counts as now.
pub(crate) fn age(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    duration(now - at)
}

/// A duration in one unit. Under a second in milliseconds.
pub(crate) fn duration(time: TimeDelta) -> String {
    let ms = time.num_milliseconds().max(0);
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..10_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        10_000..60_000 => format!("{}s", ms / 1_000),
        60_000..3_600_000 => format!("{}m", ms / 60_000),
        3_600_000..172_800_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// Numbers of commits in order: `#1-#4, #7`.
pub(crate) fn ranges(numbers: impl Iterator<Item = u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let range = |(first, last): &(u64, u64)| {
        if first == last { format!("#{first}") } else { format!("#{first}-#{last}") }
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}

/// `1,234,567`
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_never_leaves_the_terminal() {
        let columns = [("TABLE", Side::Left), ("ROWS", Side::Right)];
        let text = table(&columns, &[vec!["A.B".into(), "7".into()], vec!["A.B.C.D".into(), "1,000".into()]]);
        assert_eq!(text, "TABLE     ROWS\nA.B          7\nA.B.C.D  1,000");
        let long = table(&columns, &[vec!["X".repeat(150) + ".END", "1".repeat(40)]]);
        assert!(long.lines().all(|line| line.chars().count() <= WIDTH), "{long}");
        assert!(long.contains(".END"), "{long}");
    }

    #[test]
    fn times_are_told_in_one_unit() {
        for (seconds, text) in
            [(-5, "0ms"), (59, "59s"), (60, "1m"), (3_599, "59m"), (7_200, "2h"), (172_799, "47h"), (172_800, "2d")]
        {
            assert_eq!(duration(TimeDelta::seconds(seconds)), text);
        }
        for (ms, text) in [(250, "250ms"), (1_000, "1.0s"), (1_990, "1.9s"), (9_999, "9.9s"), (10_000, "10s")] {
            assert_eq!(duration(TimeDelta::milliseconds(ms)), text);
        }
    }

    #[test]
    fn long_texts_and_large_numbers_stay_readable() {
        assert_eq!(shortened("a\nb", 10), "a b");
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(end_of("abcdef", 4), "…def");
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
