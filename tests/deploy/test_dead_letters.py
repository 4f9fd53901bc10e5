"""What `sluice retry --dead` does with letters that cannot go back, against queues of the AWS of one machine."""

import json
import os
import subprocess
import unittest
from pathlib import Path

import one_machine

ROOT = Path(__file__).resolve().parents[2]
SLUICE = ROOT / "target/x86_64-unknown-linux-gnu/release/sluice"
STACK = "sluice-letters"
QUEUES = ("LoadQueue", "LoadDead", "FailedRuns")


class DeadLetters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = staticmethod(one_machine.started(cls))
        cls.sqs = cls.client("sqs")
        queues = {name: {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{STACK}-{name}"}} for name in QUEUES}
        template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": queues}
        cls.client("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(template))
        cls.client("cloudformation").get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})

    def setUp(self):
        # A queue that a test has deleted is there again.
        self.urls = {name: self.sqs.create_queue(QueueName=f"{STACK}-{name}")["QueueUrl"] for name in QUEUES}
        for url in self.urls.values():
            self.sqs.purge_queue(QueueUrl=url)

    def retry(self, name):
        known = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        url = self.client("sts").meta.endpoint_url
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
        called = [SLUICE, "--stack", STACK, "--json", "retry", "--dead", name]
        done = subprocess.run(called, env={**known, **keys}, cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertTrue(done.stdout, done.stderr)
        return done.returncode, json.loads(done.stdout), done.stderr

    def put(self, name, *bodies):
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.urls[name], MessageBody=body)

    def look(self, name):
        """What is there to be read now."""
        found = self.sqs.receive_message(QueueUrl=self.urls[name], MaxNumberOfMessages=10, VisibilityTimeout=0)
        return sorted(one["Body"] for one in found.get("Messages", []))

    def test_a_letter_that_its_queue_does_not_take_lies_there_at_once(self):
        self.put("LoadDead", "1", "2")
        self.sqs.delete_queue(QueueUrl=self.urls["LoadQueue"])
        status, answer, error = self.retry("load")
        self.assertEqual((status, answer), (1, {"dead_letters": "load", "sent_back": 0, "left": 2, "in_hand": 0}), error)
        self.assertIn("cannot send to the queue", error)
        self.assertEqual(self.look("LoadDead"), ["1", "2"])

    def test_an_unusable_letter_keeps_no_other_back(self):
        self.put("FailedRuns", "no JSON", '{"time": "2026-01-01"}')
        status, answer, error = self.retry("runs")
        self.assertEqual((status, answer["sent_back"], answer["left"]), (1, 0, 2), error)
        self.assertEqual(self.look("FailedRuns"), ["no JSON", '{"time": "2026-01-01"}'])

    def test_a_message_that_the_scheduler_could_not_send_reaches_its_queue(self):
        arn = self.sqs.get_queue_attributes(QueueUrl=self.urls["LoadQueue"], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        noted = {"TARGET_ARN": arn, "ERROR_CODE": "AWS.SimpleQueueService.NonExistentQueue", "RETRY_ATTEMPTS": "5"}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in noted.items()}
        self.sqs.send_message(QueueUrl=self.urls["FailedRuns"], MessageBody='{"full_refresh": true}', MessageAttributes=attributes)
        status, answer, error = self.retry("runs")
        self.assertEqual((status, answer["sent_back"], answer["left"]), (0, 1, 0), error)
        found = self.sqs.receive_message(QueueUrl=self.urls["LoadQueue"], MessageAttributeNames=["All"])["Messages"]
        self.assertEqual([(one["Body"], one.get("MessageAttributes")) for one in found], [('{"full_refresh": true}', None)])
        self.assertEqual(self.look("FailedRuns"), [])

    def test_letters_in_hand_are_counted_and_the_others_go_back(self):
        self.put("LoadDead", "1", "2")
        self.sqs.receive_message(QueueUrl=self.urls["LoadDead"], MaxNumberOfMessages=1, VisibilityTimeout=600)
        status, answer, error = self.retry("load")
        self.assertEqual((status, answer["sent_back"], answer["in_hand"]), (0, 1, 1), error)
        self.assertEqual(len(self.look("LoadQueue")), 1)


if __name__ == "__main__":
    unittest.main()
