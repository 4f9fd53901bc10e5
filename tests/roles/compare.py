"""Compares what the functions' roles may do with what they did on platforms of this machine, whose ministack kept it.

    tests/roles/compare.py <state of a platform>...

A request that was denied fails. So does a right that nothing used, unless unused.toml gives the reason, and a reason for a right that no
role has: each statement is either shown to be needed or says why it is there. What only some runs use may have a reason."""

import json
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARAMETERS = json.dumps({"KafkaTopics": "purchases", "Stage": "local"})
# Conditions that do not hold on one machine, whose broker asks for no login.
NOT_HERE = ("OnAws", "WithKafkaIam")


def members(value):
    return value if isinstance(value, list) else [value]


def template():
    command = [sys.executable, ROOT / "tests/it/expand.py", PARAMETERS]
    with open(ROOT / "template.yaml") as text:
        return json.loads(subprocess.run(command, stdin=text, check=True, capture_output=True, text=True).stdout)["expanded"]


def is_on_aws_alone(statement):
    """Whether one machine does not have it; any other condition would hide a right from this test."""
    condition = statement.get("Fn::If", [None])[0]
    if condition not in (None, *NOT_HERE):
        sys.exit(f"a statement stands behind {condition}, of which this test does not know whether it holds here")
    return condition in NOT_HERE


def allowed(resources):
    """(function, statement, action) of each right that a function's role has on one machine."""
    for name, resource in resources.items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        role = resources[resource["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
        documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
        managed = [policy["Ref"] for policy in role.get("ManagedPolicyArns", []) if "Ref" in policy]
        documents += [resources[policy]["Properties"]["PolicyDocument"] for policy in managed]
        for document in documents:
            for statement in (one for one in document["Statement"] if not is_on_aws_alone(one) and one["Effect"] == "Allow"):
                yield from ((name, statement["Sid"], action) for action in members(statement["Action"]))


def done(states, functions):
    """What was used, as `allowed` has it, and what was denied."""
    used, denied = set(), []
    files = sorted(file for state in states for file in state.glob("**/ministack/roles-used.jsonl"))
    for said in (json.loads(line) for file in files for line in file.read_text().splitlines()):
        function = next((name for name in functions if f"-{name}Role" in said["role"]), None)
        if "denied" in said:
            denied.append(f"{function or said['role']} was denied {said['action']} on {said['denied']}")
        elif function:
            used.add((function, said["statement"], said["action"]))
    return used, denied


def reason(entry, rights):
    """The rights that an entry of unused.toml explains, and what it names and no role has."""
    functions, statement, actions = entry["functions"], entry["statement"], entry["actions"]
    explained = {right for right in rights if right[1] == statement and right[2] in actions}
    if functions == "all":
        return explained, set(actions) - {action for _, _, action in explained}
    explained = {right for right in explained if right[0] in functions}
    named = {f"{action} of {function}" for function in functions for action in actions}
    return explained, named - {f"{action} of {function}" for function, _, action in explained}


def main():
    rights = set(allowed(template()["Resources"]))
    functions = {function for function, _, _ in rights}
    used, problems = done([pathlib.Path(state) for state in sys.argv[1:]], functions)
    reasons = tomllib.loads(pathlib.Path(__file__).with_name("unused.toml").read_text())["unused"]
    justified = set()
    for entry in reasons:
        explained, missing = reason(entry, rights)
        justified |= explained
        problems += [f"unused.toml: there is no {entry['statement']} with {one}" for one in sorted(missing)]
    problems += [f"{' '.join(right)} was never used; take it from the role, or say why in unused.toml" for right in sorted(rights - used - justified)]
    if len(used) < len(functions):
        problems.append(f"only {len(used)} rights were used: this test would check nothing")
    for problem in problems:
        print(problem)
    print(json.dumps({"rights": len(rights), "used": len(used & rights), "justified": len(justified - used), "problems": len(problems)}))
    sys.exit(1 if problems else 0)


main()
