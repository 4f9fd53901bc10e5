"""Who may use the lake's key, as the template's policies say it: parts of the template in an AWS of one machine whose policies are in
force."""

import copy
import json
import subprocess
import time
import unittest

from botocore.exceptions import ClientError
from one_machine import ROOT, started

PARTS = ["LakeKey", "Lake", "LakePolicy", "LoadQueue", "LoadDead", "LoadQueuePolicy", "FailedRuns", "SnowflakeLoaderSecret", "AlertsSecret",
         "Alarms", "AlarmsPolicy", "AlarmsDead", "AlarmsDeadPolicy", "Bus", "FailureRule", "WatchPlatformLogs", "WatchPlatformRole", "WatchPlatformPolicy"]
LAKE = "sluice-test-lake-000000000000"


def template():
    """The parts, with their loops expanded."""
    command = [ROOT / ".tools/venv/ministack/bin/python", ROOT / "tests/it/expand.py", json.dumps({"KafkaTopics": "purchases"})]
    with open(ROOT / "template.yaml") as text:
        whole = json.loads(subprocess.run(command, stdin=text, check=True, capture_output=True, text=True).stdout)["expanded"]
    parts = {name: whole["Resources"][name] for name in PARTS}
    return {**{section: whole[section] for section in ("Parameters", "Conditions", "Mappings")}, "Resources": parts}


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = staticmethod(started(cls, with_policies=True))
        cls.template = template()
        cls.client("cloudformation").create_stack(**cls.stack(cls.template))
        cls.topic = "arn:aws:sns:us-east-1:000000000000:sluice-test-alarms"
        lets = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}
        attributes = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [lets]})}
        cls.queue = cls.client("sqs").create_queue(QueueName="mail", Attributes=attributes)["QueueUrl"]
        cls.client("sns").subscribe(TopicArn=cls.topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:mail")

    @staticmethod
    def stack(body):
        values = {"Stage": "local", "SnowflakeAccount": "A-B"}
        parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]
        return {"StackName": "sluice-test", "TemplateBody": json.dumps(body), "Parameters": parameters, "Capabilities": ["CAPABILITY_NAMED_IAM"]}

    def changed(self, change):
        """The stack with another template until the test has ended."""
        body = copy.deepcopy(self.template)
        change(body["Resources"])
        client = self.client("cloudformation")
        client.update_stack(**self.stack(body))
        self.addCleanup(client.update_stack, **self.stack(self.template))

    def watcher(self, service):
        """A client with the rights of the watcher's role."""
        name = self.client("cloudformation").describe_stack_resource(StackName="sluice-test", LogicalResourceId="WatchPlatformRole")
        name = name["StackResourceDetail"]["PhysicalResourceId"]
        iam = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
        role = iam.get_role(RoleName=name)["Role"]["Arn"]
        keys = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        known = {"aws_access_key_id": keys["AccessKeyId"], "aws_secret_access_key": keys["SecretAccessKey"]}
        return self.client(service, {**known, "aws_session_token": keys["SessionToken"]})

    def heard(self):
        """What the subscriber of the topic has got within a second."""
        for _ in range(20):
            found = self.client("sqs").receive_message(QueueUrl=self.queue).get("Messages", [])
            for message in found:
                self.client("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            if found:
                return [json.loads(message["Body"])["Message"] for message in found]
            time.sleep(0.05)
        return []

    def announced(self):
        entry = {"Source": "sluice.warehouse", "DetailType": "DriftDetected", "Detail": "{}", "EventBusName": "sluice-test-bus"}
        self.client("events").put_events(Entries=[entry])
        return self.heard()

    def test_the_watcher_publishes_to_the_topic_and_keeps_objects(self):
        self.watcher("sns").publish(TopicArn=self.topic, Message="a fault")
        self.assertEqual(self.heard(), ["a fault"])
        lake = self.watcher("s3")
        lake.put_object(Bucket=LAKE, Key="watch/board.json", Body=b"{}")
        self.assertEqual(lake.get_object(Bucket=LAKE, Key="watch/board.json")["Body"].read(), b"{}")

    def test_the_bus_publishes_what_needs_a_person(self):
        self.assertEqual(len(self.announced()), 1)

    def test_a_key_that_takes_only_what_comes_through_s3_keeps_the_watcher_silent(self):
        def change(resources):
            statement = resources["LakeKey"]["Properties"]["KeyPolicy"]["Statement"][1]
            statement["Condition"]["StringEquals"]["kms:ViaService"].pop()

        self.changed(change)
        with self.assertRaises(ClientError) as refused:
            self.watcher("sns").publish(TopicArn=self.topic, Message="a fault")
        self.assertIn("AuthorizationError", str(refused.exception))
        self.watcher("s3").put_object(Bucket=LAKE, Key="watch/board.json", Body=b"{}")

    def test_a_key_that_asks_the_bus_for_its_account_keeps_the_bus_silent(self):
        def change(resources):
            resources["LakeKey"]["Properties"]["KeyPolicy"]["Statement"][2]["Condition"]["StringEquals"]["aws:SourceAccount"] = "000000000000"

        self.changed(change)
        self.assertEqual(self.announced(), [])

    def test_a_topic_that_asks_the_bus_for_its_account_keeps_the_bus_silent(self):
        def change(resources):
            statement = resources["AlarmsPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
            statement["Condition"] = {"StringEquals": {"aws:SourceAccount": "000000000000"}}

        self.changed(change)
        self.assertEqual(self.announced(), [])

    def test_who_may_not_use_the_key_reads_no_object(self):
        self.watcher("s3").put_object(Bucket=LAKE, Key="watch/board.json", Body=b"{}")

        def change(resources):
            statements = resources["WatchPlatformRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            statements[:] = [one for one in statements if one["Sid"] != "UseLakeKey"]

        self.changed(change)
        for use in (lambda s3: s3.get_object(Bucket=LAKE, Key="watch/board.json"), lambda s3: s3.put_object(Bucket=LAKE, Key="watch/board.json", Body=b"")):
            with self.assertRaises(ClientError) as refused:
                use(self.watcher("s3"))
            self.assertIn("AccessDenied", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
