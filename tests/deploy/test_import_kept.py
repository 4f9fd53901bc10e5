"""What a second stack of a name takes over from the first: tools/import_kept.py against the shipped template."""

import io
import json
import sys
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from botocore.exceptions import ClientError, WaiterError  # noqa: E402

import import_kept  # noqa: E402 It lies beside the other tools.
from import_kept import Template  # noqa: E402

ACCOUNT, STACK = "123456789012", "sluice-dev"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/0b5c"


def refused(code, message="no", operation="Call"):
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def ended(**last):
    """A waiter's last word."""
    return WaiterError("W", "Waiter encountered a terminal failure state", last)


class Account:
    """The clients of an account that has what a deleted stack has retained."""

    def __init__(self):
        self.clients = {name: mock.Mock(name=name) for name in ("sts", "s3", "sqs", "secretsmanager", "cloudformation")}
        self.clients["sts"].get_caller_identity.return_value = {"Account": ACCOUNT}
        encryption = {"ApplyServerSideEncryptionByDefault": {"KMSMasterKeyID": KEY}}
        rules = {"ServerSideEncryptionConfiguration": {"Rules": [encryption]}}
        self.clients["s3"].get_bucket_encryption.return_value = rules
        self.clients["sqs"].get_queue_url.side_effect = lambda QueueName: {"QueueUrl": f"https://sqs/{QueueName}"}
        self.clients["secretsmanager"].describe_secret.side_effect = lambda SecretId: {"ARN": f"arn:{SecretId}"}
        self.statuses(None)

    def statuses(self, *found):
        """How the stack is at each look; None of one that is not there."""
        there = [{"Stacks": [{"StackStatus": status}]} if status else refused("ValidationError", "Stack does not exist") for status in found]
        self.clients["cloudformation"].describe_stacks.side_effect = there

    def pages(self, **found):
        """What CloudFormation lists."""
        answers = {name: mock.Mock(paginate=mock.Mock(return_value=[page])) for name, page in found.items()}
        self.clients["cloudformation"].get_paginator.side_effect = answers.__getitem__

    def waits(self, **failures):
        """Which waiters fail, and with what last answer; the others end well."""
        ends = {name: mock.Mock(**{"wait.side_effect": failure}) for name, failure in failures.items()}
        self.clients["cloudformation"].get_waiter.side_effect = lambda name: ends.get(name, mock.Mock())

    def steps(self):
        return [name for name, _, _ in self.clients["cloudformation"].mock_calls if name.endswith(("_change_set", "_stack"))]

    def run(self, *options):
        """Imports, and gives back what was said and the calls of CloudFormation in their order."""
        said = io.StringIO()
        with (
            mock.patch.object(import_kept.boto3, "client", self.clients.__getitem__),
            mock.patch.object(sys, "argv", ["import_kept.py", STACK, *options]),
            redirect_stdout(said),
        ):
            import_kept.main()
        return said.getvalue(), self.clients["cloudformation"].mock_calls


def template():
    return Template((ROOT / "template.yaml").read_text(encoding="utf-8"))


def references(value):
    """Every name that something refers to."""
    match value:
        case dict():
            for key, inner in value.items():
                if key == "Ref":
                    yield inner
                elif key == "Fn::GetAtt":
                    yield inner.split(".")[0] if isinstance(inner, str) else inner[0]
                elif key == "Fn::If":
                    yield inner[0]
                    yield from references(inner[1:])
                else:
                    yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)


class ImportKept(unittest.TestCase):
    def setUp(self):
        # The tool reads the template of the folder that it is started in.
        directory = mock.patch.object(import_kept, "open", lambda path, **how: open(ROOT / path, **how), create=True)
        directory.start()
        self.addCleanup(directory.stop)

    def test_all_that_is_retained_is_imported_but_for_policies_of_queues(self):
        resources = template().resources
        kept = import_kept.kept(template())["Resources"]
        retained = {
            name
            for name, resource in resources.items()
            if isinstance(resource, dict) and str(resource.get("DeletionPolicy", "")).startswith("Retain")
        }
        left_out = retained - set(kept)
        # The bucket of the access logs has a name that AWS chose: a second stack makes one of its own.
        self.assertEqual({resources[name]["Type"] for name in left_out - {"AccessLogs", "AccessLogsPolicy"}}, {"AWS::SQS::QueuePolicy"})
        self.assertTrue({"Lake", "LakeKey", "LakePolicy", "SpoolQueue", "SpoolDead"} <= set(kept), sorted(kept))
        self.assertTrue(all("Condition" not in resource for resource in kept.values()))

    def test_the_imported_template_refers_to_nothing_outside_of_itself(self):
        kept = import_kept.kept(template())
        known = set(kept["Resources"]) | set(kept["Parameters"]) | set(kept["Conditions"])
        unknown = {name for name in references(kept) if not name.startswith("AWS::")} - known
        self.assertEqual(unknown, set())
        self.assertNotIn("DependsOn", json.dumps(kept))

    def test_each_resource_is_named_as_the_account_knows_it(self):
        said, calls = Account().run("--dry-run")
        self.assertEqual(calls, [], "a dry run changes nothing")
        named = {one["LogicalResourceId"]: one["ResourceIdentifier"] for one in json.loads(said)}
        bucket = {"BucketName": named["LakePolicy"]["Bucket"]}
        self.assertEqual(named["Lake"], bucket)
        self.assertIn(ACCOUNT, named["Lake"]["BucketName"])
        self.assertEqual(named["LakeKey"], {"KeyId": "0b5c"})
        self.assertEqual(named["SpoolQueue"], {"QueueUrl": f"https://sqs/{STACK}-spool"})
        self.assertEqual(named["SpoolDead"], {"QueueUrl": f"https://sqs/{STACK}-spool-dead"})
        self.assertEqual(named["HubspotActivateSecret"], {"Id": f"arn:{STACK}/hubspot-activate"})
        self.assertTrue(all("${" not in json.dumps(identifier) for identifier in named.values()), named)

    def test_what_somebody_has_removed_is_left_to_the_deployment(self):
        gone = Account()
        gone.clients["secretsmanager"].describe_secret.side_effect = refused("ResourceNotFoundException")
        said, _ = gone.run("--dry-run")
        kept = {one["LogicalResourceId"] for one in json.loads(said)}
        self.assertTrue({"Lake", "LakeKey", "SpoolQueue"} <= kept and "DbtSecret" not in kept, sorted(kept))
        gone.clients["secretsmanager"].describe_secret.side_effect = refused("AccessDeniedException", "no right")
        with self.assertRaisesRegex(SystemExit, r"import-kept: .*\(AccessDeniedException\).*no right"):
            gone.run("--dry-run")

    def test_what_is_left_without_its_lake_is_imported(self):
        gone = Account()
        for call, code in {"head_bucket": "404", "get_bucket_policy": "NoSuchBucket", "get_bucket_encryption": "NoSuchBucket"}.items():
            getattr(gone.clients["s3"], call).side_effect = refused(code)
        said, _ = gone.run("--dry-run")
        kept = {one["LogicalResourceId"] for one in json.loads(said)}
        self.assertTrue({"SpoolQueue", "DbtSecret"} <= kept and not {"Lake", "LakeKey", "LakePolicy"} & kept, sorted(kept))

    def test_what_is_imported_does_not_point_to_what_is_gone(self):
        gone = Account()
        # The queue is there, and its dead letters' is not.
        gone.clients["sqs"].get_queue_url.side_effect = [{"QueueUrl": "https://sqs/spool"}, refused("QueueDoesNotExist")]
        gone.run()
        resources = json.loads(gone.clients["cloudformation"].create_change_set.call_args.kwargs["TemplateBody"])["Resources"]
        self.assertNotIn("SpoolDead", resources)
        self.assertEqual(set(resources["SpoolQueue"]["Properties"]), {"QueueName", "SqsManagedSseEnabled", "VisibilityTimeout", "MessageRetentionPeriod"})
        self.assertIn("BucketEncryption", resources["Lake"]["Properties"])

    def test_a_secret_that_waits_for_its_deletion_is_told(self):
        dying = Account()
        dying.clients["secretsmanager"].describe_secret.side_effect = lambda SecretId: {"ARN": "a", "DeletedDate": "2026-01-01"}
        with self.assertRaisesRegex(SystemExit, "restore-secret --secret-id sluice-dev/"):
            dying.run("--dry-run")

    def test_the_import_is_made_waited_for_and_executed_in_this_order(self):
        account = Account()
        said, calls = account.run("--role", "arn:role")
        self.assertIn(f"{STACK} has what the earlier stack left", said)
        steps = [name for name, _, _ in calls if "." not in name and "()" not in name]
        self.assertEqual(steps, ["describe_stacks", "create_change_set", "get_waiter", "execute_change_set", "get_waiter"])
        change = calls[1].kwargs
        self.assertEqual((change["StackName"], change["ChangeSetType"], change["RoleARN"]), (STACK, "IMPORT", "arn:role"))
        body = json.loads(change["TemplateBody"])
        imported = {one["LogicalResourceId"] for one in change["ResourcesToImport"]}
        self.assertEqual(imported, set(body["Resources"]))
        account.statuses(None)
        account.run()
        again = account.clients["cloudformation"].create_change_set.call_args.kwargs
        self.assertNotEqual(again["ChangeSetName"], change["ChangeSetName"], "one that was left would be in the way")
        self.assertNotIn("RoleARN", again)

    def test_an_import_that_is_refused_or_ended_leaves_no_stack(self):
        whys = {"owned by another": ended(Status="FAILED", StatusReason="owned by another"), "ended at the terminal": KeyboardInterrupt()}
        for why, failure in whys.items():
            account = Account()
            account.statuses(None, "REVIEW_IN_PROGRESS")
            account.pages(list_change_sets={"Summaries": [{"Status": "DELETE_IN_PROGRESS"}]})
            account.waits(change_set_create_complete=failure)
            with self.assertRaisesRegex(SystemExit, f"nothing was imported: {why}"):
                account.run()
            self.assertEqual(account.steps(), ["create_change_set", "delete_change_set", "delete_stack"])

    def test_a_stack_with_somebody_elses_plan_stays(self):
        account = Account()
        account.statuses("REVIEW_IN_PROGRESS", "REVIEW_IN_PROGRESS")
        account.pages(list_change_sets={"Summaries": [{"Status": "CREATE_COMPLETE"}]})
        account.waits(change_set_create_complete=ended(Status="FAILED"))
        with self.assertRaises(SystemExit):
            account.run()
        self.assertEqual(account.steps(), ["create_change_set", "delete_change_set"])

    def test_an_import_that_was_rolled_back_names_its_cause_and_leaves_no_stack(self):
        account = Account()
        account.statuses(None, "ROLLBACK_COMPLETE")
        events = [{"ResourceStatus": "IMPORT_FAILED", "LogicalResourceId": "DbtSecret", "ResourceStatusReason": "not found"}]
        account.pages(describe_stack_events={"StackEvents": events})
        account.waits(stack_import_complete=ended(Stacks=[{"StackStatus": "ROLLBACK_COMPLETE"}]))
        with self.assertRaisesRegex(SystemExit, "nothing was imported: DbtSecret: not found"):
            account.run()
        self.assertEqual(account.steps(), ["create_change_set", "execute_change_set", "delete_stack"])

    def test_a_stack_that_is_there_takes_over_nothing(self):
        account = Account()
        account.statuses("UPDATE_COMPLETE")
        with self.assertRaisesRegex(SystemExit, "is UPDATE_COMPLETE"):
            account.run()
        self.assertEqual(account.steps(), [])


if __name__ == "__main__":
    unittest.main()
