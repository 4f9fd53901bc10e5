//! Where functions run and how they get out, by the parameter `Network`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_kafka::{Mechanism, SecurityProtocol};

use crate::expanded::{expanded, list, of_type, properties, resource, section, statements, sub};

/// The network that a function has, `None` for that of all.
fn own(function: &str) -> Option<&'static Value> {
    properties(function).get("VpcConfig")
}

#[test]
fn all_functions_run_in_a_network_with_a_way_out_and_two_in_one_without() {
    let all = &expanded()["Globals"]["Function"]["VpcConfig"]["Fn::If"];
    assert_eq!(all[0], "AllInNetwork");
    let condition = &section("Conditions")["AllInNetwork"];
    assert_eq!(*condition, json!({ "Fn::Or": [{ "Condition": "WithNat" }, { "Condition": "WithExistingNetwork" }] }));
    let others: Vec<(&str, &Value)> = of_type("::Serverless::Function")
        .into_iter()
        .filter_map(|function| Some((function, &own(function)?["Fn::If"])))
        .collect();
    let conditions: Vec<(&str, &Value)> = others.iter().map(|(function, config)| (*function, &config[0])).collect();
    let expected = [("CollectEvents", json!("CollectInNetwork")), ("ExtractPostgres", json!("WithNetwork"))];
    assert_eq!(conditions, expected.each_ref().map(|(function, condition)| (*function, condition)));
    for (function, config) in others {
        assert_eq!((&config[1], &config[2]), (&all[1], &all[2]), "{function}");
    }
}

#[test]
fn lambda_may_place_a_function_in_a_network_and_its_code_may_not() {
    for function in of_type("::Serverless::Function") {
        let role = properties(&format!("{function}Role"));
        let placed =
            list(&role["ManagedPolicyArns"]).iter().any(|one| one["Fn::If"][1] == json!({ "Ref": "VpcPolicy" }));
        assert!(placed, "{function}Role has no VpcPolicy in a network");
    }
    let statements = list(&properties("VpcPolicy")["PolicyDocument"]["Statement"]);
    let deny = statements.iter().find(|one| one["Effect"] == "Deny").expect("a denial");
    assert_eq!((&deny["Action"], &deny["Resource"]), (&json!("ec2:*"), &json!("*")));
}

#[test]
fn in_prod_each_zone_leaves_by_a_gateway_of_its_own() {
    let (first, second) = (properties("PrivateRoute"), properties("PrivateRouteB"));
    assert_eq!(first["NatGatewayId"], json!({ "Ref": "Nat" }));
    assert_eq!(second["NatGatewayId"], json!({ "Fn::If": ["WithNatPerZone", { "Ref": "NatB" }, { "Ref": "Nat" }] }));
    for (subnet, routes, association) in [
        ("PrivateSubnetA", "PrivateRoutes", "PrivateSubnetARoutes"),
        ("PrivateSubnetB", "PrivateRoutesB", "PrivateSubnetBRoutes"),
    ] {
        let association = properties(association);
        assert_eq!(
            (&association["SubnetId"]["Ref"], &association["RouteTableId"]["Ref"]),
            (&json!(subnet), &json!(routes))
        );
    }
    let zone = |subnet: &str| &properties(subnet)["AvailabilityZone"]["Fn::Select"][0];
    assert_eq!((zone("PublicSubnet"), zone("PublicSubnetB")), (zone("PrivateSubnetA"), zone("PrivateSubnetB")));
    for name in ["NatB", "FixedAddressB", "PublicSubnetB", "PublicSubnetBRoutes"] {
        assert_eq!(resource(name)["Condition"], "WithNatPerZone", "{name} costs money where it is not used");
    }
}

#[test]
fn a_network_of_the_stack_reaches_s3_by_its_gateway_endpoint() {
    let endpoint = resource("S3Endpoint");
    assert_eq!(
        (&endpoint["Condition"], &endpoint["Properties"]["VpcEndpointType"]),
        (&json!("WithOwnNetwork"), &json!("Gateway"))
    );
    assert_eq!(
        endpoint["Properties"]["RouteTableIds"],
        json!([{ "Ref": "PrivateRoutes" }, { "Ref": "PrivateRoutesB" }])
    );
}

/// The resources that a value names, by `Ref`, `GetAtt`, `Sub` and `DependsOn`, with those that these name.
fn names_of(value: &Value, found: &mut BTreeSet<String>) {
    let mut name = |name: &str| {
        let name = name.split('.').next().unwrap_or_default();
        if let Some(resource) = section("Resources").get(name).filter(|_| found.insert(name.to_owned())) {
            names_of(resource, found);
        }
    };
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("Ref" | "DependsOn", Value::String(one)) => name(one),
                    ("Fn::GetAtt", Value::Array(parts)) => parts[0].as_str().into_iter().for_each(&mut name),
                    ("Fn::Sub", text) => list(text)[0].as_str().into_iter().for_each(|text| {
                        text.split("${").skip(1).filter_map(|rest| rest.split('}').next()).for_each(&mut name);
                    }),
                    _ => {}
                }
            }
            members.values().for_each(|member| names_of(member, found));
        }
        Value::Array(members) => members.iter().for_each(|member| names_of(member, found)),
        _ => {}
    }
}

/// CloudFormation makes the way out before the account and deletes it after: what the account does not name, it deletes while
/// the function still has to answer.
#[test]
fn the_account_waits_for_all_of_the_networks_way_out() {
    let mut named = BTreeSet::new();
    names_of(resource("Account"), &mut named);
    let kinds = [
        "::Route",
        "::SubnetRouteTableAssociation",
        "::NatGateway",
        "::VPCGatewayAttachment",
        "::EIP",
        "::VPCEndpoint",
    ];
    // Beside a NAT there are no interface endpoints.
    let is_with_nat = |name: &&str| resource(name)["Condition"] != "WithoutWayOut";
    let way: Vec<&str> = kinds.iter().flat_map(|kind| of_type(kind)).filter(is_with_nat).collect();
    assert!(way.len() >= 12, "{way:?}");
    let missing: Vec<&str> = way.into_iter().filter(|name| !named.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} would go before the account has answered");
}

/// Whether a statement of an endpoint's policy lets this account's own credentials through, and no others.
fn is_for_this_account(statement: &Value) -> bool {
    statement["Condition"] == json!({ "StringEquals": { "aws:PrincipalAccount": { "Ref": "AWS::AccountId" } } })
}

/// The account that a request is signed with decides at an endpoint, and CloudFormation signs where it is answered with its own.
#[test]
fn credentials_of_others_pass_an_endpoint_to_answer_cloudformation_alone() {
    for endpoint in of_type("::VPCEndpoint") {
        let statements = list(&properties(endpoint)["PolicyDocument"]["Statement"]);
        let others: Vec<&Value> = statements.iter().filter(|one| !is_for_this_account(one)).collect();
        assert!(others.len() < statements.len(), "{endpoint} lets this account's credentials through nowhere");
        let region = json!({ "Fn::Join": ["", { "Fn::Split": ["-", { "Ref": "AWS::Region" }] }] });
        let bucket = "arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-${Region}/*";
        let answer = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:PutObject",
            "Resource": { "Fn::Sub": [bucket, { "Region": region }] } });
        let expected = if endpoint == "S3Endpoint" { vec![&answer] } else { Vec::new() };
        assert_eq!(others, expected, "{endpoint}");
    }
}

/// A bucket that a flow log finds without a policy gets one of AWS's own, beside which CloudFormation's is refused.
#[test]
fn a_flow_log_finds_the_policy_of_its_bucket_and_nothing_to_add() {
    assert_eq!(resource("FlowLog")["DependsOn"], "AccessLogsPolicy");
    let statements = list(&properties("AccessLogsPolicy")["PolicyDocument"]["Statement"]);
    let to_deliver: Vec<&Value> =
        statements.iter().filter(|one| one["Principal"]["Service"] == "delivery.logs.amazonaws.com").collect();
    let [write, check] = to_deliver[..] else { panic!("{to_deliver:?}") };
    assert_eq!(
        (&write["Action"], &check["Action"]),
        (&json!("s3:PutObject"), &json!(["s3:GetBucketAcl", "s3:ListBucket"]))
    );
    assert_eq!(sub(&write["Resource"]), "${AccessLogs.Arn}/flow/AWSLogs/${AWS::AccountId}/*");
    assert_eq!(sub(&properties("FlowLog")["LogDestination"]), "${AccessLogs.Arn}/flow/");
    assert_eq!(write["Condition"]["StringEquals"]["s3:x-amz-acl"], "bucket-owner-full-control");
    for statement in to_deliver {
        let condition = &statement["Condition"];
        assert_eq!(condition["StringEquals"]["aws:SourceAccount"], json!({ "Ref": "AWS::AccountId" }), "{statement}");
        assert!(sub(&condition["ArnLike"]["aws:SourceArn"]).contains(":logs:"), "{statement}");
    }
}

/// The pollers of a mapping have the security group of the cluster.
#[test]
fn pollers_and_functions_reach_the_brokers_of_the_cluster_made_here() {
    let cluster = properties("KafkaCluster");
    assert_eq!(cluster["VpcConfigs"][0]["SecurityGroups"], json!([{ "Ref": "KafkaSecurityGroup" }]));
    assert_eq!(cluster["ClientAuthentication"], json!({ "Sasl": { "Iam": { "Enabled": true } } }));
    let members = properties("KafkaMembers");
    assert_eq!(members["GroupId"], members["SourceSecurityGroupId"]);
    let ingress = &properties("KafkaSecurityGroup")["SecurityGroupIngress"][0];
    let from = &ingress["SourceSecurityGroupId"];
    assert_eq!((&ingress["FromPort"], from), (&json!(9098), &json!({ "Ref": "FunctionsSecurityGroup" })));
    let egress = list(&properties("FunctionsSecurityGroup")["SecurityGroupEgress"]);
    let is_open = |port: i64| {
        egress.iter().any(|one| one["FromPort"].as_i64() <= Some(port) && one["ToPort"].as_i64() >= Some(port))
    };
    assert!([443, 5432, 9092, 9096, 9098, 65_535].into_iter().all(is_open), "{egress:?}");
    for output in ["FunctionsSecurityGroupId", "KafkaSecurityGroupId"] {
        assert!(section("Outputs").get(output).is_some(), "{output}");
    }
}

/// As the stream's role reads them: the cluster and its topics, and no other cluster's.
#[test]
fn collect_events_may_send_to_the_topics_of_its_cluster_by_iam() {
    let by_iam = |statements: Vec<&'static Value>| {
        let mut all = statements.into_iter().map(|one| &one["Fn::If"]).filter(|one| one[0] == "WithKafkaIam");
        all.next().expect("a statement by IAM")
    };
    let sends = by_iam(statements("CollectEvents"));
    let rights = ["kafka-cluster:Connect", "kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"];
    assert_eq!((&sends[1]["Action"], &sends[2]), (&json!(rights), &json!({ "Ref": "AWS::NoValue" })));
    let reads = &properties("StreamKafkaSourcePolicy")["PolicyDocument"]["Statement"];
    let reads = by_iam(list(reads).iter().collect());
    for (branch, cluster) in [(1, "KafkaCluster.Arn"), (2, "KafkaClusterArn")] {
        let on = list(&sends[1]["Resource"]["Fn::If"][branch]);
        assert_eq!(on[0], reads[1]["Resource"]["Fn::If"][branch], "its own cluster");
        let topics = json!({ "Fn::Split": [":cluster/", { "Fn::Sub": format!("${{{cluster}}}/*") }] });
        assert_eq!(on[1..], [json!({ "Fn::Join": [":topic/", topics] })]);
    }
    let settings = &properties("CollectEvents")["Environment"]["Variables"];
    assert_eq!(settings["SLUICE_KAFKA_SECRET"]["Fn::If"][1], "", "a role reads no user's secret");
    let secrets = statements("CollectEvents").into_iter().find(|one| one["Sid"] == "ReadSecrets").expect("secrets");
    let user = json!({ "Fn::If": ["WithKafkaIam", { "Ref": "AWS::NoValue" }, { "Ref": "KafkaSecret" }] });
    assert!(list(&secrets["Resource"]).contains(&user), "{secrets}");
    let in_network = &section("Conditions")["CollectInNetwork"];
    let near_brokers = json!({ "Fn::And": [{ "Condition": "WithNetwork" }, { "Condition": "WithMsk" }] });
    assert_eq!(in_network["Fn::Or"][1], near_brokers);
}

#[test]
fn each_way_to_log_in_is_one_that_the_code_knows() {
    let ways = section("Mappings")["KafkaAuth"].as_object().expect("ways");
    for (name, way) in ways {
        let (protocol, mechanism) = (way["Protocol"].as_str(), way["Mechanism"].as_str());
        let protocol: SecurityProtocol = protocol.expect("a protocol").parse().expect(name);
        let mechanism: Mechanism = mechanism.expect("a mechanism").parse().expect(name);
        assert_eq!(protocol.is_encrypted(), name != "NONE");
        assert_eq!(mechanism == Mechanism::Iam, name == "IAM");
    }
    let parameter = &section("Parameters")["KafkaAuth"]["AllowedValues"];
    assert_eq!(list(parameter).len(), ways.len());
}
