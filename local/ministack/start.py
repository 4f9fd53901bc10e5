"""Starts ministack with policies in force: what a function asks of AWS is judged by its role's, by the lake's and by its key's, as an
account does it.

What each statement has let through is kept in the file that SLUICE_ROLES_USED names, a line for each role, statement and action, and
what was denied; tests/roles compares it with the template. Of what requests say of themselves for conditions, ministack leaves out the
source of an announcement and whether a put is conditional; the loopback stands for TLS, which policies demand.

What else ministack forgives or leaves out, and the platform relies on, is beside this file: damage.py, bus.py, payload.py."""

import json
import os
import sys

import bus
import damage
import keys
import mappings
import payload
from ministack import app
from ministack.core import iam_actions, iam_evaluator


class Record:
    """Lines that are not in the file yet; ministack is one process."""

    def __init__(self, path):
        self._file = open(path, "a+", encoding="utf-8", buffering=1)
        self._file.seek(0)
        self._known = set(self._file.read().splitlines())

    def add(self, principal, said):
        # Of arn:aws:sts::<account>:assumed-role/<role>/<session>.
        if ":assumed-role/" not in principal:
            return
        line = json.dumps({"role": principal.split("/")[1], **said})
        if line not in self._known:
            self._known.add(line)
            print(line, file=self._file)


def recorded(record):
    """Notes what statements allow, and what is denied in the end: a policy that allows nothing is not a denial yet."""
    evaluate, enforce = iam_evaluator.evaluate, iam_evaluator.enforce

    def evaluating(context, *policies):
        result = evaluate(context, *policies)
        if result.decision == "Allow":
            record.add(context.principal_arn, {"action": context.action, "statement": result.matched_sid})
        return result

    def enforcing(key, action, service, region, resource_arn="*", service_context=None):
        if iam_evaluator.is_root_access_key(key):
            return None  # The machine's owner, some of whose programs sign nothing; a function has the key of its role.
        asked = (action, service, resource_arn, service_context or {})
        for action, service, resource, said in [asked, *keys.uses(action, resource_arn, region, asked[3])]:
            denied = enforce(key, action, service, region, resource_arn=resource, service_context=said)
            if denied:
                record.add(getattr(denied, "principal_arn", ""), {"action": action, "denied": resource})
                return denied
        return None

    iam_evaluator.evaluate, iam_evaluator.enforce = evaluating, enforcing


def more_keys():
    """Adds the condition keys that the template's policies name and ministack does not know."""
    tags, s3 = iam_actions.request_tag_context, iam_actions.s3_service_context

    def of_any(service, action, body, params):
        context = tags(service, action, body, params)
        if action == "events:PutEvents":
            context = {**context, "events:source": json.loads(body)["Entries"][0]["Source"]}
        return context

    def of_s3(action, query, path="", headers=None):
        context = s3(action, query, path, headers)
        if action == "s3:PutObject":
            creates = not {"uploads", "partNumber"} & set(query or {})
            context = {**context, "s3:ObjectCreationOperation": str(creates).lower()}
            if "if-none-match" in (headers or {}):
                context["s3:if-none-match"] = headers["if-none-match"]
        return context

    iam_actions.request_tag_context, iam_actions.s3_service_context = of_any, of_s3


def denials_by_code():
    """Denies with status 400 where AWS does so: the code alone says that it is a denial. ministack does it for two services."""
    respond = iam_actions.access_denied_response

    def denied(service, *what, **more):
        status, headers, body = respond(service, *what, **more)
        is_denial = service in {"events", "kms", "secretsmanager"} and not more.get("error_code")
        return 400 if is_denial else status, headers, body

    iam_actions.access_denied_response = denied


def secrets_by_arn():
    """Reads a secret's name in a policy as its ARN, which is what `!Ref` gives on AWS."""
    matches = iam_evaluator._resource_matches

    def as_arn(resource):
        return resource if resource == "*" or resource.startswith("arn:") else f"arn:aws:secretsmanager:*:*:secret:{resource}-??????"

    iam_evaluator._resource_matches = lambda arn, resources, *rest: matches(arn, [as_arn(one) for one in resources], *rest)


def main():
    secrets_by_arn()
    recorded(Record(os.environ["SLUICE_ROLES_USED"]))
    more_keys()
    for part in (bus, damage, payload):
        part.install()
    keys.in_force()
    mappings.in_force()
    denials_by_code()
    pin = iam_evaluator.pin_request_origin
    app.pin_request_origin = lambda address, _: pin(address, True)
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
