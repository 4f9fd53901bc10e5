//! The verb about the topics of a Kafka cluster.

use clap::{Args, Subcommand};
use sluice_kafka::{Mechanism, SecurityProtocol};

#[derive(Debug, Default, Args)]
pub(crate) struct TopicsArgs {
    /// The brokers, HOST:PORT joined by commas [default: the stack's]. With them no stack is needed.
    #[arg(long, global = true, value_name = "BROKERS")]
    pub bootstrap: Option<String>,
    /// PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL [default: the stack's; of named brokers SASL_SSL with --secret or IAM, else PLAINTEXT].
    #[arg(long, global = true, value_name = "WORD", value_parser = protocol)]
    pub protocol: Option<SecurityProtocol>,
    /// PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or IAM [default: the stack's; of named brokers SCRAM-SHA-512].
    #[arg(long, global = true, value_name = "WORD", value_parser = mechanism)]
    pub mechanism: Option<Mechanism>,
    /// The secret in Secrets Manager with a user who may make topics [default: the stack's Kafka secret].
    #[arg(long, global = true, value_name = "NAME")]
    pub secret: Option<String>,
    /// The schema registry [default: the stack's].
    #[arg(long, global = true, value_name = "URL")]
    pub registry: Option<String>,
    /// The secret with the registry's key [default: the stack's].
    #[arg(long, global = true, value_name = "NAME")]
    pub registry_secret: Option<String>,
    #[command(subcommand)]
    pub task: TopicTask,
}

#[derive(Debug, Default, Subcommand)]
pub(crate) enum TopicTask {
    /// What lies between the entries and the cluster. It only reads.
    #[default]
    Plan,
    /// Make the topics what their entries say, and register their schemas. Nothing is deleted, no partition taken away.
    Apply {
        /// Do not ask, but for records that would be lost.
        #[arg(long)]
        yes: bool,
        /// Do not ask about this topic, either: records that its new settings delete are lost for good. May be given again.
        #[arg(long, value_name = "TOPIC")]
        lose: Vec<String>,
    },
}

fn protocol(text: &str) -> Result<SecurityProtocol, String> {
    text.parse().map_err(|error: sluice_core::Error| error.to_string())
}

fn mechanism(text: &str) -> Result<Mechanism, String> {
    text.parse().map_err(|error: sluice_core::Error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::*;
    use crate::args::{Cli, Task};

    fn parse(line: &str) -> Result<TopicsArgs, ErrorKind> {
        let line = ["sluice", "topics"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(line).map_err(|error| error.kind())?.command {
            Task::Topics(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn brokers_and_what_may_be_lost_are_named() {
        let args = parse("apply --yes --lose clicks --bootstrap b:9096 --protocol SASL_SSL --mechanism PLAIN")
            .expect("an apply");
        assert_eq!((args.protocol, args.mechanism), (Some(SecurityProtocol::SaslSsl), Some(Mechanism::Plain)));
        assert!(matches!(args.task, TopicTask::Apply { yes: true, lose } if lose == ["clicks"]));
        assert_eq!(parse("plan --protocol TLS").expect_err("no protocol"), ErrorKind::ValueValidation);
        assert_eq!(parse("delete clicks").expect_err("nothing is deleted"), ErrorKind::InvalidSubcommand);
    }
}
