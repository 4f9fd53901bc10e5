//! Who holds which role, directly or through others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    name::Name,
    state::{Grantee, State, Target},
};

/// The role grants of an account.
pub(crate) struct Graph<'s> {
    /// Whom a role is granted to.
    holders: BTreeMap<&'s Name, BTreeSet<&'s Grantee>>,
    /// Which roles somebody is granted.
    roles: BTreeMap<&'s Grantee, BTreeSet<&'s Name>>,
}

impl<'s> Graph<'s> {
    pub(crate) fn of(states: &[&'s State]) -> Self {
        let mut graph = Graph { holders: BTreeMap::new(), roles: BTreeMap::new() };
        for grant in states.iter().flat_map(|state| state.grants.keys()) {
            if let Target::Role(role) = &grant.target {
                graph.holders.entry(role).or_default().insert(&grant.grantee);
                graph.roles.entry(&grant.grantee).or_default().insert(role);
            }
        }
        graph
    }

    /// Every role that somebody has, with the way to it: the roles in between, its own last.
    pub(crate) fn paths(&self, of: &Grantee) -> BTreeMap<Name, Vec<Name>> {
        let mut found: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
        let mut open = VecDeque::from([(of.clone(), Vec::new())]);
        while let Some((at, path)) = open.pop_front() {
            for role in self.roles.get(&at).into_iter().flatten() {
                if found.contains_key(*role) {
                    continue;
                }
                let path = [path.as_slice(), &[(*role).clone()]].concat();
                found.insert((*role).clone(), path.clone());
                open.push_back((Grantee::role(role), path));
            }
        }
        found
    }

    /// Everybody who has a role, directly or through others, with the way there: the roles in between.
    pub(crate) fn holders(&self, role: &Name) -> BTreeMap<Grantee, Vec<Name>> {
        let mut found: BTreeMap<Grantee, Vec<Name>> = BTreeMap::new();
        let mut open = VecDeque::from([(role.clone(), Vec::new())]);
        while let Some((at, path)) = open.pop_front() {
            for holder in self.holders.get(&at).into_iter().flatten() {
                if found.contains_key(*holder) {
                    continue;
                }
                found.insert((*holder).clone(), path.clone());
                if let Grantee::Role(name) = holder {
                    open.push_back((name.clone(), [path.as_slice(), std::slice::from_ref(name)].concat()));
                }
            }
        }
        found
    }

    /// The users who have a role.
    pub(crate) fn users(&self, role: &Name) -> impl Iterator<Item = Name> {
        self.holders(role).into_keys().filter_map(|holder| match holder {
            Grantee::User(name) => Some(name),
            Grantee::Role(_) => None,
        })
    }
}
