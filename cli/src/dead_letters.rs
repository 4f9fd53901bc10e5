//! What failed every attempt and waits for a person: which queues there are, how much is in them, and how it goes back.

use std::collections::HashMap;

use aws_sdk_sqs::{
    Client,
    types::{
        Message, MessageAttributeValue,
        QueueAttributeName::{ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible},
    },
};
use serde::Serialize;
use serde_json::Value;
use sluice_aws::classify;
use sluice_core::Error;

use crate::{
    failure::{Failure, Outcome},
    platform::Platform,
};

/// How long a message is kept from others while it goes back: a run may take a function's whole life, a queue answers at once.
const HIDDEN_SECONDS: (i32, i32) = (960, 30);
/// How long an empty answer is waited for: a queue is spread over machines, of which one look asks some.
const WAIT_SECONDS: i32 = 2;

/// A queue of dead letters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeadLetters {
    /// As the command line names it.
    pub name: &'static str,
    /// Its name in the template.
    pub logical: &'static str,
    /// What lies in there.
    pub what: &'static str,
    pub back: Back,
}

/// Where a letter goes when its cause is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// The queue that it came from, by its name in the template.
    To(&'static str),
    /// Where its schedule was to send it: a function is invoked as it was to be.
    Invoked,
    /// Nobody but people: it is news that they have not had.
    ToPeople,
}

/// What has become of the letters of a queue.
#[derive(Debug, Default, Serialize)]
pub(crate) struct SentBack {
    pub sent_back: u64,
    /// How many stay, as `why` says of the first.
    pub left: u64,
    /// How many somebody else had in hand: they come back by themselves.
    pub in_hand: u64,
    #[serde(skip)]
    pub why: Option<Failure>,
}

impl SentBack {
    /// Ends with what cannot be gone on after: of those that were there, all stay that were not sent.
    fn end(&mut self, there: u64, why: Failure) {
        self.left = there.saturating_sub(self.sent_back);
        self.why.get_or_insert(why);
    }
}

pub(crate) const ALL: &[DeadLetters] = &[
    DeadLetters {
        name: "extract",
        logical: "ExtractDead",
        what: "chunks of partitioned reads that failed every attempt",
        back: Back::To("ExtractQueue"),
    },
    DeadLetters {
        name: "load",
        logical: "LoadDead",
        what: "commits that could not be loaded",
        back: Back::To("LoadQueue"),
    },
    DeadLetters {
        name: "dispatch",
        logical: "DispatchDead",
        what: "news of loaded tables that did not reach dbt",
        back: Back::To("DispatchQueue"),
    },
    DeadLetters {
        name: "activate",
        logical: "ActivateDead",
        what: "news of dbt runs that did not reach the activation",
        back: Back::To("ActivateQueue"),
    },
    DeadLetters {
        name: "spool",
        logical: "SpoolDead",
        what: "messages with accepted events that did not reach Kafka",
        back: Back::To("SpoolQueue"),
    },
    DeadLetters {
        name: "runs",
        logical: "FailedRuns",
        what: "scheduled runs that failed every attempt or could not be started",
        back: Back::Invoked,
    },
    DeadLetters {
        name: "alarms",
        logical: "AlarmsDead",
        what: "news that could not be sent to people",
        back: Back::ToPeople,
    },
];

pub(crate) fn named(name: &str) -> Outcome<&'static DeadLetters> {
    ALL.iter().find(|letters| letters.name == name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|letters| letters.name).collect();
        Failure::usage(format!("there are no dead letters of '{name}'"))
            .hint(format!("there are those of {}", names.join(", ")))
    })
}

impl DeadLetters {
    /// About how many lie there to be read, and how many somebody has in hand.
    pub(crate) async fn count(&self, platform: &Platform) -> Outcome<(u64, u64)> {
        let url = platform.stack.resource(self.logical)?;
        let asked = Client::new(&platform.place.aws).get_queue_attributes().queue_url(url);
        let asked =
            asked.attribute_names(ApproximateNumberOfMessages).attribute_names(ApproximateNumberOfMessagesNotVisible);
        let found = asked.send().await.map_err(|error| classify(error, format!("cannot look at the queue {url}")))?;
        let number = |name| found.attributes().and_then(|all| all.get(&name)?.parse().ok()).unwrap_or_default();
        Ok((number(ApproximateNumberOfMessages), number(ApproximateNumberOfMessagesNotVisible)))
    }

    /// Sends back what is there now, and no letter twice: one that comes back again is left. A letter is deleted when it has
    /// arrived, so that one may arrive twice and none is lost; the functions that read them take that. One that cannot go back
    /// lies there for the next look when this ends.
    pub(crate) async fn send_back(&self, platform: &Platform) -> Outcome<SentBack> {
        if self.back == Back::ToPeople {
            return Err(news());
        }
        let (client, url) = (Client::new(&platform.place.aws), platform.stack.resource(self.logical)?);
        let (there, in_hand) = self.count(platform).await?;
        let mut all = SentBack { in_hand, ..SentBack::default() };
        let mut stay = Vec::new();
        while all.sent_back + all.left < there {
            let message = match self.take(&client, url).await {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(failure) => {
                    all.end(there, failure);
                    break;
                }
            };
            let receipt = message.receipt_handle().unwrap_or_default().to_owned();
            if let Err(failure) = self.send_one(platform, &client, &message).await {
                stay.push(receipt);
                // Another run may well be made; a queue that does not take one letter takes none.
                if self.back == Back::Invoked {
                    all.left += 1;
                    all.why.get_or_insert(failure);
                    continue;
                }
                all.end(there, failure);
                break;
            }
            all.sent_back += 1;
            let deleted = client.delete_message().queue_url(url).receipt_handle(receipt).send().await;
            if let Err(error) = deleted.map_err(|error| classify(error, format!("cannot delete from the queue {url}")))
            {
                all.end(there, error.into());
                break;
            }
        }
        for receipt in stay {
            let shown = client.change_message_visibility().queue_url(url).receipt_handle(receipt).visibility_timeout(0);
            let shown = shown.send().await.map_err(|error| classify(error, format!("cannot show a letter of {url}")));
            all.why = all.why.or(shown.err().map(Failure::from));
        }
        Ok(all)
    }

    async fn take(&self, client: &Client, url: &str) -> Outcome<Option<Message>> {
        let hidden = if self.back == Back::Invoked { HIDDEN_SECONDS.0 } else { HIDDEN_SECONDS.1 };
        let received = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(1)
            .message_attribute_names("All")
            .visibility_timeout(hidden)
            .wait_time_seconds(WAIT_SECONDS);
        let received = received.send().await;
        let received = received.map_err(|error| classify(error, format!("cannot read the queue {url}")))?;
        Ok(received.messages.unwrap_or_default().pop())
    }

    async fn send_one(&self, platform: &Platform, client: &Client, message: &Message) -> Outcome {
        match self.back {
            Back::To(queue) => {
                let attributes = message.message_attributes().cloned();
                send(client, platform.stack.resource(queue)?, message, attributes).await
            }
            Back::Invoked => {
                let attribute = |name: &str| message.message_attributes()?.get(name)?.string_value();
                let (target, event) = run(message.body().unwrap_or_default(), attribute("TARGET_ARN"))?;
                let is_it = |physical: &str| match &target {
                    Target::Function(name) => physical == name,
                    Target::Queue(name) => physical.rsplit('/').next() == Some(name) && physical.contains("://"),
                };
                let gone = || {
                    Error::not_found("what the schedule was to reach is not in the stack").with("target", target.name())
                };
                let resource = platform.stack.resources.iter().find(|resource| is_it(&resource.physical));
                let resource = resource.ok_or_else(gone)?;
                match target {
                    Target::Function(_) => platform.invoke(&resource.logical, &event).await.map(drop),
                    // What the scheduler has noted of the failure is no part of the message.
                    Target::Queue(_) => send(client, &resource.physical, message, None).await,
                }
            }
            Back::ToPeople => Err(news()),
        }
    }
}

async fn send(
    client: &Client,
    url: &str,
    message: &Message,
    attributes: Option<HashMap<String, MessageAttributeValue>>,
) -> Outcome {
    let send = client.send_message().queue_url(url).message_body(message.body().unwrap_or_default());
    let sent = send.set_message_attributes(attributes).send().await;
    sent.map(drop).map_err(|error| classify(error, format!("cannot send to the queue {url}")).into())
}

fn news() -> Failure {
    Failure::usage("these dead letters are news for people; nothing takes them back")
        .hint("read them, fix the topic's policy or its key, then purge the queue (docs/runbooks/news-is-lost.md)")
}

/// What a schedule was to reach, by its name.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Function(String),
    Queue(String),
}

impl Target {
    /// Of `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, with a version where one was called, or `arn:aws:sqs:REGION:ACCOUNT:NAME`.
    fn of(arn: &str) -> Option<Self> {
        match arn.split(':').collect::<Vec<_>>()[..] {
            [_, _, "lambda", _, _, "function", name, ..] => Some(Target::Function(name.to_owned())),
            [_, _, "sqs", _, _, name] => Some(Target::Queue(name.to_owned())),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Target::Function(name) | Target::Queue(name) => name,
        }
    }
}

/// What was to be reached, and its event: Lambda wraps the event of an asynchronous invocation, and the scheduler leaves the
/// event itself and names its target in an attribute.
fn run(body: &str, target: Option<&str>) -> Outcome<(Target, Value)> {
    let unusable = || Error::invalid_data("a failed run in the queue names no target and no event");
    let body: Value = serde_json::from_str(body).map_err(|error| unusable().because(error))?;
    let (arn, event) = match (&body["requestContext"]["functionArn"], target) {
        (Value::String(arn), _) => (arn.clone(), body["requestPayload"].clone()),
        (_, Some(target)) => (target.to_owned(), body),
        _ => return Err(unusable().into()),
    };
    Ok((Target::of(&arn).ok_or_else(unusable)?, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_of_dead_letters_in_the_template_is_known() {
        let template = include_str!("../../template.yaml");
        let name = |line: &'static str| line.strip_prefix("    ")?.split_once(": { Name: ").map(|(name, _)| name);
        let is_dead = |name: &&str| name.ends_with("Dead") || *name == "FailedRuns";
        let queues: Vec<&str> = template.lines().filter_map(name).filter(is_dead).collect();
        assert!(queues.len() > 5, "{queues:?}");
        for queue in queues {
            assert!(ALL.iter().any(|letters| letters.logical == queue), "no command sends back what lies in {queue}");
        }
    }

    #[test]
    fn a_failed_run_names_its_target_and_its_event_in_either_form() {
        let arn = "arn:aws:lambda:us-east-1:1:function:s-ExtractPostgres";
        let wrapped =
            format!(r#"{{"requestContext": {{"functionArn": "{arn}:$LATEST"}}, "requestPayload": {{"due": true}}}}"#);
        let expected = (Target::Function("s-ExtractPostgres".to_owned()), serde_json::json!({"due": true}));
        assert_eq!(run(&wrapped, None).expect("a run"), expected);
        assert_eq!(run(r#"{"due": true}"#, Some(arn)).expect("a run"), expected);
        for (body, target) in
            [(r#"{"due": true}"#, None), ("no JSON", Some(arn)), ("{}", Some("arn:aws:sqs:1")), ("{}", Some("x"))]
        {
            assert!(run(body, target).is_err(), "{body}");
        }
        let (target, _) = run(r#"{"full_refresh": true}"#, Some("arn:aws:sqs:us-east-1:1:s-dispatch")).expect("a run");
        assert_eq!(target, Target::Queue("s-dispatch".to_owned()));
    }

    #[test]
    fn letters_that_nobody_could_take_are_left() {
        let refused = || Failure::from(Error::unavailable("refused"));
        let mut all = SentBack { sent_back: 1, ..SentBack::default() };
        all.end(100, refused());
        assert_eq!((all.sent_back, all.left), (1, 99));
        assert!(all.why.is_some());
    }

    #[test]
    fn an_unknown_queue_lists_those_that_there_are() {
        let refused = named("sluice-dev-load-dead").expect_err("no name");
        assert!(refused.text().contains("extract, load, dispatch"), "{}", refused.text());
        assert_eq!(named("load").expect("a name").back, Back::To("LoadQueue"));
    }
}
