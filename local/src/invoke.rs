//! Invokes the deployed functions as schedules do, and reads what they answer.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sluice_core::{TableId, extract::ExtractSummary, functions::Function};
use sluice_local::function_url::Lambda;

/// The functions of one stack.
#[derive(Debug, Clone)]
pub(crate) struct Functions {
    pub lambda: Lambda,
    stack: String,
}

impl Functions {
    pub(crate) fn new(lambda: Lambda, stack: &str) -> Self {
        Functions { lambda, stack: stack.to_owned() }
    }

    pub(crate) fn name(&self, function: &Function) -> String {
        format!("{}-{}", self.stack, function.logical)
    }

    /// Invokes and waits. A function's own error comes back with its kind and message.
    pub(crate) async fn invoke(&self, function: &Function, event: &Value) -> Result<Value> {
        let name = self.name(function);
        let answer = self.lambda.invoke(&name, event.to_string()).await?;
        let body: Value = serde_json::from_slice(&answer.payload).unwrap_or(Value::Null);
        if answer.error.is_some() {
            let part = |name| body[name].as_str().unwrap_or("unknown").to_owned();
            bail!("{name} failed with {}: {}", part("errorType"), part("errorMessage"));
        }
        Ok(body)
    }

    pub(crate) async fn extract(
        &self,
        function: &Function,
        table: &TableId,
        time: DateTime<Utc>,
    ) -> Result<ExtractSummary> {
        let answer = self.invoke(function, &json!({"time": time, "table": table})).await?;
        serde_json::from_value(answer).with_context(|| format!("{} answered something else", self.name(function)))
    }
}
