//! Which cluster and which registry, and as whom: from the options, or from what the stack was deployed with.

use aws_config::SdkConfig;
use serde::Deserialize;
use sluice_aws::signed;
use sluice_core::{Error, Result};
use sluice_kafka::{KafkaConfig, Mechanism, RegistryConfig, SecurityProtocol};

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
        let proves_itself = args.secret.is_some() || args.mechanism == Some(Mechanism::Iam);
        let usual = if proves_itself { SecurityProtocol::SaslSsl } else { SecurityProtocol::Plaintext };
        let kafka = KafkaConfig {
            bootstrap: bootstrap.to_owned(),
            protocol: args.protocol.unwrap_or(usual),
            mechanism: args.mechanism.unwrap_or_default(),
            secret: args.secret.clone(),
        };
        Reach { kafka, registry: registry(None, None, args) }
    }

    /// Those of the stack, on one machine its own. What the caller names goes first.
    pub(super) async fn of(stack: &Stack, aws: &SdkConfig, local: Option<&str>, args: &TopicsArgs) -> Outcome<Self> {
        let parameter = |name: &str| parameter(stack, name);
        let secret = |name: &str| Some(format!("{}/{name}", stack.name));
        let auth = parameter("KafkaAuth").unwrap_or("IAM");
        let mut kafka = match (local, auth) {
            (Some(_), _) | (None, "NONE") => KafkaConfig::default(),
            (None, mechanism) => KafkaConfig {
                protocol: SecurityProtocol::SaslSsl,
                mechanism: mechanism.parse()?,
                secret: secret("kafka"),
                ..KafkaConfig::default()
            },
        };
        kafka.protocol = args.protocol.unwrap_or(kafka.protocol);
        kafka.mechanism = args.mechanism.unwrap_or(kafka.mechanism);
        let own = kafka.secret.filter(|_| kafka.mechanism != Mechanism::Iam);
        kafka.secret = args.secret.clone().or(own).filter(|_| needs_secret(kafka.protocol));
        kafka.bootstrap = match local {
            Some(bootstrap) => bootstrap.to_owned(),
            None => brokers(stack, aws, kafka.mechanism).await?,
        };
        let key = secret("schema-registry").filter(|_| local.is_none());
        Ok(Reach { kafka, registry: registry(parameter("SchemaRegistryUrl"), key.as_deref(), args) })
    }

    /// Whether an account is asked, for a secret or for who we are in it.
    pub(super) fn needs_account(&self) -> bool {
        let kafka = &self.kafka;
        let is_iam = kafka.protocol.is_authenticated() && kafka.mechanism == Mechanism::Iam;
        is_iam || kafka.secret.is_some() || self.registry.iter().any(|registry| registry.secret.is_some())
    }
}

fn parameter<'a>(stack: &'a Stack, name: &str) -> Option<&'a str> {
    stack.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// The stack's brokers: `KafkaBootstrap`, or what MSK says of the cluster, since CloudFormation does not tell.
async fn brokers(stack: &Stack, aws: &SdkConfig, mechanism: Mechanism) -> Outcome<String> {
    if let Some(named) = parameter(stack, "KafkaBootstrap").filter(|bootstrap| *bootstrap != NO_BROKERS) {
        return Ok(named.to_owned());
    }
    let cluster = match parameter(stack, "Kafka") {
        Some("SERVERLESS") => stack.outputs.get("KafkaClusterArn").map(String::as_str),
        Some("MSK") => parameter(stack, "KafkaClusterArn"),
        _ => None,
    };
    let cluster = cluster.ok_or_else(|| unnamed(stack, "the stack does not say which brokers it has"))?;
    let found = told_by_msk(aws, cluster).await?;
    let found = match mechanism {
        Mechanism::Iam => found.bootstrap_broker_string_sasl_iam,
        _ => found.bootstrap_broker_string_sasl_scram,
    };
    found.ok_or_else(|| unnamed(stack, "the stack's cluster has no brokers that take this way to log in"))
}

/// Brokers by the way to log in that they take.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Brokers {
    bootstrap_broker_string_sasl_iam: Option<String>,
    bootstrap_broker_string_sasl_scram: Option<String>,
}

async fn told_by_msk(aws: &SdkConfig, cluster: &str) -> Result<Brokers> {
    let cluster = cluster.replace(':', "%3A").replace('/', "%2F");
    let answer = signed::get(aws, "kafka", &format!("v1/clusters/{cluster}/bootstrap-brokers")).await;
    answer.map_err(|error| {
        error.with_hint("allow kafka:GetBootstrapBrokers on the cluster, or name the brokers: --bootstrap HOST:PORT")
    })
}

/// Of a stack whose brokers cannot be reached as it says.
fn unnamed(stack: &Stack, why: &str) -> Failure {
    Failure::from(Error::config(why).with("stack", &stack.name))
        .hint("name them: --bootstrap HOST:PORT with --mechanism IAM, or with the --secret of a user and its password")
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
    use aws_config::Region;
    use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
    use sluice_core::Kind;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn stack(parameters: &[(&str, &str)]) -> Stack {
        let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Stack { name: "sluice-dev".into(), parameters, ..Stack::default() }
    }

    fn account(url: &str) -> SdkConfig {
        let credentials = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
        SdkConfig::builder()
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    async fn of(stack: &Stack, args: &TopicsArgs) -> Outcome<Reach> {
        Reach::of(stack, &account("http://127.0.0.1:1"), None, args).await
    }

    #[tokio::test]
    async fn brokers_come_from_the_stack_unless_they_are_named() {
        let of =
            async |parameters: &[(&str, &str)], args: &TopicsArgs| of(&stack(parameters), args).await.expect("brokers");
        let scram =
            [("KafkaBootstrap", "b:9096"), ("KafkaAuth", "SCRAM-SHA-512"), ("SchemaRegistryUrl", "https://registry")];
        let found = of(&scram, &TopicsArgs::default()).await;
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
        let found = of(&confluent, &TopicsArgs { secret: Some("admin".into()), ..TopicsArgs::default() }).await;
        assert_eq!((found.kafka.mechanism, found.kafka.secret.as_deref()), (Mechanism::Plain, Some("admin")));
        assert!(found.registry.is_none());
        let open = of(&[("KafkaBootstrap", "d:9092"), ("KafkaAuth", "NONE")], &TopicsArgs::default()).await.kafka;
        assert_eq!((open.protocol, open.secret), (SecurityProtocol::Plaintext, None));
        // The caller's own identity, and no user's secret; a user may be named instead.
        let iam = [("KafkaBootstrap", "e:9098"), ("KafkaAuth", "IAM")];
        let found = of(&iam, &TopicsArgs::default()).await;
        assert_eq!((found.kafka.mechanism, found.kafka.secret.as_deref()), (Mechanism::Iam, None));
        assert!(found.kafka.protocol.is_encrypted() && found.needs_account());
        let user = TopicsArgs { mechanism: Some(Mechanism::ScramSha512), ..TopicsArgs::default() };
        assert_eq!(of(&iam, &user).await.kafka.secret.as_deref(), Some("sluice-dev/kafka"));
    }

    #[tokio::test]
    async fn a_stack_without_brokers_says_how_to_name_them() {
        for none in [
            &[("KafkaBootstrap", "none:9092"), ("KafkaAuth", "PLAIN"), ("Kafka", "SASL")][..],
            &[("KafkaBootstrap", "none:9092"), ("KafkaAuth", "IAM"), ("Kafka", "NONE"), ("KafkaClusterArn", "arn:x")],
            &[("KafkaAuth", "IAM"), ("Kafka", "SERVERLESS"), ("KafkaClusterArn", "arn:none")],
        ] {
            let failure = of(&stack(none), &TopicsArgs::default()).await.expect_err("no brokers");
            assert!(failure.text().contains("--bootstrap"), "{}", failure.text());
        }
    }

    const ARN: &str = "arn:aws:kafka:eu-west-1:123456789012:cluster/shop/0d8f-5";

    /// Answers one request as MSK does, and hands out what came.
    async fn msk(status: u16, body: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let answers = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a request");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.expect("a whole request"));
            }
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.expect("answered");
            String::from_utf8(request).expect("text")
        });
        (url, answers)
    }

    #[tokio::test]
    async fn the_brokers_of_a_cluster_of_msk_are_asked_for() {
        let brokers = r#"{"bootstrapBrokerStringSaslIam": "i:9098", "bootstrapBrokerStringSaslScram": "s:9096"}"#;
        let made =
            Stack { outputs: [("KafkaClusterArn".into(), ARN.into())].into(), ..stack(&[("Kafka", "SERVERLESS")]) };
        let found = stack(&[("Kafka", "MSK"), ("KafkaAuth", "SCRAM-SHA-512"), ("KafkaClusterArn", ARN)]);
        for (stack, expected) in [(made, "i:9098"), (found, "s:9096")] {
            let (url, request) = msk(200, brokers).await;
            let reach = Reach::of(&stack, &account(&url), None, &TopicsArgs::default()).await.expect("brokers");
            assert_eq!(reach.kafka.bootstrap, expected);
            let request = request.await.expect("asked").to_lowercase();
            let path =
                "arn%3aaws%3akafka%3aeu-west-1%3a123456789012%3acluster%2fshop%2f0d8f-5/bootstrap-brokers http/1.1";
            assert!(request.starts_with(&format!("get /v1/clusters/{path}")), "{request}");
            assert!(request.contains("/eu-west-1/kafka/aws4_request"), "{request}");
        }
    }

    #[tokio::test]
    async fn a_cluster_that_may_not_be_asked_says_what_to_allow() {
        let stack = stack(&[("Kafka", "MSK"), ("KafkaClusterArn", ARN)]);
        let of = async |url: &str| {
            let failure = Reach::of(&stack, &account(url), None, &TopicsArgs::default()).await.expect_err("no brokers");
            (failure.kind(), failure.text())
        };
        let (kind, text) = of(&msk(403, "{}").await.0).await;
        assert!(kind == Kind::Auth && text.contains("kafka:GetBootstrapBrokers"), "{text}");
        let scram_alone = r#"{"bootstrapBrokerStringSaslScram": "s:9096"}"#;
        let (kind, text) = of(&msk(200, scram_alone).await.0).await;
        assert!(kind == Kind::Config && text.contains("--bootstrap"), "{text}");
    }

    /// The parameters that are read here are the template's.
    #[test]
    fn the_template_has_what_is_read_of_a_stack() {
        let template = include_str!("../../../../template.yaml");
        for part in [
            "  Kafka: { Type: String, Default: NONE, AllowedValues: [NONE, SERVERLESS, MSK, SASL]",
            "  KafkaClusterArn: { Type: String",
            "  KafkaClusterArn: { Condition: WithServerless, Value: !GetAtt KafkaCluster.Arn",
            "  KafkaBootstrap: { Type: String, Default: \"none:9092\"",
            "  KafkaAuth: { Type: String, Default: IAM, AllowedValues: [IAM, SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, NONE]",
            "  SchemaRegistryUrl: { Type: String, Default: \"\"",
            "${AWS::StackName}/schema-registry",
            "${AWS::StackName}/kafka",
        ] {
            assert!(template.contains(part), "{part}");
        }
    }

    #[tokio::test]
    async fn named_brokers_are_encrypted_where_somebody_proves_itself() {
        let args = TopicsArgs::default();
        assert_eq!(Reach::named("b:1", &args).kafka.protocol, SecurityProtocol::Plaintext);
        assert!(!Reach::named("b:1", &args).needs_account());
        let args = TopicsArgs { secret: Some("s".into()), ..args };
        assert_eq!(Reach::named("b:1", &args).kafka.protocol, SecurityProtocol::SaslSsl);
        let local = Reach::of(&stack(&[]), &account("http://127.0.0.1:1"), Some("127.0.0.1:9"), &args).await;
        let local = local.expect("the machine's broker");
        assert_eq!((local.kafka.bootstrap.as_str(), local.kafka.secret), ("127.0.0.1:9", None));
        let iam = Reach::named("b:1", &TopicsArgs { mechanism: Some(Mechanism::Iam), ..TopicsArgs::default() });
        assert!(iam.kafka.protocol == SecurityProtocol::SaslSsl && iam.needs_account());
    }
}
