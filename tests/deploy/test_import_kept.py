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

from botocore.exceptions import ClientError  # noqa: E402

import import_kept  # noqa: E402 It lies beside the other tools.
from import_kept import Template  # noqa: E402

ACCOUNT, STACK = "123456789012", "sluice-dev"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/0b5c"


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
        missing = {"Error": {"Code": "ResourceNotFoundException", "Message": "gone"}}
        gone.clients["secretsmanager"].describe_secret.side_effect = ClientError(missing, "DescribeSecret")
        said, _ = gone.run("--dry-run")
        kept = {one["LogicalResourceId"] for one in json.loads(said)}
        self.assertTrue({"Lake", "LakeKey", "SpoolQueue"} <= kept and "DbtSecret" not in kept, sorted(kept))
        refused = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
        gone.clients["secretsmanager"].describe_secret.side_effect = ClientError(refused, "DescribeSecret")
        with self.assertRaises(ClientError):
            gone.run("--dry-run")

    def test_the_import_is_made_waited_for_and_executed_in_this_order(self):
        said, calls = Account().run()
        self.assertIn(f"{STACK} has what the earlier stack left", said)
        steps = [name for name, _, _ in calls if "." not in name and "()" not in name]
        self.assertEqual(steps, ["create_change_set", "get_waiter", "execute_change_set", "get_waiter"])
        change = calls[0].kwargs
        self.assertEqual((change["StackName"], change["ChangeSetType"]), (STACK, "IMPORT"))
        body = json.loads(change["TemplateBody"])
        imported = {one["LogicalResourceId"] for one in change["ResourcesToImport"]}
        self.assertEqual(imported, set(body["Resources"]))


if __name__ == "__main__":
    unittest.main()
