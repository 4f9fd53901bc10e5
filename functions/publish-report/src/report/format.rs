//! Values as people read them. No digit passes through a float unless the warehouse computed with floats.

use crate::lightdash::{Field, Kind};

use super::tile::Cell;

/// A longer text is cut: one product's name must not fill the page.
const LONGEST_TEXT: usize = 300;

/// A cell of a column.
pub(super) fn cell(field: &Field, value: Option<String>) -> Cell {
    let Some(value) = value else { return Cell::none() };
    let text = match field.kind {
        Kind::Number => number(&value, field.format.as_deref()),
        Kind::Date => day(&value, field.interval.as_deref()),
        Kind::Timestamp => value.get(..16).map_or_else(|| value.clone(), |text| text.replace('T', " ")),
        Kind::Boolean => {
            if value.eq_ignore_ascii_case("true") {
                "yes".to_owned()
            } else {
                "no".to_owned()
            }
        }
        Kind::String if value.is_empty() => "empty".to_owned(),
        Kind::String => plain(&value),
    };
    let value = if field.kind == Kind::String { plain(&value) } else { value };
    Cell { value: Some(value), text }
}

/// A text without what would change how the text around it is read, and no longer than the page bears.
fn plain(text: &str) -> String {
    let is_unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut plain: String =
        text.chars().take(LONGEST_TEXT).map(|c| if is_unseen(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST_TEXT).is_some() {
        plain.push('…');
    }
    plain
}

/// `2026-03-16`, `2026-03`, `2026 Q1` or `2026`.
fn day(value: &str, interval: Option<&str>) -> String {
    let day = value.get(..10).unwrap_or(value);
    let (year, month) = (day.get(..4).unwrap_or(day), day.get(..7).unwrap_or(day));
    match (interval, day.get(5..7).and_then(|month| month.parse::<u32>().ok())) {
        (Some("MONTH"), _) => month.to_owned(),
        (Some("QUARTER"), Some(month)) => format!("{year} Q{}", month.div_ceil(3)),
        (Some("YEAR"), _) => year.to_owned(),
        _ => day.to_owned(),
    }
}

/// What a format of a spreadsheet says, as far as ours go: `[$£]#,##0.00`, `0.0000`, `0.00%`, `#,##0`.
fn number(value: &str, format: Option<&str>) -> String {
    let Some(decimal) = Decimal::parse(value) else { return plain(value) };
    let Some(format) = format else { return decimal.to_text(None, decimal.whole.len() > 4) };
    let (sign, rest) = match format.strip_prefix("[$").and_then(|rest| rest.split_once(']')) {
        Some((sign, rest)) => (sign, rest),
        None => ("", format),
    };
    let is_percent = rest.ends_with('%');
    let decimals = rest.trim_end_matches('%').split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let shown = if is_percent { decimal.times_100() } else { decimal }.to_text(Some(decimals), rest.contains(','));
    let (minus, shown) = shown.strip_prefix('-').map_or(("", shown.as_str()), |shown| ("−", shown));
    format!("{minus}{sign}{shown}{}", if is_percent { " %" } else { "" })
}

/// Digits before and behind the point.
#[derive(Debug, Clone)]
struct Decimal {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            // What the warehouse computed with floats may have an exponent.
            let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
            return text.contains(['e', 'E']).then(|| Self::parse(&format!("{float:.12}")))?;
        }
        let whole = whole.trim_start_matches('0');
        Some(Decimal {
            negative,
            whole: if whole.is_empty() { "0" } else { whole }.to_owned(),
            fraction: fraction.to_owned(),
        })
    }

    fn times_100(&self) -> Self {
        let fraction = format!("{:0<2}", self.fraction);
        let whole = format!("{}{}", self.whole, &fraction[..2]);
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole }.to_owned();
        Decimal { negative: self.negative, whole, fraction: fraction[2..].to_owned() }
    }

    /// Rounded half away from zero to this many decimals, or with those that it has, without ending zeros.
    fn to_text(&self, decimals: Option<usize>, thousands: bool) -> String {
        let kept = decimals.unwrap_or_else(|| self.fraction.trim_end_matches('0').len());
        let mut digits: Vec<u8> =
            self.whole.bytes().chain(self.fraction.bytes().chain(std::iter::repeat(b'0')).take(kept)).collect();
        if self.fraction.as_bytes().get(kept).is_some_and(|next| *next >= b'5') {
            round_up(&mut digits);
        }
        let (whole, fraction) = digits.split_at(digits.len() - kept);
        let mut text = String::new();
        // A zero that was rounded to has no sign.
        if self.negative && digits.iter().any(|digit| *digit != b'0') {
            text.push('-');
        }
        for (at, digit) in whole.iter().enumerate() {
            if thousands && at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(char::from(*digit));
        }
        if kept > 0 {
            text.push('.');
            text.extend(fraction.iter().map(|digit| char::from(*digit)));
        }
        text
    }
}

fn round_up(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_as_its_format_says_and_keeps_its_digits() {
        for (value, format, expected) in [
            ("1234567.891", Some("[$$]#,##0.00"), "$1,234,567.89"),
            ("-1234.5", Some("[$£]#,##0.00"), "−£1,234.50"),
            (
                "99999999999999999999999999999999999.99",
                Some("[$$]#,##0.00"),
                "$99,999,999,999,999,999,999,999,999,999,999,999.99",
            ),
            ("999.995", Some("#,##0.00"), "1,000.00"),
            ("-0.004", Some("0.00"), "0.00"),
            ("0.12345", Some("0.00%"), "12.35 %"),
            ("0.00456789", Some("0.00%"), "0.46 %"),
            ("5.2e-3", Some("0.00%"), "0.52 %"),
            ("1.5", Some("#,##0"), "2"),
            ("12", Some("0.0000"), "12.0000"),
            ("12345", None, "12,345"),
            ("0.1200", None, "0.12"),
            ("2026", None, "2026"),
            ("inf", Some("0.00"), "inf"),
        ] {
            assert_eq!(number(value, format), expected, "{value} as {format:?}");
        }
    }

    #[test]
    fn a_day_is_as_long_as_its_interval() {
        for (interval, expected) in [
            (None, "2026-05-01"),
            (Some("DAY"), "2026-05-01"),
            (Some("MONTH"), "2026-05"),
            (Some("QUARTER"), "2026 Q2"),
            (Some("YEAR"), "2026"),
        ] {
            assert_eq!(day("2026-05-01T00:00:00.000000Z", interval), expected);
        }
    }

    #[test]
    fn a_text_can_neither_turn_the_line_nor_fill_the_page() {
        assert_eq!(plain("a\u{202e}b\u{0}c\u{2028}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(plain(&"x".repeat(1_000)).chars().count(), LONGEST_TEXT + 1);
        assert_eq!(plain("<b>'\"&"), "<b>'\"&", "the page escapes, not the report");
    }
}
