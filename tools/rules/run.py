"""Holds the template, its loops expanded, to the public rules of Checkov. What it finds is mended in the template or stands with its
reason in exceptions.toml; an exception that nothing needs fails as well. The last line is a JSON object for programs.

The rules carry no severity without an account of their vendor, so each finding counts as high."""

import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENVS = ROOT / ".tools/venv"
TEMPLATES = ["template.yaml", "template-ci.yaml"]


def expanded(template):
    """The template as CloudFormation sees it after its loops, as the tests of tests/it do it."""
    command = [VENVS / "ministack/bin/python", ROOT / "tests/it/expand.py", json.dumps({"KafkaTopics": "purchases,order-lines"})]
    with open(ROOT / template) as text:
        return json.loads(subprocess.run(command, stdin=text, check=True, capture_output=True, text=True).stdout)["expanded"]


def findings(template):
    """(rule, what it says, resource) of each rule that the template breaks."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "template.json")
        path.write_text(json.dumps(expanded(template), indent=1))
        command = [VENVS / "rules/bin/checkov", "--file", path, "--framework", "cloudformation", "--skip-download", "--output", "json"]
        answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode not in (0, 1):
        sys.exit(f"checkov failed on {template}: {answer.stderr.strip() or answer.stdout.strip()}")
    report = json.loads(answer.stdout)
    if not report["summary"]["passed"] or report["summary"]["parsing_errors"]:
        sys.exit(f"checkov judged nothing of {template}")
    return [(one["check_id"], one["check_name"], one["resource"].split(".")[-1]) for one in report["results"]["failed_checks"]]


def main():
    exceptions = tomllib.loads((ROOT / "tools/rules/exceptions.toml").read_text())
    used, justified, unjustified = set(), 0, []
    for template in TEMPLATES:
        for rule, says, resource in findings(template):
            exception = exceptions.get(rule)
            if exception and (exception["resources"] == "all" or resource in exception["resources"]):
                used.update({rule, (rule, resource)})
                justified += 1
            else:
                unjustified.append(f"{template}: {resource}: {says} ({rule})")
    for rule, exception in exceptions.items():
        named = [] if exception["resources"] == "all" else exception["resources"]
        if rule not in used:
            unjustified.append(f"exceptions.toml: {rule} is broken by nothing; remove it")
        unjustified += [f"exceptions.toml: {rule} names {name}, which keeps it" for name in named if (rule, name) not in used]
    for line in unjustified:
        print(line)
    lines = len((ROOT / "template.yaml").read_text().splitlines())
    print(json.dumps({"high": justified + len(unjustified), "justified": justified, "unjustified": len(unjustified), "lines": lines}))
    sys.exit(1 if unjustified else 0)


main()
