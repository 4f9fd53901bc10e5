//! For whom something changes: the users who reach an object through their roles.

use std::collections::BTreeSet;

use crate::account::{
    graph::Graph,
    kinds::Kind,
    name::Name,
    state::{Grantee, State, Target},
};

pub(super) struct Affected<'s> {
    states: [&'s State; 2],
    graph: Graph<'s>,
}

impl<'s> Affected<'s> {
    pub(super) fn of(desired: &'s State, actual: &'s State) -> Self {
        Affected { states: [desired, actual], graph: Graph::of(&[desired, actual]) }
    }

    pub(super) fn by_grantee(&self, grantee: &Grantee) -> BTreeSet<String> {
        match grantee {
            Grantee::User(user) => BTreeSet::from([user.to_string()]),
            Grantee::Role(role) => self.graph.users(role).map(|user| user.to_string()).collect(),
        }
    }

    pub(super) fn by_object(&self, kind: Kind, name: &Name) -> BTreeSet<String> {
        match kind {
            Kind::User => BTreeSet::from([name.to_string()]),
            Kind::Role | Kind::DatabaseRole => self.by_grantee(&Grantee::role(name)),
            Kind::NetworkPolicy => self.users_with("network_policy", name),
            Kind::AuthenticationPolicy => self.users_with("authentication_policy", name),
            Kind::NetworkRule => self.by_rule(name),
            _ => self.by_grants(kind, name),
        }
    }

    fn users_with(&self, field: &str, policy: &Name) -> BTreeSet<String> {
        let users = self.states.iter().flat_map(|state| state.of(Kind::User));
        users.filter(|(_, user)| user.text(field) == policy.to_string()).map(|(name, _)| name.to_string()).collect()
    }

    fn by_rule(&self, rule: &Name) -> BTreeSet<String> {
        let rule = rule.to_string();
        let names = |policy: &crate::account::state::Object| {
            let lists = ["allowed_rules", "blocked_rules"].into_iter().filter_map(|field| policy.get(field));
            lists.flat_map(|list| list.items()).any(|item| item == rule)
        };
        let policies = self.states.iter().flat_map(|state| state.of(Kind::NetworkPolicy));
        let policies: Vec<&Name> = policies.filter(|(_, policy)| names(policy)).map(|(name, _)| name).collect();
        policies.into_iter().flat_map(|policy| self.users_with("network_policy", policy)).collect()
    }

    /// The users of roles that hold something on it.
    fn by_grants(&self, kind: Kind, name: &Name) -> BTreeSet<String> {
        let word = kind.grant_word();
        let grants = self.states.iter().flat_map(|state| state.grants.keys());
        let roles: BTreeSet<&Grantee> = grants
            .filter(|grant| match &grant.target {
                Target::Object(of, on) => of == word && on == name,
                Target::Future(of, container) | Target::Current(of, container) => {
                    of == word && name.is_within(container)
                }
                Target::Account | Target::Role(_) => false,
            })
            .map(|grant| &grant.grantee)
            .collect();
        roles.into_iter().flat_map(|role| self.by_grantee(role)).collect()
    }
}
