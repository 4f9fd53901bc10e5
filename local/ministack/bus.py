"""What ministack leaves out of the archive of a bus: the type of a stack's resource, and replays that go to some rules only."""

import json

from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners


def _said(answer):
    status, _, body = answer
    if status != 200:
        raise ValueError(json.loads(body).get("message", "the archive was refused"))
    return json.loads(body)


def _wanted(name, props):
    pattern = props.get("EventPattern")
    pattern = {"EventPattern": pattern if isinstance(pattern, str) else json.dumps(pattern)} if pattern else {}
    return {"ArchiveName": name, "EventSourceArn": props["SourceArn"], "RetentionDays": int(props.get("RetentionDays", 0)), **pattern}


def _create(logical, props, stack):
    name = props.get("ArchiveName") or provisioners._physical_name(stack, logical, max_len=48)
    return name, {"Arn": _said(eventbridge._create_archive(_wanted(name, props)))["ArchiveArn"]}


def _update(name, _, props, __):
    return name, {"Arn": _said(eventbridge._update_archive(_wanted(name, props)))["ArchiveArn"]}


def _delete(name, _):
    eventbridge._archives.pop(name, None)


def _to_some_rules(dispatch):
    """A replayed event goes to the rules that its replay names, where it names any."""

    def dispatching(event, view=None):
        replay = eventbridge._replays.get(event.get("ReplayName"), {})
        wanted = replay.get("Destination", {}).get("FilterArns")
        if not wanted:
            return dispatch(event, view)
        others = [key for key, rule in eventbridge._rules.items() if rule["Arn"] not in wanted]
        # The way to leave a rule out: it would be a loop.
        return dispatch({**event, "_DispatchPath": [*event.get("_DispatchPath", []), *others]}, view)

    return dispatching


def install():
    provisioners._RESOURCE_HANDLERS["AWS::Events::Archive"] = {"create": _create, "update": _update, "delete": _delete}
    eventbridge._dispatch_event = _to_some_rules(eventbridge._dispatch_event)
