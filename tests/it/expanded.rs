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

/// The statements of a function's role and of the shared policy, if the role has it.
pub(crate) fn statements(function: &str) -> Vec<&'static Value> {
    let role = properties(&format!("{function}Role"));
    let mut documents: Vec<&Value> = list(&role["Policies"]).iter().map(|policy| &policy["PolicyDocument"]).collect();
    if list(&role["ManagedPolicyArns"]).contains(&json!({ "Ref": "FunctionsPolicy" })) {
        documents.push(&properties("FunctionsPolicy")["PolicyDocument"]);
    }
    documents.into_iter().flat_map(|document| list(&document["Statement"])).collect()
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
