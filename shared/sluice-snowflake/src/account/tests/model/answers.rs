//! What the account in memory answers to SHOW, DESC and the table functions, in Snowflake's shapes.

use sluice_core::{Result, port::Row};

use super::{Grant, Model, Properties, missing, words::Words};
use crate::account::Name;

type Cells = Vec<(&'static str, Option<String>)>;

fn row(cells: Cells) -> Row {
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn some(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

pub(crate) fn answer(model: &Model, statement: &str) -> Result<Vec<Row>> {
    let mut words = Words::of(statement);
    match words.word().as_str() {
        "SELECT" if statement.starts_with("SELECT HOLDER") => Ok(vec![lease(model)]),
        "SELECT" => Ok(function(model, statement)),
        "DESC" => {
            let word = if words.eat("INTEGRATION") { "STORAGE INTEGRATION".to_owned() } else { words.kind() };
            let name = words.name();
            model.has(&word, &name)?;
            Ok(describe(&word, &name, &model.world.borrow().objects[&(word.clone(), name.clone())]))
        }
        _ if words.eat("GRANTS TO") => grants(model, words),
        _ if words.eat("GRANTS OF") => holders(model, words),
        _ if words.eat("FUTURE GRANTS IN") => future(model, words),
        _ if words.eat("PARAMETERS IN") => parameters(model, words),
        _ => list(model, statement, words),
    }
}

fn list(model: &Model, statement: &str, mut words: Words) -> Result<Vec<Row>> {
    let mut plural = words.word();
    let mut within = None;
    while !words.is_done() {
        if words.eat("IN ACCOUNT") {
            continue;
        }
        if words.eat("IN DATABASE") || words.eat("IN SCHEMA") {
            within = Some(words.name());
            continue;
        }
        plural = format!("{plural} {}", words.word());
    }
    let word = match plural.as_str() {
        "INTEGRATIONS" => "STORAGE INTEGRATION".to_owned(),
        "VIEWS" => return Ok(Vec::new()),
        plural => match plural.strip_suffix("POLICIES") {
            Some(start) => format!("{start}POLICY"),
            None => plural.trim_end_matches('S').to_owned(),
        },
    };
    if model.standard && word == "MASKING POLICY" {
        panic!("Standard knows no such thing: {statement}");
    }
    if let Some(container) = &within {
        model.has(if container.depth() == 1 { "DATABASE" } else { "SCHEMA" }, container)?;
    }
    let world = model.world.borrow();
    let there = world.objects.iter().filter(|((of, name), _)| {
        *of == word && within.as_ref().is_none_or(|container| name.is_within(container)) && !name.first().is_empty()
    });
    Ok(there.map(|((_, name), object)| shown(model.standard, &word, name, object)).collect())
}

/// A row of SHOW.
fn shown(standard: bool, word: &str, name: &Name, object: &Properties) -> Row {
    let of = |key: &str| object.get(key).cloned();
    let text = |key: &str| some(of(key).unwrap_or_default());
    let mut cells: Cells = vec![
        ("created_on", some("2026-01-01 00:00:00.000 -0800")),
        ("name", some(name.last())),
        ("owner", text("owner")),
        ("comment", text("COMMENT")),
    ];
    if name.depth() == 2 {
        cells.push(("database_name", some(name.first())));
    }
    if name.depth() == 3 {
        cells.push(("database_name", some(name.first())));
        cells.push(("schema_name", some(name.parts()[1].clone())));
    }
    let list = |key: &str| of(key).map(|list| list.trim_matches(['(', ')']).replace('\'', "")).unwrap_or_default();
    match word {
        "WAREHOUSE" => {
            let size = of("WAREHOUSE_SIZE").unwrap_or("XSMALL".into());
            let size = match size.as_str() {
                "XSMALL" => "X-Small".to_owned(),
                "XLARGE" => "X-Large".to_owned(),
                size if size.starts_with('X') => format!("{}X-Large", &size[1..2]),
                size => format!("{}{}", &size[..1], size[1..].to_lowercase()),
            };
            let suspend = of("AUTO_SUSPEND").unwrap_or("600".into());
            cells.extend([
                ("size", some(size)),
                ("auto_suspend", Some(suspend).filter(|seconds| seconds != "0")),
                ("auto_resume", some(of("AUTO_RESUME").unwrap_or("TRUE".into()).to_lowercase())),
                ("resource_monitor", some(of("RESOURCE_MONITOR").unwrap_or("null".into()))),
            ]);
            if !standard {
                let clusters = |key: &str| some(of(key).unwrap_or("1".into()));
                cells.extend([
                    ("min_cluster_count", clusters("MIN_CLUSTER_COUNT")),
                    ("max_cluster_count", clusters("MAX_CLUSTER_COUNT")),
                    ("scaling_policy", some(of("SCALING_POLICY").unwrap_or("STANDARD".into()))),
                    (
                        "enable_query_acceleration",
                        some(of("ENABLE_QUERY_ACCELERATION").unwrap_or("TRUE".into()).to_lowercase()),
                    ),
                ]);
            }
        }
        "DATABASE" | "SCHEMA" => {
            let options = [("TRANSIENT", "TRANSIENT"), ("MANAGED", "MANAGED ACCESS")];
            let options: Vec<&str> =
                options.into_iter().filter(|(key, _)| object.contains_key(*key)).map(|(_, w)| w).collect();
            cells.push(("options", some(options.join(", "))));
            cells.push(("retention_time", some(of("DATA_RETENTION_TIME_IN_DAYS").unwrap_or("1".into()))));
            cells.push(("kind", some("STANDARD")));
        }
        "RESOURCE MONITOR" => {
            cells.retain(|(name, _)| *name != "comment");
            cells.extend([
                ("credit_quota", some(format!("{}.00", of("CREDIT_QUOTA").unwrap_or_default()))),
                ("frequency", text("FREQUENCY")),
                ("notify_at", of("TRIGGER NOTIFY")),
                ("suspend_at", of("TRIGGER SUSPEND")),
                ("suspend_immediately_at", of("TRIGGER SUSPEND_IMMEDIATE")),
                ("notify_users", some(list("NOTIFY_USERS"))),
            ]);
        }
        "USER" => {
            let roles =
                if of("DEFAULT_SECONDARY_ROLES").is_some_and(|roles| roles == "()") { "[]" } else { "[\"ALL\"]" };
            let or_name = |key: &str| some(of(key).unwrap_or(name.last().to_owned()));
            cells.extend([
                ("type", of("TYPE")),
                ("login_name", or_name("LOGIN_NAME")),
                ("display_name", or_name("DISPLAY_NAME")),
                ("first_name", text("FIRST_NAME")),
                ("last_name", text("LAST_NAME")),
                ("email", text("EMAIL")),
                ("disabled", some(of("DISABLED").unwrap_or("FALSE".into()).to_lowercase())),
                ("default_role", of("DEFAULT_ROLE")),
                ("default_warehouse", of("DEFAULT_WAREHOUSE")),
                ("default_namespace", of("DEFAULT_NAMESPACE")),
                ("default_secondary_roles", some(roles)),
            ]);
        }
        "NETWORK RULE" => cells.extend([("type", of("TYPE")), ("mode", of("MODE"))]),
        "NETWORK POLICY" => cells.retain(|(name, _)| *name != "owner"),
        "TAG" => {
            let values: Vec<String> = of("ALLOWED_VALUES")
                .unwrap_or_default()
                .split(',')
                .filter(|v| !v.is_empty())
                .map(|v| format!("\"{v}\""))
                .collect();
            let values = if values.is_empty() { None } else { Some(format!("[{}]", values.join(","))) };
            cells.push(("allowed_values", values));
        }
        "STORAGE INTEGRATION" => {
            cells.retain(|(name, _)| *name != "owner");
            cells.extend([("type", some("EXTERNAL_STAGE")), ("category", some("STORAGE"))]);
        }
        "FILE FORMAT" => {
            let options: Vec<String> = object
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "owner" | "COMMENT" | "TYPE"))
                .map(|(key, value)| match value.as_str() {
                    "()" => format!("\"{key}\":[]"),
                    "TRUE" | "FALSE" => format!("\"{key}\":{}", value.to_lowercase()),
                    value if value.bytes().all(|byte| byte.is_ascii_digit()) => format!("\"{key}\":{value}"),
                    value => format!("\"{key}\":\"{value}\""),
                })
                .collect();
            cells.extend([("type", of("TYPE")), ("format_options", some(format!("{{{}}}", options.join(","))))]);
        }
        "STAGE" => cells.extend([
            ("url", text("URL")),
            ("storage_integration", of("STORAGE_INTEGRATION")),
            ("directory_enabled", some(if of("DIRECTORY").is_some_and(|d| d.contains("TRUE")) { "Y" } else { "N" })),
        ]),
        "PIPE" => cells.extend([("definition", of("DEFINITION")), ("notification_channel", of("CHANNEL"))]),
        _ => {}
    }
    row(cells)
}

fn describe(word: &str, name: &Name, object: &Properties) -> Vec<Row> {
    let of = |key: &str| object.get(key).cloned();
    let list = |key: &str| of(key).map(|list| list.trim_matches(['(', ')']).replace('\'', "")).unwrap_or_default();
    let property = |key: &str, value: Option<String>| {
        row(vec![
            ("property", some(key)),
            ("property_type", some("String")),
            ("property_value", value),
            ("property_default", None),
        ])
    };
    match word {
        "USER" => {
            let print =
                |key: &str| of(key).and_then(|key| crate::account::normal::fingerprint(&key)).unwrap_or("null".into());
            let pair = |key: &str, value: String| {
                row(vec![("property", some(key)), ("value", some(value)), ("default", None), ("description", None)])
            };
            vec![
                pair("RSA_PUBLIC_KEY_FP", print("RSA_PUBLIC_KEY")),
                pair("RSA_PUBLIC_KEY_2_FP", print("RSA_PUBLIC_KEY_2")),
            ]
        }
        "STORAGE INTEGRATION" => {
            let mut rows: Vec<Row> = ["ENABLED", "STORAGE_AWS_ROLE_ARN", "STORAGE_AWS_EXTERNAL_ID"]
                .into_iter()
                .map(|key| {
                    property(key, of(key).map(|value| if key == "ENABLED" { value.to_lowercase() } else { value }))
                })
                .collect();
            for key in ["STORAGE_ALLOWED_LOCATIONS", "STORAGE_BLOCKED_LOCATIONS"] {
                rows.push(property(key, some(list(key).replace(", ", ","))));
            }
            rows
        }
        "NETWORK POLICY" => {
            let mut rows = Vec::new();
            for key in ["ALLOWED_NETWORK_RULE_LIST", "BLOCKED_NETWORK_RULE_LIST"] {
                let rules: Vec<String> = list(key)
                    .split(", ")
                    .filter(|rule| !rule.is_empty())
                    .map(|rule| format!("{{\"fullyQualifiedRuleName\":\"{rule}\"}}"))
                    .collect();
                if !rules.is_empty() {
                    rows.push(row(vec![("name", some(key)), ("value", some(format!("[{}]", rules.join(","))))]));
                }
            }
            for key in ["ALLOWED_IP_LIST", "BLOCKED_IP_LIST"] {
                if !list(key).is_empty() {
                    rows.push(row(vec![("name", some(key)), ("value", some(list(key).replace(", ", ",")))]));
                }
            }
            rows
        }
        "NETWORK RULE" => {
            vec![row(vec![("name", some(name.last())), ("value_list", some(list("VALUE_LIST").replace(", ", ",")))])]
        }
        "AUTHENTICATION POLICY" => ["AUTHENTICATION_METHODS", "CLIENT_TYPES"]
            .into_iter()
            .map(|key| row(vec![("property", some(key)), ("value", some(format!("[{}]", list(key))))]))
            .collect(),
        "MASKING POLICY" => {
            vec![row(vec![
                ("name", some(name.last())),
                ("signature", some("(VAL)")),
                ("return_type", of("RETURN_TYPE")),
                ("body", of("BODY")),
            ])]
        }
        "STAGE" => {
            let format = of("FILE_FORMAT").and_then(|format| format.split('\'').nth(1).map(str::to_owned));
            vec![property("FORMAT_NAME", format)]
        }
        "TABLE" => columns(object),
        other => panic!("no DESC {other}"),
    }
}

/// A table's columns: those of its CREATE, with what was altered since.
fn columns(object: &Properties) -> Vec<Row> {
    let create = &object["COLUMNS"];
    let mut columns: Vec<(String, String)> = Vec::new();
    if let Some((_, list)) = create.split_once(" (\n") {
        for line in list.trim_end_matches("\n)").lines() {
            let line = line.trim().trim_end_matches(',');
            let end = if line.starts_with('"') {
                line.rfind("\" ").expect("a quote") + 1
            } else {
                line.find(' ').expect("a type")
            };
            columns.push((line[..end].to_owned(), line[end + 1..].to_owned()));
        }
    }
    if let Some((_, list)) = create.split_once(" AS\nSELECT ") {
        let of_query = list.lines().next().unwrap_or_default().split(", ").filter_map(|item| item.rsplit_once("::"));
        columns.extend(
            of_query
                .filter_map(|(_, typed)| typed.split_once(" AS "))
                .map(|(data_type, name)| (name.to_owned(), data_type.to_owned())),
        );
    }
    for change in object.get("MORE").map_or("", String::as_str).lines() {
        if let Some((_, added)) = change.split_once("ADD COLUMN IF NOT EXISTS ") {
            let (name, data_type) = added.split_once(' ').expect("a type");
            if !columns.iter().any(|(held, _)| held == name) {
                columns.push((name.to_owned(), data_type.to_owned()));
            }
        }
        if let Some((_, altered)) = change.split_once("ALTER COLUMN ") {
            let (name, what) = altered.split_once(' ').expect("a change");
            let column = columns.iter_mut().find(|(held, _)| held == name).expect("the column");
            if let Some(data_type) = what.strip_prefix("SET DATA TYPE ") {
                column.1 = data_type.to_owned();
            } else if what == "DROP NOT NULL" {
                column.1 = column.1.replace(" NOT NULL", "");
            }
        }
        if let Some((_, dropped)) = change.split_once("DROP COLUMN ") {
            columns.retain(|(held, _)| held != dropped);
        }
    }
    let shown = |(name, spec): (String, String)| {
        let null = if spec.ends_with(" NOT NULL") { "N" } else { "Y" };
        row(vec![
            ("name", some(name.trim_matches('"'))),
            ("type", some(super::create::full(spec.trim_end_matches(" NOT NULL")))),
            ("null?", some(null)),
            ("policy name", object.get(&format!("MASK {name}")).cloned()),
        ])
    };
    columns.into_iter().map(shown).collect()
}

fn parameters(model: &Model, mut words: Words) -> Result<Vec<Row>> {
    let word = words.kind();
    let name = if word == "ACCOUNT" { Name::default() } else { words.name() };
    let keys: &[&str] = match word.as_str() {
        "WAREHOUSE" => {
            &["STATEMENT_TIMEOUT_IN_SECONDS", "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", "MAX_CONCURRENCY_LEVEL"]
        }
        _ => &["STATEMENT_TIMEOUT_IN_SECONDS", "LOCK_TIMEOUT", "NETWORK_POLICY", "TIMEZONE"],
    };
    let world = model.world.borrow();
    let object = match world.objects.get(&(word.clone(), name.clone())) {
        Some(object) => object.clone(),
        None if word == "ACCOUNT" => Properties::new(),
        None => return missing(&word, &name),
    };
    let inherited = world.objects.get(&("ACCOUNT".to_owned(), Name::default()));
    let shown = |key: &&str| {
        let (value, level) = match (object.get(*key), inherited.and_then(|account| account.get(*key))) {
            (Some(value), _) => (value.clone(), word.clone()),
            (None, Some(value)) => (value.clone(), "ACCOUNT".to_owned()),
            (None, None) => ("1".to_owned(), String::new()),
        };
        row(vec![("key", some(*key)), ("value", some(value)), ("default", some("1")), ("level", some(level))])
    };
    Ok(keys.iter().map(shown).collect())
}

fn grants(model: &Model, mut words: Words) -> Result<Vec<Row>> {
    let to = if words.eat("DATABASE ROLE") {
        "DATABASE ROLE"
    } else {
        if words.eat("USER") {
            "USER"
        } else {
            words.eat("ROLE");
            "ROLE"
        }
    };
    let grantee = words.name();
    model.has(to, &grantee)?;
    let world = model.world.borrow();
    let mut rows = Vec::new();
    for ((word, name), object) in &world.objects {
        let owner = object.get("owner").map_or("", String::as_str);
        if to != "USER" && !owner.is_empty() && Name::parse(owner).as_ref() == Some(&grantee) {
            rows.push(row(vec![
                ("privilege", some("OWNERSHIP")),
                ("granted_on", some(word.replace(' ', "_"))),
                ("name", some(name.to_string())),
                ("grant_option", some("true")),
                ("granted_by", some(owner)),
            ]));
        }
    }
    for (grant, option) in world.grants.iter().filter(|(grant, _)| grant.to == to && grant.grantee == grantee) {
        if to == "USER" {
            rows.push(row(vec![
                ("role", some(grant.name.last())),
                ("granted_to", some("USER")),
                ("grantee_name", some(grantee.last())),
                ("granted_by", some("SECURITYADMIN")),
            ]));
            continue;
        }
        let is_implied = to == "DATABASE ROLE" && grant.on == "DATABASE" && grant.privilege == "USAGE";
        rows.push(row(vec![
            ("privilege", some(&*grant.privilege)),
            ("granted_on", some(grant.on.replace(' ', "_"))),
            ("name", some(grant.name.to_string())),
            ("granted_to", some(to.replace(' ', "_"))),
            // Without its database, as some commands answer.
            ("grantee_name", some(grantee.last())),
            ("grant_option", some(option.to_string())),
            ("granted_by", some(if is_implied { "" } else { "SECURITYADMIN" })),
        ]));
    }
    Ok(rows)
}

/// Who has a role; the roles of the system have one another and nobody says so.
fn holders(model: &Model, mut words: Words) -> Result<Vec<Row>> {
    let word = if words.eat("DATABASE ROLE") { "DATABASE ROLE" } else { "ROLE" };
    words.eat("ROLE");
    let role = words.name();
    model.has(word, &role)?;
    let world = model.world.borrow();
    let held = world.grants.keys().filter(|grant| grant.on == word && grant.name == role);
    let shown = held.map(|grant| {
        row(vec![
            ("role", some(role.last())),
            ("granted_to", some(grant.to.replace(' ', "_"))),
            ("grantee_name", some(grant.grantee.last())),
            ("granted_by", some("SECURITYADMIN")),
        ])
    });
    Ok(shown.collect())
}

fn lease(model: &Model) -> Row {
    let lease = model.lease.borrow();
    row(vec![
        ("holder", some(&*lease.holder)),
        ("held_until", some("2026-01-01")),
        ("lake", some(&*lease.lake)),
        ("environment", some(&*lease.environment)),
    ])
}

fn future(model: &Model, mut words: Words) -> Result<Vec<Row>> {
    let word = words.word();
    let container = words.name();
    model.has(&word, &container)?;
    let world = model.world.borrow();
    let here = world.future.iter().filter(|(grant, _)| grant.name == container);
    let shown = |(grant, option): (&Grant, &bool)| {
        row(vec![
            ("privilege", some(&*grant.privilege)),
            ("grant_on", some(grant.on.replace(' ', "_"))),
            ("name", some(format!("{container}.<{}>", grant.on))),
            ("grant_to", some(grant.to.replace(' ', "_"))),
            ("grantee_name", some(grant.grantee.last())),
            ("grant_option", some(option.to_string())),
        ])
    };
    Ok(here.map(shown).collect())
}

fn function(model: &Model, statement: &str) -> Vec<Row> {
    let argument = |at: usize| statement.split('\'').nth(at).unwrap_or_default().to_owned();
    let world = model.world.borrow();
    if statement.contains("POLICY_REFERENCES") {
        let policy = argument(1);
        let users = world
            .objects
            .iter()
            .filter(|((word, _), user)| word == "USER" && user.get("AUTHENTICATION POLICY") == Some(&policy));
        return users.map(|((_, name), _)| row(vec![("ref_entity_name", some(name.last()))])).collect();
    }
    if statement.contains("PIPE_STATUS") {
        let name = Name::parse(&argument(1)).expect("a name");
        let pipe = &world.objects[&("PIPE".to_owned(), name)];
        let is_paused = pipe.get("PIPE_EXECUTION_PAUSED").is_some_and(|paused| paused == "TRUE");
        let state = if is_paused { "PAUSED" } else { "RUNNING" };
        return vec![row(vec![(
            "status",
            some(format!("{{\"executionState\":\"{state}\",\"pendingFileCount\":{}}}", model.pending.borrow())),
        )])];
    }
    if statement.contains("TAG_REFERENCES") {
        let name = Name::parse(&argument(1)).expect("a name");
        let Some(object) = world.objects.get(&(argument(3), name)) else { return Vec::new() };
        let tags = object.iter().filter_map(|(key, value)| Some((Name::parse(key.strip_prefix("TAG ")?)?, value)));
        return tags
            .map(|(tag, value)| {
                row(vec![
                    ("tag_database", some(tag.first())),
                    ("tag_schema", some(tag.parts()[1].clone())),
                    ("tag_name", some(tag.last())),
                    ("tag_value", some(value)),
                    ("level", some(argument(3))),
                ])
            })
            .collect();
    }
    panic!("no such query: {statement}")
}
