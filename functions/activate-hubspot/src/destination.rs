//! HubSpot's contacts as the activation loop sees them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sluice_core::{Error, Kind, Result, port::Secrets, with_secret};
use sluice_hubspot::{Answer, BATCH, ByThatId, Client, Credentials, Definition, Updated};
use sluice_pipeline::activate::{Change, Destination, Field, FieldKind, Found, Outcome, Sent};
use tokio::sync::OnceCell;

/// The API moves a contact's stage forward only and answers success for the rest: the model could not be reached.
const FORWARD_ONLY: &str = "lifecyclestage";

/// One account, as far as its app may write. Nothing is asked before the loop asks: what is refused then ends a run that
/// has been claimed, and that keeps what was requested.
pub struct Portal<'a, S, C> {
    secrets: &'a S,
    secret: &'a str,
    client: C,
    connected: OnceCell<Connected>,
}

struct Connected {
    client: Client,
    portal_id: u64,
    definitions: BTreeMap<String, Definition>,
}

impl<'a, S: Secrets, C: Fn(Credentials) -> Client> Portal<'a, S, C> {
    /// The account of the token in this secret.
    pub fn new(secrets: &'a S, secret: &'a str, client: C) -> Self {
        Portal { secrets, secret, client, connected: OnceCell::new() }
    }

    /// The account's number and its properties are the first that is asked for: a token that is refused shows here.
    async fn connected(&self) -> Result<&Connected> {
        let connect = async |credentials: Credentials| {
            let client = (self.client)(credentials);
            let (portal_id, definitions) = (client.portal_id().await?, client.definitions().await?);
            Ok(Connected { client, portal_id, definitions })
        };
        // Boxed: a future that holds this one would be nested too deep for the compiler.
        Box::pin(self.connected.get_or_try_init(|| with_secret(self.secrets, self.secret, connect))).await
    }
}

impl<S: Secrets, C: Fn(Credentials) -> Client> Destination for Portal<'_, S, C> {
    fn batch(&self) -> usize {
        BATCH
    }

    async fn account(&self) -> Result<String> {
        Ok(self.connected().await?.portal_id.to_string())
    }

    async fn fields(&self, properties: &BTreeSet<String>) -> Result<BTreeMap<String, Field>> {
        let Connected { definitions, .. } = self.connected().await?;
        let (mut fields, mut problems) = (BTreeMap::new(), Vec::new());
        for name in properties {
            match field(name, definitions.get(name)) {
                Ok(field) => drop(fields.insert(name.clone(), field)),
                Err(problem) => problems.push(format!("'{name}' {problem}")),
            }
        }
        if problems.is_empty() {
            return Ok(fields);
        }
        let text = format!("contacts cannot take what the model has: {}; nothing was sent", problems.join("; "));
        Err(Error::new(Kind::SchemaMismatch, text)
            .with_hint("make the property in HubSpot, or take the column out of the model (docs/how-to/activate.md)"))
    }

    async fn read(&self, ids: &[String], properties: &BTreeSet<String>) -> Result<Option<BTreeMap<String, Found>>> {
        let contacts = self.connected().await?.client.by_id(ids, properties).await?;
        let found = contacts.into_iter().map(|(id, contact)| {
            let found = match contact {
                ByThatId::Merged => Found { id: String::new(), values: BTreeMap::new(), changed_at: None },
                ByThatId::Contact { properties, changed_at } => {
                    let value = |(name, value): (String, Value)| (name, value.as_str().map(str::to_owned));
                    Found { id: id.clone(), values: properties.into_iter().map(value).collect(), changed_at }
                }
            };
            (id, found)
        });
        Ok(Some(found.collect()))
    }

    async fn write(&self, changes: &[Change]) -> Sent {
        let inputs: Vec<_> = changes.iter().map(|change| (change.id.as_str(), &change.values)).collect();
        let client = match self.connected().await {
            Ok(Connected { client, .. }) => client,
            Err(error) => return Sent::Unsent(error),
        };
        match client.update(&inputs).await {
            Updated::Each(answers) => {
                Sent::Each(answers.into_iter().map(|(id, answer)| (id, outcome(answer))).collect())
            }
            Updated::Refused { reason } => Sent::Refused { reason },
            Updated::Unsent(error) => Sent::Unsent(error),
            Updated::Unknown(error) => Sent::Unknown(error),
        }
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Written { at } => Outcome::Written { at },
        Answer::Refused { reason } => Outcome::Refused { reason },
        Answer::Gone => Outcome::Gone { reason: "the destination has no such record".to_owned() },
    }
}

/// What a property takes, or why it is not written.
fn field(name: &str, definition: Option<&Definition>) -> Result<Field, String> {
    let definition = definition.filter(|definition| !definition.archived).ok_or("is no property of contacts")?;
    if name == FORWARD_ONLY {
        return Err("only moves forward".to_owned());
    }
    if definition.is_read_only() {
        return Err("is read-only".to_owned());
    }
    let kind = match definition.kind.as_str() {
        "string" | "phone_number" | "enumeration" => FieldKind::Text,
        "number" => FieldKind::Number,
        "bool" => FieldKind::Boolean,
        "date" => FieldKind::Date,
        "datetime" => FieldKind::Time,
        other => return Err(format!("has the type {other}, which is not written")),
    };
    // Of several choices, the value joins some of the options.
    let one_of =
        definition.kind == "enumeration" && definition.field_type != "checkbox" && !definition.external_options;
    let options = one_of.then(|| definition.options.iter().map(|option| option.value.clone()).collect());
    Ok(Field { kind, options })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_property_that_cannot_be_written_is_named_with_the_reason() {
        let problem = |name: &str, definition: Value| {
            let definition: Definition = serde_json::from_value(definition).expect("a definition");
            field(name, Some(&definition)).expect_err(name)
        };
        assert_eq!(field("x", None).expect_err("missing"), "is no property of contacts");
        assert_eq!(problem("x", json!({"type": "number", "archived": true})), "is no property of contacts");
        assert_eq!(problem("x", json!({"type": "number", "calculated": true})), "is read-only");
        assert_eq!(problem("lifecyclestage", json!({"type": "enumeration"})), "only moves forward");
        assert_eq!(problem("x", json!({"type": "json"})), "has the type json, which is not written");
    }

    #[test]
    fn one_choice_has_its_options_and_several_have_none() {
        let field = |field_type: &str| {
            let options = json!([{"value": "gold", "label": "Gold"}]);
            let definition = json!({"type": "enumeration", "fieldType": field_type, "options": options});
            field("tier", Some(&serde_json::from_value(definition).expect("a definition"))).expect("a field")
        };
        assert_eq!(field("select").options, Some(BTreeSet::from(["gold".to_owned()])));
        assert_eq!(field("checkbox").options, None);
    }
}
