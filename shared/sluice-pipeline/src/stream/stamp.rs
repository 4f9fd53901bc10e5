//! Points in time as a channel takes them: UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. Read and written digit by digit: every row
//! holds several.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Appends the time of this many microseconds since 1970-01-01; of a year from 1 to 9999, as all that reach a row are.
pub(super) fn write(micros: i64, out: &mut String) {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let mut text = *b"0000-00-00 00:00:00.000000";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], of_day / 3_600);
    digits(&mut text[14..16], of_day / 60 % 60);
    digits(&mut text[17..19], of_day % 60);
    digits(&mut text[20..26], micros.rem_euclid(MICROS_PER_SECOND));
    out.extend(text.map(char::from));
}

/// Reads RFC 3339 in its most usual form: `T`, up to nine digits of a second, `Z`. Anything else is declined, right or
/// wrong. Digits beyond the microsecond are cut off.
pub(super) fn read(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (date_time, rest) = bytes.split_at_checked(19)?;
    let separators = [4, 7, 10, 13, 16].map(|at| date_time[at]);
    if separators != *b"--T::" {
        return None;
    }
    let fraction = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            let kept = &digits[..digits.len().min(6)];
            number(digits)?;
            number(kept)? * 10_i64.pow(6 - kept.len() as u32)
        }
        _ => return None,
    };
    let part = |from: usize, to: usize| number(&date_time[from..to]);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let days = days(year, month, day);
    if year < 1 || civil(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second) * MICROS_PER_SECOND + fraction)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn digits(out: &mut [u8], mut number: i64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Days in 400 years, after which the calendar repeats itself.
const ERA: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01. Counted from March, a leap day is the last of its year.
const EPOCH: i64 = 719_468;

/// Year, month and day of this many days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

/// Days since 1970-01-01; of a date that does not exist, those of another date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day = (153 * month + 2) / 5 + day - 1;
    era * ERA + year * 365 + year / 4 - year / 100 + day - EPOCH
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, SecondsFormat, Timelike};

    use super::*;

    fn written(micros: i64) -> String {
        let mut text = String::new();
        write(micros, &mut text);
        text
    }

    #[test]
    fn every_day_and_odd_microseconds_are_written_and_read_as_chrono_does() {
        let (first, last) = (days(1, 1, 1), days(9999, 12, 31));
        for day in first..=last {
            let micros = day * SECONDS_PER_DAY * MICROS_PER_SECOND + (day.rem_euclid(86_399)) * 1_000_003;
            let at = DateTime::from_timestamp_micros(micros).expect("a time");
            let expected = at.to_rfc3339_opts(SecondsFormat::Micros, true);
            assert_eq!(format!("{}Z", written(micros).replace(' ', "T")), expected);
            assert_eq!(read(&expected), Some(micros), "{expected}");
        }
    }

    #[test]
    fn what_is_read_is_what_chrono_reads() {
        for text in [
            "2024-02-29T23:59:59Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2000-02-29T00:00:00.1Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-32T00:00:00Z",
            "2025-04-31T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:60:00Z",
            "2025-01-01T00:00:60Z",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00.123456789Z",
            "1969-12-31T23:59:59.999999999Z",
            "2025-01-01T00:00:00.12345678x0Z",
            "2025-01-01T00:00:00",
            "2025-01-01T00:00:00z",
            "+025-01-01T00:00:00Z",
            "ë025-01-01T00:00:0Z",
            "",
        ] {
            let chrono = DateTime::parse_from_rfc3339(text).ok().filter(|at| at.nanosecond() < 1_000_000_000);
            if let Some(micros) = read(text) {
                assert_eq!(Some(micros), chrono.map(|at| at.timestamp_micros()), "{text}");
            }
        }
        assert_eq!(read("2000-02-29T00:00:00.1Z"), Some(951_782_400_100_000));
        assert_eq!(read("1969-12-31T23:59:59.999999999Z"), Some(-1));
        assert_eq!(read("2025-01-01T00:00:00"), None, "no offset, no point in time");
    }
}
