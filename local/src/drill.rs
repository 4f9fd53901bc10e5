//! `make drill`: plants each kind of fault as rows and events on shadow tables, and has them found on the whole way: rows and
//! ledger in the warehouse, objects in the lake, news and what was used, the statements of the watcher, its round, the router, and
//! a server that plays the channels. Only the clean days that count false alarms are simulated.

mod beside;
mod plant;
mod shadow;
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};
use sluice_core::{LakeId, RunId, Secret, Sources, port::Clock, sources::Monitor};
use sluice_http::{Client, Request};
use sluice_local::simulate::{Score, World};
use sluice_pipeline::watch::{Asked, Outcome, State, Watch};
use sluice_snowflake::Snowflake;
use sluice_testkit::fake::Fake;
use sluice_watch::{Calendar, alerts::Table};
use tokio::sync::watch;
use watch_platform::{
    channels::{ANSWER_WITHIN, Senders},
    config::ChannelSettings,
};

use crate::{
    account::{self, Keys, One},
    machine::state::{Folders, Ports},
};
use beside::Beside;
use plant::{Fault, Plants};
use shadow::Shadow;

/// Days of rows before the first fault, which teach.
const LEARNED_DAYS: u64 = 60;

/// Clean days that are simulated.
const CLEAN_DAYS: u64 = 90;

/// Clean days after the last fault.
const RECOVERY_DAYS: u64 = 3;

/// A fault that is not told within this many rounds was not found.
const ROUNDS: u32 = 4;
const EVERY: TimeDelta = TimeDelta::minutes(5);

/// Two channels take everything, so that each message is seen; the topic is not set up.
const TABLE: &str = "
channels:
  - { name: hook, kind: webhook }
  - { name: page, kind: pagerduty }
  - { name: mail, kind: sns }
severities:
  - { severity: 1, channels: [hook, page] }
routes:
  - { severity: 1 }
";

/// The key that the server takes.
const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The drill's own clock, at a morning of its days.
struct Moment(DateTime<Utc>);

impl Clock for Moment {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

struct Drill {
    shadow: Shadow,
    warehouse: Snowflake<One>,
    lake_id: LakeId,
    fake: Fake,
    http: Client,
    table: Table,
    settings: ChannelSettings,
    secrets: One,
    rounds: u32,
}

/// What became of one fault.
struct Trial {
    monitor: Monitor,
    found_after: Option<TimeDelta>,
    false_alarms: Vec<String>,
}

pub(crate) async fn run(folders: &Folders) -> Result<()> {
    folders.forget()?;
    let (ports, mut held) = Ports::choose(folders)?;
    let keys = Keys::load(folders)?;
    let emulator = account::open_for_drill(folders, &ports, &keys)?;
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(emulator.serve(held.listener(ports.snowflake)?, stopped));
    let drilled = Box::pin(drill(&keys, ports.snowflake)).await;
    // Nobody listens when it has ended already.
    let _ = stop.send(true);
    serving.await??;
    drilled
}

async fn drill(keys: &Keys, port: u16) -> Result<()> {
    let http = Client::new()?;
    let (config, secret) = account::in_drill(keys, port);
    let first: NaiveDate = "2026-09-07".parse()?;
    let lake_id = LakeId("drill".into());
    let beside = Beside::new(http.clone(), port);
    let mut shadow = Shadow::new(&config, secret.clone(), http.clone(), &lake_id, first, beside).await?;
    println!("drill: {} shadow tables, {LEARNED_DAYS} days of rows", shadow.sources.tables.len());
    shadow.learn(LEARNED_DAYS).await?;
    let fake = Fake::start("alert_channels")?;
    let keys = json!({"routing_keys": {"page": ROUTING_KEY}, "urls": {"hook": format!("{}/hook", fake.url), "page": fake.url}});
    let settings = ChannelSettings { secret: "alerts".into(), slack: fake.url.clone(), topic_arn: None };
    let mut drill = Drill {
        warehouse: Snowflake::connect(config, secret, http.clone()),
        shadow,
        lake_id,
        fake,
        http,
        table: Table::parse(TABLE)?,
        settings,
        secrets: One(Secret::new(keys.to_string())),
        rounds: 0,
    };
    let mut day = first + Days::new(LEARNED_DAYS);
    drill.morning(day, &Plants::none()).await?;
    ensure!(drill.opened().await?.is_empty(), "clean days raise an alarm: {:?}", drill.opened().await?);
    let mut trials = Vec::new();
    for fault in Fault::ALL {
        day = day + Days::new(1);
        // A rate stands still on a closed market; faults are planted on workdays.
        while chrono::Datelike::weekday(&day).num_days_from_monday() >= 5 {
            drill.morning(day, &Plants::none()).await?;
            day = day + Days::new(1);
        }
        let trial = drill.trial(*fault, day).await.with_context(|| format!("cannot plant {fault:?}"))?;
        let end =
            trial.found_after.map_or("NOT FOUND".to_owned(), |after| format!("told after {} s", after.num_seconds()));
        println!("  {:<22} {:<16} {end}", format!("{fault:?}"), trial.monitor.as_str());
        for alarm in &trial.false_alarms {
            println!("    false alarm: {alarm}");
        }
        trials.push(trial);
    }
    // What was told is taken back when it is over; the fault of an account shows two days later.
    for _ in 0..RECOVERY_DAYS {
        day = day + Days::new(1);
        drill.morning(day, &Plants::none()).await?;
    }
    println!("{}", answer(&trials, &drill.still_open().await?));
    Ok(())
}

impl Drill {
    /// Plants a fault on a day, and runs rounds until a channel has been told of it.
    async fn trial(&mut self, fault: Fault, day: NaiveDate) -> Result<Trial> {
        let before = self.opened().await?;
        let plants = Plants::of(fault);
        if let Some(path) = plants.deaf_channel {
            let deaf = json!({"path": path, "status": 503, "times": 60});
            self.http.send_once(&Request::post(format!("{}/faults", self.fake.url)).json(&deaf)?).await?;
        }
        let found_after = self.morning(day, &plants).await?;
        let expected = plants.objects();
        let mut false_alarms: Vec<String> = self.opened().await?.difference(&before).cloned().collect();
        false_alarms.retain(|alarm| !expected.iter().any(|object| alarm.starts_with(object.as_str())));
        if plants.deaf_channel.is_some() {
            self.hear().await?;
        }
        Ok(Trial { monitor: plants.monitor, found_after, false_alarms })
    }

    /// The rounds of the morning after a day. Tells after what time the plants' monitor had told of its object.
    async fn morning(&mut self, day: NaiveDate, plants: &Plants) -> Result<Option<TimeDelta>> {
        self.shadow.play(day, plants).await?;
        let midnight = (day + Days::new(1)).and_time(chrono::NaiveTime::MIN).and_utc();
        let mut found = None;
        for round in 1..=ROUNDS {
            let now = midnight + EVERY * i32::try_from(round)?;
            let asked = Asked { failed: plants.news().filter(|_| round == 1), ..Asked::default() };
            self.round(now, &plants.sources(&self.shadow.sources)?, &asked).await?;
            if found.is_none() && self.is_told(plants).await? {
                found = Some(now - midnight + plants.arrives_after());
            }
        }
        Ok(found)
    }

    async fn round(&mut self, now: DateTime<Utc>, sources: &Sources, asked: &Asked) -> Result<()> {
        self.rounds += 1;
        let run_id = RunId(format!("drill-{}", self.rounds));
        let watch = Watch {
            store: &self.shadow.lake,
            platform: &self.shadow.beside,
            warehouse: &self.warehouse.watcher(&self.lake_id, &run_id, Duration::from_secs(120)),
            channels: &Senders {
                table: &self.table,
                settings: &self.settings,
                http: &self.http,
                secrets: &self.secrets,
                topic: None,
                answer_within: ANSWER_WITHIN,
            },
            clock: &Moment(now),
            sources,
            table: &self.table,
            calendar: &Calendar::default(),
            stack: "drill",
            run_id: &run_id,
            until: now + TimeDelta::minutes(2),
        };
        let outcome = Box::pin(watch.round(asked)).await?;
        ensure!(outcome != Outcome::Busy, "a round is under way that nobody has begun");
        Ok(())
    }

    async fn seen(&self) -> Result<Value> {
        Ok(self.http.send_once(&Request::get(format!("{}/seen", self.fake.url))).await?.json()?)
    }

    /// `object kind` of each line that a channel was sent at an opening.
    async fn opened(&self) -> Result<BTreeSet<String>> {
        let seen = self.seen().await?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let opened = list(&seen["webhook"]).into_iter().filter(|message| message["alert"]["action"] == "open");
        let lines = opened.flat_map(|message| {
            let at = message["alert"]["opened_at"].as_str().unwrap_or_default().to_owned();
            let of = move |line: Value| {
                let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
                format!("{} {} {at}", text("object"), text("kind"))
            };
            list(&message["alert"]["lines"]).into_iter().map(of)
        });
        // What the hook was deaf to was told by the other channel.
        let pages = list(&seen["pagerduty"]).into_iter().filter(|event| event["payload"]["class"] == "channel_failing");
        let pages =
            pages.map(|event| format!("{} channel_failing", event["payload"]["source"].as_str().unwrap_or_default()));
        Ok(lines.chain(pages).collect())
    }

    async fn is_told(&self, plants: &Plants) -> Result<bool> {
        let wanted = format!("{} {}", plants.object, plants.kind);
        Ok(!plants.object.is_empty() && self.opened().await?.iter().any(|told| told.starts_with(&wanted)))
    }

    /// Incidents that the board still has open: what a person must mend.
    async fn still_open(&self) -> Result<Vec<String>> {
        let state = State::read(&self.shadow.lake).await?;
        let open = state.board.incidents.values().filter(|incident| !incident.is_resolved());
        Ok(open.map(|incident| incident.key.clone()).collect())
    }

    /// Ends what makes a channel deaf.
    async fn hear(&self) -> Result<()> {
        self.http.send_once(&Request::post(format!("{}/forget-faults", self.fake.url)).json(&json!({}))?).await?;
        Ok(())
    }
}

/// The last line: what was proven, and how well.
fn answer(trials: &[Trial], open: &[String]) -> Value {
    let mut slowest: BTreeMap<Monitor, i64> = BTreeMap::new();
    for (monitor, after) in trials.iter().filter_map(|trial| Some((trial.monitor, trial.found_after?))) {
        let seconds = slowest.entry(monitor).or_default();
        *seconds = after.num_seconds().max(*seconds);
    }
    let found = trials.iter().filter(|trial| trial.found_after.is_some()).count();
    let wrong: usize = trials.iter().map(|trial| trial.false_alarms.len()).sum();
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let rounded = |share: f64| (share * 10_000.0).round() / 10_000.0;
    let unproven: Vec<&str> =
        Monitor::ALL.iter().filter(|monitor| !slowest.contains_key(monitor)).map(|monitor| monitor.as_str()).collect();
    json!({
        "monitors": Monitor::ALL.len(),
        "proven": slowest.len(),
        "unproven": unproven,
        "faults": trials.len(),
        "open_at_the_end": open,
        "precision": rounded(share(found, found + wrong)),
        "recall": rounded(share(found, trials.len())),
        "false_alarm_rate": rounded(clean_days()),
        "slowest_detection_s": slowest.values().max(),
        "detection_s": slowest.iter().map(|(monitor, seconds)| (monitor.as_str(), *seconds)).collect::<BTreeMap<_, _>>(),
    })
}

/// The share of checks that clean days, played by a simulated clock, raise an alarm in.
fn clean_days() -> f64 {
    let first = NaiveDate::from_ymd_opt(2026, 12, 28).unwrap_or_default();
    let calendar = Calendar::default();
    let world = World::new(7, first, CLEAN_DAYS, calendar);
    let mut score = Score::default();
    for day in first.iter_days().take(CLEAN_DAYS as usize) {
        score.add_clean(&world.judge(&world.morning(day, &[])));
    }
    score.false_alarm_rate()
}
