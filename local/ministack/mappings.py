"""Mappings of queues. Lambda makes none where a message would come back to the queue before the function's time is over."""

from ministack.services import sqs
from ministack.services.cloudformation import provisioners


def judged(props):
    function = provisioners._lambda_function_for_cfn_ref(props.get("FunctionName", ""))[0]
    source = props.get("EventSourceArn") or ""
    queue = sqs._queue_by_arn(source) if ":sqs:" in source else None
    if function is None or queue is None:
        return
    timeout, hidden = int(function["config"]["Timeout"]), int(queue["attributes"]["VisibilityTimeout"])
    if hidden < timeout:
        raise ValueError(
            f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {timeout} seconds (InvalidParameterValueException)"
        )


def in_force():
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    create = handlers["create"]

    def creating(logical_id, props, *rest, **named):
        judged(props)
        return create(logical_id, props, *rest, **named)

    handlers["create"] = creating
