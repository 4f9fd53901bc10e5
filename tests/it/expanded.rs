//! The template with its loops expanded: what a rule looks at is what is deployed.

use std::{
    fs::File,
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde_json::{Value, json};

use crate::project::root;

/// What the list parameters hold that loops go through.
const PARAMETERS: &str = r#"{"KafkaTopics": "purchases,order-lines"}"#;

/// The template as `written` and `expanded`.
static TEMPLATES: LazyLock<Value> = LazyLock::new(|| expand("ministack", "expand.py"));

/// The answer of a script that reads the template, run by the Python of a tool.
pub(crate) fn expand(tool: &str, script: &str) -> Value {
    let template = File::open(root().join("template.yaml")).expect("the template");
    let expand = Command::new(root().join(format!(".tools/venv/{tool}/bin/python")))
        .arg(root().join("tests/it").join(script))
        .arg(PARAMETERS)
        .stdin(template)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("no Python ({error}); run tools/setup {tool}"));
    assert!(expand.status.success(), "{tool} cannot expand the template's loops");
    serde_json::from_slice(&expand.stdout).expect("JSON")
}

/// The template as it stands in its file, with its loops.
pub(crate) fn written() -> &'static Value {
    &TEMPLATES["written"]
}

pub(crate) fn expanded() -> &'static Value {
    &TEMPLATES["expanded"]
}

/// A section of the template, such as `Parameters`.
pub(crate) fn section(name: &str) -> &'static Value {
    expanded().get(name).unwrap_or_else(|| panic!("the template has no {name}"))
}

pub(crate) fn resource(name: &str) -> &'static Value {
    section("Resources").get(name).unwrap_or_else(|| panic!("the template has no resource {name}"))
}

pub(crate) fn properties(name: &str) -> &'static Value {
    &resource(name)["Properties"]
}

/// The names of the resources whose type ends so, sorted.
pub(crate) fn of_type(ending: &str) -> Vec<&'static str> {
    let resources = section("Resources").as_object().expect("resources by name");
    let is_one = |resource: &Value| resource["Type"].as_str().is_some_and(|kind| kind.ends_with(ending));
    let mut names: Vec<&str> =
        resources.iter().filter(|(_, resource)| is_one(resource)).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// What `!GetAtt <resource>.<attribute>` stands for.
pub(crate) fn get_att(resource: &str, attribute: &str) -> Value {
    json!({ "Fn::GetAtt": [resource, attribute] })
}

/// The statements of a function's role, those of the policies that it always has among them.
pub(crate) fn statements(function: &str) -> Vec<&'static Value> {
    let role = properties(&format!("{function}Role"));
    let own = list(&role["Policies"]).iter().map(|policy| &policy["PolicyDocument"]);
    let managed = list(&role["ManagedPolicyArns"]).iter().filter_map(|policy| policy["Ref"].as_str());
    let documents = own.chain(managed.map(|name| &properties(name)["PolicyDocument"]));
    documents.flat_map(|document| list(&document["Statement"])).collect()
}

/// The text of `!Sub`, with what it is given in the place of its own variables.
pub(crate) fn sub(value: &Value) -> String {
    let [text, given @ ..] = list(&value["Fn::Sub"]) else { panic!("{value} is no !Sub") };
    let mut text = text.as_str().expect("a text").to_owned();
    for (name, value) in given.iter().filter_map(Value::as_object).flatten() {
        text = text.replace(&format!("${{{name}}}"), value.as_str().expect("a text"));
    }
    text
}

/// What a value is in a stage: a number, or one of a mapping whose last key is the stage.
pub(crate) fn in_stage(value: &Value, stage: &str) -> u64 {
    let mapped = list(&value["Fn::FindInMap"]);
    let value = match mapped {
        [mapping, key, by] if by["Ref"] == "Stage" => {
            &section("Mappings")[mapping.as_str().expect("a mapping")][key.as_str().expect("a key")][stage]
        }
        _ => value,
    };
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The members of a list; of one value, that value.
pub(crate) fn list(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(members) => members,
        one => std::slice::from_ref(one),
    }
}

/// Whether a value holds a member that is equal to this one, at any depth.
pub(crate) fn holds(value: &Value, member: &Value) -> bool {
    value == member
        || match value {
            Value::Array(members) => members.iter().any(|inner| holds(inner, member)),
            Value::Object(members) => members.values().any(|inner| holds(inner, member)),
            _ => false,
        }
}
