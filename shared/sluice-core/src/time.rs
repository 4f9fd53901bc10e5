//! Points in time and days as texts: the one rule for every source that writes them so. And how often to look at what takes
//! its time.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

/// A point in time as RFC 3339 writes it. Its offset has an ASCII sign: ISO 8601's minus, U+2212, is no part of RFC 3339.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = Some(text).filter(|text| text.is_ascii())?;
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// A day as `YYYY-MM-DD`, and in no shorter or longer form.
pub fn day(text: &str) -> Option<NaiveDate> {
    let is_part = |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    let is_day = text.len() == 10 && text.bytes().enumerate().all(is_part);
    text.parse().ok().filter(|_| is_day)
}

/// How long to wait before looking again at what has been waited for this long: a quarter of that, within two bounds. Its end is
/// then seen soon, however long it takes, and a long one costs few looks.
pub fn until_next_look(waited: Duration, shortest: Duration, longest: Duration) -> Duration {
    (waited / 4).clamp(shortest, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_seen_after_a_quarter_of_its_time_and_few_looks() {
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        for millis in [0, 50, 300, 1_000, 4_000, 6_400, 20_000, 600_000] {
            let end = Duration::from_millis(millis);
            let (mut waited, mut looks) = (Duration::ZERO, 0);
            while waited < end {
                waited += until_next_look(waited, shortest, longest);
                looks += 1;
            }
            assert!(waited - end <= (end / 4).clamp(shortest, longest), "{end:?}: {waited:?}");
            assert!(looks <= 25 + end.as_secs() / 5, "{end:?}: {looks} looks");
        }
    }

    #[test]
    fn a_time_has_an_ascii_sign_and_an_offset() {
        let micros = |text: &str| instant(text).map(|at| at.timestamp_micros());
        assert_eq!(micros("1970-01-01T00:00:00-01:00"), Some(3_600_000_000));
        assert_eq!(micros("1970-01-01t01:00:00.000001+01:00"), Some(1));
        for other in
            ["1970-01-01T00:00:00\u{2212}01:00", "1970-01-01T00:00:00", "1970-01-01", "１970-01-01T00:00:00Z", ""]
        {
            assert_eq!(micros(other), None, "{other}");
        }
    }

    #[test]
    fn a_day_has_ten_characters_and_exists() {
        assert_eq!(day("2024-02-29").map(|day| day.to_epoch_days()), Some(19_782));
        for other in [
            "2023-02-29",
            "2024-2-29",
            "2024- 2- 9",
            "+2024-2-29",
            "12024-02-29",
            "2024-02-29T00:00:00Z",
            "2024\u{2212}02-9",
        ] {
            assert_eq!(day(other), None, "{other}");
        }
    }
}
