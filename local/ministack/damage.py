"""What CloudFormation does about resources that were deleted or changed behind its back, and ministack leaves out.

An update does not make again what it does not change, and one that changes what is gone fails. A change set with the deployment mode
REVERT_DRIFT is made of the account as it is: it adds what was deleted and sets back what was changed."""

import json

from ministack.core.responses import now_iso
from ministack.services import eventbridge, iam, kms, lambda_svc, s3, scheduler
from ministack.services.cloudformation import _stacks, changesets, drift, handlers, stacks
from ministack.services.cloudformation.helpers import _error, _p


def _role(name, props):
    """With its own policies; those that others have put there are none of the template's."""
    found = drift._read_iam_role(name, props)
    if found is not None:
        inline = iam._roles[name]["InlinePolicies"]
        own = [policy["PolicyName"] for policy in props.get("Policies", []) if policy["PolicyName"] in inline]
        found["Policies"] = [{"PolicyName": one, "PolicyDocument": drift._json_or(inline[one])} for one in own]
    return found


def _is_key(key):
    record = kms._keys.get(key)
    return record is not None and record.get("KeyState") != "PendingDeletion"


def _is_configured(function):
    return bool(lambda_svc._functions.get(function, {}).get("event_invoke_configs"))


# Types whose absence can be seen, by their physical id and their properties. Policies of queues and topics are none of them: their
# types have no handler that reads.
_PRESENT = {
    "AWS::Events::Archive": lambda name, _: name in eventbridge._archives,
    "AWS::Events::EventBus": lambda name, _: name in eventbridge._event_buses,
    "AWS::IAM::ManagedPolicy": lambda arn, _: arn in iam._policies,
    "AWS::KMS::Key": lambda key, _: _is_key(key),
    "AWS::Lambda::EventInvokeConfig": lambda _, props: _is_configured(props["FunctionName"]),
    "AWS::Lambda::EventSourceMapping": lambda uuid, _: uuid in lambda_svc._esms,
    "AWS::Lambda::Url": lambda key, _: key in lambda_svc._function_urls,
    "AWS::S3::BucketPolicy": lambda _, props: props["Bucket"] in s3._bucket_policies,
    "AWS::Scheduler::Schedule": lambda name, props: f"{props.get('GroupName', 'default')}/{name}" in scheduler._schedules,
    "AWS::Scheduler::ScheduleGroup": lambda name, _: name in scheduler._schedule_groups,
}


def _reader(is_present):
    return lambda physical, props: {} if is_present(physical, props) else None


def _drifted(stack):
    """The resources of a stack that are not as its template has them, by their names there."""
    checked = [(name, record) for name, record in stack.get("_resources", {}).items() if drift.supports_drift(record["ResourceType"])]
    found = {name: drift.detect_resource_drift(stack, name, record, now_iso()) for name, record in checked}
    return {name: one for name, one in found.items() if one["StackResourceDriftStatus"] in ("DELETED", "MODIFIED")}


def _change(record, found):
    change = {"LogicalResourceId": found["LogicalResourceId"], "ResourceType": record["ResourceType"]}
    if found["StackResourceDriftStatus"] == "DELETED":
        return {"ResourceChange": {"Action": "Add", **change}}
    fields = sorted({one["PropertyPath"].split("/")[1] for one in found["PropertyDifferences"]})
    details = [{"Target": {"Attribute": "Properties", "Name": field, "RequiresRecreation": "Never"}} for field in fields]
    return {"ResourceChange": {"Action": "Modify", "PhysicalResourceId": record["PhysicalResourceId"], "Replacement": "False",
                               "Scope": ["Properties"], "Details": details, **change}}


def _create(params):
    mode = _p(params, "DeploymentMode")
    if mode not in ("", "REVERT_DRIFT"):
        return _error("ValidationError", f"1 validation error detected: Value '{mode}' at 'deploymentMode' failed to satisfy constraint")
    answer = changesets._create_change_set(params)
    if not mode or answer[0] != 200:
        return answer
    _, made = changesets._find_change_set(_p(params, "ChangeSetName"), _p(params, "StackName"))
    stack = _stacks[made["StackName"]]
    drifted = {name: one for name, one in _drifted(stack).items() if name in made["_template"]["Resources"]}
    others = [one for one in made["Changes"] if one["ResourceChange"]["LogicalResourceId"] not in drifted]
    made["Changes"] = others + [_change(stack["_resources"][name], one) for name, one in drifted.items()]
    made["_drifted"] = drifted
    if drifted:
        made |= {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE", "StatusReason": ""}
    return answer


def _describe(params):
    status, headers, body = changesets._describe_change_set(params)
    _, found = changesets._find_change_set(_p(params, "ChangeSetName"), _p(params, "StackName"))
    for name, one in (found or {}).get("_drifted", {}).items():
        named = f"<LogicalResourceId>{name}</LogicalResourceId>"
        told = f"{named}<ResourceDriftStatus>{one['StackResourceDriftStatus']}</ResourceDriftStatus>"
        body = body.replace(named.encode(), told.encode())
    return status, headers, body


def _execute(params):
    """What was deleted is made as new; what was changed differs from the template by what the account has."""
    _, found = changesets._find_change_set(_p(params, "ChangeSetName"), _p(params, "StackName"))
    if found and found["ExecutionStatus"] == "AVAILABLE":
        resources = _stacks[found["StackName"]]["_resources"]
        for name, one in found.get("_drifted", {}).items():
            if one["StackResourceDriftStatus"] == "DELETED":
                resources.pop(name, None)
            else:
                resources[name]["Properties"] |= json.loads(one["ActualProperties"])
    return changesets._execute_change_set(params)


def _strictly(update):
    """The handler of a type does not find what was deleted, and makes nothing in its place."""

    def updating(resource_type, physical, old, new, *rest):
        reader, _ = drift._DRIFT_READERS.get(resource_type, (None, None))
        if reader and old != new and reader(physical, old) is None:
            raise ValueError(f"Resource of type '{resource_type}' with identifier '{physical}' was not found. (HandlerErrorCode: NotFound)")
        return update(resource_type, physical, old, new, *rest)

    return updating


def install():
    drift._DRIFT_READERS |= {kind: (_reader(is_present), frozenset()) for kind, is_present in _PRESENT.items()}
    _, read = drift._DRIFT_READERS["AWS::IAM::Role"]
    drift._DRIFT_READERS["AWS::IAM::Role"] = (_role, read | {"Policies"})
    stacks._update_keeping_seed = _strictly(stacks._update_keeping_seed)
    handlers._ACTION_HANDLERS |= {"CreateChangeSet": _create, "DescribeChangeSet": _describe, "ExecuteChangeSet": _execute}
