//! What a role can do and through which roles, who has it, and what it holds without a way to it.

use std::collections::BTreeSet;

use serde::Serialize;
use sluice_core::{Error, Kind as ErrorKind, Result};

use super::{
    graph::Graph,
    kinds::{Form, Kind},
    name::Name,
    plan::{called, described_target},
    state::{Grantee, State, Target, role_word},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    pub role: Name,
    pub can: Vec<Ability>,
    pub held_by: Vec<Holder>,
    /// What it holds and cannot reach: it has no privilege on a database or schema that lies before it.
    pub out_of_reach: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ability {
    /// Such as `table DLT.APPLICATION_DATA.PRODUCTS`.
    pub on: String,
    pub privileges: BTreeSet<String>,
    /// The roles on the way, the one that holds it last; empty when it holds it itself.
    pub through: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    pub who: String,
    /// The roles on the way to it.
    pub through: Vec<Name>,
}

/// Explains a role of an account that was read whole.
pub fn explain(state: &State, role: &Name) -> Result<Explained> {
    if !state.has_role(role) {
        let error = Error::new(ErrorKind::NotFound, "the account has no such role").with("role", role);
        return Err(error.with_hint("SHOW ROLES lists them; a database's role is named DATABASE.ROLE"));
    }
    let graph = Graph::of(&[state]);
    let mut ways = graph.paths(&Grantee::role(role));
    ways.insert(role.clone(), Vec::new());
    let mut can: Vec<Ability> = Vec::new();
    for grant in state.grants.keys() {
        let Grantee::Role(holder) = &grant.grantee else { continue };
        let (Some(through), false) = (ways.get(holder), matches!(grant.target, Target::Role(_))) else { continue };
        add(&mut can, described_target(&grant.target), &grant.privilege, through);
    }
    for ((kind, name), object) in &state.objects {
        let has_owner = kind.spec().fields.iter().any(|field| field.form == Form::Role);
        let owner = Name::parse(object.text("owner")).filter(|_| has_owner);
        if let Some(through) = owner.and_then(|owner| ways.get(&owner)) {
            add(&mut can, called(*kind, name), "OWNERSHIP", through);
        }
    }
    can.sort();
    let held_by = graph.holders(role).into_iter().map(|(holder, through)| {
        let who = match &holder {
            Grantee::User(user) => format!("user {user}"),
            Grantee::Role(role) => format!("{} {role}", role_word(role).to_lowercase()),
        };
        Holder { who, through }
    });
    Ok(Explained { role: role.clone(), can, held_by: held_by.collect(), out_of_reach: out_of_reach(state, &ways) })
}

fn add(can: &mut Vec<Ability>, on: String, privilege: &str, through: &[Name]) {
    let known = can.iter_mut().find(|ability| ability.on == on && ability.through == through);
    match known {
        Some(ability) => drop(ability.privileges.insert(privilege.to_owned())),
        None => can.push(Ability { on, privileges: BTreeSet::from([privilege.to_owned()]), through: through.to_vec() }),
    }
}

/// Any privilege on a database and on a schema opens them; without one what lies in them does not exist for a role.
fn out_of_reach(state: &State, ways: &std::collections::BTreeMap<Name, Vec<Name>>) -> Vec<String> {
    let mut open: BTreeSet<Name> = BTreeSet::new();
    let held =
        state.grants.keys().filter(|grant| matches!(&grant.grantee, Grantee::Role(role) if ways.contains_key(role)));
    let held: Vec<_> = held.collect();
    for grant in &held {
        if let Target::Object(word, name) = &grant.target
            && matches!(word.as_str(), "DATABASE" | "SCHEMA")
        {
            open.insert(name.clone());
        }
    }
    for ((kind, name), object) in &state.objects {
        let is_container = matches!(kind, Kind::Database | Kind::Schema);
        if is_container && Name::parse(object.text("owner")).is_some_and(|owner| ways.contains_key(&owner)) {
            open.insert(name.clone());
        }
    }
    // A database's role is in its database.
    open.extend(ways.keys().filter(|role| role.depth() == 2).map(|role| role.up_to(1)));
    let mut closed = BTreeSet::new();
    for grant in held {
        let container = match &grant.target {
            Target::Object(_, name) if name.depth() > 1 => name.up_to(name.depth() - 1),
            Target::Future(_, container) if container.depth() == 2 => container.clone(),
            _ => continue,
        };
        for depth in 1..=container.depth() {
            let parent = container.up_to(depth);
            if !open.contains(&parent) {
                let kind = if depth == 1 { Kind::Database } else { Kind::Schema };
                closed.insert(format!(
                    "{}: no privilege on the {}",
                    described_target(&grant.target),
                    called(kind, &parent)
                ));
            }
        }
    }
    closed.into_iter().collect()
}

impl Explained {
    pub fn to_text(&self) -> String {
        let through = |names: &[Name]| match names.is_empty() {
            true => String::new(),
            false => format!("  through {}", names.iter().map(Name::to_string).collect::<Vec<_>>().join(" > ")),
        };
        let mut text = format!("{} {} can:\n", role_word(&self.role).to_lowercase(), self.role);
        for Ability { on, privileges, through: names } in &self.can {
            let list = privileges.iter().map(|privilege| privilege.to_lowercase()).collect::<Vec<_>>().join(", ");
            text.push_str(&format!("    {list} on {on}{}\n", through(names)));
        }
        text.push_str("Held by:\n");
        for Holder { who, through: names } in &self.held_by {
            text.push_str(&format!("    {who}{}\n", through(names)));
        }
        for closed in &self.out_of_reach {
            text.push_str(&format!("! out of reach: {closed}\n"));
        }
        text
    }
}
