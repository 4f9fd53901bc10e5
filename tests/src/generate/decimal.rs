//! Exact decimals as integers, read and written independently of the platform's own reader.

/// Reads a plain decimal (`-12.345`) as an integer of 10^-`scale`, rounding half away from zero. `None` when the text
/// is anything else: no exponent, no thousands separator, at most 28 digits.
pub fn parse_decimal(text: &str, scale: u32) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || whole.len() + fraction.len() > 28 {
        return None;
    }
    let all: i128 = format!("{whole}{fraction}").parse().ok()?;
    let value = rescale(all, fraction.len() as u32, scale);
    Some(if digits.len() < text.len() { -value } else { value })
}

/// Writes an integer of 10^-`scale` as a decimal without superfluous zeros. The result is also a JSON number.
pub fn decimal_text(value: i128, scale: u32) -> String {
    let unit = 10_u128.pow(scale);
    let (whole, fraction) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    let sign = if value < 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{fraction:0width$}", width = scale as usize).trim_end_matches('0').to_owned()
}

/// Brings a non-negative integer of 10^-`from` to 10^-`to`, rounding half up.
pub(crate) fn rescale(value: i128, from: u32, to: u32) -> i128 {
    if to >= from {
        return value * 10_i128.pow(to - from);
    }
    divide_half_up(value, 10_i128.pow(from - to))
}

/// Division of non-negative integers, rounding half up.
pub(crate) fn divide_half_up(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator) / (2 * denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_half_up_and_print_without_superfluous_zeros() {
        let cases =
            [("12.345", 2, 1235, "12.35"), ("0.5", 0, 1, "1"), ("-1.25", 1, -13, "-1.3"), ("7", 4, 70_000, "7")];
        for (text, scale, value, printed) in cases {
            assert_eq!(parse_decimal(text, scale), Some(value), "{text}");
            assert_eq!(decimal_text(value, scale), printed);
        }
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(0, 2), "0");
        assert_eq!(decimal_text(100, 0), "100");
    }

    #[test]
    fn what_is_not_a_plain_decimal_is_refused() {
        for text in ["", "-", ".5", "5.", "1e3", "1,000", "+1", " 1", "NaN", "1.2.3"] {
            assert_eq!(parse_decimal(text, 2), None, "{text}");
        }
    }
}
