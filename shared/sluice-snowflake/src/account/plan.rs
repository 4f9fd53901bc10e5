//! What lies between the file and the account, as changes in the order in which they can be made.
//!
//! A plan is a pure function of two states. What the file names is made and changed; what it does not name is told and
//! never dropped, but for grants between what it names, which are taken; what would lose something waits for a word of the
//! caller.

use std::collections::BTreeSet;

use serde::Serialize;

use self::affected::Affected;
use super::{
    columns,
    file::Desired,
    kinds::{Absent, Field, Form, Kind},
    name::Name,
    render::{self, Statement},
    state::{Object, State},
    value::Value,
};

mod affected;
mod grants;
pub(crate) mod show;
#[cfg(test)]
mod tests;

pub(crate) use grants::{described_target, present};

/// What the caller allows that a plan never does by itself. Each is named as the plan names it: `pipe A.B.C`.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Objects that may be replaced, with what they hold lost.
    pub replace: BTreeSet<String>,
    /// Objects that may be dropped, which the file does not name.
    pub drop: BTreeSet<String>,
}

impl Allowed {
    fn has(&self, what: &str) -> bool {
        self.replace.contains(what) || self.drop.contains(what)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    Add,
    Change,
    Remove,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub field: &'static str,
    /// What the account has.
    pub from: Option<Value>,
    /// What the file says.
    pub to: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub sign: Sign,
    /// Such as `warehouse LOADING`.
    pub what: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Difference>,
    pub reason: String,
    /// Users for whom something changes.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub affects: BTreeSet<String>,
    /// What is lost by it, for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loses: Option<&'static str>,
    pub statements: Vec<Statement>,
    #[serde(skip)]
    pub(crate) step: Step,
    #[serde(skip)]
    pub(crate) object: Option<(Kind, Name)>,
}

/// When a change can be made. The order is the one in which objects need one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Before roles are granted the other way round.
    TakeRoles,
    Roles,
    RoleTree,
    /// Of what is there and belongs to a role that those who change it do not have.
    Owners,
    Objects(Kind),
    /// What a policy names, for who makes the policy.
    RuleGrants,
    Access(Kind),
    DatabaseRoleTree,
    /// Before tables are made, so that they get them.
    FutureGrants,
    IntegrationGrants,
    /// What the grants above are needed for.
    Contents(Kind),
    Grants,
    UserRoles,
    /// Owners, and what may lock somebody out.
    Late,
    Account,
    TakeGrants,
    Drop(std::cmp::Reverse<Kind>),
}

/// What the file asks for and a plan does not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    pub what: String,
    pub reason: String,
    pub to_do: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub environment: String,
    pub changes: Vec<Change>,
    pub blocked: Vec<Blocked>,
    /// What the account has and the file does not name.
    pub unnamed: Vec<String>,
    pub warnings: Vec<String>,
}

impl Change {
    /// Whether it takes a grant that the file does not give.
    pub(crate) fn is_revocation(&self) -> bool {
        self.sign == Sign::Remove && self.object.is_none()
    }
}

impl Plan {
    /// How many changes take a grant that the file does not give.
    pub fn revocations(&self) -> usize {
        self.changes.iter().filter(|change| change.is_revocation()).count()
    }

    /// Whether the account is as the file says.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.blocked.is_empty()
    }
}

/// As messages and callers name an object.
pub(crate) fn called(kind: Kind, name: &Name) -> String {
    match kind {
        Kind::Account => "account".to_owned(),
        _ => format!("{} {name}", kind.word().to_lowercase()),
    }
}

/// Compares.
pub(crate) fn plan(desired: &Desired, actual: &State, allowed: &Allowed) -> Plan {
    let warnings = actual.unread.iter().cloned().collect();
    let mut planner = Planner {
        desired,
        actual,
        allowed,
        affected: Affected::of(&desired.state, actual),
        plan: Plan { environment: desired.environment.clone(), warnings, ..Plan::default() },
    };
    for ((kind, name), want) in &desired.state.objects {
        planner.object(*kind, name, want);
    }
    planner.unnamed();
    grants::compare(&mut planner);
    planner.plan.changes.sort_by_key(|a| a.step);
    planner.plan
}

struct Planner<'p> {
    desired: &'p Desired,
    actual: &'p State,
    allowed: &'p Allowed,
    affected: Affected<'p>,
    plan: Plan,
}

impl Planner<'_> {
    fn object(&mut self, kind: Kind, name: &Name, want: &Object) {
        let have = match self.actual.object(kind, name) {
            Some(have) => have.clone(),
            // It is there before anything else.
            None if kind == Kind::Account => Object::default(),
            // CREATE DATABASE makes it.
            None if kind == Kind::Schema && name.last() == "PUBLIC" => self.created_with(kind, name),
            None => {
                let made = after_create(kind, want);
                let fields =
                    kind.spec().fields.iter().filter(|field| render::is_made_at_once(field)).filter_map(|field| {
                        let to =
                            want.get(field.name).filter(|value| !value.is_empty() && field.form != Form::Columns)?;
                        Some(Difference { field: field.name, from: None, to: Some(to.clone()) })
                    });
                let fields = fields.collect();
                let statements = vec![render::create(kind, name, want)];
                self.change(Sign::Add, kind, name, fields, "it is not there", statements, step(kind));
                made
            }
        };
        self.fields(kind, name, want, have);
    }

    /// A schema that comes with its database.
    fn created_with(&self, kind: Kind, name: &Name) -> Object {
        let mut made = Object::default();
        made.complete(kind, name, self.desired.enterprise);
        made.set("managed_access", Some(Value::Flag(false)));
        made
    }

    /// The fields in which an object differs.
    fn fields(&mut self, kind: Kind, name: &Name, want: &Object, mut have: Object) {
        for field in kind.spec().fields.iter().filter(|field| want.get(field.name).is_none()) {
            if let Some(kept) = have.get(field.name).filter(|value| field.guards(value)) {
                self.plan.unnamed.push(format!("{} {kept} of {}", field.name, called(kind, name)));
            }
        }
        let fields = kind.spec().fields.iter().filter(|field| self.differs(field, name, want, &have));
        let (fixed, fields): (Vec<&Field>, Vec<&Field>) = fields.partition(|field| field.is_only_made());
        if !fixed.is_empty() {
            self.fixed(kind, name, &fixed, want, &have);
        }
        if kind == Kind::Table {
            self.stuck(name, want, &have);
        }
        // A role of a database may not be there yet, and a pipe needs its owner's grants to go on.
        let owner = Name::parse(want.text("owner")).unwrap_or_default();
        let is_early = self.actual.has(kind, name) && kind != Kind::Pipe && owner.depth() == 1;
        let (owners, fields): (Vec<&Field>, Vec<&Field>) =
            fields.into_iter().partition(|field| is_early && field.form == Form::Role);
        let (late, now): (Vec<&Field>, Vec<&Field>) =
            fields.into_iter().partition(|field| field.late || matches!(field.form, Form::Role | Form::Tags));
        for (fields, step) in [(owners, Step::Owners), (now, step(kind)), (late, late_step(kind))] {
            if fields.is_empty() {
                continue;
            }
            let statements = render::alter(kind, name, &fields, want, &have);
            let differences: Vec<Difference> =
                fields.iter().map(|field| difference(field, name, want, &have)).collect();
            if !statements.is_empty() {
                self.change(Sign::Change, kind, name, differences, "it differs from the file", statements, step);
            }
            if step == Step::Owners {
                have.set("owner", want.get("owner").cloned());
            }
        }
    }

    fn differs(&self, field: &Field, name: &Name, want: &Object, have: &Object) -> bool {
        let (wanted, held) = (want.get(field.name), have.get(field.name));
        let is_ignored = wanted.is_none() && matches!(field.absent, Absent::Ignored | Absent::Kept);
        let is_elsewhere = field.enterprise && !self.desired.enterprise;
        let is_compared = !have.unknown.contains(field.name);
        !is_ignored
            && !is_elsewhere
            && is_compared
            && match field.form {
                Form::Columns => !columns::compared(name, want, have).is_same,
                Form::Options => {
                    let held: Vec<(&str, &str)> = held.into_iter().flat_map(Value::entries).collect();
                    wanted.into_iter().flat_map(Value::entries).any(|option| !held.contains(&option))
                }
                _ => wanted.filter(|value| !value.is_empty()) != held.filter(|value| !value.is_empty()),
            }
    }

    /// What no statement changes in place.
    fn fixed(&mut self, kind: Kind, name: &Name, fields: &[&Field], want: &Object, have: &Object) {
        let what = called(kind, name);
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let reason = format!("{} cannot be changed in what is there", names.join(" and "));
        let differences = fields.iter().map(|field| difference(field, name, want, have)).collect();
        if kind == Kind::Pipe && self.allowed.replace.contains(&what) {
            let statements = render::replace_pipe(name, want, have);
            self.change(Sign::Change, kind, name, differences, &reason, statements, step(kind));
            return;
        }
        let to_do = match kind {
            Kind::Pipe => format!(
                "a new pipe forgets which files it has loaded and may load those of the last days again: allow it by \
                 replacing `{what}`"
            ),
            _ => "make another one under a new name, or put the file back to what the account has".to_owned(),
        };
        let told: Vec<String> = fields.iter().map(|field| told(&difference(field, name, want, have))).collect();
        self.plan.blocked.push(Blocked { what, reason: format!("{reason}: {}", told.join(", ")), to_do });
    }

    fn stuck(&mut self, name: &Name, want: &Object, have: &Object) {
        for column in columns::compared(name, want, have).stuck {
            let reason = format!("a column cannot take another type in place: {column}");
            let to_do = "correct the contract in platform/sources.yaml, or fill a new table".to_owned();
            self.plan.blocked.push(Blocked { what: called(Kind::Table, name), reason, to_do });
        }
    }

    /// What the file does not name.
    fn unnamed(&mut self) {
        for ((kind, name), have) in &self.actual.objects {
            let is_inside = name.depth() > 1 && !self.desired.state.has(Kind::Database, &name.up_to(1));
            let is_known = self.desired.state.has(*kind, name) || *kind == Kind::Account;
            if is_known || is_inside || (*kind == Kind::Schema && name.last() == "PUBLIC") {
                continue;
            }
            let what = called(*kind, name);
            if self.allowed.drop.contains(&what) {
                let statements = vec![render::drop(*kind, name, have)];
                let reason = match holds(*kind, have) {
                    "" => "the file does not name it".to_owned(),
                    holds => format!("the file does not name it; lost is {holds}"),
                };
                let step = Step::Drop(std::cmp::Reverse(*kind));
                self.change(Sign::Remove, *kind, name, Vec::new(), &reason, statements, step);
            } else {
                self.plan.unnamed.push(what);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "each is a column of the change")]
    fn change(
        &mut self,
        sign: Sign,
        kind: Kind,
        name: &Name,
        fields: Vec<Difference>,
        reason: &str,
        statements: Vec<Statement>,
        step: Step,
    ) {
        // What is allowed to be replaced or dropped takes along what it holds.
        let is_lost = self.allowed.has(&called(kind, name)) && sign != Sign::Add;
        let held = self.actual.object(kind, name).map_or("", |have| holds(kind, have));
        self.plan.changes.push(Change {
            sign,
            what: called(kind, name),
            fields,
            reason: reason.to_owned(),
            affects: if sign == Sign::Add { BTreeSet::new() } else { self.affected.by_object(kind, name) },
            loses: Some(held).filter(|held| is_lost && !held.is_empty()),
            statements,
            step,
            object: Some((kind, name.clone())),
        });
    }
}

/// What is lost with an object.
fn holds(kind: Kind, have: &Object) -> &'static str {
    // A stage with a URL holds nothing: its files are the bucket's.
    if kind == Kind::Stage && have.text("url").is_empty() { "its files" } else { kind.spec().holds }
}

fn step(kind: Kind) -> Step {
    match kind {
        Kind::Role => Step::Roles,
        Kind::NetworkPolicy | Kind::User | Kind::StorageIntegration => Step::Access(kind),
        Kind::FileFormat | Kind::Stage | Kind::Table | Kind::Pipe => Step::Contents(kind),
        Kind::Account => Step::Account,
        _ => Step::Objects(kind),
    }
}

fn late_step(kind: Kind) -> Step {
    if kind == Kind::Account { Step::Account } else { Step::Late }
}

/// What an object has right after it was made.
fn after_create(kind: Kind, want: &Object) -> Object {
    let mut made = Object::default();
    for field in kind.spec().fields {
        let value = match field.form {
            Form::Role => Some(Value::text(kind.spec().maker)),
            Form::Tags => None,
            _ if field.late => None,
            _ => want.get(field.name).cloned(),
        };
        made.set(field.name, value);
    }
    made
}

fn difference(field: &Field, name: &Name, want: &Object, have: &Object) -> Difference {
    let (mut from, mut to) = (have.get(field.name).cloned(), want.get(field.name).cloned());
    if field.form == Form::Columns {
        // Of many columns only those that differ.
        let compared = columns::compared(name, want, have);
        (from, to) = (None, Some(Value::list(compared.statements.into_iter().chain(compared.stuck))));
    }
    Difference { field: field.name, from, to }
}

/// A difference in a sentence.
fn told(difference: &Difference) -> String {
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
    format!("{} is {} and should be {}", difference.field, value(&difference.from), value(&difference.to))
}
