use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use sluice_core::sources::Monitor;

use super::*;
use crate::{
    calendar::Calendar,
    finding::{Breach, Finding, Kind, Object, Origin, Unit, Verdict, Why},
    random::Random,
};

mod routes;

const SHIPPED: &str = include_str!("../../../../platform/alerts.yaml");

fn table() -> Table {
    Table::parse(SHIPPED).expect("the shipped table")
}

fn start() -> DateTime<Utc> {
    "2026-05-20T10:00:00Z".parse().expect("a time")
}

/// The monitor that tells a kind.
fn monitor(kind: Kind) -> Monitor {
    match kind {
        Kind::Late => Monitor::Freshness,
        Kind::VolumeDrop => Monitor::Volume,
        Kind::Silent => Monitor::Silence,
        Kind::RunFailed => Monitor::Dbt,
        Kind::NullRise => Monitor::NullRate,
        other => panic!("no test has {other}"),
    }
}

fn bad(kind: Kind, object: &str, size: f64) -> Finding {
    let breach = Breach { kind, size, observed: "seen".to_owned(), expected: "wanted".to_owned() };
    finding(monitor(kind), object, Verdict::Breached(breach))
}

fn good(kind: Kind, object: &str) -> Finding {
    finding(monitor(kind), object, Verdict::Healthy)
}

fn finding(monitor: Monitor, object: &str, verdict: Verdict) -> Finding {
    Finding { monitor, object: Object::whole(object), at: start(), verdict }
}

/// A board with its table, and channels that take everything.
struct Desk {
    board: Board,
    table: Table,
    upstream: Upstream,
    available: BTreeSet<String>,
    calendar: Calendar,
    now: DateTime<Utc>,
    refusing: BTreeSet<String>,
}

impl Desk {
    fn new() -> Self {
        let mut table = table();
        (table.summary, table.canary) = (None, None);
        let available = table.channels.iter().map(|channel| channel.name.clone()).collect();
        let upstream = Upstream(BTreeMap::from([
            ("MART".to_owned(), BTreeSet::from(["A".to_owned(), "B".to_owned()])),
            ("A".to_owned(), BTreeSet::from(["extract".to_owned()])),
        ]));
        let (board, calendar, refusing) = (Board::default(), Calendar::default(), BTreeSet::new());
        Desk { board, table, upstream, available, calendar, now: start(), refusing }
    }

    /// A round after this many minutes: channel, action and title of what is sent.
    fn round(&mut self, minutes: i64, findings: &[Finding]) -> Vec<String> {
        self.obey(minutes, findings, &[])
    }

    fn obey(&mut self, minutes: i64, findings: &[Finding], commands: &[Command]) -> Vec<String> {
        let messages = self.messages(minutes, findings, commands);
        messages.iter().map(|message| format!("{} {:?}", message.channel, message.content.action)).collect()
    }

    fn messages(&mut self, minutes: i64, findings: &[Finding], commands: &[Command]) -> Vec<Message> {
        self.now += Duration::minutes(minutes);
        let Desk { board, table, upstream, available, calendar, now, .. } = self;
        let round = Round { stack: "shop", table, upstream, available, calendar, findings, commands, now: *now };
        let messages = board.round(&round);
        for message in &messages {
            if self.refusing.contains(&message.channel) {
                self.board.failed(message);
            } else {
                let receipt = Receipt { channel: "C1".to_owned(), message: format!("{}.1", self.now.timestamp()) };
                let posts = message.channel.starts_with("data-") && message.receipt.is_none();
                self.board.delivered(message, posts.then_some(receipt));
            }
        }
        messages
    }
}

#[test]
fn an_incident_that_nothing_judges_for_a_day_ends_unless_it_is_unseen() {
    let (mut desk, elsewhere) = (Desk::new(), good(Kind::Late, "B"));
    desk.round(0, &[bad(Kind::Late, "A", 200.0)]);
    let is_open = |desk: &Desk| desk.board.incidents.values().any(|incident| !incident.is_resolved());
    let unseen = finding(Monitor::Freshness, "B", Verdict::Degraded(Why::Missing("away".into())));
    desk.round(60 * 30, std::slice::from_ref(&unseen));
    desk.round(5, &[unseen]);
    assert!(is_open(&desk), "its monitor could not see everything");
    let mut desk = Desk::new();
    desk.round(0, &[bad(Kind::Late, "A", 200.0)]);
    for _ in 0..3 {
        desk.round(60 * 7, std::slice::from_ref(&elsewhere));
    }
    assert!(is_open(&desk), "21 hours");
    desk.round(60 * 7, std::slice::from_ref(&elsewhere));
    let told = desk.round(5, &[elsewhere]);
    assert!(!is_open(&desk) && told.contains(&"data-alerts Resolve".to_owned()), "{told:?}");
}

#[test]
fn an_incident_stands_through_a_known_gap_of_days() {
    let mut desk = Desk::new();
    let gap = "events: [{ name: Move, kind: gap, from: 2026-05-21, to: 2026-05-26, tables: [A] }]";
    desk.calendar = Calendar::parse(gap).expect("a calendar");
    desk.round(0, &[bad(Kind::Late, "A", 200.0)]);
    for _ in 0..7 {
        desk.round(60 * 24, &[good(Kind::Late, "B")]);
        assert!(desk.board.incidents.values().all(|incident| !incident.is_resolved()), "{}", desk.now);
    }
    assert!(desk.round(60 * 24, &[bad(Kind::Late, "A", 200.0)]).iter().all(|sent| !sent.ends_with("Open")));
}

#[test]
fn an_incident_opens_changes_is_reminded_of_and_resolves_once_each() {
    let mut desk = Desk::new();
    assert_eq!(desk.round(0, &[bad(Kind::Late, "A", 200.0)]), ["data-alerts Open", "hook Open", "mail Open"]);
    assert!(desk.round(5, &[bad(Kind::Late, "A", 205.0)]).is_empty());
    // Twice as late: what can be edited is, and nobody is written to.
    assert_eq!(desk.round(200, &[bad(Kind::Late, "A", 405.0)]), ["data-alerts Change"]);
    // Over twelve hours it is of severity 1.
    let worse = ["data-alerts Change", "data-critical Open", "mail Change", "page Open"];
    assert_eq!(desk.round(400, &[bad(Kind::Late, "A", 805.0)]), worse);
    assert!(desk.round(5, &[good(Kind::Late, "A")]).is_empty(), "one good round may be luck");
    let resolved = ["data-alerts Resolve", "data-critical Resolve", "hook Resolve", "mail Resolve", "page Resolve"];
    assert_eq!(desk.round(5, &[good(Kind::Late, "A")]), resolved);
    assert!(desk.round(5, &[good(Kind::Late, "A")]).is_empty());
    assert!(desk.board.incidents.is_empty() && desk.board.alerts.is_empty());
    assert_eq!(desk.round(5, &[bad(Kind::Late, "A", 200.0)]).len(), 3, "a second one opens");
}

#[test]
fn reminders_come_at_growing_intervals_until_somebody_works_on_it() {
    let mut desk = Desk::new();
    let failed = [bad(Kind::RunFailed, "dbt", 1.0)];
    assert_eq!(desk.round(0, &failed).len(), 4);
    let mut reminded = Vec::new();
    for hour in 1..=30 {
        let sent = desk.round(60, &failed);
        if sent.iter().any(|line| line == "mail Remind") {
            assert_eq!(sent, ["data-critical Remind", "mail Remind"], "{hour}");
            reminded.push(hour);
        }
    }
    assert_eq!(reminded, [1, 4, 12, 24]);
    let mut desk = Desk::new();
    desk.round(0, &failed);
    let id = desk.board.incidents.values().next().expect("an incident").id();
    let acknowledge = Command::Acknowledge { incident: id, by: "Kim".to_owned(), says: None };
    let sent = desk.messages(5, &failed, &[acknowledge]);
    let actions: Vec<(&str, Action)> = sent.iter().map(|m| (m.channel.as_str(), m.content.action)).collect();
    assert_eq!(actions, [("data-critical", Action::Acknowledge), ("page", Action::Acknowledge)]);
    assert_eq!(sent[0].content.note.as_deref(), Some("Kim works on it"));
    for _ in 0..30 {
        assert!(desk.round(60, &failed).is_empty());
    }
}

#[test]
fn a_muted_incident_is_silent_until_its_time_and_then_told_again() {
    let mut desk = Desk::new();
    let late = [bad(Kind::Late, "A", 200.0)];
    desk.round(0, &late);
    let key = desk.board.incidents.keys().next().expect("an incident").clone();
    let until = start() + Duration::hours(10);
    assert!(desk.obey(5, &late, &[Command::Mute { incident: key, by: "Kim".to_owned(), until }]).is_empty());
    assert!(desk.round(300, &late).is_empty());
    assert_eq!(desk.round(300, &late), ["data-alerts Change"]);
    let unknown = Command::Mute { incident: "nothing".to_owned(), by: "Kim".to_owned(), until };
    assert!(desk.obey(5, &late, &[unknown]).is_empty());
}

#[test]
fn a_mute_until_a_time_that_is_over_changes_nothing() {
    let mut desk = Desk::new();
    let late = [bad(Kind::Late, "A", 200.0)];
    desk.round(0, &late);
    let incident = desk.board.incidents.values().next().expect("an incident").id();
    let before = desk.board.incidents.clone();
    let yesterday = Command::Mute { incident, by: "Kim".to_owned(), until: start() - Duration::days(1) };
    assert!(desk.obey(0, &late, &[yesterday]).is_empty());
    assert_eq!(desk.board.incidents, before);
}

#[test]
fn an_id_that_two_open_incidents_share_means_neither_and_a_key_does() {
    let key = |number: u32| format!("shop/freshness/T{number}//late");
    let mut known: BTreeMap<String, u32> = BTreeMap::new();
    let pair = (0..1_000_000).find_map(|number| Some((known.insert(short_id(&key(number)), number)?, number)));
    let (first, second) = pair.expect("two of a million share one of four billion ids");
    let mut desk = Desk::new();
    desk.round(0, &[bad(Kind::Late, &format!("T{first}"), 200.0)]);
    let id = short_id(&key(first));
    assert_eq!(desk.board.find(&id).map(|found| found.key.clone()), Some(key(first)));
    desk.round(5, &[first, second].map(|number| bad(Kind::Late, &format!("T{number}"), 200.0)));
    assert_eq!((desk.board.find(&id), desk.board.incidents.len()), (None, 2));
    assert_eq!(desk.board.find(&key(second)).map(|found| found.key.clone()), Some(key(second)));
}

#[test]
fn names_with_slashes_quotes_and_signs_are_told_apart() {
    let mut desk = Desk::new();
    let of = |part: &str, verdict| {
        let object = Object { name: "A.\"B c\".Ä🦀".to_owned(), part: Some(part.to_owned()) };
        Finding { monitor: Monitor::NullRate, object, at: start(), verdict }
    };
    let breach = || bad(Kind::NullRise, "A", 20.0).verdict;
    desk.round(0, &[of("price/eur", breach()), of("price", Verdict::Healthy)]);
    for _ in 0..3 {
        desk.round(5, &[of("price/eur", breach()), of("price", Verdict::Healthy)]);
    }
    assert!(desk.board.incidents.values().all(|incident| !incident.is_resolved()));
    desk.round(5, &[of("price/eur", Verdict::Healthy)]);
    assert!(!desk.round(5, &[of("price/eur", Verdict::Healthy)]).is_empty());
}

#[test]
fn a_late_source_silences_its_marts_and_says_so() {
    let mut desk = Desk::new();
    let all = [bad(Kind::VolumeDrop, "MART", 70.0), bad(Kind::Late, "MART", 300.0), bad(Kind::Late, "A", 300.0)];
    let sent = desk.messages(0, &all, &[]);
    assert!(sent.iter().all(|message| message.content.lines[0].object == "A"), "{sent:?}");
    assert_eq!(sent[0].content.silences, ["MART"]);
    // The function behind it is the root of both.
    let all = [&all[..], &[bad(Kind::Silent, "extract", 5.0)]].concat();
    let sent = desk.messages(5, &all, &[]);
    let page = sent.iter().find(|message| message.channel == "page").expect("a page");
    assert_eq!(
        (page.content.lines[0].object.as_str(), &page.content.silences[..]),
        ("extract", &["A", "MART"].map(str::to_owned)[..])
    );
    let edit = sent.iter().find(|message| message.channel == "data-alerts").expect("an edit");
    assert!(
        edit.content.note.as_deref().is_some_and(|note| note.starts_with("explained by: Silent of extract")),
        "{edit:?}"
    );
    // A mart that stays wrong after its source has recovered is reported after a while.
    let healed = [good(Kind::Silent, "extract"), good(Kind::Late, "A"), good(Kind::Late, "MART"), all[0].clone()];
    let mut told = Vec::new();
    for round in 0..8 {
        let sent = desk.messages(5, &healed, &[]);
        told.extend(
            sent.iter()
                .filter(|m| m.content.action == Action::Open)
                .map(|m| (round, m.content.lines[0].object.clone())),
        );
    }
    assert!(told.iter().all(|(round, object)| *round >= 3 && object == "MART") && told.len() == 3, "{told:?}");
}

#[test]
fn what_is_muted_or_less_severe_explains_nothing() {
    let mut desk = Desk::new();
    let late = |object, size| bad(Kind::Late, object, size);
    let told =
        |sent: Vec<Message>| sent.iter().map(|message| message.content.lines[0].object.clone()).collect::<Vec<_>>();
    // Of severity 2, and of severity 1 below it.
    let sent = told(desk.messages(0, &[late("A", 300.0), late("MART", 800.0)], &[]));
    assert!(sent.contains(&"MART".to_owned()), "{sent:?}");

    let mut desk = Desk::new();
    let all = [late("A", 300.0), late("MART", 300.0)];
    assert_eq!(told(desk.messages(0, &all, &[])), ["A"; 3]);
    let incident = desk.board.find("shop/freshness/A//late").expect("an incident").id();
    let mute = Command::Mute { incident, by: "Kim".to_owned(), until: start() + Duration::days(1) };
    desk.messages(5, &all, &[mute]);
    let later: Vec<String> = (0..5).flat_map(|_| told(desk.messages(5, &all, &[]))).collect();
    assert_eq!(later, ["MART"; 3]);
}

#[test]
fn several_of_one_kind_in_a_round_are_one_message() {
    let mut desk = Desk::new();
    let names: Vec<String> = (0..15).map(|at| format!("T{at:02}")).collect();
    let all =
        |count: usize| -> Vec<Finding> { names[..count].iter().map(|name| bad(Kind::NullRise, name, 20.0)).collect() };
    let sent = desk.messages(0, &all(12), &[]);
    assert_eq!(sent.iter().filter(|message| message.channel == "mail").count(), 1);
    assert_eq!((sent[0].content.lines.len(), sent[0].content.more), (10, 2));
    let some: Vec<Finding> = names.iter().map(|name| good(Kind::NullRise, name)).collect();
    let still = [&some[..11], &all(12)[11..]].concat();
    desk.round(5, &still);
    assert_eq!(desk.round(5, &still), ["data-alerts Change"], "not resolved as long as one is open");
    desk.round(5, &some);
    assert_eq!(desk.round(5, &some), ["data-alerts Resolve", "hook Resolve", "mail Resolve"]);
}

#[test]
fn the_id_in_a_message_acknowledges_all_that_it_tells() {
    let mut desk = Desk::new();
    let failed = ["T1", "T2", "T3"].map(|name| bad(Kind::RunFailed, name, 1.0));
    let sent = desk.messages(0, &failed, &[]);
    let incident = sent[0].content.lines[0].id.clone();
    let sent = desk.obey(5, &failed, &[Command::Acknowledge { incident, by: "Kim".to_owned(), says: None }]);
    assert_eq!(sent, ["data-critical Acknowledge", "page Acknowledge"]);
    assert!(desk.round(24 * 60, &failed).is_empty(), "no reminder");
}

#[test]
fn every_channel_is_told_of_what_opens_beside_an_open_group() {
    let mut desk = Desk::new();
    let told = ["data-alerts Open", "hook Open", "mail Open"];
    let of = |names: &[&str]| names.iter().map(|name| bad(Kind::NullRise, name, 20.0)).collect::<Vec<_>>();
    desk.round(0, &of(&["T1", "T2", "T3"]));
    assert_eq!(desk.round(5, &of(&["T1", "T2", "T3", "T4"])), told);
    // One that was resolved while the others of its group were open, and opens again.
    let without = [of(&["T1", "T2", "T4"]), vec![good(Kind::NullRise, "T3")]].concat();
    desk.round(5, &without);
    desk.round(5, &without);
    let sent = desk.messages(5, &of(&["T1", "T2", "T3", "T4"]), &[]);
    let opened = sent.iter().filter(|message| message.content.action == Action::Open);
    let objects: Vec<&str> = opened.map(|message| message.content.lines[0].object.as_str()).collect();
    assert_eq!(objects, ["T3"; 3]);
}

#[test]
fn in_maintenance_nothing_opens_also_not_below() {
    let mut desk = Desk::new();
    let maintenance =
        "maintenance: [{ name: Move, from: 2026-05-20T09:00:00Z, to: 2026-05-20T11:00:00Z, objects: [A] }]\n";
    desk.table.maintenance = Table::parse(&format!("{SHIPPED}\n{maintenance}")).expect("a table").maintenance;
    let all = [bad(Kind::Late, "A", 300.0), bad(Kind::VolumeDrop, "MART", 70.0)];
    assert!(desk.round(0, &all).is_empty());
    assert_eq!(desk.round(30, &[bad(Kind::Late, "B", 300.0)]).len(), 3);
    assert!(!desk.round(60, &all).is_empty());
}

#[test]
fn a_message_that_was_not_taken_is_due_again_and_others_tell_of_it() {
    let mut desk = Desk::new();
    desk.refusing.insert("mail".to_owned());
    let late = [bad(Kind::Late, "A", 200.0)];
    assert_eq!(desk.round(0, &late).len(), 3);
    assert_eq!(desk.round(5, &late), ["mail Open"]);
    assert_eq!(desk.round(5, &late), ["mail Open"]);
    let sent = desk.messages(5, &late, &[]);
    let told: Vec<&str> =
        sent.iter().filter(|m| m.content.title.starts_with("Channel failing")).map(|m| m.channel.as_str()).collect();
    assert_eq!(told, ["data-alerts", "hook"]);
    desk.refusing.clear();
    assert!(desk.round(5, &late).contains(&"mail Open".to_owned()));
    desk.round(5, &late);
    assert_eq!(desk.round(5, &late), ["data-alerts Resolve", "hook Resolve"]);
}

#[test]
fn what_no_channel_can_take_goes_to_the_topic() {
    let mut desk = Desk::new();
    desk.available = BTreeSet::from(["mail".to_owned()]);
    assert_eq!(desk.round(0, &[bad(Kind::NullRise, "A", 2.0)]), ["mail Open"], "severity 3 has only Slack");
}

#[test]
fn missing_data_is_told_in_its_second_round_and_learning_never() {
    let mut desk = Desk::new();
    let missing = |why| [finding(Monitor::Volume, "A", Verdict::Degraded(why))];
    let gone = missing(Why::Missing("the rows were not counted".to_owned()));
    assert!(desk.round(0, &gone).is_empty());
    assert_eq!(desk.round(5, &gone), ["data-alerts Open"]);
    assert_eq!(desk.board.checks.missing, 1);
    let learning = missing(Why::Learning { days: 3, needed: 21 });
    desk.round(5, &learning);
    assert_eq!(desk.round(5, &learning), ["data-alerts Resolve"]);
    // A fault whose data goes missing is not resolved by it.
    desk.round(5, &[bad(Kind::VolumeDrop, "A", 70.0)]);
    for _ in 0..5 {
        desk.round(5, &gone);
    }
    assert!(
        desk.board.incidents.values().any(|incident| incident.kind() == Kind::VolumeDrop && !incident.is_resolved())
    );
}

#[test]
fn the_canary_opens_and_resolves_in_every_channel_once_a_day() {
    let mut desk = Desk::new();
    desk.table.canary = table().canary;
    let channels = ["data-alerts", "data-critical", "hook", "page"];
    for _ in 0..2 {
        assert_eq!(desk.round(0, &[]), channels.map(|channel| format!("{channel} Open")));
        assert_eq!(desk.round(5, &[]), channels.map(|channel| format!("{channel} Resolve")));
        for _ in 0..20 {
            assert!(desk.round(5, &[]).is_empty());
        }
        desk.now += Duration::hours(22);
    }
}

#[test]
fn the_summary_tells_what_is_open_explained_and_unjudged() {
    let mut desk = Desk::new();
    let all = [bad(Kind::Late, "MART", 300.0), bad(Kind::Late, "A", 300.0), good(Kind::Late, "B")];
    desk.round(0, &all);
    desk.table.summary = table().summary;
    let sent = desk.messages(5, &all, &[]);
    assert_eq!(sent.iter().map(|m| m.channel.as_str()).collect::<Vec<_>>(), ["data-alerts", "mail"]);
    let content = &sent[0].content;
    let title = "1 open, 1 explained by others, 0 muted; checks: 1 good, 2 bad, 0 without data, 0 learning";
    assert_eq!((content.action, content.title.as_str()), (Action::Summary, title));
    assert_eq!(content.silences, ["MART"]);
    assert!(desk.round(60, &all).is_empty());
}

#[test]
fn a_board_is_the_same_after_it_was_stored() {
    let mut desk = Desk::new();
    desk.round(0, &[bad(Kind::Late, "A", 200.0), bad(Kind::RunFailed, "dbt", 1.0)]);
    let text = serde_json::to_string(&desk.board).expect("JSON");
    assert_eq!(serde_json::from_str::<Board>(&text).expect("a board"), desk.board);
}

/// Whatever happens, in whatever order: no channel hears of an end before a beginning, or of a beginning twice; and when all
/// is good for long enough and every channel takes its messages, nothing is left open anywhere.
#[test]
fn every_beginning_has_one_end_in_every_channel() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut desk = Desk::new();
        let mut open: BTreeSet<(String, String)> = BTreeSet::new();
        let kinds = [Kind::Late, Kind::VolumeDrop, Kind::Silent, Kind::RunFailed, Kind::NullRise];
        let objects = ["A", "B", "MART", "extract", "T1", "T2", "T3"];
        for round in 0..80 {
            let is_calm = round >= 60;
            let mut findings = Vec::new();
            for kind in kinds {
                for object in objects {
                    let is_bad = !is_calm && random.share() < 0.2;
                    let size = 10.0 * 2.0_f64.powf(random.share() * 8.0);
                    findings.push(if is_bad { bad(kind, object, size) } else { good(kind, object) });
                }
            }
            desk.refusing.clear();
            if !is_calm && random.share() < 0.3 {
                desk.refusing.insert(desk.table.channels[random.below(5)].name.clone());
            }
            let mut commands = Vec::new();
            if !is_calm
                && random.share() < 0.2
                && let Some(key) = desk.board.incidents.keys().next()
            {
                let (incident, by) = (key.clone(), "Kim".to_owned());
                let until = desk.now + Duration::minutes(random.below(40) as i64);
                commands.push(match random.below(2) {
                    0 => Command::Acknowledge { incident, by, says: None },
                    _ => Command::Mute { incident, by, until },
                });
            }
            let sent = desk.messages(5, &findings, &commands);
            for message in sent.iter().filter(|message| !desk.refusing.contains(&message.channel)) {
                let name = (message.channel.clone(), message.content.key.clone());
                match message.content.action {
                    Action::Open => assert!(open.insert(name.clone()), "{seed} {round}: opened twice {name:?}"),
                    Action::Resolve => assert!(open.remove(&name), "{seed} {round}: never opened {name:?}"),
                    _ => assert!(open.contains(&name), "{seed} {round}: changed before it opened {name:?}"),
                }
            }
        }
        assert!(open.is_empty(), "{seed}: left open {open:?}");
        assert!(desk.board.alerts.is_empty() && desk.board.incidents.is_empty(), "{seed}: {:?}", desk.board);
    }
}
