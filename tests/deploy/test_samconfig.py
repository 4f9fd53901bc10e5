"""What samconfig.toml leaves to fill in, and that a stage in which something is left does not deploy."""

import re
import tomllib
import unittest
from pathlib import Path

from samcli.cli.types import CfnParameterOverridesType
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = "CHANGE-ME"
STAGES = ("dev", "staging", "prod")
# What somebody who owns an account would write.
FILLED = {
    "SnowflakeAccount": "ACME-PLATFORM",
    "DbtJobUrl": "https://ab123.us1.dbt.com/deploy/70403/projects/5/jobs/12",
    "AlarmEmail": "data-platform@example.com",
}


def template():
    return yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))


def stage(name):
    """The parameters of a stage, as SAM reads them."""
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    overrides = settings[name]["deploy"]["parameters"]["parameter_overrides"]
    return CfnParameterOverridesType().convert(overrides, None, None)


def holds(condition, parameters):
    """A rule's condition, as CloudFormation judges it."""
    match condition:
        case {"Ref": name}:
            return parameters[name]
        case {"Fn::Equals": [left, right]}:
            return holds(left, parameters) == holds(right, parameters)
        case {"Fn::Not": [inner]}:
            return not holds(inner, parameters)
        case {"Fn::Or": several}:
            return any(holds(one, parameters) for one in several)
        case str():
            return condition
    raise AssertionError(f"this test knows no {condition}")


def refusals(parameters):
    """Why CloudFormation would make no change set of these parameters, by parameter and by rule."""
    declared = template()
    said = []
    for name, value in parameters.items():
        pattern = declared["Parameters"][name].get("AllowedPattern")
        if pattern and not re.fullmatch(pattern, value):
            said.append(name)
    defaults = {name: str(one.get("Default", "")) for name, one in declared["Parameters"].items()}
    given = defaults | parameters
    for name, rule in declared["Rules"].items():
        if "RuleCondition" in rule and not holds(rule["RuleCondition"], given):
            continue
        said += [name for assertion in rule["Assertions"] if not holds(assertion["Assert"], given)]
    return said


def filled(parameters):
    """A stage in which nothing is left to fill in."""
    return {key: FILLED[key] if value == PLACEHOLDER else value for key, value in parameters.items()}


class Samconfig(unittest.TestCase):
    def test_every_stage_names_all_that_only_its_owner_knows(self):
        declared = template()["Parameters"]
        without_default = {name for name, parameter in declared.items() if "Default" not in parameter}
        for name in STAGES:
            given = stage(name)
            self.assertLessEqual(without_default | set(FILLED), set(given), name)
            self.assertLessEqual(set(given), set(declared), name)

    def test_no_placeholder_deploys(self):
        for name in STAGES:
            parameters = stage(name)
            left = [key for key, value in parameters.items() if value == PLACEHOLDER]
            self.assertEqual(sorted(left), ["AlarmEmail", "DbtJobUrl", "SnowflakeAccount"])
            for key in left:
                others = {**parameters, **{one: FILLED[one] for one in left if one != key}}
                self.assertEqual(len(refusals(others)), 1, f"{name}: {key} alone is left, and nothing else is refused")

    def test_a_stage_that_is_filled_in_deploys_without_schedules_at_first(self):
        for name in STAGES:
            parameters = stage(name)
            self.assertEqual(parameters["SchedulesEnabled"], "DISABLED", f"{name} begins without schedules")
            self.assertEqual(refusals(filled(parameters)), [], name)

    def test_nothing_runs_by_schedule_where_no_stage_says_so(self):
        self.assertEqual(template()["Parameters"]["SchedulesEnabled"]["Default"], "DISABLED")

    def test_each_stage_has_a_budget_that_somebody_is_told_of(self):
        budgets = [int(stage(name)["MonthlyBudget"]) for name in STAGES]
        self.assertTrue(0 < budgets[0] < budgets[1] < budgets[2], budgets)
        without = {**filled(stage("dev")), "AlarmEmail": ""}
        self.assertEqual(refusals(without), ["ABudgetReachesSomebody"])
        self.assertEqual(refusals({**without, "MonthlyBudget": "0"}), [])

    def test_one_machine_is_refused_nothing(self):
        job = "http://127.0.0.1:1/deploy/1/projects/1/jobs/1"
        self.assertEqual(refusals({**stage("local"), "DbtJobUrl": job, "KafkaBootstrap": "127.0.0.1:2"}), [])

    def test_a_cluster_that_cannot_work_as_it_is_asked_for_is_refused(self):
        brokers = {"KafkaBootstrap": "pkc-1.us-east-1.aws.confluent.cloud:9092"}
        cluster = {"KafkaClusterArn": "arn:aws:kafka:us-east-1:123456789012:cluster/shop/abc"}
        for changed, refused in [
            ({"Kafka": "MSK"}, 1),
            ({"Kafka": "MSK", **cluster}, 0),
            # What Lambda takes of a cluster in another account, and no topic's name can be made of.
            ({"Kafka": "MSK", "KafkaClusterArn": "arn:aws:kafka:us-east-1:123456789012:vpc-connection/210987654321/shop/abc"}, 1),
            ({"Kafka": "MSK", **cluster, "KafkaAuth": "PLAIN"}, 1),
            ({"Kafka": "SASL"}, 2),
            ({"Kafka": "SASL", **brokers, "KafkaAuth": "PLAIN"}, 0),
            ({"Kafka": "SERVERLESS", "Network": "NONE"}, 1),
            ({"Kafka": "SERVERLESS", "Network": "PRIVATE"}, 1),
            ({"Kafka": "SERVERLESS", "Network": "PRIVATE", "KafkaPollers": "4"}, 0),
            ({"Kafka": "SERVERLESS", "Network": "NAT", "KafkaAuth": "SCRAM-SHA-512"}, 1),
            ({"Kafka": "SERVERLESS", "Network": "NAT"}, 0),
            ({"EnableCollect": "true", **brokers}, 1),
            ({"EnableCollect": "true", **brokers, "KafkaAuth": "PLAIN"}, 0),
            ({"EnableCollect": "true", **brokers, "KafkaAuth": "NONE"}, 1),
            ({"EnableCollect": "true", **brokers, "Kafka": "MSK", **cluster}, 0),
            ({"EnableCollect": "true", **brokers, "Kafka": "SERVERLESS", "Network": "NAT"}, 0),
            ({"EnableCollect": "true", "Kafka": "SERVERLESS", "Network": "NAT"}, 1),
            ({"Network": "EXISTING"}, 1),
            ({"Network": "EXISTING", "VpcId": "vpc-0a1b2c3d", "SubnetIds": "subnet-0a,subnet-0b"}, 0),
            ({"MonthlyBudget": "100"}, 0),
        ]:
            said = refusals({**filled(stage("dev")), **changed})
            self.assertEqual(len(said), refused, f"{changed}: {said}")


if __name__ == "__main__":
    unittest.main()
