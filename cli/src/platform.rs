//! The platform as the commands use it: tables by name, functions, the lake, the warehouse.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_lambda::{operation::get_function_configuration::GetFunctionConfigurationOutput, primitives::Blob};
use serde_json::Value;
use sluice_aws::{CachedSecrets, FreshSecrets, S3Lake, classify};
use sluice_core::{
    Error, Kind, LakeId, Sources, Table, TableId,
    error::apart,
    functions::{self, Role},
};

use crate::{
    args::Target,
    failure::{Failure, Outcome},
    place::Place,
    stack::Stack,
    warehouse::{self, Administrator, Deployment, Service, Warehouse},
};

/// The function whose settings say how the warehouse is reached: it writes the ledger that the commands read.
pub(crate) const LOADER: &str = functions::LOAD_COMMITS.logical;

/// The function that writes to the channels.
pub(crate) const STREAMER: &str = functions::STREAM_KAFKA.logical;

/// A platform that has been found.
pub(crate) struct Platform {
    pub place: Place,
    pub stack: Stack,
    lambda: aws_sdk_lambda::Client,
}

impl Platform {
    pub(crate) async fn open(target: &Target) -> Outcome<Self> {
        Self::at(Place::find(target).await?).await
    }

    /// The platform of a place, whose stack must be there.
    pub(crate) async fn at(place: Place) -> Outcome<Self> {
        let stack = Stack::describe(&place.aws, &place.stack).await?;
        let lambda = aws_sdk_lambda::Client::new(&place.aws);
        Ok(Platform { place, stack, lambda })
    }

    pub(crate) fn store(&self) -> Outcome<S3Lake> {
        Ok(S3Lake::new(&self.place.aws, self.stack.output("LakeBucket")?))
    }

    /// The settings that a function was deployed with.
    pub(crate) async fn environment(&self, function: &str) -> Outcome<BTreeMap<String, String>> {
        let found = self.configuration(function).await?;
        let variables = found.environment().and_then(|environment| environment.variables()).cloned();
        Ok(variables.unwrap_or_default().into_iter().collect())
    }

    /// How long a function may run.
    pub(crate) async fn time_limit(&self, function: &str) -> Outcome<Duration> {
        let seconds = self.configuration(function).await?.timeout().and_then(|seconds| u64::try_from(seconds).ok());
        let seconds = seconds.ok_or_else(|| Error::internal("the function has no timeout").with("function", function));
        Ok(Duration::from_secs(seconds?))
    }

    /// The ARN of the role that a function runs as.
    pub(crate) async fn role(&self, function: &str) -> Outcome<String> {
        let role = self.configuration(function).await?.role().map(str::to_owned);
        Ok(role.ok_or_else(|| Error::internal("the function has no role").with("function", function))?)
    }

    async fn configuration(&self, function: &str) -> Outcome<GetFunctionConfigurationOutput> {
        let name = self.stack.resource(function)?;
        let get = self.lambda.get_function_configuration().function_name(name).send().await;
        Ok(get.map_err(|error| classify(error, format!("cannot read the settings of {name}")))?)
    }

    pub(crate) async fn lake_id(&self) -> Outcome<LakeId> {
        lake_id(&self.environment(LOADER).await?)
    }

    pub(crate) async fn warehouse(&self) -> Outcome<Warehouse> {
        let settings = self.environment(LOADER).await?;
        let lake_id = lake_id(&settings)?;
        warehouse::connect(lake_id, settings, CachedSecrets::new(&self.place.aws))
    }

    /// The warehouse's account, for what only its administrator may.
    pub(crate) async fn administrator(&self) -> Outcome<Administrator> {
        let settings = self.environment(LOADER).await?;
        Administrator::connect(settings, &self.stack.name, CachedSecrets::new(&self.place.aws))
    }

    /// A service of the warehouse, for its key.
    pub(crate) async fn service(&self, user: Option<&str>, secret: Option<String>) -> Outcome<Service> {
        let settings = self.environment(functions::PROVISION_WAREHOUSE.logical).await?;
        Service::find(settings, &self.stack.name, user, secret, FreshSecrets::new(&self.place.aws))
    }

    /// What the stack says of itself to the file of the account.
    pub(crate) async fn deployment(&self) -> Outcome<Deployment> {
        Ok(Deployment {
            lake: self.lake_id().await?.0,
            bucket: self.stack.output("LakeBucket")?.to_owned(),
            reader_role: self.stack.output("LakeReaderRoleArn")?.to_owned(),
            external_id: self.stack.parameter("SnowflakeExternalId")?.to_owned(),
            addresses: self.stack.outputs.get("FixedAddress").cloned(),
        })
    }

    /// Who asks, as AWS knows them: the name that the log of the account has too.
    pub(crate) async fn caller(&self) -> Outcome<String> {
        let identity = aws_sdk_sts::Client::new(&self.place.aws).get_caller_identity().send().await;
        let identity = identity.map_err(|error| classify(error, "cannot ask who is calling".into()))?;
        Ok(identity.arn().unwrap_or("unknown").to_owned())
    }

    /// Invokes a function and waits for its answer. Its own error comes back with its kind.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Outcome<Value> {
        let name = self.stack.resource(function)?;
        let invoke = self.lambda.invoke().function_name(name).payload(Blob::new(event.to_string()));
        let answer =
            invoke.send().await.map_err(|error| not_invoked(classify(error, format!("cannot invoke {name}"))))?;
        let body = answer.payload().map(|blob| blob.as_ref().to_vec()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        match answer.function_error() {
            None => Ok(body),
            Some(_) => Err(of_function(name, &body)),
        }
    }

    /// The table of that name, or the one whose name ends so, in any case.
    pub(crate) fn table(&self, name: &str) -> Outcome<&Table> {
        find_table(&self.place.sources, name)
    }
}

fn lake_id(settings: &BTreeMap<String, String>) -> Outcome<LakeId> {
    let id = settings.get("SLUICE_LAKE_ID").cloned();
    Ok(LakeId(
        id.ok_or_else(|| Error::not_found(format!("{LOADER} has no SLUICE_LAKE_ID; deploy the template again")))?,
    ))
}

/// Lambda has no room for the invocation, or has refused it otherwise.
fn not_invoked(error: Error) -> Failure {
    let is_throttled = error.kind() == Kind::RateLimited;
    let failure = Failure::from(error);
    if !is_throttled {
        return failure;
    }
    failure.hint(
        "Lambda's concurrency is used up, and nothing was begun: run it again later; `aws lambda get-function-concurrency` and \
         `get-account-settings` show whose limit it is",
    )
}

/// A function's failure, as its runtime reports it. The error's own hint knows more than any that is made up here.
fn of_function(name: &str, body: &Value) -> Failure {
    let part = |name: &str| body[name].as_str().unwrap_or("unknown").to_owned();
    let word = part("errorType");
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Kind::Internal);
    let answer = part("errorMessage");
    if let Some(failure) = of_lambda(name, &word, &answer) {
        return failure;
    }
    let (chain, own_hint) = apart(&answer);
    let failure = Failure::from(Error::new(kind, format!("{name} failed with {word}: {chain}")));
    match (own_hint, kind) {
        (Some(hint), _) => failure.hint(hint),
        (None, Kind::Config | Kind::Internal | Kind::Unsupported) => {
            failure.hint(format!("`sluice logs {name}` shows what it has written"))
        }
        (None, _) => failure,
    }
}

/// What Lambda says of a function that could not say anything itself: it was ended at its timeout, or does not start.
fn of_lambda(name: &str, word: &str, answer: &str) -> Option<Failure> {
    if let Some((_, after)) = answer.split_once("Task timed out after ") {
        let error = Error::new(Kind::Timeout, format!("{name} was ended at its timeout of {after}"));
        return Some(Failure::from(error).hint(
            "nothing is half done: run it again, and where it ends so again give it a longer Timeout in template.yaml or less to read",
        ));
    }
    word.starts_with("Runtime.").then(|| {
        Failure::from(Error::config(format!("{name} does not start: {}", said(answer)))).hint(format!(
            "`sluice logs {name}` names the variable that is missing or wrong; `sluice deploy` sets all of them"
        ))
    })
}

/// What a function has said before it ended, where Lambda passes its output on; else what Lambda says, in a line.
fn said(answer: &str) -> String {
    let line = answer.lines().next().unwrap_or_default();
    let written = answer.find('{').and_then(|at| {
        serde_json::Deserializer::from_str(&answer[at..]).into_iter::<Value>().next().and_then(Result::ok)
    });
    written.and_then(|written| written["error"].as_str().map(str::to_owned)).unwrap_or_else(|| line.to_owned())
}

fn find_table<'a>(sources: &'a Sources, name: &str) -> Outcome<&'a Table> {
    let tables = &sources.tables;
    let wanted = name.to_uppercase();
    let fits = |id: &TableId| {
        let full = id.to_string();
        full == wanted || full.strip_suffix(&wanted).is_some_and(|before| before.ends_with(['.', '_']))
    };
    let names = |tables: &[&Table]| tables.iter().map(|table| table.table.to_string()).collect::<Vec<_>>().join(", ");
    let exact = tables.iter().find(|table| table.table.to_string() == wanted);
    let found: Vec<&Table> = match exact {
        Some(table) => vec![table],
        None => tables.iter().filter(|table| fits(&table.table)).collect(),
    };
    match found[..] {
        [table] => Ok(table),
        [] => Err(Failure::usage(format!("no table of {} is called '{name}'", sources.file()))
            .hint(format!("there are {}", names(&tables.iter().collect::<Vec<_>>())))),
        _ => Err(Failure::usage(format!("'{name}' is the end of several names"))
            .hint(format!("say which: {}", names(&found)))),
    }
}

/// The function that extracts a table; `None` for one that streams.
pub(crate) fn extractor(table: &Table) -> Option<&'static str> {
    let function = table.source.function().filter(|function| function.role == Role::Extract);
    function.map(|function| function.logical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_the_end_of_its_name_and_never_guessed() {
        let sources = Sources::parse(include_str!("../../platform/sources.yaml")).expect("valid sources");
        let found = |name: &str| find_table(&sources, name).map(|table| table.table.to_string()).ok();
        assert_eq!(found("products").as_deref(), Some("DLT.APPLICATION_DATA.PRODUCTS"));
        assert_eq!(found("hubspot.contacts").as_deref(), Some("AIRBYTE.HUBSPOT.CONTACTS"));
        assert_eq!(found("rates").as_deref(), Some("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES"));
        assert!(found("DLT.OPEN_EXCHANGE_RATES.CURRENCIES").is_some());
        for none in ["ducts", "", "orders"] {
            let failure = find_table(&sources, none).expect_err("no table");
            assert_eq!(failure.exit_code(), 2, "{none}");
            assert!(failure.text().contains(sources.file()), "{}", failure.text());
        }
        let mut twice = sources.clone();
        twice.tables.push(Table { table: "X.Y.PRODUCTS".parse().expect("a name"), ..sources.tables[0].clone() });
        assert!(find_table(&twice, "products").expect_err("two").text().contains("X.Y.PRODUCTS"));
    }

    #[test]
    fn a_functions_error_keeps_its_kind() {
        let body = serde_json::json!({"errorType": "RateLimited", "errorMessage": "the quota is used up"});
        let failure = of_function("f", &body);
        assert_eq!((failure.kind(), failure.exit_code()), (Kind::RateLimited, 1));
        assert_eq!(of_function("f", &Value::Null).kind(), Kind::Internal);
    }

    #[test]
    fn a_function_that_lambda_has_ended_or_cannot_start_says_what_to_do() {
        let failure = |word: &str, answer: &str| {
            of_function("f", &serde_json::json!({"errorType": word, "errorMessage": answer}))
        };
        let ended = failure("Sandbox.Timedout", "RequestId: 7 Error: Task timed out after 3.00 seconds");
        assert_eq!(
            (ended.kind(), ended.message()),
            (Kind::Timeout, "f was ended at its timeout of 3.00 seconds".to_owned())
        );
        let dead = failure("Runtime.ExitError", "RequestId: 7 Error: Runtime exited with error: exit status 1");
        assert_eq!(dead.kind(), Kind::Config);
        assert!(dead.text().contains("`sluice logs f` names the variable"), "{}", dead.text());
        let told = failure("Runtime.ExitError", "bootstrap exited: {\"error\":\"X is not set\"}\nError: Config");
        assert_eq!(told.message(), "f does not start: X is not set");
        let throttled = not_invoked(Error::new(Kind::RateLimited, "cannot invoke f"));
        assert!(throttled.text().contains("concurrency is used up"), "{}", throttled.text());
    }

    #[test]
    fn a_functions_own_hint_is_shown_in_place_of_the_usual_one() {
        let refused = Error::conflict("nothing was begun").with_hint("wait, then run again");
        let body = serde_json::json!({"errorType": "Conflict", "errorMessage": refused.answer()});
        let text = of_function("f", &body).text();
        assert_eq!(text, "sluice: f failed with Conflict: nothing was begun\n  hint: wait, then run again");
    }
}
