"""What the AWS of one machine must be as strict about as AWS is: resources that were deleted by hand, the archive of a bus, damaged bodies."""

import datetime
import json
import time
import unittest
import uuid

import one_machine
from botocore.exceptions import ClientError

TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"},
                                                 "Action": "sts:AssumeRole"}]}
LEAST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}


def rule(name):
    return {"Type": "AWS::Events::Rule", "Properties": {
        "Name": name, "EventBusName": {"Ref": "Bus"}, "EventPattern": {"source": ["test"]},
        "Targets": [{"Id": "queue", "Arn": {"Fn::GetAtt": [name, "Arn"]}}]}}


def template(seconds=30):
    return {"Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "queue", "VisibilityTimeout": seconds}},
        "One": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "one"}},
        "Two": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "two"}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {
            "RoleName": "role", "AssumeRolePolicyDocument": TRUST, "Policies": [{"PolicyName": "least", "PolicyDocument": LEAST}]}},
        "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": {
            "Name": "schedule", "State": "DISABLED", "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}}},
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "bus"}},
        "Archive": {"Type": "AWS::Events::Archive", "Properties": {
            "ArchiveName": "archive", "SourceArn": {"Fn::GetAtt": ["Bus", "Arn"]}, "RetentionDays": 14}},
        "RuleOne": {**rule("One"), "Properties": {**rule("One")["Properties"], "Name": "rule-one"}},
        "RuleTwo": {**rule("Two"), "Properties": {**rule("Two")["Properties"], "Name": "rule-two"}},
    }}


class Emulated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = staticmethod(one_machine.started(cls))
        services = ("cloudformation", "sqs", "scheduler", "iam", "events", "s3")
        cls.stacks, cls.queues, cls.schedules, cls.roles, cls.bus, cls.s3 = map(cls.client, services)

    def setUp(self):
        self.name = f"stack-{uuid.uuid4().hex[:8]}"
        self.stacks.create_stack(StackName=self.name, TemplateBody=json.dumps(template()), Capabilities=["CAPABILITY_NAMED_IAM"])
        self.assertEqual(self.status(), "CREATE_COMPLETE")
        self.addCleanup(self.drop)

    def drop(self):
        self.stacks.delete_stack(StackName=self.name)
        self.until(lambda: not [one for one in self.stacks.list_stacks()["StackSummaries"]
                                if one["StackName"] == self.name and one["StackStatus"] != "DELETE_COMPLETE"])

    def until(self, holds):
        deadline = time.monotonic() + 30
        while not (found := holds()):
            self.assertLess(time.monotonic(), deadline)
        return found

    def status(self):
        def ended():
            status = self.stacks.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            return not status.endswith("_IN_PROGRESS") and status
        return self.until(ended)

    def change(self, body=None, **options):
        """A change set, and its changes by resource."""
        name = f"change-{uuid.uuid4().hex}"
        given = {"TemplateBody": json.dumps(body)} if body else {"UsePreviousTemplate": True}
        self.stacks.create_change_set(StackName=self.name, ChangeSetName=name, Capabilities=["CAPABILITY_NAMED_IAM"], **given, **options)
        found = self.stacks.describe_change_set(StackName=self.name, ChangeSetName=name)
        return name, {one["ResourceChange"]["LogicalResourceId"]: one["ResourceChange"] for one in found["Changes"]}

    def execute(self, name):
        self.stacks.execute_change_set(StackName=self.name, ChangeSetName=name)
        return self.status()

    def damage(self):
        self.queues.delete_queue(QueueUrl=self.queues.get_queue_url(QueueName="queue")["QueueUrl"])
        self.schedules.delete_schedule(Name="schedule")
        self.roles.delete_role_policy(RoleName="role", PolicyName="least")

    def test_an_update_brings_back_nothing_that_it_does_not_change(self):
        self.damage()
        _, changes = self.change(template())
        self.assertEqual(changes, {})

    def test_an_update_of_what_was_deleted_fails_and_is_taken_back(self):
        self.damage()
        name, changes = self.change(template(seconds=60))
        self.assertEqual(changes["Queue"]["Action"], "Modify")
        self.assertEqual(self.execute(name), "UPDATE_ROLLBACK_COMPLETE")
        events = self.stacks.describe_stack_events(StackName=self.name)["StackEvents"]
        self.assertTrue(any("NotFound" in event.get("ResourceStatusReason", "") for event in events), events)

    def test_a_change_set_of_drift_makes_again_what_was_deleted(self):
        self.damage()
        name, changes = self.change(DeploymentMode="REVERT_DRIFT")
        drifts = {resource: change["ResourceDriftStatus"] for resource, change in changes.items()}
        self.assertEqual(drifts, {"Queue": "DELETED", "Schedule": "DELETED", "Role": "MODIFIED"})
        self.assertEqual(self.execute(name), "UPDATE_COMPLETE")
        self.queues.get_queue_url(QueueName="queue")
        self.assertEqual(self.schedules.get_schedule(Name="schedule")["State"], "DISABLED")
        self.assertEqual(self.roles.get_role_policy(RoleName="role", PolicyName="least")["PolicyDocument"], LEAST)
        _, changes = self.change(DeploymentMode="REVERT_DRIFT")
        self.assertEqual(changes, {})

    def test_a_replay_goes_to_the_rules_that_it_names(self):
        event = {"Source": "test", "DetailType": "Test", "Detail": "{}", "EventBusName": "bus"}
        self.bus.disable_rule(Name="rule-one", EventBusName="bus")
        self.bus.put_events(Entries=[event])
        self.bus.enable_rule(Name="rule-one", EventBusName="bus")
        archive, now = self.bus.describe_archive(ArchiveName="archive"), datetime.datetime.now(datetime.timezone.utc)
        arn = self.bus.describe_rule(Name="rule-one", EventBusName="bus")["Arn"]
        name = f"replay-{uuid.uuid4().hex}"
        self.bus.start_replay(ReplayName=name, EventSourceArn=archive["ArchiveArn"], EventStartTime=now - datetime.timedelta(minutes=1),
                              EventEndTime=now, Destination={"Arn": archive["EventSourceArn"], "FilterArns": [arn]})
        self.until(lambda: self.bus.describe_replay(ReplayName=name)["State"] == "COMPLETED")
        for queue, found in (("one", True), ("two", False)):
            url = self.queues.get_queue_url(QueueName=queue)["QueueUrl"]
            bodies = [json.loads(one["Body"]) for one in self.queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])]
            self.assertEqual([body.get("replay-name") for body in bodies], [name] if found else [None], queue)

    def test_a_body_that_is_not_the_signed_one_is_refused(self):
        self.s3.create_bucket(Bucket="bucket")

        def damage(request, **_):
            request.body = b"other"

        self.s3.meta.events.register("before-send.s3.PutObject", damage)
        self.addCleanup(self.s3.meta.events.unregister, "before-send.s3.PutObject", damage)
        with self.assertRaises(ClientError) as refused:
            self.s3.put_object(Bucket="bucket", Key="key", Body=b"whole")
        self.assertEqual(refused.exception.response["Error"]["Code"], "XAmzContentSHA256Mismatch")


if __name__ == "__main__":
    unittest.main()
