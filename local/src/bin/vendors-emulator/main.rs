//! Serves a generated HubSpot account on a port of its own, for clients that are not ours, until its input ends.
//!
//! `vendors-emulator <contacts>` prints one line of JSON: the address, the token, and the contacts as they are.

use std::io::{Read as _, Write as _};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sluice_local::vendors::hubspot::{HubSpotConfig, HubSpotState, serve};
use sluice_testkit::generate::{Contact, RateTable, Scale, generate};
use tokio::net::TcpListener;
use tokio::sync::watch;

const SEED: u64 = 20_261_030;
const TOKEN: &str = "pat-eu1-test";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let count = std::env::args().nth(1).context("usage: vendors-emulator <contacts>")?;
    let contacts = count.parse().with_context(|| format!("'{count}' is not a number of contacts"))?;
    let scale = Scale { contacts, ..Scale::times(0.0) };
    let contacts = generate(SEED, scale, RateTable::invented()).contacts;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let state = HubSpotState::new(HubSpotConfig { writer: Some(TOKEN.to_owned()), ..HubSpotConfig::new(TOKEN) });
    state.load(contacts.clone());
    let contacts: Vec<Value> = contacts.iter().map(described).collect();
    writeln!(std::io::stdout(), "{}", json!({"url": url, "token": TOKEN, "contacts": contacts}))?;

    let (stop, stopped) = watch::channel(false);
    // The program that started this one holds its input open; reading it blocks, so it has a thread of its own.
    std::thread::spawn(move || {
        let ended = std::io::stdin().read_to_end(&mut Vec::new());
        stop.send(true).ok();
        ended
    });
    serve(state, listener, stopped).await
}

fn described(contact: &Contact) -> Value {
    json!({
        "id": contact.id.to_string(), "email": contact.email, "firstname": contact.firstname,
        "lastname": contact.lastname, "lifecyclestage": contact.lifecyclestage, "archived": contact.archived,
        "createdate": contact.createdate, "lastmodifieddate": contact.lastmodifieddate, "merged_ids": contact.merged_ids,
    })
}
