//! CREATE in the account in memory.

use sluice_core::{Kind as ErrorKind, Result, port::Row};

use super::{
    Model, Properties, grants, refused, status,
    words::{Words, unquoted},
};
use crate::account::Name;

/// A data type as DESC prints it.
pub(super) fn full(data_type: &str) -> String {
    match data_type {
        "VARCHAR" => "VARCHAR(16777216)".to_owned(),
        other => other.to_owned(),
    }
}

impl Model {
    pub(super) fn create(&self, role: &str, mut words: Words, statement: &str) -> Result<Vec<Row>> {
        let replace = words.eat("OR REPLACE");
        let transient = words.eat("TRANSIENT");
        let word = words.kind();
        let unless = words.eat("IF NOT EXISTS");
        assert!(!(replace && unless), "OR REPLACE and IF NOT EXISTS exclude each other");
        assert!(!(unless && word == "NETWORK RULE"), "a network rule knows no IF NOT EXISTS");
        let name = words.name();
        let makers: &[&str] = match word.as_str() {
            "ROLE" | "USER" => &["USERADMIN"],
            "RESOURCE MONITOR" | "STORAGE INTEGRATION" => &["ACCOUNTADMIN"],
            "NETWORK POLICY" => &["SECURITYADMIN"],
            _ => &["SYSADMIN"],
        };
        if !makers.contains(&role) {
            return refused(ErrorKind::Auth, format!("{role} may not create a {word}"));
        }
        self.enters(role, &name)?;
        if name.depth() > 1 {
            let container = name.up_to(name.depth() - 1);
            self.owns(role, if name.depth() == 2 { "DATABASE" } else { "SCHEMA" }, &container)?;
        }
        let key = (word.clone(), name.clone());
        if self.world.borrow().objects.contains_key(&key) && !replace {
            return match unless {
                true => Ok(status(&format!("{name} already exists, statement succeeded."))),
                false => refused(ErrorKind::Conflict, format!("Object '{name}' already exists.")),
            };
        }
        let mut made = Properties::from([("owner".to_owned(), role.to_owned())]);
        match word.as_str() {
            "TABLE" => {
                made.insert("COLUMNS".into(), statement.to_owned());
            }
            "PIPE" => {
                let (head, copy) = statement.split_once(" AS ").expect("a copy");
                if head.contains(" AUTO_INGEST = TRUE") {
                    made.insert("CHANNEL".into(), "arn:aws:sqs:eu-west-1:123456789001:sf-snowpipe".into());
                }
                if let Some((_, comment)) = head.split_once("COMMENT = ") {
                    made.insert("COMMENT".into(), unquoted(comment));
                }
                if replace && *self.pending.borrow() > 0 {
                    panic!("{name}: files that it has not loaded are lost");
                }
                // Snowflake gives a definition back as it was given.
                made.insert("DEFINITION".into(), format!("{copy};\r\n"));
                made.insert("PAUSED".into(), "FALSE".into());
                self.world.borrow_mut().grants.retain(|grant, _| !(grant.on == "PIPE" && grant.name == name));
            }
            "MASKING POLICY" => {
                let (head, body) = statement.split_once(" -> ").expect("a body");
                let (body, comment) = body.split_once(" COMMENT = ").unwrap_or((body, ""));
                made.insert("BODY".into(), body.to_owned());
                made.insert("COMMENT".into(), unquoted(comment));
                made.insert("RETURN_TYPE".into(), full(head.rsplit(' ').next().unwrap_or_default()));
            }
            _ => self.properties(&word, &name, &mut words, &mut made)?,
        }
        if transient {
            made.insert("TRANSIENT".into(), "TRUE".into());
        }
        if self.standard && word == "MASKING POLICY" {
            return refused(ErrorKind::Internal, "Unsupported feature 'MASKING POLICY'.");
        }
        self.checked(&word, &made, role)?;
        self.world.borrow_mut().objects.insert(key, made);
        if word == "DATABASE" {
            let public = Properties::from([("owner".to_owned(), role.to_owned())]);
            self.world.borrow_mut().objects.insert(("SCHEMA".into(), name.with("PUBLIC")), public);
            grants::created(self, "SCHEMA", &name.with("PUBLIC"));
        }
        if word == "DATABASE ROLE" {
            grants::implied(self, &name);
        }
        grants::created(self, &word, &name);
        Ok(status(&format!("{word} {name} successfully created.")))
    }

    /// `KEY = value …` up to the end.
    pub(super) fn properties(&self, word: &str, name: &Name, words: &mut Words, into: &mut Properties) -> Result<()> {
        while !words.is_done() {
            if words.eat("WITH MANAGED ACCESS") {
                into.insert("MANAGED".into(), "TRUE".into());
            } else if words.eat("TRIGGERS") {
                into.retain(|key, _| !key.starts_with("TRIGGER "));
                while words.eat("ON") {
                    let at = words.word();
                    assert!(words.eat("PERCENT DO"), "a trigger of {name}");
                    let action = words.word();
                    into.entry(format!("TRIGGER {action}"))
                        .and_modify(|list| *list += &format!(",{at}%"))
                        .or_insert(format!("{at}%"));
                }
            } else if words.eat("ALLOWED_VALUES") {
                into.insert("ALLOWED_VALUES".into(), words.literals().join(","));
            } else if !words.eat("WITH") {
                let key = words.word();
                assert!(words.eat("="), "{word} {name}: {key} has no value");
                let value = words.value();
                // The name of a login has no case.
                let value = if key == "LOGIN_NAME" { value.to_uppercase() } else { value };
                into.insert(key, value);
            }
        }
        Ok(())
    }

    /// What must be true of an object.
    pub(super) fn checked(&self, word: &str, made: &Properties, role: &str) -> Result<()> {
        let of = |key: &str| made.get(key).cloned().unwrap_or_default();
        match word {
            "WAREHOUSE" if self.standard => {
                for key in ["MIN_CLUSTER_COUNT", "MAX_CLUSTER_COUNT", "SCALING_POLICY", "ENABLE_QUERY_ACCELERATION"] {
                    if made.contains_key(key) {
                        return refused(ErrorKind::Internal, format!("Unsupported feature '{key}'."));
                    }
                }
            }
            "DATABASE" if self.standard && of("DATA_RETENTION_TIME_IN_DAYS").parse::<u8>().unwrap_or(1) > 1 => {
                return refused(ErrorKind::Internal, "Unsupported feature 'retention'.");
            }
            "RESOURCE MONITOR" if of("CREDIT_QUOTA").is_empty() => return refused(ErrorKind::Internal, "no quota"),
            "RESOURCE MONITOR" if of("FREQUENCY").is_empty() != of("START_TIMESTAMP").is_empty() => {
                return refused(ErrorKind::Internal, "FREQUENCY and START_TIMESTAMP go together");
            }
            "RESOURCE MONITOR" => {
                for user in of("NOTIFY_USERS").trim_matches(['(', ')']).split(", ").filter(|user| !user.is_empty()) {
                    self.has("USER", &Name::parse(user).expect("a name"))?;
                }
            }
            "STAGE" => {
                let integration = Name::of([of("STORAGE_INTEGRATION")]);
                self.has("STORAGE INTEGRATION", &integration)?;
                let roles = self.reach(&Name::of([role]));
                let held = self.world.borrow().grants.keys().any(|grant| {
                    grant.on == "INTEGRATION" && grant.name == integration && roles.contains(&grant.grantee)
                });
                if !held {
                    return refused(ErrorKind::Auth, "Insufficient privileges to operate on integration.");
                }
            }
            "NETWORK POLICY" => {
                let roles = self.reach(&Name::of([role]));
                let lists = ["ALLOWED_NETWORK_RULE_LIST", "BLOCKED_NETWORK_RULE_LIST"].map(of);
                for rule in lists.iter().flat_map(|list| crate::account::normal::list(list.trim_matches(['(', ')']))) {
                    let rule = Name::parse(&rule).expect("a name");
                    self.has("NETWORK RULE", &rule)?;
                    self.enters(role, &rule)?;
                    let world = self.world.borrow();
                    let is_it = |grant: &super::Grant| grant.on == "NETWORK RULE" && grant.name == rule;
                    if !world.grants.keys().any(|grant| is_it(grant) && roles.contains(&grant.grantee)) {
                        return refused(ErrorKind::Auth, format!("Insufficient privileges on network rule {rule}."));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
