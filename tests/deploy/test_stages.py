"""A stage is refused before anything is made, against the AWS of one machine. tests/cli/stage brings one up whole."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import one_machine

ROOT = Path(__file__).resolve().parents[2]
SLUICE = ROOT / "target/x86_64-unknown-linux-gnu/release/sluice"
ACCOUNT = "000000000000"
# What somebody who owns an account has written.
STAGE = """
[dev.global.parameters]
region = "us-east-1"
[dev.sluice.parameters]
account = "{account}"
[dev.deploy.parameters]
stack_name = "{stack}"
parameter_overrides = [{parameters}]
"""


class Stages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = staticmethod(one_machine.started(cls))

    def sluice(self, *arguments, account=ACCOUNT, parameters=('"Stage=dev"',), stack="sluice-dev", **environment):
        """Status and standard streams of the command, with a stage of its own."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        config = Path(folder.name, "samconfig.toml")
        config.write_text(STAGE.format(account=account, stack=stack, parameters=", ".join(parameters)))
        known = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": self.client("sts").meta.endpoint_url}
        called = [SLUICE, *arguments, "--env", "dev", "--config", config]
        done = subprocess.run(called, env={**known, **keys, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def stacks(self):
        known = self.client("cloudformation").list_stacks()["StackSummaries"]
        return [stack for stack in known if stack["StackStatus"] != "DELETE_COMPLETE"]

    def test_another_account_than_the_stages_is_refused(self):
        self.provisioner()
        for verb in (["deploy", "--built", "--yes"], ["diff", "--built"], ["destroy", "--confirm", "sluice-dev"], ["verify"]):
            status, said, error = self.sluice(*verb, account="123456789012")
            self.assertEqual(status, 1, (verb, said, error))
            self.assertIn(f"these credentials are of {ACCOUNT}, and the stage dev lives in 123456789012", error, verb)
            self.assertIn("[dev.sluice.parameters]", error, verb)
        self.assertEqual(self.stacks(), [])

    def test_what_is_left_to_fill_in_is_refused_by_its_names(self):
        self.provisioner()
        parameters = ('"SnowflakeAccount=CHANGE-ME"', '"AlarmEmail=CHANGE-ME"')
        status, _, error = self.sluice("deploy", "--built", "--yes", parameters=parameters)
        self.assertEqual(status, 1)
        self.assertIn("still CHANGE-ME: SnowflakeAccount, AlarmEmail", error)
        self.assertEqual(self.stacks(), [])

    def test_a_reservation_beyond_the_quota_and_a_missing_first_user_are_told_together(self):
        parameters = ('"EnableCollect=true"', '"CollectConcurrency=950"')
        status, said, error = self.sluice("deploy", "--built", "--yes", parameters=parameters)
        self.assertEqual(status, 1)
        self.assertIn("2 checks have failed", error)
        self.assertIn("CollectEvents reserves 950", said)
        self.assertIn("sluice warehouse bootstrap --stack sluice-dev", said)

    def test_a_stream_with_a_user_waits_for_its_secret(self):
        self.provisioner()
        parameters = ('"Kafka=SASL"', '"KafkaAuth=PLAIN"', '"KafkaBootstrap=broker:9092"')
        status, _, error = self.sluice("deploy", "--built", "--yes", parameters=parameters)
        self.assertEqual((status, "sluice-dev/kafka has no value" in error, "Kafka=NONE" in error), (1, True, True), error)
        self.assertEqual(self.stacks(), [])

    def test_a_name_that_others_are_made_of_is_refused_where_it_does_not_fit(self):
        for stack in ("Sluice-dev", "s" * 42):
            status, said, _ = self.sluice("deploy", "--built", "--yes", stack=stack)
            self.assertEqual((status, f"{stack} is no part of a bucket's name" in said), (1, True), said)

    def test_no_credentials_say_how_to_log_in(self):
        status, _, error = self.sluice("diff", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="true", HOME="/nonexistent")
        self.assertEqual(status, 1)
        self.assertIn("aws sso login", error)

    def test_a_stack_that_is_not_there_cannot_be_destroyed(self):
        status, _, error = self.sluice("destroy", "--confirm", "sluice-dev")
        self.assertEqual((status, "there is no such stack" in error), (1, True), error)

    def test_a_protected_stack_says_how_its_protection_is_taken_off(self):
        cloudformation = self.client("cloudformation")
        template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Delete"}}}
        cloudformation.create_stack(StackName="sluice-dev", TemplateBody=json.dumps(template), EnableTerminationProtection=True)
        cloudformation.get_waiter("stack_create_complete").wait(StackName="sluice-dev", WaiterConfig={"Delay": 1})
        status, _, error = self.sluice("destroy", "--confirm", "sluice-dev")
        self.assertEqual(status, 1)
        self.assertIn("sluice-dev is protected against deletion", error)
        self.assertIn("--no-enable-termination-protection --stack-name sluice-dev", error)
        cloudformation.update_termination_protection(StackName="sluice-dev", EnableTerminationProtection=False)
        status, said, error = self.sluice("destroy", "--confirm", "sluice-dev")
        self.assertEqual((status, "sluice-dev in account 000000000000 is gone" in said), (0, True), error)

    def test_refusals_are_json_where_that_is_asked_for(self):
        self.provisioner()
        status, said, error = self.sluice("deploy", "--built", "--yes", "--json", account="123456789012")
        self.assertEqual((status, said), (1, ""))
        self.assertIn("lives in 123456789012", json.loads(error)["error"]["message"])

    def provisioner(self):
        """The one secret that is there before a stack."""
        secrets = self.client("secretsmanager")
        secrets.create_secret(Name="sluice-dev/snowflake-provisioner", SecretString='{"private_key": "k"}')
        self.addCleanup(secrets.delete_secret, SecretId="sluice-dev/snowflake-provisioner", ForceDeleteWithoutRecovery=True)


if __name__ == "__main__":
    unittest.main()
