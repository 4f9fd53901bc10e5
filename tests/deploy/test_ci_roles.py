"""What the roles of template-ci.yaml may do, and who gets them."""

import re
import unittest
from pathlib import Path

from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
READS = re.compile(r"[a-z0-9]+:(Describe|Get|List)[A-Za-z]*")


class CiRoles(unittest.TestCase):
    def setUp(self):
        self.resources = yaml_parse((ROOT / "template-ci.yaml").read_text(encoding="utf-8"))["Resources"]

    def statements(self, role):
        properties = self.resources[role]["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [self.resources[one["Ref"]]["Properties"]["PolicyDocument"] for one in properties.get("ManagedPolicyArns", [])]
        return [statement for document in documents for statement in document["Statement"]]

    def may(self, role):
        """What a role may do that is more than reading, and where."""
        found = {}
        for statement in self.statements(role):
            actions, resources = (value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"]))
            for action in actions:
                if statement["Effect"] == "Allow" and not READS.fullmatch(action):
                    found[action] = [one.get("Fn::Sub", one) if isinstance(one, dict) else one for one in resources]
        return found

    def test_a_pull_request_makes_change_sets_and_carries_none_out(self):
        makes = {"cloudformation:CreateChangeSet", "cloudformation:DeleteChangeSet", "iam:PassRole", "s3:PutObject"}
        for role in ("PullRequestRole", "PlanRole"):
            self.assertEqual(set(self.may(role)), makes, role)
        self.assertEqual(set(self.may("DeployRole")), {"cloudformation:ExecuteChangeSet"})

    def test_no_pull_request_reads_a_secret_and_nobody_in_github_the_first_users(self):
        reads = {role: [one for one in self.statements(role) if "secretsmanager:GetSecretValue" in str(one["Action"])]
                 for role in ("PullRequestRole", "PlanRole", "DeployRole")}
        self.assertEqual((reads["PullRequestRole"], reads["PlanRole"]), ([], []))
        allowed, denied = reads["DeployRole"]
        self.assertEqual((allowed["Effect"], denied["Effect"]), ("Allow", "Deny"))
        self.assertTrue(any("snowflake-provisioner" in one["Fn::Sub"] for one in denied["Resource"]), denied)

    def test_the_workflow_names_a_role_for_each_that_github_gets(self):
        workflow = (ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8")
        outputs = yaml_parse((ROOT / "template-ci.yaml").read_text(encoding="utf-8"))["Outputs"].values()
        variables = {found[1] for output in outputs if (found := re.search(r"variable ([A-Z_]+)", output["Description"]))}
        self.assertEqual(len(variables), 4, variables)
        self.assertEqual({name for name in variables if f"vars.{name} " not in workflow}, set())


if __name__ == "__main__":
    unittest.main()
