//! ALTER in the account in memory.

use sluice_core::{Kind as ErrorKind, Result, port::Row};

use super::{Model, Properties, refused, status, words::Words};
use crate::account::Name;

impl Model {
    pub(super) fn alter(&self, role: &str, mut words: Words, statement: &str) -> Result<Vec<Row>> {
        let word = words.kind();
        let name = if word == "ACCOUNT" { Name::default() } else { words.name() };
        if word == "ACCOUNT" {
            if role != "ACCOUNTADMIN" {
                return refused(ErrorKind::Auth, "only ACCOUNTADMIN alters the account");
            }
            self.world.borrow_mut().objects.entry((word.clone(), name.clone())).or_default();
        } else if statement.contains(" NETWORK_POLICY = ") || statement.contains("UNSET NETWORK_POLICY") {
            // Who attaches a policy owns it and the user.
            self.owns(role, &word, &name)?;
            let roles = self.reach(&Name::of([role]));
            if !roles.contains(&Name::of(["SECURITYADMIN"])) {
                return refused(ErrorKind::Auth, "Insufficient privileges to operate on network policy.");
            }
        } else if statement.contains("AUTHENTICATION POLICY ") && word == "USER"
            || statement.contains("RESOURCE_MONITOR") && word == "WAREHOUSE"
            || statement.contains("MASKING POLICY") && word == "TABLE"
        {
            assert_eq!(role, "ACCOUNTADMIN", "{statement}");
            self.has(&word, &name)?;
        } else {
            self.enters(role, &name)?;
            self.owns(role, &word, &name)?;
        }
        let key = (word.clone(), name.clone());
        let mut made = self.world.borrow().objects[&key].clone();
        if words.eat("ENABLE MANAGED ACCESS") {
            made.insert("MANAGED".into(), "TRUE".into());
        } else if words.eat("DISABLE MANAGED ACCESS") {
            made.remove("MANAGED");
        } else if words.eat("ADD COLUMN IF NOT EXISTS") || words.eat("ALTER COLUMN") || words.eat("MODIFY COLUMN") {
            self.column(&mut made, statement, &mut words)?;
        } else if words.eat("ADD ALLOWED_VALUES") {
            let more = words.literals().join(",");
            made.entry("ALLOWED_VALUES".into()).and_modify(|list| *list += &format!(",{more}")).or_insert(more);
        } else if words.eat("DROP ALLOWED_VALUES") {
            let less = words.literals();
            let list = made.remove("ALLOWED_VALUES").unwrap_or_default();
            let kept: Vec<&str> = list.split(',').filter(|value| !less.iter().any(|l| l == value)).collect();
            made.insert("ALLOWED_VALUES".into(), kept.join(","));
        } else if words.eat("SET BODY ->") {
            made.insert("BODY".into(), statement.split_once(" -> ").expect("a body").1.to_owned());
        } else if words.eat("SET AUTHENTICATION POLICY") {
            let policy = words.name();
            self.has("AUTHENTICATION POLICY", &policy)?;
            let forced = words.eat("FORCE");
            let before = made.insert("AUTHENTICATION POLICY".into(), policy.to_string());
            assert!(before.is_none() || forced, "another policy is attached: {statement}");
        } else if words.eat("UNSET AUTHENTICATION POLICY") {
            made.remove("AUTHENTICATION POLICY");
        } else if words.eat("SET TAG") {
            while !words.is_done() {
                let tag = words.name();
                self.has("TAG", &tag)?;
                assert!(words.eat("="), "{statement}");
                made.insert(format!("TAG {tag}"), words.value());
                words.eat(",");
            }
        } else if words.eat("UNSET TAG") {
            while !words.is_done() {
                made.remove(&format!("TAG {}", words.name()));
                words.eat(",");
            }
        } else if words.eat("SET") {
            let mut set = Properties::new();
            self.properties(&word, &name, &mut words, &mut set)?;
            self.fits(&word, &set, statement)?;
            if set.keys().any(|key| key.starts_with("TRIGGER ")) {
                made.retain(|key, _| !key.starts_with("TRIGGER "));
            }
            made.extend(set);
            self.checked(&word, &made, role)?;
        } else if words.eat("UNSET") {
            loop {
                made.remove(&words.word());
                if !words.eat(",") {
                    break;
                }
            }
            assert!(words.is_done(), "{statement}");
        } else {
            panic!("no such change: {statement}");
        }
        self.world.borrow_mut().objects.insert(key, made);
        Ok(status("Statement executed successfully."))
    }

    /// What one ALTER … SET may and must hold.
    fn fits(&self, word: &str, set: &Properties, statement: &str) -> Result<()> {
        let has = |key: &str| set.contains_key(key);
        match word {
            "STAGE" if has("URL") != has("STORAGE_INTEGRATION") => {
                return refused(ErrorKind::Internal, format!("URL and integration go together: {statement}"));
            }
            "RESOURCE MONITOR" if set.keys().all(|key| key.starts_with("TRIGGER ")) => {
                return refused(ErrorKind::Internal, "triggers alone are refused");
            }
            "RESOURCE MONITOR" if has("FREQUENCY") != has("START_TIMESTAMP") => {
                return refused(ErrorKind::Internal, "FREQUENCY and START_TIMESTAMP go together");
            }
            "NETWORK RULE" | "FILE FORMAT" | "USER" if word != "USER" && has("TYPE") => {
                return refused(ErrorKind::Internal, "TYPE cannot be changed");
            }
            _ => {}
        }
        if let Some(policy) = set.get("NETWORK_POLICY") {
            self.has("NETWORK POLICY", &Name::parse(policy).expect("a name"))?;
        }
        if let Some(monitor) = set.get("RESOURCE_MONITOR") {
            self.has("RESOURCE MONITOR", &Name::parse(monitor).expect("a name"))?;
        }
        Ok(())
    }

    fn column(&self, made: &mut Properties, statement: &str, words: &mut Words) -> Result<()> {
        let column = words.identifier();
        if words.eat("SET MASKING POLICY") {
            let policy = words.name();
            self.has("MASKING POLICY", &policy)?;
            made.insert(format!("MASK {column}"), policy.to_string());
        } else if words.eat("UNSET MASKING POLICY") {
            made.remove(&format!("MASK {column}"));
        } else {
            let more = made.entry("MORE".into()).or_default();
            more.push_str(&format!("{statement}\n"));
        }
        Ok(())
    }
}
