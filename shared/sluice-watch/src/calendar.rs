//! Expected events: holidays, campaigns and known gaps, from `platform/calendar.yaml`.
//!
//! On a day of a holiday or campaign the bands are wider, and the day teaches nothing. On a day of a known gap nothing is
//! expected at all.

use chrono::{Datelike, Days, NaiveDate, Weekday};
use sluice_core::{
    Result,
    judge::{self, Fields, Report, Setting},
    yaml::{At, Node, Place, Value},
};

/// Where the file lies in the project.
pub const FILE: &str = "platform/calendar.yaml";

/// The most days that a holiday reaches to each side.
const MOST_DAYS_AROUND: i64 = 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Holiday,
    Campaign,
    /// No data is expected.
    Gap,
}

/// The day of each year on which a holiday is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Yearly {
    Fixed {
        month: u32,
        day: u32,
    },
    /// Easter Sunday and days from it.
    Easter(i64),
    /// The first, second … weekday of a month; 5 is the last.
    Nth {
        month: u32,
        weekday: Weekday,
        nth: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    Each { day: Yearly, before: u64, after: u64 },
    Span { from: NaiveDate, to: NaiveDate },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub kind: EventKind,
    when: When,
    /// None means all tables.
    tables: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    events: Vec<Event>,
}

impl Calendar {
    /// Reads and judges the text of the file.
    pub fn parse(yaml: &str) -> Result<Self> {
        let mut report = Report::default();
        let events = judge::tree(yaml, &mut report).map(|root| read(root.as_ref(), &mut report)).unwrap_or_default();
        report.finish(FILE)?;
        Ok(Calendar { events })
    }

    /// The event of a table's day; a gap before others.
    pub fn on(&self, table: &str, day: NaiveDate) -> Option<&Event> {
        let of_day = |event: &&Event| event.is_of(table) && event.is_on(day);
        let gap = self.events.iter().filter(of_day).find(|event| event.kind == EventKind::Gap);
        gap.or_else(|| self.events.iter().find(of_day))
    }

    pub fn is_gap(&self, table: &str, day: NaiveDate) -> bool {
        self.on(table, day).is_some_and(|event| event.kind == EventKind::Gap)
    }
}

impl Event {
    fn is_of(&self, table: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|name| name == table)
    }

    fn is_on(&self, day: NaiveDate) -> bool {
        match self.when {
            When::Span { from, to } => (from..=to).contains(&day),
            When::Each { day: yearly, before, after } => {
                // A holiday at the turn of the year reaches into the year beside its own.
                (day.year() - 1..=day.year() + 1).filter_map(|year| yearly.of(year)).any(|holiday| {
                    let (from, to) = (holiday - Days::new(before), holiday + Days::new(after));
                    (from..=to).contains(&day)
                })
            }
        }
    }
}

impl Yearly {
    fn of(self, year: i32) -> Option<NaiveDate> {
        match self {
            Yearly::Fixed { month, day } => NaiveDate::from_ymd_opt(year, month, day),
            Yearly::Easter(days) => easter(year)?.checked_add_signed(chrono::Duration::days(days)),
            Yearly::Nth { month, weekday, nth: 5 } => NaiveDate::from_weekday_of_month_opt(year, month, weekday, 5)
                .or_else(|| NaiveDate::from_weekday_of_month_opt(year, month, weekday, 4)),
            Yearly::Nth { month, weekday, nth } => NaiveDate::from_weekday_of_month_opt(year, month, weekday, nth),
        }
    }
}

/// Easter Sunday of the Gregorian calendar, by the method of Meeus, Jones and Butcher.
fn easter(year: i32) -> Option<NaiveDate> {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let month = (h + l - 7 * m + 114) / 31;
    let day = (h + l - 7 * m + 114) % 31 + 1;
    NaiveDate::from_ymd_opt(year, month as u32, day as u32)
}

fn read(root: Option<&Node>, report: &mut Report) -> Vec<Event> {
    let Some(root) = root.filter(|root| root.value != Value::Null) else { return Vec::new() };
    let Some(mut file) = Fields::of("the file".to_owned(), root, report) else { return Vec::new() };
    let entries = file.mappings("events", report);
    file.end(report);
    entries.into_iter().filter_map(|entry| event(entry, report)).collect()
}

fn event(mut fields: Fields<'_>, report: &mut Report) -> Option<Event> {
    let name = fields.required::<String>("name", report);
    let kind = fields.required::<EventKind>("kind", report);
    let tables = fields.list("tables", report);
    let when = match kind.as_ref().map(|kind| kind.value) {
        None => {
            fields.end(report);
            return None;
        }
        Some(EventKind::Holiday) => {
            let day = fields.required::<Yearly>("day", report);
            let [before, after] = ["days_before", "days_after"].map(|name| around(name, &mut fields, report));
            day.map(|day| When::Each { day: day.value, before, after })
        }
        Some(EventKind::Campaign | EventKind::Gap) => {
            let [from, to] = ["from", "to"].map(|name| fields.required::<NaiveDate>(name, report));
            from.zip(to).map(|(from, to)| span(&fields, from, to, report))
        }
    };
    fields.end(report);
    Some(Event {
        name: name?.value,
        kind: kind?.value,
        when: when?,
        tables: tables.into_iter().flat_map(|list| list.value).map(|table| table.value).collect(),
    })
}

fn span(fields: &Fields<'_>, from: At<NaiveDate>, to: At<NaiveDate>, report: &mut Report) -> When {
    if from.value > to.value {
        fields.tell(to.place, "`to` is before `from`; both are days of the event", report);
    }
    When::Span { from: from.value, to: to.value }
}

fn around(name: &'static str, fields: &mut Fields<'_>, report: &mut Report) -> u64 {
    let Some(days) = fields.optional::<i64>(name, report) else { return 0 };
    if !(0..=MOST_DAYS_AROUND).contains(&days.value) {
        let place: Place = days.place;
        fields.tell(place, format_args!("`{name}` must be from 0 to {MOST_DAYS_AROUND} days"), report);
        return 0;
    }
    days.value.unsigned_abs()
}

impl Setting for EventKind {
    fn read(value: &Value) -> std::result::Result<Self, String> {
        match String::read(value)?.as_str() {
            "holiday" => Ok(EventKind::Holiday),
            "campaign" => Ok(EventKind::Campaign),
            "gap" => Ok(EventKind::Gap),
            other => Err(format!("'{other}' is no kind of event; known are holiday, campaign, gap")),
        }
    }
}

impl Setting for Yearly {
    fn read(value: &Value) -> std::result::Result<Self, String> {
        let text = String::read(value)?;
        yearly(&text).ok_or_else(|| {
            format!("'{text}' is no day of a year; write 12-25, easter, easter-2, 'thursday 4 november' or 'monday last may'")
        })
    }
}

fn yearly(text: &str) -> Option<Yearly> {
    if let Some(days) = text.strip_prefix("easter") {
        let days = if days.is_empty() { 0 } else { days.parse().ok().filter(|days: &i64| days.abs() <= 100)? };
        return Some(Yearly::Easter(days));
    }
    if let Some((month, day)) = text.split_once('-') {
        let (month, day) = (month.parse().ok()?, day.parse().ok()?);
        // Of a leap year, so that 29 February is a day.
        NaiveDate::from_ymd_opt(2024, month, day)?;
        return Some(Yearly::Fixed { month, day });
    }
    let mut words = text.split(' ');
    let (weekday, nth, month, end) = (words.next()?, words.next()?, words.next()?, words.next());
    let nth = if nth == "last" { 5 } else { nth.parse().ok().filter(|nth| (1..=4).contains(nth))? };
    let month = month.parse::<chrono::Month>().ok()?.number_from_month();
    end.is_none().then_some(Yearly::Nth { month, weekday: weekday.parse().ok()?, nth })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    const EVENTS: &str = "
events:
  - { name: New Year, kind: holiday, day: 01-01, days_before: 2, days_after: 1 }
  - { name: Good Friday, kind: holiday, day: easter-2 }
  - { name: Thanksgiving, kind: holiday, day: thursday 4 november }
  - { name: Spring, kind: holiday, day: monday last may }
  - { name: Sale, kind: campaign, from: 2026-07-01, to: 2026-07-07, tables: [A.B.C] }
  - { name: Move, kind: gap, from: 2026-07-07, to: 2026-07-08 }
";

    #[test]
    fn holidays_campaigns_and_gaps_are_on_their_days() {
        let calendar = Calendar::parse(EVENTS).expect("a calendar");
        let name = |table: &str, date: &str| calendar.on(table, day(date)).map(|event| event.name.clone());
        for (date, expected) in [
            ("2026-12-30", Some("New Year")),
            ("2026-12-29", None),
            ("2027-01-02", Some("New Year")),
            ("2026-04-03", Some("Good Friday")),
            ("2026-04-04", None),
            ("2026-11-26", Some("Thanksgiving")),
            ("2026-05-25", Some("Spring")),
            ("2026-07-01", Some("Sale")),
            ("2026-07-07", Some("Move")),
        ] {
            assert_eq!(name("A.B.C", date).as_deref(), expected, "{date}");
        }
        assert_eq!(name("A.B.D", "2026-07-01"), None);
        assert!(calendar.is_gap("A.B.D", day("2026-07-08")));
    }

    #[test]
    fn easter_is_where_the_tables_have_it() {
        for (year, date) in [(2000, "2000-04-23"), (2024, "2024-03-31"), (2025, "2025-04-20"), (2038, "2038-04-25")] {
            assert_eq!(easter(year), Some(day(date)));
        }
    }

    #[test]
    fn what_is_wrong_in_the_file_is_told_with_its_place() {
        for (right, wrong, told) in [
            ("day: 01-01", "day: 02-30", "events 1: `day`: '02-30' is no day of a year"),
            ("day: easter-2", "day: easter-x", "is no day of a year"),
            ("kind: gap", "kind: hole", "'hole' is no kind of event; known are holiday, campaign, gap"),
            ("days_before: 2", "days_before: 99", "`days_before` must be from 0 to 31 days"),
            ("to: 2026-07-08", "to: 2026-07-01", "`to` is before `from`"),
            (", to: 2026-07-08", "", "`to` is missing"),
            ("days_after: 1", "to: 2026-01-01", "`to` is no setting here"),
        ] {
            assert!(EVENTS.contains(right), "{right}");
            let problem = Calendar::parse(&EVENTS.replacen(right, wrong, 1)).expect_err(wrong).to_string();
            assert!(problem.contains(told), "{problem}");
        }
        assert_eq!(Calendar::parse("# nothing\n").expect("empty"), Calendar::default());
    }
}
