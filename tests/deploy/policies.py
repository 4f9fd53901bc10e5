"""Policies of the templates as IAM would see them, and what an evaluator that is not ours says of them."""

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".tools/venv/ministack/bin/python"
STACK, ACCOUNT, REGION, BUCKET = "sluice-prod", "123456789012", "us-east-1", "sam-bucket"
VALUES = {"AWS::StackName": STACK, "AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws", "StackName": STACK, "ArtifactsBucket": BUCKET,
          "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/1", "Repository": "o/r", "Environment": "prod",
          "KafkaClusterArn": f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/others/1", "SnowflakeExternalId": "sluice"}
# What the ARN of a resource of a type is, after its partition, and which property has its name.
ARNS = {
    "AWS::S3::Bucket": ("s3:::", "BucketName"),
    "AWS::SQS::Queue": (f"sqs:{REGION}:{ACCOUNT}:", "QueueName"),
    "AWS::SNS::Topic": (f"sns:{REGION}:{ACCOUNT}:", "TopicName"),
    "AWS::Events::EventBus": (f"events:{REGION}:{ACCOUNT}:event-bus/", "Name"),
    "AWS::Logs::LogGroup": (f"logs:{REGION}:{ACCOUNT}:log-group:", "LogGroupName"),
    "AWS::SecretsManager::Secret": (f"secretsmanager:{REGION}:{ACCOUNT}:secret:", "Name"),
    "AWS::IAM::Role": (f"iam::{ACCOUNT}:role/", "RoleName"),
    "AWS::IAM::ManagedPolicy": (f"iam::{ACCOUNT}:policy/", "ManagedPolicyName"),
    "AWS::MSK::ServerlessCluster": (f"kafka:{REGION}:{ACCOUNT}:cluster/", "ClusterName"),
    "AWS::Serverless::Function": (f"lambda:{REGION}:{ACCOUNT}:function:", "FunctionName"),
}


class Template:
    """A template with its loops expanded and its references resolved."""

    def __init__(self, name):
        with open(ROOT / name) as text:
            command = [PYTHON, ROOT / "tests/it/expand.py", json.dumps({"KafkaTopics": "purchases"})]
            whole = json.loads(subprocess.run(command, stdin=text, check=True, capture_output=True, text=True).stdout)["expanded"]
        self.parameters, self.resources = whole["Parameters"], whole["Resources"]

    def arn(self, name):
        resource = self.resources[name]
        if resource["Type"] == "AWS::KMS::Key":
            return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
        prefix, key = ARNS[resource["Type"]]
        end = {"AWS::MSK::ServerlessCluster": "/1", "AWS::Logs::LogGroup": ":*", "AWS::SecretsManager::Secret": "-abcdef"}.get(resource["Type"], "")
        return f"arn:aws:{prefix}{self.resolved(resource['Properties'].get(key, f'{STACK}-{name}'))}{end}"

    def resolved(self, value):
        if isinstance(value, list):
            members = [self.resolved(member) for member in value]
            return [member for member in members if member is not None]
        if not isinstance(value, dict):
            return value
        match next(iter(value.items()), None):
            case "Ref", "AWS::NoValue":
                return None
            case "Ref", name:
                return VALUES[name] if name in VALUES else self.arn(name)
            case "Fn::GetAtt", [name, "Arn"]:
                return self.arn(name)
            case "Fn::Sub", text:
                text, given = text if isinstance(text, list) else (text, {})
                named = {**VALUES, **{name: self.resolved(said) for name, said in given.items()}}
                return re.sub(r"\$\{([^}]+)\}", lambda found: named.get(found[1]) or self.arn(found[1].removesuffix(".Arn")), text)
            case "Fn::If", [_, one, _]:
                return self.resolved(one)
            case "Fn::Join", [by, members]:
                return by.join(self.resolved(members))
            case "Fn::Split", [by, text]:
                return self.resolved(text).split(by)
        kept = {key: self.resolved(member) for key, member in value.items()}
        return {key: member for key, member in kept.items() if member is not None}

    def managed(self, name):
        return self.resolved(self.resources[name]["Properties"]["PolicyDocument"])

    def inline(self, role):
        return [self.resolved(policy["PolicyDocument"]) for policy in self.resources[role]["Properties"].get("Policies", [])]

    def policies(self, role):
        """All that a role has: its own, the managed ones, and those that name it."""
        managed = [one for one in self.resources[role]["Properties"].get("ManagedPolicyArns", [])]
        names = [one.get("Ref") or one["Fn::If"][1]["Ref"] for one in managed]
        attached = [name for name, one in self.resources.items() if one["Type"] == "AWS::IAM::Policy" and {"Ref": role} in one["Properties"]["Roles"]]
        return self.inline(role) + [self.managed(name) for name in names + attached]


def judged(policies, questions):
    """Of each question, an action with a resource and a context, whether the policies allow it together."""
    asked = json.dumps({"policies": policies, "questions": questions})
    return json.loads(subprocess.run([PYTHON, "-c", JUDGE], input=asked, check=True, capture_output=True, text=True).stdout)


JUDGE = """
import json, sys
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document
asked = json.load(sys.stdin)
policies = [parse_policy_document(policy) for policy in asked["policies"]]
context = lambda action, resource, said: EvalContext(
    "arn:aws:iam::123456789012:role/r", "AssumedRole", "123456789012", action, resource, "us-east-1",
    service_context={key.lower(): value for key, value in said.items()})
json.dump([evaluate(context(*question), policies).decision == "Allow" for question in asked["questions"]], sys.stdout)
"""
