//! CREATE and ALTER of what the account knows.

use super::{
    Grantee, Kind, Object, Path, Run, Setting, Settings,
    assign::{assignments, invalid_property, names},
    drop,
    kinds::name_of,
    login::{KEY_SLOTS, set_at},
    references::{TRANSFERRED, transferred},
    rules,
};
use crate::{
    catalogue,
    copy::CopyInto,
    failure::Failure,
    names::{Name, identifier, shown},
    result::ResultSet,
    tokens::{Cursor, Token},
};

/// What a change needs.
enum Needs {
    Owner,
    /// Of the object.
    Privilege(&'static str),
    /// Of the account.
    OnAccount(String),
    Administrator,
}

impl Run<'_> {
    /// Everything that follows `CREATE`; `None` if it is about a table.
    pub(super) fn create(&mut self, mut cursor: Cursor<'_>) -> Result<Option<ResultSet>, Failure> {
        let replaces = cursor.eat("OR REPLACE");
        let alters = !replaces && cursor.eat("OR ALTER");
        let transient = cursor.eat("TRANSIENT");
        let Some(kind) = Kind::eat(&mut cursor, false).filter(|kind| kind.is_made_here()) else { return Ok(None) };
        let if_not_exists = cursor.eat("IF NOT EXISTS");
        if (if_not_exists && (replaces || alters || !kind.can("if not exists"))) || (alters && !kind.can("or alter")) {
            return Err(Failure::syntax(format!("unexpected words before the name of a {}", kind.words)));
        }
        let path = name_of(kind, &mut cursor)?;
        for parent in [Kind::of("DATABASE"), Kind::of("SCHEMA")] {
            if parent.parts < path.len() {
                self.existing(parent, &path[..parent.parts])?;
            }
        }
        if kind.words == "MASKING POLICY" && self.is_standard() {
            return Err(Failure::unsupported_feature(kind.words));
        }
        let old = self.object(kind, &path).cloned();
        match &old {
            Some(_) if if_not_exists => {
                return Ok(Some(ResultSet::done(format!("{} already exists, statement succeeded.", shown(&path)))));
            }
            Some(old) if replaces || alters => self.require_owner(old)?,
            Some(_) => {
                return Err(Failure::new("002002", "42710", format!("Object '{}' already exists.", shown(&path))));
            }
            None => self.account.require_create(&self.access, kind, &path)?,
        }
        let mut settings = self.definition(kind, &mut cursor)?;
        cursor.end()?;
        if transient {
            settings.insert("TRANSIENT".to_owned(), Setting::Text("true".to_owned()));
        }
        rules::check(self, kind, &mut settings, old.as_ref(), true)?;
        self.require_rules(&settings)?;
        if let Some(old) = old {
            if alters {
                let differs =
                    |name: &str| settings.get(name).is_some_and(|wanted| old.settings.get(name) != Some(wanted));
                if let Some(fixed) = kind.properties.iter().find(|property| property.fixed && differs(property.name)) {
                    return Err(invalid_property(kind, fixed.name));
                }
                rules::refuse_attached(self, kind, &path)?;
                let kept = |name: &str| name.starts_with("TAG ") || name.ends_with(" POLICY");
                settings.extend(old.settings.clone().into_iter().filter(|(name, _)| kept(name)));
                self.change(&old, settings);
                return Ok(Some(ResultSet::done("Statement executed successfully.")));
            }
            drop::refuse(self, kind, &path)?;
            drop::erase(self.account, self.request, kind, &path)?;
        }
        self.make(kind, path.clone(), settings)?;
        let what = if kind.words == "INTEGRATION" { "Integration".to_owned() } else { kind.spoken() };
        let name = path.last().map_or("", String::as_str);
        Ok(Some(ResultSet::done(format!("{what} {name} successfully created."))))
    }

    /// A network policy is made by who may use the rules that it names.
    fn require_rules(&self, settings: &Settings) -> Result<(), Failure> {
        let lists = ["ALLOWED_NETWORK_RULE_LIST", "BLOCKED_NETWORK_RULE_LIST"].into_iter();
        let named = lists.filter_map(|list| match settings.get(list) {
            Some(Setting::List(rules)) => Some(rules),
            _ => None,
        });
        let named: Vec<&String> = named.flatten().collect();
        for rule in self.of("NETWORK RULE").filter(|rule| named.contains(&&shown(&rule.path))) {
            self.require("USAGE", Kind::of("NETWORK RULE"), &rule.path)?;
        }
        Ok(())
    }

    /// Who gives a user a network policy owns both.
    fn require_policy(&self, user: &Object, settings: &Settings) -> Result<(), Failure> {
        let policy =
            settings.get("NETWORK_POLICY").filter(|policy| user.settings.get("NETWORK_POLICY") != Some(policy));
        match policy.and_then(|policy| self.of("NETWORK POLICY").find(|found| shown(&found.path) == policy.printed())) {
            Some(policy) if user.kind == "USER" => self.require_owner(policy),
            _ => Ok(()),
        }
    }

    /// What stands after the name.
    fn definition(&self, kind: &Kind, cursor: &mut Cursor<'_>) -> Result<Settings, Failure> {
        let mut settings = Settings::new();
        let mut put = |name: &str, text: String| settings.insert(name.to_owned(), Setting::Text(text));
        if kind.words == "SCHEMA" && cursor.eat("WITH MANAGED ACCESS") {
            put("MANAGED ACCESS", "true".to_owned());
        }
        if kind.words == "MASKING POLICY" {
            cursor.expect("AS")?;
            put("SIGNATURE", format!("({})", spelled(cursor.group()?)));
            cursor.expect("RETURNS")?;
            let rest = cursor.rest();
            let arrow = rest.windows(2).position(|two| two[0].is("-") && two[1].is(">"));
            let returned = spelled(&rest[..arrow.ok_or_else(|| cursor.unexpected("->"))?]);
            // DESC prints a type in full.
            put("RETURN_TYPE", if returned == "VARCHAR" { "VARCHAR(16777216)".to_owned() } else { returned });
            put("BODY", body(self.text)?);
            // A comment may stand after the body.
            *cursor = Cursor::new(match rest {
                [.., comment, equals, Token::Text(_)] if comment.is("COMMENT") && equals.is("=") => {
                    &rest[rest.len() - 3..]
                }
                _ => &[],
            });
        }
        let assigned = assignments(self, kind, cursor, true)?;
        if kind.words == "PIPE" {
            cursor.expect("AS")?;
            let rest = cursor.rest();
            let copy = CopyInto::parse(Cursor::new(rest.strip_suffix(&[Token::Symbol(";")]).unwrap_or(rest)))?;
            *cursor = Cursor::new(&[]);
            let (table, stage) = (copy.into.path(), copy.stage.path());
            if catalogue::columns(self.request.conn, &copy.into.listed())?.is_none() {
                return Err(Failure::missing("Table", &copy.into));
            }
            self.existing(Kind::of("STAGE"), &stage)?;
            self.require("USAGE", Kind::of("STAGE"), &stage)?;
            for privilege in ["INSERT", "SELECT"] {
                self.require(privilege, Kind::of("TABLE"), &table)?;
            }
            let at = self.text.to_uppercase().find("COPY INTO").unwrap_or_default();
            put("DEFINITION", self.text[at..].trim_end().trim_end_matches(';').to_owned());
        }
        settings.extend(assigned.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
        if let Some(integration) = settings.get("STORAGE_INTEGRATION").filter(|_| self.checks_privileges()) {
            self.require("USAGE", Kind::of("INTEGRATION"), &[integration.printed()])?;
        }
        Ok(settings)
    }

    /// Makes the object, and in DuckDB what stands for it.
    fn make(&mut self, kind: &Kind, path: Path, mut settings: Settings) -> Result<(), Failure> {
        let (request, owner) = (self.request, Some(Grantee::role(&self.access.role)));
        let in_duckdb = |database: &str, schema: &str| {
            request
                .conn
                .execute_batch(&format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(&format!("{database}__{schema}"))))
        };
        match kind.words {
            "DATABASE" => in_duckdb(&path[0], "PUBLIC")?,
            "SCHEMA" => in_duckdb(&path[0], &path[1])?,
            "WAREHOUSE" => {
                let suspended =
                    matches!(settings.remove("INITIALLY_SUSPENDED"), Some(Setting::Text(text)) if text == "true");
                let state = if suspended { "SUSPENDED" } else { "STARTED" };
                settings.insert("STATE".to_owned(), Setting::Text(state.to_owned()));
            }
            "PIPE" => {
                let pipe = Name { database: path[0].clone(), schema: path[1].clone(), object: path[2].clone() };
                if let Some(Setting::Text(copy)) = settings.get("DEFINITION") {
                    request.shared.pipes.add(&pipe, CopyInto::of_pipe(copy)?);
                }
            }
            _ => {}
        }
        self.account.create(kind, path.clone(), settings, owner.clone());
        if kind.words == "DATABASE" {
            let public = vec![path[0].clone(), "PUBLIC".to_owned()];
            self.account.create(Kind::of("SCHEMA"), public, Settings::new(), owner);
        }
        Ok(())
    }

    /// Everything that follows `ALTER`; `None` if it is about the columns of a table.
    pub(super) fn alter(&mut self, mut cursor: Cursor<'_>) -> Result<Option<ResultSet>, Failure> {
        let Some(kind) = Kind::eat(&mut cursor, false) else { return Ok(None) };
        let if_exists = cursor.eat("IF EXISTS");
        let path = if kind.parts == 0 { Vec::new() } else { name_of(kind, &mut cursor)? };
        let of_account =
            |two: &[Token]| (two[0].is("SET") || two[0].is("UNSET")) && (two[1].is("MASKING") || two[1].is("TAG"));
        if kind.words == "TABLE" && !cursor.rest().windows(2).any(of_account) {
            return Ok(None);
        }
        let old = match self.object(kind, &path) {
            None if if_exists => return Ok(Some(ResultSet::done("Statement executed successfully."))),
            _ => self.existing(kind, &path)?.clone(),
        };
        let mut settings = old.settings.clone();
        let mut put = |name: &str, text: &str| settings.insert(name.to_owned(), Setting::Text(text.to_owned()));
        let mut needs = Needs::Owner;
        if cursor.eat("ENABLE MANAGED ACCESS") && kind.words == "SCHEMA" {
            put("MANAGED ACCESS", "true");
        } else if cursor.eat("DISABLE MANAGED ACCESS") && kind.words == "SCHEMA" {
            settings.remove("MANAGED ACCESS");
        } else if kind.words == "WAREHOUSE"
            && (cursor.eat("SUSPEND") || cursor.eat("RESUME IF SUSPENDED") || cursor.eat("RESUME"))
        {
            let suspends = self.text.to_uppercase().trim_end().trim_end_matches(';').trim_end().ends_with(" SUSPEND");
            put("STATE", if suspends { "SUSPENDED" } else { "STARTED" });
            needs = Needs::Privilege("OPERATE");
        } else if kind.words == "MASKING POLICY" && cursor.eat("SET BODY - >") {
            put("BODY", &body(self.text)?);
            cursor = Cursor::new(&[]);
        } else if kind.words == "TAG" && (cursor.eat("ADD") || cursor.eat("DROP")) {
            let adds = self.text.to_uppercase().contains(" ADD ");
            let values = assignments(self, kind, &mut cursor, false)?.remove("ALLOWED_VALUES").flatten();
            let Some(Setting::List(values)) = values else { return Err(cursor.unexpected("ALLOWED_VALUES")) };
            let mut held = old.list("ALLOWED_VALUES").to_vec();
            held.retain(|value| !values.contains(value));
            held.extend(values.into_iter().filter(|_| adds));
            settings.insert("ALLOWED_VALUES".to_owned(), Setting::List(held));
        } else {
            needs = self.set_or_unset(kind, &mut cursor, &mut settings)?;
        }
        cursor.end()?;
        self.fulfil(&needs, &old)?;
        rules::check(self, kind, &mut settings, Some(&old), false)?;
        rules::attach(self, self.request, &old, &settings)?;
        self.require_rules(&settings)?;
        self.require_policy(&old, &settings)?;
        let paused = |settings: &Settings| {
            settings.get("PIPE_EXECUTION_PAUSED").is_some_and(|paused| paused.printed().eq_ignore_ascii_case("true"))
        };
        if old.is(TRANSFERRED) && paused(&old.settings) && !paused(&settings) {
            return Err(transferred(&path));
        }
        if let Some(integration) =
            settings.get("STORAGE_INTEGRATION").filter(|_| settings.get("URL") != old.settings.get("URL"))
        {
            self.require("USAGE", Kind::of("INTEGRATION"), &[integration.printed()])?;
        }
        self.change(&old, settings);
        Ok(Some(ResultSet::done("Statement executed successfully.")))
    }

    /// Refuses a change that one may not make.
    fn fulfil(&self, needs: &Needs, object: &Object) -> Result<(), Failure> {
        let kind = Kind::of(&object.kind);
        let allowed = match needs {
            Needs::Owner => return self.require_owner(object),
            Needs::Privilege(privilege) => return self.require(privilege, kind, &object.path),
            Needs::OnAccount(privilege) => self.may_on_account(privilege),
            Needs::Administrator => {
                !self.checks_privileges() || self.access.active.contains(&Grantee::role("ACCOUNTADMIN"))
            }
        };
        let name = if kind.parts == 0 { self.name.clone() } else { shown(&object.path) };
        if allowed { Ok(()) } else { Err(Failure::insufficient(kind.words, name)) }
    }

    /// SET or UNSET, also of tags and policies, and of a policy on a column.
    fn set_or_unset(&self, kind: &Kind, cursor: &mut Cursor<'_>, settings: &mut Settings) -> Result<Needs, Failure> {
        let column = if kind.words == "TABLE" && (cursor.eat("MODIFY COLUMN") || cursor.eat("ALTER COLUMN")) {
            format!(" {}", cursor.identifier()?)
        } else {
            String::new()
        };
        let sets = cursor.eat("SET");
        if !sets {
            cursor.expect("UNSET")?;
        }
        for policy in ["AUTHENTICATION POLICY", "MASKING POLICY"] {
            if cursor.eat(policy) {
                let key = format!("{policy}{column}");
                if sets {
                    let path = cursor.path()?;
                    self.existing(Kind::of(policy), &path)?;
                    let is_forced = cursor.eat("FORCE");
                    if settings.contains_key(&key) && !is_forced {
                        let text = format!("Object already has a {policy}. Only one {policy} is allowed at a time.");
                        return Err(Failure::new("003560", "23505", text));
                    }
                    settings.insert(key, Setting::Text(shown(&path)));
                } else {
                    if kind.words == "TAG" {
                        cursor.path()?;
                    }
                    settings.remove(&key);
                }
                return Ok(Needs::OnAccount(format!("APPLY {policy}")));
            }
        }
        if !column.is_empty() {
            return Err(cursor.unexpected("a policy"));
        }
        if cursor.rest().first().is_some_and(|next| next.is("TAG")) {
            if sets {
                let tags = assignments(self, kind, cursor, false)?;
                settings.extend(tags.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
            } else {
                cursor.expect("TAG")?;
                loop {
                    let tag = cursor.path()?;
                    self.existing(Kind::of("TAG"), &tag)?;
                    settings.remove(&format!("TAG {}", shown(&tag)));
                    if !cursor.eat(",") {
                        break;
                    }
                }
            }
            return Ok(Needs::OnAccount("APPLY TAG".to_owned()));
        }
        let changed: Vec<String> = if sets {
            let assigned = assignments(self, kind, cursor, false)?;
            if assigned.is_empty() {
                return Err(cursor.unexpected("a property"));
            }
            let names = assigned.keys().cloned().collect();
            for (name, value) in assigned {
                match value {
                    Some(value) => settings.insert(name, value),
                    None => settings.remove(&name),
                };
            }
            names
        } else {
            let names = names(kind, cursor)?;
            for name in &names {
                settings.remove(name);
            }
            names
        };
        let has = |wanted: &str| changed.iter().any(|name| name == wanted);
        if kind.words == "RESOURCE MONITOR" && (changed == ["TRIGGERS"] || has("FREQUENCY") != has("START_TIMESTAMP")) {
            return Err(Failure::syntax("triggers are not set alone, FREQUENCY and START_TIMESTAMP only together"));
        }
        let only = |wanted: &str| changed.iter().all(|name| name.starts_with(wanted));
        Ok(match kind.words {
            "ACCOUNT" if only("NETWORK_POLICY") => Needs::OnAccount("ATTACH POLICY".to_owned()),
            "ACCOUNT" => Needs::Administrator,
            "WAREHOUSE" if has("RESOURCE_MONITOR") => Needs::Administrator,
            "WAREHOUSE" | "DATABASE" | "SCHEMA" | "RESOURCE MONITOR" => Needs::Privilege("MODIFY"),
            "PIPE" if only("PIPE_EXECUTION_PAUSED") => Needs::Privilege("OPERATE"),
            "USER" if only("RSA_PUBLIC_KEY") => Needs::Privilege("MODIFY PROGRAMMATIC AUTHENTICATION METHODS"),
            _ => Needs::Owner,
        })
    }

    fn change(&mut self, old: &Object, mut settings: Settings) {
        let now = chrono::Utc::now().timestamp_millis();
        for slot in KEY_SLOTS {
            if settings.contains_key(slot) && settings.get(slot) != old.settings.get(slot) {
                settings.insert(set_at(slot), Setting::Text(now.to_string()));
            }
        }
        self.put(Object { settings, updated_ms: now, ..old.clone() });
    }
}

/// The body of a masking policy as it was written.
fn body(text: &str) -> Result<String, Failure> {
    let (_, body) = text.split_once("->").ok_or_else(|| Failure::syntax("a masking policy has no body"))?;
    let body = body.trim().trim_end_matches(';').trim_end();
    let comment = body.ends_with('\'').then(|| body.to_uppercase().rfind("COMMENT")).flatten();
    Ok(body[..comment.unwrap_or(body.len())].trim_end().to_owned())
}

/// Tokens as a signature or a type is printed.
fn spelled(tokens: &[Token]) -> String {
    let mut spelled = String::new();
    for token in tokens {
        let (text, is_symbol) = match token {
            Token::Word(text)
            | Token::Quoted(text)
            | Token::Text(text)
            | Token::Number(text)
            | Token::Dollars(text) => (text.as_str(), false),
            Token::Symbol(symbol) => (*symbol, true),
        };
        if !is_symbol && !spelled.is_empty() && !spelled.ends_with('(') {
            spelled.push(' ');
        }
        spelled.push_str(text);
    }
    spelled
}
