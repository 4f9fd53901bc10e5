"""A change of a stack is carried out as it was read, or not at all, against the CloudFormation of one machine."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import change_set  # noqa: E402 It lies beside the other tools.
import one_machine  # noqa: E402


def template(queues):
    return json.dumps({"Resources": {name: {"Type": "AWS::SQS::Queue"} for name in queues}})


class ChangeSet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = one_machine.started(cls)("cloudformation")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name, "plan.json")
        self.stack = self.id().rsplit(".", 1)[-1].replace("_", "-")[:60]

    def planned(self, queues, kind="CREATE", name="first"):
        made = self.client.create_change_set(
            StackName=self.stack, ChangeSetName=name, ChangeSetType=kind, TemplateBody=template(queues)
        )
        self.client.get_waiter("change_set_create_complete").wait(ChangeSetName=made["Id"])
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            change_set.kept(self.client, made["Id"], self.file)
        return said.getvalue()

    def applied(self):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            change_set.apply(self.client, self.file)
        return said.getvalue()

    def names(self):
        return {one["LogicalResourceId"] for one in self.client.describe_stack_resources(StackName=self.stack)["StackResources"]}

    def test_what_was_read_is_carried_out(self):
        self.assertEqual(
            self.planned(["One", "Two"]),
            f"{self.stack}: 2 to add, 0 to change, 0 to remove\n  + AWS::SQS::Queue One\n  + AWS::SQS::Queue Two\n",
        )
        self.assertEqual(self.applied(), f"{self.stack}: CREATE_COMPLETE\n")
        self.assertIn("- AWS::SQS::Queue Two", self.planned(["One"], "UPDATE", "second"))
        self.assertEqual(self.applied(), f"{self.stack}: UPDATE_COMPLETE\n")
        self.assertEqual(self.names(), {"One"})

    def test_a_change_set_is_carried_out_once(self):
        self.planned(["One"])
        self.applied()
        with self.assertRaisesRegex(change_set.Refused, "Plan again"):
            self.applied()

    def test_another_change_than_was_read_is_refused(self):
        self.planned(["One", "Two"])
        read = json.loads(self.file.read_text())
        self.file.write_text(json.dumps({**read, "changes": read["changes"][:1]}))
        with self.assertRaisesRegex(change_set.Refused, "not the one that was read"):
            self.applied()
        self.assertNotIn("One", self.names())

    def test_a_plan_without_changes_changes_nothing(self):
        self.file.write_text(json.dumps({"change_set": None}))
        self.assertEqual(self.applied(), "nothing to change\n")

    def test_what_sam_says_is_a_change_set_nothing_or_an_error(self):
        said = "Changeset created successfully. arn:aws:cloudformation:us-east-1:1:changeSet/samcli-deploy1/abc\n"
        self.assertTrue(change_set.made(["printf", "%s", said]).endswith("changeSet/samcli-deploy1/abc"))
        self.assertIsNone(change_set.made(["printf", "%s", "Error: No changes to deploy. Stack x is up to date"]))
        with self.assertRaisesRegex(change_set.Refused, "no credentials"):
            change_set.made(["bash", "-c", "echo no credentials >&2; exit 1"])


if __name__ == "__main__":
    unittest.main()
