"""The roles of template-ci.yaml: StackRole may do what CloudFormation's handlers of the template's types need of it, on the stack's own
things alone, and no pull request reaches what is carried out.

handlers.json has the permissions that the handlers name in their schemas (pulumi/pulumi-aws-native keeps them in aws-cloudformation-schema),
without those of properties that the template does not set. A type that the template begins to use is added there."""

import json
import re
import unittest

from policies import ACCOUNT, BUCKET, REGION, ROOT, STACK, Template, judged

HANDLERS = json.loads((ROOT / "tests/deploy/handlers.json").read_text())
# What SAM makes of its own types; a budget's handler names no permissions.
MADE = {
    "AWS::Serverless::Function": ["Function", "Url", "EventInvokeConfig", "EventSourceMapping", "Permission"],
    "AWS::Serverless::LayerVersion": ["LayerVersion"],
}
WITHOUT = {"AWS::Budgets::Budget", "Custom::WarehouseAccount"}
CI, MAIN = Template("template-ci.yaml"), Template("template.yaml")


def arns(stack):
    """By the beginning of a type's name: an ARN of a stack's thing."""
    here = f"{REGION}:{ACCOUNT}"
    return {
        "AWS::Lambda::EventSourceMapping": f"arn:aws:lambda:{here}:event-source-mapping:1",
        "AWS::Lambda::LayerVersion": f"arn:aws:lambda:{here}:layer:{stack}-account-sources:1",
        "AWS::Lambda::": f"arn:aws:lambda:{here}:function:{stack}-LoadCommits",
        "AWS::SQS::": f"arn:aws:sqs:{here}:{stack}-load",
        "AWS::SNS::": f"arn:aws:sns:{here}:{stack}-alarms",
        "AWS::S3::": f"arn:aws:s3:::{stack}-lake-{ACCOUNT}",
        "AWS::Events::EventBus": f"arn:aws:events:{here}:event-bus/{stack}-bus",
        "AWS::Events::Rule": f"arn:aws:events:{here}:rule/{stack}-bus/r",
        "AWS::Events::Archive": f"arn:aws:events:{here}:archive/{stack}-bus",
        "AWS::Logs::": f"arn:aws:logs:{here}:log-group:/aws/lambda/{stack}-LoadCommits:*",
        "AWS::SecretsManager::": f"arn:aws:secretsmanager:{here}:secret:{stack}/hubspot-abcdef",
        "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{here}:alarm:{stack}-silent-watcher",
        "AWS::CloudWatch::Dashboard": f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{stack}",
        "AWS::Scheduler::ScheduleGroup": f"arn:aws:scheduler:{here}:schedule-group/{stack}",
        "AWS::Scheduler::": f"arn:aws:scheduler:{here}:schedule/{stack}/{stack}-drift",
        "AWS::MSK::": f"arn:aws:kafka:{here}:cluster/{stack}/1",
        "AWS::IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT}:policy/{stack}-LoadCommitsPolicy-1",
        "AWS::IAM::": f"arn:aws:iam::{ACCOUNT}:role/{stack}-LoadCommitsRole-1",
        "AWS::KMS::": f"arn:aws:kms:{here}:key/1",
        "AWS::EC2::": f"arn:aws:ec2:{here}:thing/1",
    }


def question(kind, action, stack):
    """What is asked of IAM where a handler of the type does this with a thing of the stack."""
    service, known = action.split(":")[0], arns(stack)
    context = {
        # CloudFormation gives it to what it makes in a network, and to no key.
        **({"aws:ResourceTag/aws:cloudformation:stack-name": stack} if service == "ec2" else {}),
        "aws:ResourceTag/sluice-stack": stack,
        "aws:RequestTag/sluice-stack": stack,
        "lambda:FunctionArn": known["AWS::Lambda::"],
        "iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/{stack}-ci-boundary",
        "iam:PassedToService": "lambda.amazonaws.com",
        "iam:AWSServiceName": "delivery.logs.amazonaws.com",
    }
    zips = f"arn:aws:s3:::{BUCKET}/{stack}/main/1.zip"
    others = {"iam": known["AWS::IAM::"], "ec2": known["AWS::EC2::"], "s3": known["AWS::S3::"], "kms": known["AWS::KMS::"], "logs": "*"}
    by_type = next(arn for beginning, arn in known.items() if kind.startswith(beginning))
    is_of_type = kind.split("::")[1].lower() in (service, {"secretsmanager": "secretsmanager", "kafka": "msk"}.get(service))
    resource = by_type if is_of_type else others[service]
    if action == "iam:CreateServiceLinkedRole":
        resource = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/delivery.logs.amazonaws.com/AWSServiceRoleForLogDelivery"
    if "RolePolicy" in action or action.endswith("ttachRolePolicy"):
        resource = known["AWS::IAM::"]
    if action.startswith("s3:GetObject"):
        resource = zips
    if action in ("cloudwatch:DescribeAlarms", "logs:DescribeLogGroups", "kafka:CreateClusterV2"):
        resource = "*"
    return [action, resource, context]


def questions(stack):
    types = {resource["Type"] for resource in MAIN.resources.values()} - WITHOUT
    kinds = sorted({f"AWS::Lambda::{made}" for kind in types for made in MADE.get(kind, [])} | types - MADE.keys())
    missing = [kind for kind in kinds if kind not in HANDLERS]
    if missing:
        raise AssertionError(f"handlers.json lacks {missing}")
    return [question(kind, action, stack) for kind in kinds for action in HANDLERS[kind]]


def size(document):
    return len(re.sub(r"\s", "", json.dumps(document)))


class StackRole(unittest.TestCase):
    policies = CI.policies("StackRole")

    def refused(self, asked, policies=None):
        answers = judged(policies or self.policies, asked)
        return [f"{action} on {resource}" for (action, resource, _), allowed in zip(asked, answers, strict=True) if not allowed]

    def test_it_may_do_what_the_handlers_of_the_templates_types_need(self):
        asked = questions(STACK)
        self.assertGreater(len(asked), 200)
        self.assertEqual(self.refused(asked), [])

    def test_of_another_stack_it_may_do_what_knows_no_owner_alone(self):
        asked = questions("sluice-dev")
        refused = self.refused(asked)
        statements = {one["Sid"]: one for policy in self.policies for one in policy["Statement"]}
        for_all = statements["MakeNetworks"]["Action"] + statements["TagMappings"]["Action"]
        adds = re.compile("ec2:(Allocate|Create|Describe).*|kafka:CreateClusterV2|kms:DescribeKey|logs:.*LogDelivery|(cloudwatch|logs):Describe.*")
        self.assertEqual([action for action in statements["MakeNetworks"]["Action"] if not adds.fullmatch(action)], [])
        known = [re.compile(action.replace("*", ".*")) for action in [*for_all, "iam:CreateServiceLinkedRole"]]
        wide = [one[0] for one in asked if f"{one[0]} on {one[1]}" not in refused and not any(pattern.fullmatch(one[0]) for pattern in known)]
        self.assertEqual(wide, [])

    def test_roles_without_the_boundary_and_those_of_ci_are_out_of_its_reach(self):
        role, ci = f"arn:aws:iam::{ACCOUNT}:role/{STACK}-x", f"arn:aws:iam::{ACCOUNT}:role/{STACK}-ci-plan"
        boundary = f"arn:aws:iam::{ACCOUNT}:policy/{STACK}-ci-boundary"
        asked = [[action, role, {}] for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:DeleteRolePermissionsBoundary")]
        asked += [[action, ci, {"iam:PermissionsBoundary": boundary}] for action in ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy")]
        asked += [["iam:CreatePolicyVersion", boundary, {}], ["iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}]]
        self.assertEqual(len(self.refused(asked)), len(asked))

    def test_it_changes_what_holds_data_and_takes_no_data(self):
        lake, known = f"arn:aws:s3:::{STACK}-lake-{ACCOUNT}/raw/x", arns(STACK)
        provisioner = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{STACK}/snowflake-provisioner-abcdef"
        asked = [[action, lake, {}] for action in ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")]
        asked += [["sqs:ReceiveMessage", known["AWS::SQS::"], {}], ["secretsmanager:GetSecretValue", provisioner, {}]]
        asked += [["kms:Decrypt", known["AWS::KMS::"], {"aws:ResourceTag/sluice-stack": STACK}]]
        self.assertEqual(len(self.refused(asked)), len(asked))

    def test_a_key_of_another_stack_gets_no_tag_of_this_one(self):
        tags = {"aws:RequestTag/sluice-stack": STACK}
        key = arns(STACK)["AWS::KMS::"]
        self.assertEqual(self.refused([["kms:TagResource", key, tags]]), [])
        self.assertEqual(len(self.refused([["kms:TagResource", key, {**tags, "aws:ResourceTag/sluice-stack": "sluice-dev"}]])), 1)

    def test_endpoints_that_msk_has_made_for_the_cluster_go_with_it(self):
        def context(cluster):
            return {"aws:ResourceTag/AWSMSKManaged": "true", "aws:ResourceTag/ClusterArn": f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/{cluster}/1"}

        asked = [["ec2:DeleteVpcEndpoints", arns(STACK)["AWS::EC2::"], context(cluster)] for cluster in (STACK, "sluice-dev")]
        self.assertEqual(len(self.refused(asked)), 1)

    def test_the_templates_key_carries_the_tag_that_is_asked_for(self):
        self.assertIn({"Key": "sluice-stack", "Value": STACK}, MAIN.resolved(MAIN.resources["LakeKey"]["Properties"]["Tags"]))

    def test_policies_are_within_the_sizes_of_iam(self):
        for role in ("StackRole", "PullRequestRole", "PlanRole", "DeployRole"):
            self.assertLessEqual(sum(map(size, CI.inline(role))), 10_240, role)
        for policy in ("Boundary", "MakeChangeSets"):
            self.assertLessEqual(size(CI.managed(policy)), 6_144, policy)

    def test_a_stacks_name_ends_in_a_stage_and_has_none_within(self):
        pattern = CI.parameters["StackName"]["AllowedPattern"]
        for name, is_good in (("sluice-prod", True), ("a-b-dev", True), ("sluice", False), ("sluice-prod-dev", False), ("Sluice-prod", False)):
            self.assertEqual(bool(re.fullmatch(pattern, name)), is_good, name)

    def test_a_stacks_name_is_whole_in_the_names_of_its_roles(self):
        # CloudFormation makes `<stack>-<name in the template>-<12 or 13 letters>` and cuts what is more than IAM's 64.
        longest = max(len(name) for name, one in MAIN.resources.items() if one["Type"] == "AWS::IAM::Role" and "RoleName" not in one["Properties"])
        self.assertLessEqual(CI.parameters["StackName"]["MaxLength"], 64 - 13 - longest - len("--"))


class Zips(unittest.TestCase):
    """What a reviewer has read is what is carried out: its zips are written by workflows of main alone."""

    def may(self, role, action, folder):
        return judged(CI.policies(role), [[action, f"arn:aws:s3:::{BUCKET}/{STACK}/{folder}1.zip", {}]])[0]

    def test_zips_of_pull_requests_lie_apart(self):
        for role, folder in (("PullRequestRole", "pull/"), ("PlanRole", "main/")):
            for other in ("pull/", "main/", ""):
                self.assertEqual(self.may(role, "s3:PutObject", other), other == folder, (role, other))
        for action in ("s3:GetObject", "s3:GetObjectVersion"):
            self.assertFalse(self.may("StackRole", action, "pull/"), action)

    def test_a_change_is_taken_back_to_zips_that_a_person_has_put(self):
        for folder in ("main/", ""):
            self.assertTrue(self.may("StackRole", "s3:GetObject", folder), folder)
        self.assertFalse(judged(CI.policies("StackRole"), [["s3:GetObject", f"arn:aws:s3:::{BUCKET}/sluice-dev/1.zip", {}]])[0])

    def test_each_role_trusts_its_own_workflows(self):
        for role, subject in (("PullRequestRole", "pull_request"), ("PlanRole", "ref:refs/heads/main"), ("DeployRole", "environment:prod")):
            [statement] = CI.resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            said = CI.resolved(statement["Condition"])["StringEquals"]
            self.assertEqual(said["token.actions.githubusercontent.com:sub"], f"repo:o/r:{subject}")
            # An environment's subject names no branch.
            is_of_main = said.get("token.actions.githubusercontent.com:ref") == "refs/heads/main"
            self.assertEqual(is_of_main, role == "DeployRole", role)

    def test_a_repository_is_named_in_both_forms_of_githubs_subjects(self):
        pattern = CI.parameters["Repository"]["AllowedPattern"]
        for name, is_good in (("o/r", True), ("octo-org@123/my.repo@456", True), ("o@1/r", False), ("o/r@1", False), ("o/*", False), ("o@1/r@*", False),
                              ("o/r:ref", False), ("o@x/r@1", False)):
            self.assertEqual(bool(re.fullmatch(pattern, name)), is_good, name)

    def test_the_deploying_role_reads_no_key_of_another_service(self):
        secrets = {"hubspot": True, "snowflake-loader": True, "snowflake-provisioner": False, "svc-dbt": False, "svc-lightdash": False}
        asked = [["secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{STACK}/{name}-abcdef", {}] for name in secrets]
        self.assertEqual(judged(CI.policies("DeployRole"), asked), list(secrets.values()))

    def test_sam_finds_its_bucket_to_make_a_change_set(self):
        stack = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/aws-sam-cli-managed-default/1"
        for role in ("PullRequestRole", "PlanRole"):
            self.assertEqual(judged(CI.policies(role), [["cloudformation:DescribeStacks", stack, {}]]), [True], role)


class Boundary(unittest.TestCase):
    def test_what_each_role_of_the_stack_may_do_is_within_it(self):
        boundary = [CI.managed("Boundary")]
        for role in (name for name, resource in MAIN.resources.items() if resource["Type"] == "AWS::IAM::Role"):
            self.assertEqual(MAIN.resources[role]["Properties"]["PermissionsBoundary"]["Fn::If"][0], "WithBoundary", role)
            asked = []
            for statement in (one for policy in MAIN.policies(role) for one in policy["Statement"] if one["Effect"] == "Allow"):
                actions, resources = ([one] if isinstance(one, str) else one for one in (statement["Action"], statement["Resource"]))
                resources = [one if one == "*" else re.sub(r"[*?]", "x", one) for one in resources]
                asked += [[action, resource, {"aws:ResourceTag/sluice-stack": STACK}] for action in actions for resource in resources]
            wide = [one[:2] for one, allowed in zip(asked, judged(boundary, asked), strict=True) if not allowed]
            self.assertEqual(wide, [], role)


if __name__ == "__main__":
    unittest.main()
