"""Keys of buckets and topics. A caller that reads an object, puts one or publishes uses the key that it lies under: the caller's role and the key's own
policy have to let him, through that service. The bus publishes as a service and names neither account nor rule, to the topic's policy nor
to its key's, so that a statement which asks for either lets it do nothing."""

import re

from ministack.core import iam_evaluator
from ministack.core.responses import get_region
from ministack.services import eventbridge, kms, s3, sns
from ministack.services.cloudformation import provisioners

WRITE, READ = "kms:GenerateDataKey", "kms:Decrypt"
# A part of an upload is encrypted by the key of its beginning.
USES = {"s3:PutObject": [WRITE], "s3:GetObject": [READ], "s3:GetObjectVersion": [READ], "sns:Publish": [WRITE, READ]}


def uses(action, resource, region, said):
    """What a request does with a key, as `enforce` is asked for it: the action, its service, the key and what is said for conditions."""
    if action not in USES:
        return
    service = action.partition(":")[0]
    if service == "s3":
        found = re.search("<KMSMasterKeyID>(.+?)</KMSMasterKeyID>", s3._bucket_encryption.get(resource.split(":::")[-1].split("/")[0]) or "")
        key, context = found and found[1], {"kms:EncryptionContext:aws:s3:arn": resource.split("/")[0]}
    else:
        topic = sns._topic_by_arn_any_scope(resource)
        key, context = topic and topic["attributes"].get("KmsMasterKeyId"), {"kms:EncryptionContext:aws:sns:topicArn": resource}
    if key:
        is_part = said.get("s3:ObjectCreationOperation") == "false"
        for use in USES["sns:Publish"] if is_part else USES[action]:
            yield use, "kms", key, {"kms:ViaService": f"{service}.{region}.amazonaws.com", **context}


def after(resource_type, keep):
    """Once CloudFormation has made or changed a resource of the type, `keep` gets its id and its properties."""
    handlers = provisioners._RESOURCE_HANDLERS[resource_type]
    create, update = handlers["create"], handlers["update"]

    def creating(logical_id, props, *rest, **named):
        made = create(logical_id, props, *rest, **named)
        keep(made[0], props)
        return made

    def updating(physical_id, old, new, *rest, **named):
        changed = update(physical_id, old, new, *rest, **named)
        keep(changed[0], new)
        return changed

    handlers["create"], handlers["update"] = creating, updating


def of_bucket(name, props):
    for rule in props.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", []):
        said = rule["ServerSideEncryptionByDefault"]
        members = "".join(f"<{member}>{value}</{member}>" for member, value in said.items())
        s3._bucket_encryption[name] = (
            f"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>{members}"
            "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        )


def of_topic(arn, props):
    if "KmsMasterKeyId" in props:
        sns._topics[arn]["attributes"]["KmsMasterKeyId"] = props["KmsMasterKeyId"]


def as_the_bus():
    dispatch = eventbridge._dispatch_to_sns

    def allows(policy, action, resource, said):
        context = iam_evaluator.EvalContext(
            "events.amazonaws.com", "Service", "", action, resource, get_region(), service_context={key.lower(): value for key, value in said.items()}
        )
        return iam_evaluator.evaluate_resource_policy(policy[0], context, service="events.amazonaws.com").decision == "Allow"

    def dispatching(topic, payload):
        lets = allows(sns.topic_policy_for_arn(topic), "sns:Publish", topic, {})
        for use, _, key, said in uses("sns:Publish", topic, get_region(), {}):
            lets = lets and allows(kms.key_policy_for_arn(key), use, key, said)
        if lets:
            dispatch(topic, payload)
        else:
            eventbridge.logger.warning("EventBridge → SNS %s denied by the policy of the topic or of its key", topic)

    eventbridge._dispatch_to_sns = dispatching


def in_force():
    after("AWS::S3::Bucket", of_bucket)
    after("AWS::SNS::Topic", of_topic)
    as_the_bus()
