//! Which cluster and which registry, and as whom: from the options, or from what the stack was deployed with.

use sluice_core::Error;
use sluice_kafka::{KafkaConfig, RegistryConfig, SecurityProtocol};

use crate::{
    args::TopicsArgs,
    failure::{Failure, Outcome},
    stack::Stack,
};

/// What `KafkaBootstrap` is where no brokers are named.
const NO_BROKERS: &str = "none:9092";

#[derive(Debug)]
pub(super) struct Reach {
    pub(super) kafka: KafkaConfig,
    pub(super) registry: Option<RegistryConfig>,
}

impl Reach {
    /// Brokers that the caller names.
    pub(super) fn named(bootstrap: &str, args: &TopicsArgs) -> Self {
        let usual = if args.secret.is_some() { SecurityProtocol::SaslSsl } else { SecurityProtocol::Plaintext };
        let kafka = KafkaConfig {
            bootstrap: bootstrap.to_owned(),
            protocol: args.protocol.unwrap_or(usual),
            mechanism: args.mechanism.unwrap_or_default(),
            secret: args.secret.clone(),
        };
        Reach { kafka, registry: registry(None, None, args) }
    }

    /// Those of the stack, on one machine its own. What the caller names goes first.
    pub(super) fn of(stack: &Stack, local: Option<&str>, args: &TopicsArgs) -> Outcome<Self> {
        let parameter = |name: &str| stack.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let secret = |name: &str| Some(format!("{}/{name}", stack.name));
        let bootstrap = parameter("KafkaBootstrap").filter(|bootstrap| *bootstrap != NO_BROKERS);
        let mut kafka = match (local, bootstrap, parameter("KafkaAuth")) {
            (Some(bootstrap), ..) => KafkaConfig { bootstrap: bootstrap.to_owned(), ..KafkaConfig::default() },
            (None, Some(_), None | Some("IAM")) => return Err(unnamed(stack, "the stack's brokers take IAM alone")),
            (None, Some(bootstrap), Some("NONE")) => {
                KafkaConfig { bootstrap: bootstrap.to_owned(), ..KafkaConfig::default() }
            }
            (None, Some(bootstrap), Some(mechanism)) => KafkaConfig {
                bootstrap: bootstrap.to_owned(),
                protocol: SecurityProtocol::SaslSsl,
                mechanism: mechanism.parse()?,
                secret: secret("kafka"),
            },
            (None, None, _) => return Err(unnamed(stack, "the stack does not say which brokers it has")),
        };
        kafka.protocol = args.protocol.unwrap_or(kafka.protocol);
        kafka.mechanism = args.mechanism.unwrap_or(kafka.mechanism);
        kafka.secret = args.secret.clone().or(kafka.secret).filter(|_| needs_secret(kafka.protocol));
        let key = secret("schema-registry").filter(|_| local.is_none());
        Ok(Reach { kafka, registry: registry(parameter("SchemaRegistryUrl"), key.as_deref(), args) })
    }

    pub(super) fn has_secrets(&self) -> bool {
        self.kafka.secret.is_some() || self.registry.iter().any(|registry| registry.secret.is_some())
    }
}

/// Of a stack whose brokers cannot be reached as it says.
fn unnamed(stack: &Stack, why: &str) -> Failure {
    Failure::from(Error::config(why).with("stack", &stack.name)).hint(
        "name brokers that take a user and a password: --bootstrap HOST:PORT --secret NAME; `aws kafka get-bootstrap-brokers \
         --cluster-arn …` lists those of MSK, where SASL/SCRAM must be switched on",
    )
}

/// A user, or an authority of the cluster's own, is in the secret.
fn needs_secret(protocol: SecurityProtocol) -> bool {
    protocol.is_authenticated() || protocol.is_encrypted()
}

fn registry(url: Option<&str>, secret: Option<&str>, args: &TopicsArgs) -> Option<RegistryConfig> {
    let url = args.registry.as_deref().or(url)?.to_owned();
    Some(RegistryConfig { url, secret: args.registry_secret.as_deref().or(secret).map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use sluice_kafka::Mechanism;

    use super::*;

    fn stack(parameters: &[(&str, &str)]) -> Stack {
        let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Stack { name: "sluice-dev".into(), parameters, ..Stack::default() }
    }

    #[test]
    fn brokers_come_from_the_stack_unless_they_are_named() {
        let of = |parameters: &[(&str, &str)], args: &TopicsArgs| {
            Reach::of(&stack(parameters), None, args).expect("brokers")
        };
        let scram =
            [("KafkaBootstrap", "b:9096"), ("KafkaAuth", "SCRAM-SHA-512"), ("SchemaRegistryUrl", "https://registry")];
        let found = of(&scram, &TopicsArgs::default());
        let expected = KafkaConfig {
            bootstrap: "b:9096".into(),
            protocol: SecurityProtocol::SaslSsl,
            mechanism: Mechanism::ScramSha512,
            secret: Some("sluice-dev/kafka".into()),
        };
        assert_eq!(found.kafka, expected);
        let registry = found.registry.expect("a registry");
        assert_eq!(registry.secret.as_deref(), Some("sluice-dev/schema-registry"));
        let confluent = [("KafkaBootstrap", "c:9092"), ("KafkaAuth", "PLAIN"), ("SchemaRegistryUrl", "")];
        let found = of(&confluent, &TopicsArgs { secret: Some("admin".into()), ..TopicsArgs::default() });
        assert_eq!((found.kafka.mechanism, found.kafka.secret.as_deref()), (Mechanism::Plain, Some("admin")));
        assert!(found.registry.is_none());
        let open = of(&[("KafkaBootstrap", "d:9092"), ("KafkaAuth", "NONE")], &TopicsArgs::default()).kafka;
        assert_eq!((open.protocol, open.secret), (SecurityProtocol::Plaintext, None));
        for none in [
            &[("KafkaBootstrap", "none:9092"), ("KafkaAuth", "PLAIN")][..],
            &[("KafkaBootstrap", "b:9098"), ("KafkaAuth", "IAM")],
        ] {
            let failure = Reach::of(&stack(none), None, &TopicsArgs::default()).expect_err("no brokers");
            assert!(failure.text().contains("--bootstrap"), "{}", failure.text());
        }
    }

    /// The parameters that are read here are the template's.
    #[test]
    fn the_template_has_what_is_read_of_a_stack() {
        let template = include_str!("../../../../template.yaml");
        for part in [
            "  KafkaBootstrap: { Type: String, Default: \"none:9092\"",
            "  KafkaAuth: { Type: String, Default: IAM, AllowedValues: [IAM, SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, NONE]",
            "  SchemaRegistryUrl: { Type: String, Default: \"\"",
            "${AWS::StackName}/schema-registry",
            "${AWS::StackName}/kafka",
        ] {
            assert!(template.contains(part), "{part}");
        }
    }

    #[test]
    fn named_brokers_are_encrypted_where_a_secret_is_named_too() {
        let args = TopicsArgs::default();
        assert_eq!(Reach::named("b:1", &args).kafka.protocol, SecurityProtocol::Plaintext);
        assert!(!Reach::named("b:1", &args).has_secrets());
        let args = TopicsArgs { secret: Some("s".into()), ..args };
        assert_eq!(Reach::named("b:1", &args).kafka.protocol, SecurityProtocol::SaslSsl);
        let local = Reach::of(&stack(&[]), Some("127.0.0.1:9"), &args).expect("the machine's broker");
        assert_eq!((local.kafka.bootstrap.as_str(), local.kafka.secret), ("127.0.0.1:9", None));
    }
}
