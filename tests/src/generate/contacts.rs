//! HubSpot's contacts: e-mails as people type them, shared ones, missing ones, archived and merged records.

use super::dataset::{Contact, YEAR_END, YEAR_START};
use super::random::Random;

const FIRST: [&str; 16] = [
    "Ada",
    "Anne-Marie",
    "Björk",
    "Chloé",
    "D'Angelo",
    "Grace",
    "Ines",
    "José",
    "李",
    "Łukasz",
    "Mohan मोहन",
    "Noor نور",
    "Siobhán",
    "\"Ace\"",
    "🦊 Fox",
    " Zoë ",
];
const LAST: [&str; 14] = [
    "Brown",
    "de la Cruz",
    "Đặng",
    "García",
    "Hopper",
    "Ibn Sina",
    "Kowalski",
    "Lovelace",
    "Müller",
    "O'Brien",
    "Smith, Jr.",
    "Ångström",
    "Петрова",
    "山田",
];
const STAGES: [&str; 4] = ["subscriber", "lead", "opportunity", "customer"];
const MILLISECOND: i64 = 1_000;

pub(super) fn generate(random: &mut Random, count: usize) -> Vec<Contact> {
    // One import touched many contacts at the same moment: a search by time cannot tell them apart.
    let import = random.between(YEAR_START, YEAR_END) / MILLISECOND * MILLISECOND;
    let mut id = 100;
    let mut contacts: Vec<Contact> = (0..count)
        .map(|number| {
            id += random.between(1, 400);
            contact(random, id, number, import)
        })
        .collect();
    share_emails(random, &mut contacts);
    merge(random, &mut contacts);
    contacts
}

fn contact(random: &mut Random, id: i64, number: usize, import: i64) -> Contact {
    let createdate = random.between(YEAR_START, YEAR_END) / MILLISECOND * MILLISECOND;
    let imported = createdate < import && random.chance(20.0);
    let changed = random.between(createdate, YEAR_END) / MILLISECOND * MILLISECOND;
    let name = |random: &mut Random, names: &[&str]| random.chance(96.0).then(|| (*random.pick(names)).to_owned());
    Contact {
        id,
        email: random.chance(97.0).then(|| email(random, number)),
        firstname: name(random, &FIRST),
        lastname: name(random, &LAST),
        lifecyclestage: random.chance(90.0).then(|| (*random.pick(&STAGES)).to_owned()),
        createdate,
        lastmodifieddate: if imported { import } else { changed },
        archived: random.chance(3.0),
        merged_ids: Vec::new(),
    }
}

/// Some in letters whose lower case engines do not agree on.
fn email(random: &mut Random, number: usize) -> String {
    let host = *random.pick(&["example.com", "example.org", "mail.example.net"]);
    let local = *random.pick(&[
        "ada",
        "chloe.d",
        "g+shop",
        "jose_luis",
        "li-na",
        "o'brien",
        "zoe",
        "σίσυφος",
        "ΣΊΣΥΦΟΣ",
        "İrem",
        "straße",
        "ﬁona",
        "\u{212a}elvin",
    ]);
    disguise(random, &format!("{local}{number}@{host}"))
}

/// Now and then the same address with A to Z in another case or with spaces around it.
pub(super) fn disguise(random: &mut Random, email: &str) -> String {
    match random.index(20) {
        0 => email.to_ascii_uppercase(),
        1 => {
            let mut letters = email.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
        }
        2 => format!(" {email}  "),
        _ => email.to_owned(),
    }
}

/// Some people are in HubSpot twice; some of the second records differ in case only.
fn share_emails(random: &mut Random, contacts: &mut [Contact]) {
    for _ in 0..(contacts.len() / 50).max(2) {
        let (from, to) = (random.index(contacts.len()), random.index(contacts.len()));
        let shared = contacts[from].email.clone().map(|email| disguise(random, email.trim()));
        contacts[to].email = shared;
    }
}

/// Some records have consumed one or two others, one of them a record that had itself consumed one. The address of one
/// that is gone was given to a new contact.
fn merge(random: &mut Random, contacts: &mut [Contact]) {
    let live: Vec<usize> = (0..contacts.len()).filter(|i| !contacts[*i].archived).collect();
    let mut order = live;
    random.shuffle(&mut order);
    let merges = (contacts.len() / 100).max(2);
    for group in order.chunks_exact(3).take(merges) {
        let consumed = if random.chance(30.0) { &group[1..] } else { &group[1..2] };
        let ids = consumed.iter().map(|i| contacts[*i].id).collect();
        contacts[group[0]].merged_ids = ids;
    }
    let mut rest = order.chunks_exact(3).skip(merges);
    if let Some([survivor, between, first]) = rest.next() {
        contacts[*survivor].merged_ids = vec![contacts[*between].id];
        contacts[*between].merged_ids = vec![contacts[*first].id];
    }
    if let Some([survivor, gone, new]) = rest.next() {
        contacts[*survivor].merged_ids = vec![contacts[*gone].id];
        contacts[*new].email = contacts[*gone].email.clone();
    }
}
