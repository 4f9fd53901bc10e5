"""Imports into a new stack what a deleted one of the same name has retained (docs/deploy.md, "Taking a stack down").

CloudFormation makes no resource of a name that exists, so that a second stack of the name would fail; an import takes the
resources as they are. It can make nothing else in the same step: what they refer to beside each other comes with the
deployment that follows. What somebody has removed by hand meanwhile is made by that deployment, too."""

import json
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

sys.path.append(str(Path(__file__).parent / "docs"))
from cloudformation import Template  # noqa: E402 It reads the template for the reference, too.

# How services say that there is no such thing.
GONE = {"AWS.SimpleQueueService.NonExistentQueue", "NoSuchBucketPolicy", "QueueDoesNotExist", "ResourceNotFoundException"}

# By which property CloudFormation knows a resource again. A queue's policy is no such resource: the deployment sets it.
IDENTIFIERS = {
    "AWS::KMS::Key": "KeyId",
    "AWS::S3::Bucket": "BucketName",
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::SQS::Queue": "QueueUrl",
    "AWS::SecretsManager::Secret": "Id",
}


def kept(template):
    """The retained resources as a template of their own, without what points outside of it."""
    resources = {
        name: dict(resource, Properties=written_out(template, resource["Properties"]))
        for name, resource in template.resources.items()
        if str(resource.get("DeletionPolicy", "")).startswith("Retain")
        and resource["Type"] in IDENTIFIERS
        and "Condition" not in resource  # It has a name that AWS chose, so that it can be made a second time.
    }
    lake = resources["Lake"]
    lake.pop("DependsOn")
    outside = {"NotificationConfiguration", "LoggingConfiguration", "LifecycleConfiguration"}
    lake["Properties"] = {k: v for k, v in lake["Properties"].items() if k not in outside}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": {"BreakGlassRoleArn": template.parameters["BreakGlassRoleArn"]},
        "Conditions": {"WithBreakGlass": template.data["Conditions"]["WithBreakGlass"]},
        "Resources": resources,
    }


def written_out(template, properties):
    """Properties whose name takes nothing from a mapping: the import has none."""
    match properties.get("Name"):
        case {"Fn::Sub": [text, given]}:
            for name, value in given.items():
                text = text.replace(f"${{{name}}}", template.text(value))
            return {**properties, "Name": {"Fn::Sub": text}}
    return properties


def named(properties, stack, account):
    name = next(properties[key] for key in ("BucketName", "QueueName", "Name") if key in properties)
    return name["Fn::Sub"].replace("${AWS::StackName}", stack).replace("${AWS::AccountId}", account)


def there(resource, stack, account, bucket):
    """What the resource is called in the account, or None where somebody has removed it."""
    try:
        return identify(resource, stack, account, bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            return None
        raise


def identify(resource, stack, account, bucket):
    """What the resource is called in the account. The key has no name: it is the one of the bucket."""
    properties = resource["Properties"]
    match resource["Type"]:
        case "AWS::S3::Bucket":
            return bucket
        case "AWS::S3::BucketPolicy":
            boto3.client("s3").get_bucket_policy(Bucket=bucket)
            return bucket
        case "AWS::KMS::Key":
            rules = boto3.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
            key = rules[0]["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
            if not key:
                sys.exit(f"import-kept: {bucket} is encrypted without a key of the stack; name the key in its default encryption again")
            return key.split("/")[-1]
        case "AWS::SQS::Queue":
            return boto3.client("sqs").get_queue_url(QueueName=named(properties, stack, account))["QueueUrl"]
        case "AWS::SecretsManager::Secret":
            return boto3.client("secretsmanager").describe_secret(SecretId=named(properties, stack, account))["ARN"]


def main():
    stack = sys.argv[1]
    account = boto3.client("sts").get_caller_identity()["Account"]
    with open("template.yaml", encoding="utf-8") as file:
        template = kept(Template(file.read()))
    bucket = named(template["Resources"]["Lake"]["Properties"], stack, account)
    known = {name: there(resource, stack, account, bucket) for name, resource in template["Resources"].items()}
    template["Resources"] = {name: resource for name, resource in template["Resources"].items() if known[name]}
    imports = [
        {
            "ResourceType": resource["Type"],
            "LogicalResourceId": name,
            "ResourceIdentifier": {IDENTIFIERS[resource["Type"]]: known[name]},
        }
        for name, resource in template["Resources"].items()
    ]
    print(json.dumps(imports, indent=2))
    if "--dry-run" in sys.argv[2:]:
        return
    cloudformation = boto3.client("cloudformation")
    change = {"StackName": stack, "ChangeSetName": "kept"}
    cloudformation.create_change_set(
        **change, ChangeSetType="IMPORT", TemplateBody=json.dumps(template), ResourcesToImport=imports
    )
    cloudformation.get_waiter("change_set_create_complete").wait(**change, WaiterConfig={"Delay": 2})
    cloudformation.execute_change_set(**change)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=stack, WaiterConfig={"Delay": 2})
    print(f"{stack} has what the earlier stack left; deploy it as usual")


if __name__ == "__main__":
    main()
