"""The AWS of one machine refuses a mapping as Lambda does."""

import json
import unittest

from one_machine import started


def stack(visible):
    code = {"ZipFile": "def handler(event, context): pass"}
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    function = {"Handler": "index.handler", "Runtime": "python3.12", "Timeout": 60, "Code": code, "Role": {"Fn::GetAtt": ["Role", "Arn"]}}
    return {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"queue-{visible}", "VisibilityTimeout": visible}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}},
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {"FunctionName": {"Ref": "Function"}, "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}},
        },
    }


class Mappings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = staticmethod(started(cls, with_policies=True))

    def made(self, visible):
        """The status of a stack, and why."""
        client, name = self.client("cloudformation"), f"visible-{visible}"
        client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": stack(visible)}), Capabilities=["CAPABILITY_IAM"])
        events = client.describe_stack_events(StackName=name)["StackEvents"]
        reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
        return client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"], reasons

    def test_a_message_that_comes_back_too_early_is_refused(self):
        status, reasons = self.made(59)
        self.assertTrue(status.startswith("ROLLBACK"), status)
        self.assertIn("Queue visibility timeout: 59 seconds is less than Function timeout: 60 seconds", reasons)
        self.assertEqual(self.made(60)[0], "CREATE_COMPLETE")


if __name__ == "__main__":
    unittest.main()
