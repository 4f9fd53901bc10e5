//! Which cluster and which registry, and as whom: from the options, or from what the stack was deployed with.

use sluice_core::Error;
use sluice_kafka::{KafkaConfig, Mechanism, RegistryConfig, SecurityProtocol};

use crate::{
    args::TopicsArgs,
    failure::{Failure, Outcome},
    stack::Stack,
};

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

    /// Those of the stack: on one machine its broker; otherwise those that collect-events produces to, or those outside of MSK
    /// that feed the stream. What the caller names goes first.
    pub(super) fn of(stack: &Stack, local: Option<&str>, args: &TopicsArgs) -> Outcome<Self> {
        let parameter = |name: &str| stack.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let mut kafka = match (local, parameter("KafkaBootstrap"), parameter("StreamKafkaBootstrap")) {
            (Some(bootstrap), ..) => KafkaConfig { bootstrap: bootstrap.to_owned(), ..KafkaConfig::default() },
            (None, Some(bootstrap), _) => KafkaConfig {
                bootstrap: bootstrap.to_owned(),
                protocol: word(parameter("KafkaSecurityProtocol"), SecurityProtocol::SaslSsl)?,
                mechanism: word(parameter("KafkaSaslMechanism"), Mechanism::default())?,
                secret: Some(stack.resource("KafkaSecret")?.to_owned()),
            },
            (None, None, Some(bootstrap)) => KafkaConfig {
                bootstrap: bootstrap.to_owned(),
                protocol: SecurityProtocol::SaslSsl,
                mechanism: match parameter("StreamKafkaAuth") {
                    Some("SASL_SCRAM_256_AUTH") => Mechanism::ScramSha256,
                    Some("SASL_SCRAM_512_AUTH") => Mechanism::ScramSha512,
                    _ => Mechanism::Plain,
                },
                secret: parameter("StreamKafkaSecretArn").map(str::to_owned),
            },
            (None, None, None) => {
                let error = Error::config("the stack does not say which brokers it has").with("stack", &stack.name);
                return Err(Failure::from(error).hint(
                    "name them: --bootstrap HOST:PORT --secret NAME; `aws kafka get-bootstrap-brokers --cluster-arn …` lists \
                     those of MSK, where SASL/SCRAM must be switched on",
                ));
            }
        };
        kafka.protocol = args.protocol.unwrap_or(kafka.protocol);
        kafka.mechanism = args.mechanism.unwrap_or(kafka.mechanism);
        kafka.secret = args.secret.clone().or(kafka.secret).filter(|_| needs_secret(kafka.protocol));
        let registry = registry(parameter("SchemaRegistryUrl"), parameter("SchemaRegistrySecretArn"), args);
        Ok(Reach { kafka, registry })
    }

    pub(super) fn has_secrets(&self) -> bool {
        self.kafka.secret.is_some() || self.registry.iter().any(|registry| registry.secret.is_some())
    }
}

/// A user, or an authority of the cluster's own, is in the secret.
fn needs_secret(protocol: SecurityProtocol) -> bool {
    protocol.is_authenticated() || protocol.is_encrypted()
}

fn registry(url: Option<&str>, secret: Option<&str>, args: &TopicsArgs) -> Option<RegistryConfig> {
    let url = args.registry.as_deref().or(url)?.to_owned();
    Some(RegistryConfig { url, secret: args.registry_secret.as_deref().or(secret).map(str::to_owned) })
}

fn word<T: std::str::FromStr<Err = Error>>(text: Option<&str>, usual: T) -> Outcome<T> {
    Ok(text.map_or(Ok(usual), str::parse)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Resource;

    fn stack(parameters: &[(&str, &str)]) -> Stack {
        let secret = Resource {
            logical: "KafkaSecret".into(),
            physical: "arn:secret:kafka".into(),
            resource_type: "AWS::SecretsManager::Secret".into(),
        };
        Stack {
            parameters: parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            resources: vec![secret],
            ..Stack::default()
        }
    }

    #[test]
    fn brokers_come_from_the_stack_unless_they_are_named() {
        let of = |parameters: &[(&str, &str)], args: &TopicsArgs| {
            Reach::of(&stack(parameters), None, args).expect("brokers")
        };
        let msk = [("KafkaBootstrap", "b:9096"), ("KafkaSecurityProtocol", "SASL_SSL"), ("StreamKafkaBootstrap", "")];
        let found = of(&msk, &TopicsArgs::default()).kafka;
        let expected = KafkaConfig {
            bootstrap: "b:9096".into(),
            protocol: SecurityProtocol::SaslSsl,
            mechanism: Mechanism::ScramSha512,
            secret: Some("arn:secret:kafka".into()),
        };
        assert_eq!(found, expected);
        let confluent = [
            ("StreamKafkaBootstrap", "c:9092"),
            ("StreamKafkaAuth", "BASIC_AUTH"),
            ("StreamKafkaSecretArn", "arn:secret:own"),
            ("SchemaRegistryUrl", "https://registry"),
            ("SchemaRegistrySecretArn", "arn:secret:registry"),
        ];
        let found = of(&confluent, &TopicsArgs { secret: Some("admin".into()), ..TopicsArgs::default() });
        assert_eq!((found.kafka.mechanism, found.kafka.secret.as_deref()), (Mechanism::Plain, Some("admin")));
        let registry = found.registry.expect("a registry");
        assert_eq!(
            (registry.url.as_str(), registry.secret.as_deref()),
            ("https://registry", Some("arn:secret:registry"))
        );
        let none = Reach::of(&stack(&[]), None, &TopicsArgs::default()).expect_err("no brokers");
        assert!(none.text().contains("--bootstrap"), "{}", none.text());
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
