"""An update from the template that was released last, tests/deploy/released.yaml.xz, replaces and drops nothing that holds data.

tests/cli/stage carries such an update out. After a release: `xz -9e <template.yaml >tests/deploy/released.yaml.xz`."""

import json
import lzma
import subprocess
import unittest
from pathlib import Path

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
# What no deployment brings back, and what others outside of the stack know by its name.
HOLDING = {
    "AWS::Events::Archive", "AWS::Events::EventBus", "AWS::KMS::Key", "AWS::Lambda::EventSourceMapping", "AWS::Logs::LogGroup",
    "AWS::S3::Bucket", "AWS::Scheduler::ScheduleGroup", "AWS::SecretsManager::Secret", "AWS::SNS::Topic", "AWS::SQS::Queue",
}
# Snowflake trusts it by its name.
NAMED = {"LakeReaderRole"}


def expanded(text):
    command = [ROOT / ".tools/venv/ministack/bin/python", ROOT / "tests/it/expand.py", json.dumps({"KafkaTopics": "purchases,order-lines"})]
    done = subprocess.run(command, input=text, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["expanded"]


def replacing(kind):
    """The properties of a type whose change makes another resource."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}


def faults(before, after):
    """What an update would replace or drop, a line each."""
    for name, old in before["Resources"].items():
        if old["Type"] not in HOLDING and name not in NAMED:
            continue
        new = after["Resources"].get(name)
        if new is None or new["Type"] != old["Type"]:
            yield f"{name} is gone"
            continue
        for field in sorted(replacing(old["Type"])):
            if old.get("Properties", {}).get(field) != new.get("Properties", {}).get(field):
                yield f"{name} would be replaced: {field} differs"
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if old.get(policy) != new.get(policy):
                yield f"{name} is kept otherwise: {policy} differs"
        condition = new.get("Condition")
        if condition and (condition != old.get("Condition") or after["Conditions"][condition] != before["Conditions"][condition]):
            yield f"{name} is made under another condition"


class Released(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = expanded(lzma.open(ROOT / "tests/deploy/released.yaml.xz", "rt").read())
        cls.after = expanded((ROOT / "template.yaml").read_text())

    def test_an_update_from_the_release_keeps_all_that_holds_data(self):
        self.assertGreater(sum(one["Type"] in HOLDING for one in self.before["Resources"].values()), 25)
        self.assertEqual(list(faults(self.before, self.after)), [])

    def test_each_change_that_would_lose_data_is_seen(self):
        def changed(change):
            other = json.loads(json.dumps(self.before))
            change(other["Resources"])
            return list(faults(self.before, other))

        def rename(resources):
            resources["LoadQueue"]["Properties"]["QueueName"] = "another"

        self.assertEqual(changed(rename), ["LoadQueue would be replaced: QueueName differs"])
        self.assertEqual(changed(lambda resources: resources.pop("Lake")), ["Lake is gone"])
        kept = changed(lambda resources: resources["Lake"].pop("DeletionPolicy"))
        self.assertEqual(kept, ["Lake is kept otherwise: DeletionPolicy differs"])
        self.assertEqual(changed(lambda resources: resources["SpoolQueue"]["Properties"].update(VisibilityTimeout=7)), [])


if __name__ == "__main__":
    unittest.main()
