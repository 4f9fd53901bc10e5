"""A change of a stack in two steps, so that what people have read is what is carried out.

    tools/change-set plan STAGE --save FILE     makes a change set of what `sam build` has left, prints it, changes nothing
    tools/change-set apply FILE                 carries out that change set and no other, and waits for it

STAGE is a parameter set of samconfig.toml. Credentials and region are those of the AWS command line."""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIGNS = {"Add": "+", "Modify": "~", "Remove": "-", "Import": ">", "Dynamic": "?"}
# Longer than any change set takes to be made, and any stack to be changed.
PATIENCE_SECONDS = 3600


class Refused(Exception):
    """What people read instead of a trace."""


def described(client, arn):
    """The change set with all its pages of changes."""
    found = client.describe_change_set(ChangeSetName=arn)
    changes, page = found["Changes"], found
    while page.get("NextToken"):
        page = client.describe_change_set(ChangeSetName=arn, NextToken=page["NextToken"])
        changes += page["Changes"]
    return {**found, "Changes": changes}


def line(change):
    """One change as people read it: what happens to what, and what it costs."""
    one = change["ResourceChange"]
    text = f"{SIGNS.get(one['Action'], '?')} {one['ResourceType']} {one['LogicalResourceId']}"
    if one["Action"] == "Modify":
        fields = sorted({detail["Target"].get("Name") or detail["Target"]["Attribute"] for detail in one.get("Details", [])})
        text += f": {', '.join(fields)}" if fields else ""
        if one.get("Replacement") in ("True", "Conditional"):
            text += " (replaced)" if one["Replacement"] == "True" else " (may be replaced)"
    return text


def printed(found):
    changes = [line(change) for change in found["Changes"]]
    counts = {sign: sum(text.startswith(sign) for text in changes) for sign in "+~-"}
    print(f"{found['StackName']}: {counts['+']} to add, {counts['~']} to change, {counts['-']} to remove")
    for text in sorted(changes, key=lambda text: "-~+".find(text[0])):
        print(f"  {text}")


def made(arguments):
    """The change set that SAM makes, or None where nothing differs."""
    answer = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
    said = answer.stdout + answer.stderr
    if re.search(r"No changes to deploy|didn't contain changes", said):
        return None
    arn = re.search(r"arn:[\w-]+:cloudformation:\S+:changeSet/\S+", said)
    if answer.returncode or not arn:
        raise Refused(f"SAM made no change set: {said.strip()}")
    return arn.group(0)


def plan(client, stage, save, extra=()):
    sam = Path(sys.executable).with_name("sam")
    arn = made([sam, "deploy", "--config-env", stage, "--no-execute-changeset", "--no-confirm-changeset", *extra])
    if arn:
        kept(client, arn, save)
    else:
        print(f"{stage}: nothing to change")
        Path(save).write_text(json.dumps({"change_set": None}) + "\n")


def kept(client, arn, save):
    """Prints a change set and keeps what was printed, to be compared before it is carried out."""
    found = described(client, arn)
    printed(found)
    text = {"change_set": arn, "stack": found["StackName"], "changes": [line(change) for change in found["Changes"]]}
    Path(save).write_text(json.dumps(text, indent=1) + "\n")


def waited(client, stack):
    """The status of the stack once it changes no more."""
    for _ in range(PATIENCE_SECONDS // 5):
        status = client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        if not status.endswith("_IN_PROGRESS"):
            return status
        time.sleep(5)
    raise Refused(f"{stack} still changes after {PATIENCE_SECONDS} seconds; look at its events")


def apply(client, file):
    planned = json.loads(Path(file).read_text())
    if not planned["change_set"]:
        print("nothing to change")
        return
    try:
        found = described(client, planned["change_set"])
    except client.exceptions.ChangeSetNotFoundException:
        raise Refused("The change set is gone: it was carried out or deleted. Plan again.") from None
    if found["ExecutionStatus"] != "AVAILABLE":
        raise Refused(f"The change set is {found['ExecutionStatus']}: the stack has changed since it was read. Plan again.")
    if [line(change) for change in found["Changes"]] != planned["changes"]:
        raise Refused("The change set is not the one that was read. Plan again.")
    client.execute_change_set(ChangeSetName=planned["change_set"])
    status = waited(client, planned["stack"])
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise Refused(f"{planned['stack']} is {status}; its events say why, and it stands as before the change.")
    print(f"{planned['stack']}: {status}")


def main():
    import boto3  # Here, so that `--help` needs no environment.

    parser = argparse.ArgumentParser(prog="tools/change-set", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    planned = steps.add_parser("plan", help="make a change set and print it")
    planned.add_argument("stage", choices=["dev", "staging", "prod"])
    planned.add_argument("--save", required=True, metavar="FILE", help="where the plan is kept for apply")
    planned.add_argument("--role", metavar="ARN", help="the role that CloudFormation changes the stack with")
    applied = steps.add_parser("apply", help="carry out the change set that plan has saved")
    applied.add_argument("file")
    asked = parser.parse_args()
    client = boto3.client("cloudformation")
    try:
        if asked.step == "plan":
            plan(client, asked.stage, asked.save, ["--role-arn", asked.role] if asked.role else [])
        else:
            apply(client, asked.file)
    except Refused as refused:
        sys.exit(f"change-set: {refused}")


if __name__ == "__main__":
    main()
