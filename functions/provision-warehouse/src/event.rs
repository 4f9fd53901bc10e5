//! What wakes the function: a deployment, itself, or the schedule.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Event {
    Continued(Continued),
    Resource(Request),
    Drift(Drift),
}

/// `{"drift": true}`: whether the account is as its file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    pub drift: bool,
}

/// The rest of a request that one invocation could not end.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continued {
    pub request: Request,
    /// When its first invocation began.
    pub since: DateTime<Utc>,
    /// What that one found: whether the stack may stand without an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_stand: Option<bool>,
}

/// What CloudFormation asks of a custom resource. Anyone who has the address may answer, so that it is never printed: the type has
/// no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// `Create`, `Update` or `Delete`.
    pub request_type: String,
    pub request_id: String,
    pub stack_id: String,
    #[serde(rename = "ResponseURL")]
    pub response_url: String,
    pub logical_resource_id: String,
    /// Of an update and a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_resource_id: Option<String>,
    #[serde(default)]
    pub resource_properties: Properties,
}

/// The properties of the template that matter here. The others are there to change when there is something to do.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    /// The state that schedules are to have once there is an account.
    #[serde(default)]
    pub schedules_enabled: String,
}
