//! What an account is asked, round by round.

use super::{About, Found, Scope, objects};
use crate::{
    account::{
        kinds::{ACCOUNTADMIN, Kind, SECURITYADMIN, SYSADMIN, USERADMIN},
        name::Name,
        render::pipe_status,
        state::{Grantee, role_word},
    },
    sql::quote,
};

/// One request.
pub(super) struct Ask {
    pub about: About,
    pub statement: String,
    /// Whether further pages can be asked for by the last name.
    pub pages: bool,
    /// Whether it reads rows: then it needs a warehouse, and what it asks for stays unknown where there is none.
    pub rows: bool,
}

impl Ask {
    fn of(about: About, statement: impl Into<String>) -> Self {
        Ask { about, statement: statement.into(), pages: false, rows: false }
    }

    fn of_rows(about: About, statement: String) -> Self {
        Ask { about, statement, pages: false, rows: true }
    }

    fn paged(mut self) -> Self {
        self.pages = true;
        self
    }
}

/// What there is.
pub(super) fn first(enterprise: bool) -> Vec<Ask> {
    let kinds = Kind::ALL.into_iter().filter(|kind| enterprise || !kind.spec().enterprise);
    kinds
        .filter_map(|kind| objects::show(kind).map(|(show, pages)| Ask { pages, ..Ask::of(About::Kind(kind), show) }))
        .collect()
}

/// What the named objects are like.
pub(super) fn second(scope: Scope<'_>, found: &Found) -> Vec<Ask> {
    let mut asks = vec![Ask::of(About::Parameters(Kind::Account, Name::default()), "SHOW PARAMETERS IN ACCOUNT")];
    asks.extend([SYSADMIN, SECURITYADMIN].map(|role| grants_to(Grantee::role(&Name::of([role])))));
    if scope.is_named() {
        asks.push(grants_to(Grantee::role(&Name::of(["PUBLIC"]))));
        let of_system = [ACCOUNTADMIN, SYSADMIN, SECURITYADMIN, USERADMIN].map(|role| holders(&Name::of([role])));
        asks.extend(of_system);
    }
    for (kind, name) in found.keys().filter(|(kind, name)| scope.has(*kind, name)) {
        let details = About::Details(*kind, name.clone());
        let parameters = About::Parameters(*kind, name.clone());
        match kind {
            Kind::Warehouse => asks.push(Ask::of(parameters, format!("SHOW PARAMETERS IN WAREHOUSE {name}"))),
            Kind::User => {
                asks.push(Ask::of(details, format!("DESC USER {name}")));
                asks.push(Ask::of(parameters, format!("SHOW PARAMETERS IN USER {name}")));
                asks.push(grants_to(Grantee::User(name.clone())));
            }
            Kind::Role => {
                asks.push(grants_to(Grantee::role(name)));
                asks.extend(scope.is_named().then(|| holders(name)));
            }
            Kind::Database => {
                asks.push(
                    Ask::of(About::DatabaseRoles(name.clone()), format!("SHOW DATABASE ROLES IN DATABASE {name}"))
                        .paged(),
                );
                let future = About::Future(name.clone());
                asks.push(Ask::of(future, format!("SHOW FUTURE GRANTS IN DATABASE {name}")));
            }
            Kind::Pipe => asks.push(Ask::of_rows(About::Running(name.clone()), pipe_status(name))),
            Kind::StorageIntegration => asks.push(Ask::of(details, format!("DESC INTEGRATION {name}"))),
            Kind::NetworkPolicy
            | Kind::NetworkRule
            | Kind::AuthenticationPolicy
            | Kind::MaskingPolicy
            | Kind::Stage => {
                asks.push(Ask::of(details, format!("DESC {} {name}", kind.word())));
            }
            _ => {}
        }
        if scope.has_tags()
            && matches!(kind, Kind::Warehouse | Kind::Database | Kind::Schema)
            && found.contains_key(&(Kind::Database, Name::of(["ADMIN"])))
        {
            asks.push(Ask::of_rows(About::Tags(*kind, name.clone()), tags_of(*kind, name)));
        }
    }
    for (_, policy) in found.keys().filter(|(kind, _)| *kind == Kind::AuthenticationPolicy) {
        asks.push(Ask::of_rows(About::Attached(policy.clone()), attached(policy)));
    }
    // Future grants in a schema switch off those in its database, also those of other roles.
    for (_, schema) in
        found.keys().filter(|(kind, schema)| *kind == Kind::Schema && scope.has(Kind::Database, &schema.up_to(1)))
    {
        asks.push(Ask::of(About::Future(schema.clone()), format!("SHOW FUTURE GRANTS IN SCHEMA {schema}")));
        if scope.lists(schema) {
            asks.push(Ask::of(About::Tables, format!("SHOW TABLES IN SCHEMA {schema}")).paged());
            asks.push(Ask::of(About::Views, format!("SHOW VIEWS IN SCHEMA {schema}")).paged());
        }
    }
    asks
}

/// What the roles of databases hold, and the columns of tables.
pub(super) fn third(scope: Scope<'_>, found: &Found) -> Vec<Ask> {
    let of = |kind: Kind| found.keys().filter(move |(of, name)| *of == kind && scope.has(kind, name));
    let is_named = scope.is_named();
    let roles = of(Kind::DatabaseRole)
        .flat_map(|(_, role)| [Some(grants_to(Grantee::role(role))), is_named.then(|| holders(role))])
        .flatten();
    let tables = of(Kind::Table)
        .filter(|_| is_named)
        .map(|(kind, table)| Ask::of(About::Details(*kind, table.clone()), format!("DESC TABLE {table}")));
    roles.chain(tables).collect()
}

fn grants_to(grantee: Grantee) -> Ask {
    let statement = format!("SHOW GRANTS TO {}", grantee.sql());
    Ask::of(About::Grants(grantee), statement)
}

/// Who has a role, also somebody who is asked about by nothing else.
fn holders(role: &Name) -> Ask {
    Ask::of(About::Holders(role.clone()), format!("SHOW GRANTS OF {} {role}", role_word(role)))
}

/// The users that a policy is attached to: REF_ENTITY_NAME.
fn attached(policy: &Name) -> String {
    format!(
        "SELECT REF_ENTITY_NAME FROM TABLE({}.INFORMATION_SCHEMA.POLICY_REFERENCES(POLICY_NAME => {})) \
         WHERE REF_ENTITY_DOMAIN = 'USER'",
        policy.up_to(1),
        quote::literal(&policy.to_string())
    )
}

/// An object's tags: TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE and LEVEL, which is the object's kind for its own.
fn tags_of(kind: Kind, name: &Name) -> String {
    format!(
        "SELECT TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE, LEVEL \
         FROM TABLE(ADMIN.INFORMATION_SCHEMA.TAG_REFERENCES({}, {}))",
        quote::literal(&name.to_string()),
        quote::literal(kind.word())
    )
}
