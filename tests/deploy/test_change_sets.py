"""How a stage's change sets come and go, against the AWS of one machine with policies in force and a small template."""

import http.server
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import one_machine

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/docs"))

from cloudformation import Template  # noqa: E402 It reads the template for the reference, too.

SLUICE = ROOT / "target/x86_64-unknown-linux-gnu/release/sluice"
ACCOUNT, REGION, STACK = "000000000000", "us-east-1", "sluice-dev"
ARTIFACTS = "sluice-artifacts"
STAGE = """
[{name}.global.parameters]
region = "us-east-1"
[{name}.sluice.parameters]
account = "000000000000"
[{name}.deploy.parameters]
stack_name = "sluice-{name}"
s3_bucket = "sluice-artifacts"
s3_prefix = "sluice-{name}"
template_file = "{template}"
parameter_overrides = ["Stage={name}", "SchedulesEnabled=DISABLED"]
"""
PARAMETERS = {name: {"Type": "String", "Default": ""} for name in ("Stage", "SchedulesEnabled")}


def queues(count, **resources):
    """A template of so many queues."""
    made = {f"Queue{n}": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{STACK}-{n}"}} for n in range(count)}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Parameters": PARAMETERS, "Resources": {**made, **resources}}


class Giver(http.server.BaseHTTPRequestHandler):
    """Credentials twice, for the look whether there are any and for the clients. GitHub's token, too, is taken for some minutes only."""

    given = 0

    def do_GET(self):
        Giver.given += 1
        gives = {"AccessKeyId": "test", "SecretAccessKey": "test", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}
        body = json.dumps(gives if Giver.given <= 2 else {}).encode()
        self.send_response(200 if Giver.given <= 2 else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class ChangeSets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = staticmethod(one_machine.started(cls, with_policies=True))
        cls.url = cls.client("sts").meta.endpoint_url
        cls.client("s3").create_bucket(Bucket=ARTIFACTS)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.config, self.template = self.folder / "samconfig.toml", self.folder / "template.json"
        self.config.write_text("version = 0.1\n" + "".join(STAGE.format(name=name, template=self.template) for name in ("dev", "other")))
        self.template.write_text(json.dumps(queues(2)))
        self.cloudformation, self.secrets, self.sqs = map(self.client, ("cloudformation", "secretsmanager", "sqs"))
        self.secret("snowflake-provisioner")
        self.addCleanup(self.cloudformation.delete_stack, StackName=STACK)
        # The emulator keeps those of a stack that is gone.
        self.addCleanup(lambda: [self.cloudformation.delete_change_set(ChangeSetName=one) for one in self.change_sets()])

    def secret(self, name):
        """One that was there before the stack, or that an earlier stack has left."""
        name = f"{STACK}/{name}"
        self.secrets.create_secret(Name=name, SecretString='{"private_key": "k"}')
        self.addCleanup(self.secrets.delete_secret, SecretId=name, ForceDeleteWithoutRecovery=True)

    def lake(self):
        """The bucket that an earlier stack has left, and its key."""
        s3, bucket = self.client("s3"), f"{STACK}-lake-{ACCOUNT}"
        s3.create_bucket(Bucket=bucket)
        self.addCleanup(s3.delete_bucket, Bucket=bucket)
        key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.client("kms").create_key()["KeyMetadata"]["Arn"]}
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": key}]}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)

    def called(self, verb, *arguments, stage="dev", key=("test", "test")):
        """A command line and its environment."""
        known = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        keys = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), key), AWS_ENDPOINT_URL=self.url, SAM_CLI_POLL_DELAY="0.1")
        return [SLUICE, verb, "--env", stage, "--config", self.config, *arguments], {**known, **keys}

    def sluice(self, *arguments, **how):
        """Status and standard streams of a command that nobody answers."""
        called, environment = self.called(*arguments, **how)
        done = subprocess.run(called, env=environment, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def answer(self, *arguments, **how):
        status, said, error = self.sluice(*arguments, "--json", **how)
        self.assertEqual(status, 0, error)
        return json.loads(said)

    def stacks(self):
        found = self.cloudformation.list_stacks()["StackSummaries"]
        return {one["StackName"]: one["StackStatus"] for one in found if one["StackStatus"] != "DELETE_COMPLETE"}

    def change_sets(self):
        return [one["ChangeSetId"] for one in self.cloudformation.list_change_sets(StackName=STACK)["Summaries"]]

    def saved(self):
        """A plan that was kept, and its change set."""
        file = self.folder / "plan.json"
        self.answer("diff", "--built", "--save", file)
        return file, json.loads(file.read_text())["change_set"]

    def test_a_look_leaves_nothing_behind(self):
        self.assertEqual(self.answer("diff", "--built")["changes"][0]["resource"], "Queue0")
        self.assertEqual(self.stacks(), {})

    def test_a_plan_that_was_kept_outlives_another_look(self):
        file, kept = self.saved()
        self.answer("diff", "--built")
        self.assertEqual((self.change_sets(), self.stacks()), ([kept], {STACK: "REVIEW_IN_PROGRESS"}))
        self.assertEqual(self.answer("deploy", "--plan", file, "--yes")["status"], "CREATE_COMPLETE")

    def test_a_change_set_without_a_change_is_deleted(self):
        file, _ = self.saved()
        self.answer("deploy", "--plan", file, "--yes")
        before = self.change_sets()
        self.assertNotIn("change_set", self.answer("diff", "--built"))
        self.assertEqual(self.change_sets(), before)

    def test_a_plan_is_carried_out_in_no_other_stage(self):
        file, kept = self.saved()
        nothing = self.folder / "nothing.json"
        nothing.write_text(json.dumps({"change_set": None, "stack": STACK, "changes": []}))
        for plan in (file, nothing):
            status, _, error = self.sluice("deploy", "--plan", plan, "--yes", stage="other")
            self.assertEqual(status, 2, error)
            self.assertIn("and the stage other is sluice-other", error)
        self.assertEqual(self.change_sets(), [kept])
        self.assertEqual(self.stacks(), {STACK: "REVIEW_IN_PROGRESS"})

    def test_ctrl_c_at_the_question_leaves_nothing_behind(self):
        called, environment = self.called("deploy", "--built")
        terminal, its_end = pty.openpty()
        asking = subprocess.Popen(called, env=environment, cwd=ROOT, stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True)
        os.close(its_end)
        said, deadline = b"", time.monotonic() + 120
        while b"[y/N]" not in said:
            self.assertLess(time.monotonic(), deadline, said)
            if select.select([terminal], [], [], 1)[0]:
                said += os.read(terminal, 65536)
        asking.send_signal(signal.SIGINT)
        self.assertEqual(asking.wait(60), 2)
        os.close(terminal)
        self.assertEqual(self.stacks(), {})

    def test_a_failed_creation_names_its_cause_and_what_to_do(self):
        broken = {
            "Type": "AWS::SQS::Queue",
            "DependsOn": [f"Queue{n}" for n in range(60)],
            "DeletionPolicy": "RetainExceptOnCreate",
            "Properties": {"QueueName": f"{STACK}-broken", "VisibilityTimeout": 99999},
        }
        self.template.write_text(json.dumps(queues(60, Broken=broken)))
        status, _, error = self.sluice("deploy", "--built", "--yes")
        self.assertEqual(status, 1, error)
        self.assertIn(f"{STACK} is ROLLBACK_COMPLETE: Broken (AWS::SQS::Queue): ", error)
        self.assertIn("`sluice destroy`", error)
        status, said, _ = self.sluice("deploy", "--built", "--yes")
        self.assertEqual(status, 1)
        self.assertIn("CloudFormation only lets it be deleted: `sluice destroy`", said)

    def test_a_deployment_goes_on_with_the_credentials_that_it_began_with(self):
        file, _ = self.saved()
        server = http.server.HTTPServer(("127.0.0.1", 0), Giver)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        called, environment = self.called("deploy", "--plan", file, "--yes", "--json")
        environment = {name: value for name, value in environment.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        environment |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/", **files}
        done = subprocess.run(called, env=environment, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["status"], "CREATE_COMPLETE")

    def test_a_mend_takes_nothing_built_and_tells_the_stacks_own_schedules(self):
        parameters = [{"ParameterKey": "Stage", "ParameterValue": "dev"}, {"ParameterKey": "SchedulesEnabled", "ParameterValue": "ENABLED"}]
        self.cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(queues(2)), Parameters=parameters)
        self.cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
        self.sqs.delete_queue(QueueUrl=self.sqs.get_queue_url(QueueName=f"{STACK}-1")["QueueUrl"])
        text = self.config.read_text().replace(str(self.template), str(self.folder / "never-built/template.yaml"))
        self.config.write_text(text)
        self.assertEqual([one["resource"] for one in self.answer("diff", "--mend")["changes"]], ["Queue1"])
        answer = self.answer("deploy", "--mend", "--yes")
        self.assertEqual((answer["status"], answer["changed"], answer["schedules"]), ("UPDATE_COMPLETE", 1, True), answer)

    def test_what_is_left_is_imported_by_nobody_who_was_not_asked(self):
        self.lake()
        status, _, error = self.sluice("deploy", "--built")
        self.assertEqual(status, 2, error)
        self.assertIn("there is no terminal to ask at", error)
        self.assertEqual(self.stacks(), {})

    def test_what_is_left_without_its_lake_is_imported_too(self):
        self.secret("dbt")
        queue = self.sqs.create_queue(QueueName=f"{STACK}-spool")["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=queue)
        found = {one["resource"] for one in self.answer("diff", "--built")["imported"]}
        self.assertEqual(found, {"DbtSecret", "SpoolQueue"})

    def test_an_import_that_fails_leaves_no_stack_and_can_be_made_again(self):
        self.secret("dbt")  # The emulator of CloudFormation imports no secrets.
        for _ in range(2):
            status, _, error = self.sluice("deploy", "--built", "--yes")
            self.assertEqual(status, 1, error)
            self.assertIn("import-kept: nothing was imported", error)
            self.assertNotIn("Traceback", error)
            self.assertEqual(self.stacks(), {})

    def test_the_role_for_plans_suffices_for_a_plan(self):
        plan = ("diff", "--built", "--prefix", "main")
        self.assertEqual(len(self.answer(*plan, key=self.planner())["changes"]), 2)
        file, _ = self.saved()
        self.answer("deploy", "--plan", file, "--yes")
        self.template.write_text(json.dumps(queues(3)))
        plan = self.answer(*plan, key=self.planner())
        self.assertEqual([check["what"] for check in plan["checks"] if check["health"] != "ok"], [])
        self.assertEqual([one["resource"] for one in plan["changes"]], ["Queue2"])

    def test_a_secret_that_may_not_be_seen_is_no_secret_without_a_value(self):
        key = self.planner(without="SeeSecrets")
        status, said, error = self.sluice("diff", "--built", key=key)
        self.assertNotIn("has no value", said + error)
        self.assertIn("AccessDeniedException", said + error)
        denied = one_machine.boto3.client("secretsmanager", endpoint_url=self.url, region_name=REGION, **dict(zip(("aws_access_key_id", "aws_secret_access_key"), key)))
        with self.assertRaises(denied.exceptions.ClientError) as refused:
            denied.describe_secret(SecretId=f"{STACK}/snowflake-provisioner")
        self.assertEqual(refused.exception.response["ResponseMetadata"]["HTTPStatusCode"], 400)

    def planner(self, without=None):
        """The key of a user with the rights of PlanRole."""
        template = Template((ROOT / "template-ci.yaml").read_text(encoding="utf-8"))
        makes = template.resources["MakeChangeSets"]["Properties"]["PolicyDocument"]["Statement"]
        zips = template.resources["PlanRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        policy = {"Version": "2012-10-17", "Statement": [one for one in makes + zips if one["Sid"] != without]}
        names = {"Partition": "aws", "Region": REGION, "AccountId": ACCOUNT}
        text = json.dumps(policy).replace("${StackName}", STACK).replace("${ArtifactsBucket}", ARTIFACTS)
        for name, value in names.items():
            text = text.replace(f"${{AWS::{name}}}", value)
        role = f"arn:aws:iam::{ACCOUNT}:role/{STACK}-ci-stack"
        written = json.loads(text, object_hook=lambda one: role if "Fn::GetAtt" in one else one.get("Fn::Sub", one))
        iam, name = self.client("iam"), f"planner-{without}-{time.monotonic_ns()}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="least", PolicyDocument=json.dumps(written))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]


if __name__ == "__main__":
    unittest.main()
