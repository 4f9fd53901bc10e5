//! What a run is about: whose data, how much of it, and which days the platform must know rates for.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Days, NaiveDate, Utc};
use sha2::{Digest, Sha256};
use sluice_local::vendors::{
    hubspot::{HubSpotConfig, HubSpotState},
    open_exchange_rates::{RatesConfig, RatesState},
};
use sluice_testkit::{
    formats,
    generate::{Dataset, RateTable, Scale, generate},
};
use tokio::process::Command;

use crate::{
    machine::{processes, state::Folders},
    own_data,
};

/// All generated data comes from this seed.
const SEED: u64 = 20_261_030;

/// The generated data lies within one year.
const GENERATED_DAYS: u32 = 400;
/// More than the bank has published: all of it.
const ALL_DAYS: u32 = 40_000;

/// A purchase on a day without a rate takes one of the days before, as far as the mart looks back.
const LOOK_BACK: Days = Days::new(7);

/// A hundred years: each day between the first and the last is a request and takes a millisecond or two.
const MOST_DAYS: i64 = 36_525;

const NO_RATES: &str = "rates.csv has no line; without the file the demo takes the rates of the European Central Bank";

pub(crate) const HUBSPOT_TOKEN: &str = "pat-local";
/// Of the app that writes, apart from the one that reads.
pub(crate) const HUBSPOT_WRITER: &str = "pat-local-writer";
pub(crate) const OXR_APP_ID: &str = "00000000000000000000000000000000";

/// What the emulators of the vendors serve.
pub(crate) struct Vendors {
    pub hubspot: HubSpotState,
    pub rates: RatesState,
}

/// What to run the demo on.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The user's own files instead of generated data.
    pub data: Option<PathBuf>,
    pub scale: f64,
    pub replay: bool,
    /// Whether people may buy in the shop. Their purchases are not in the data, so such a platform is not the demo's.
    pub open: bool,
}

impl Options {
    /// What tells this set of data from the usual one; `None` for the usual one. A folder is one set, whatever its files hold.
    pub(crate) fn name(&self) -> Result<Option<String>> {
        let Some(folder) = &self.data else {
            let name = (self.scale != 1.0 || self.open).then(|| format!("scale-{}", self.scale));
            return Ok(name.map(|name| if self.open { format!("open-{name}") } else { name }));
        };
        ensure!(folder.is_dir(), "{} is no folder; docs/data-formats.md says what it holds", folder.display());
        let path = fs::canonicalize(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
        let label = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let label: String = label.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(24).collect();
        let hash = hex::encode(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..4]);
        let open = if self.open { "open-" } else { "" };
        Ok(Some(format!("{open}own-{label}-{hash}")))
    }
}

/// The data, and the day on which the platform sees it.
pub(crate) struct World {
    pub data: Dataset,
    pub today: NaiveDate,
    /// The day that the report is of: rates may end before the last purchase.
    pub reported: NaiveDate,
    /// The first day that the platform asks rates for, where it is not the one of `platform/sources.yaml`.
    pub rates_from: Option<NaiveDate>,
}

impl World {
    /// Reads the rates, then generates or reads the rest.
    pub(crate) async fn load(folders: &Folders, options: &Options) -> Result<Self> {
        let Some(folder) = &options.data else {
            let data = generate(SEED, Scale::times(options.scale), rates(folders, GENERATED_DAYS).await?);
            let today = data.rates.dates().next_back().context("there are no exchange rates")?;
            return Ok(World { data, today, reported: today, rates_from: None });
        };
        let published = rates(folders, ALL_DAYS).await?;
        let loaded = formats::load(folder, published.clone(), Utc::now().date_naive());
        let loaded = loaded.map_err(|lines| anyhow::anyhow!("{}: {lines}", folder.display()))?;
        for line in formats::summary(&loaded.bad_purchases) {
            println!("  ! {line}: kept in dead-letter/");
        }
        let data = loaded.dataset;
        own_data::take(folders, folder, &data, published, options.open).await?;
        let known: Vec<NaiveDate> = data.rates.dates().collect();
        let purchases = formats::purchase_dates(&data.purchases);
        let Asked { from, today } = asked_days(purchases, &known).context(NO_RATES)?.bounded()?;
        let reported = reported(purchases, today, Utc::now().date_naive());
        Ok(World { data, today, reported, rates_from: Some(from) })
    }

    /// The time of a scheduled run on that day, late enough for the day's provisional rates.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        morning(self.today)
    }

    pub(crate) fn reported_at(&self) -> DateTime<Utc> {
        morning(self.reported)
    }

    pub(crate) fn vendors(&self, folders: &Folders) -> Result<Vendors> {
        // No index lag, and its rate limits. What is written to it outlives this process, as the ledger of it does.
        let config = HubSpotConfig { writer: Some(HUBSPOT_WRITER.to_owned()), ..HubSpotConfig::new(HUBSPOT_TOKEN) };
        let hubspot = HubSpotState::new(config);
        hubspot.load(self.data.contacts.clone());
        hubspot.keep_in(&folders.state("hubspot.ndjson"))?;
        let config =
            RatesConfig { app_id: OXR_APP_ID.into(), rates: self.data.rates.clone(), today: self.today, quota: None };
        Ok(Vendors { hubspot, rates: RatesState::new(config) })
    }
}

fn morning(day: NaiveDate) -> DateTime<Utc> {
    day.and_hms_opt(9, 0, 0).unwrap_or_default().and_utc()
}

/// The day of the last purchase where no rates reach so far, but no day to come: a mistyped year would hide all others.
fn reported(purchases: Option<(NaiveDate, NaiveDate)>, today: NaiveDate, this_day: NaiveDate) -> NaiveDate {
    purchases.map_or(today, |(_, last)| last.min(this_day).max(today))
}

/// The days that the platform is asked to know rates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    from: NaiveDate,
    /// The day on which the platform runs: its rates are provisional, those of the days before are final.
    today: NaiveDate,
}

impl Asked {
    /// One year that is mistyped in purchases and rates makes days that nobody would wait for.
    fn bounded(self) -> Result<Self> {
        let Asked { from, today } = self;
        ensure!(
            (today - from).num_days() <= MOST_DAYS,
            "rates.csv: the rates that purchases may need are of {from} to {today}, and the demo asks for each day between: \
             for 100 years at most; look for a mistyped year, or leave out the rates of the days that are far off"
        );
        Ok(self)
    }
}

/// Every day on which a purchase may need a rate, as far as there are any: from a look-back before the first purchase to
/// the first day with rates after the last one. `None` without any rates.
fn asked_days(purchases: Option<(NaiveDate, NaiveDate)>, known: &[NaiveDate]) -> Option<Asked> {
    let (oldest, newest) = (*known.first()?, *known.last()?);
    let Some((first, last)) = purchases else { return Some(Asked { from: newest, today: newest }) };
    let after = known.partition_point(|day| *day <= last);
    let today = known.get(after).copied().unwrap_or(newest);
    let from = first.checked_sub_days(LOOK_BACK).unwrap_or(first);
    Some(Asked { from: from.clamp(oldest, today), today })
}

/// The European Central Bank's daily reference rates of the newest days, from the package that carries them.
async fn rates(folders: &Folders, days: u32) -> Result<RateTable> {
    let path = folders.state(&format!("ecb-rates-{days}.csv"));
    if !path.exists() {
        let draft = path.with_extension("draft");
        let mut export = Command::new(folders.tool("data", "python"));
        export.arg(folders.root.join("tools/rates/export.py")).arg(&draft).arg(days.to_string());
        processes::run("export-rates", export, folders).await?;
        fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    RateTable::from_ecb_csv(&fs::read_to_string(&path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn days(first: &str, last: &str) -> Option<Asked> {
        // A Thursday, a Friday, a Monday; the week before has none.
        let known = [day("2009-11-19"), day("2009-12-03"), day("2009-12-04"), day("2009-12-07")];
        asked_days(Some((day(first), day(last))), &known)
    }

    #[test]
    fn every_day_that_a_purchase_may_need_is_asked_for() {
        let asked = |from, today| Some(Asked { from: day(from), today: day(today) });
        assert_eq!(days("2009-12-01", "2009-12-03"), asked("2009-11-24", "2009-12-04"));
        assert_eq!(days("2009-12-01", "2009-12-05"), asked("2009-11-24", "2009-12-07"), "past a weekend");
        assert_eq!(
            days("2009-11-20", "2026-01-01"),
            asked("2009-11-19", "2009-12-07"),
            "no further than there are rates"
        );
        assert_eq!(days("1997-01-01", "1998-06-30"), asked("2009-11-19", "2009-11-19"), "older than every rate");
        assert_eq!(days("2026-01-01", "2026-01-02"), asked("2009-12-07", "2009-12-07"), "younger than every rate");
        assert_eq!(asked_days(None, &[day("2009-12-03")]), asked("2009-12-03", "2009-12-03"));
        assert_eq!(asked_days(Some((day("2009-12-01"), day("2009-12-03"))), &[]), None);
    }

    #[test]
    fn the_report_is_of_the_last_purchase_also_without_its_rates() {
        let of = |last| reported(Some((day("2026-01-01"), day(last))), day("2026-10-30"), day("2026-11-30"));
        assert_eq!(of("2026-11-12"), day("2026-11-12"));
        assert_eq!(of("2026-10-12"), day("2026-10-30"));
        assert_eq!(of("2062-11-12"), day("2026-11-30"), "a mistyped year");
        assert_eq!(reported(None, day("2026-10-30"), day("2026-11-30")), day("2026-10-30"));
    }

    #[test]
    fn more_than_a_hundred_years_of_rates_are_refused_before_the_start() {
        let asked = |today: &str| Asked { from: day("1970-01-01"), today: day(today) }.bounded();
        assert!(asked("2070-01-01").is_ok());
        let error = asked("9999-12-31").expect_err("too many days").to_string();
        assert!(error.contains("1970-01-01 to 9999-12-31"), "{error}");
    }
}
