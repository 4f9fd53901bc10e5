"""Imports into a new stack what a deleted one of the same name has retained (docs/deploy.md, "Taking a stack down").

CloudFormation makes no resource of a name that exists, so that a second stack of the name would fail; an import takes the
resources as they are. It can make nothing else in the same step: what they refer to beside each other comes with the
deployment that follows. What somebody has removed by hand meanwhile is made by that deployment, too."""

import argparse
import json
import re
import sys
import uuid
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

sys.path.append(str(Path(__file__).parent / "docs"))
from cloudformation import Template  # noqa: E402 It reads the template for the reference, too.

# How services say that there is no such thing.
GONE = {
    "404",  # Of a bucket, whose head has no text.
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "NoSuchBucketPolicy",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
}

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
            boto3.client("s3").head_bucket(Bucket=bucket)
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
            name = named(properties, stack, account)
            secret = boto3.client("secretsmanager").describe_secret(SecretId=name)
            if "DeletedDate" in secret:
                sys.exit(f"import-kept: {name} waits for its deletion; `aws secretsmanager restore-secret --secret-id {name}`, or delete it at once")
            return secret["ARN"]


def left(stack):
    """What a deleted stack has left, as a template and as what CloudFormation knows each resource by."""
    account = boto3.client("sts").get_caller_identity()["Account"]
    with open("template.yaml", encoding="utf-8") as file:
        template = kept(Template(file.read()))
    bucket = named(template["Resources"]["Lake"]["Properties"], stack, account)
    known = {name: there(resource, stack, account, bucket) for name, resource in template["Resources"].items()}
    template["Resources"] = {name: resource for name, resource in template["Resources"].items() if known[name]}
    gone = re.compile("|".join(rf"\b{name}\b" for name in known if not known[name]) or "$^")
    for resource in template["Resources"].values():
        # The deployment that follows makes what is gone, and points to it again.
        resource["Properties"] = {k: v for k, v in resource["Properties"].items() if not gone.search(json.dumps(v))}
    imports = [
        {
            "ResourceType": resource["Type"],
            "LogicalResourceId": name,
            "ResourceIdentifier": {IDENTIFIERS[resource["Type"]]: known[name]},
        }
        for name, resource in template["Resources"].items()
    ]
    return template, imports


def status(cloudformation, stack):
    try:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def imported(stack, template, imports, role):
    cloudformation = boto3.client("cloudformation")
    if (found := status(cloudformation, stack)) not in (None, "REVIEW_IN_PROGRESS"):
        sys.exit(f"import-kept: {stack} is {found}; only a new stack takes over what another has left")
    change = {"StackName": stack, "ChangeSetName": f"kept-{uuid.uuid4().hex}"}
    rights = {"RoleARN": role} if role else {}
    try:
        cloudformation.create_change_set(
            **change, **rights, ChangeSetType="IMPORT", TemplateBody=json.dumps(template), ResourcesToImport=imports
        )
        cloudformation.get_waiter("change_set_create_complete").wait(**change, WaiterConfig={"Delay": 2})
        cloudformation.execute_change_set(**change)
        cloudformation.get_waiter("stack_import_complete").wait(StackName=stack, WaiterConfig={"Delay": 2})
    except (Exception, KeyboardInterrupt) as error:
        why = said(cloudformation, stack, error)
        taken_back(cloudformation, change)
        sys.exit(f"import-kept: nothing was imported: {why}")


def said(cloudformation, stack, error):
    """Why an import has failed: a waiter has the last answer, and events name the resource."""
    last = getattr(error, "last_response", {})
    if "Stacks" in last:
        pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
        events = [event for page in pages for event in page["StackEvents"] if event["ResourceStatus"] == "IMPORT_FAILED"]
        return "; ".join(f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}" for event in events)
    return last.get("StatusReason") or str(error) or "ended at the terminal"


def taken_back(cloudformation, change):
    """Leaves no stack behind that holds nothing: the next import makes it. What was to be imported is retained."""
    stack = change["StackName"]
    found = status(cloudformation, stack)
    if found == "REVIEW_IN_PROGRESS":
        cloudformation.delete_change_set(**change)
        pages = cloudformation.get_paginator("list_change_sets").paginate(StackName=stack)
        if any(not one["Status"].startswith("DELETE_") for page in pages for one in page["Summaries"]):
            return
    elif found not in ("IMPORT_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE"):
        return
    cloudformation.delete_stack(StackName=stack)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 2})


def main():
    parser = argparse.ArgumentParser(prog="tools/import-kept", description="Imports what a deleted stack has left into a new one.")
    parser.add_argument("stack")
    parser.add_argument("--dry-run", action="store_true", help="only list it")
    parser.add_argument("--role", metavar="ARN", help="the role that CloudFormation imports with [default: the caller]")
    asked = parser.parse_args()
    try:
        template, imports = left(asked.stack)
        print(json.dumps(imports, indent=2))
        if imports and not asked.dry_run:
            imported(asked.stack, template, imports, asked.role)
            print(f"{asked.stack} has what the earlier stack left; deploy it as usual")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"import-kept: {error}")


if __name__ == "__main__":
    main()
