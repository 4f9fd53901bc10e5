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
    "DbtUrl": "https://ab123.us1.dbt.com",
    "DbtAccountId": "70403",
    "DbtJobId": "12",
    "AlarmEmail": "data-platform@example.com",
    "StreamKafkaBootstrap": "pkc-1.us-east-1.aws.confluent.cloud:9092",
    "KafkaBootstrap": "b-1.shop.kafka.us-east-1.amazonaws.com:9096,b-2.shop.kafka.us-east-1.amazonaws.com:9096",
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
            self.assertEqual(sorted(left), sorted(["SnowflakeAccount", "DbtUrl", "DbtAccountId", "DbtJobId", "AlarmEmail"]))
            for key in left:
                others = {**parameters, **{one: FILLED[one] for one in left if one != key}}
                self.assertEqual(len(refusals(others)), 1, f"{name}: {key} alone is left, and nothing else is refused")

    def test_a_stage_that_is_filled_in_deploys_without_schedules_at_first(self):
        for name in STAGES:
            parameters = stage(name)
            self.assertEqual(parameters["SchedulesEnabled"], "DISABLED", f"{name} begins without schedules")
            filled = {key: FILLED.get(key, value) if value in ("", PLACEHOLDER) else value for key, value in parameters.items()}
            secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:kafka-abc"
            self.assertEqual(refusals({**filled, "StreamKafkaSecretArn": secret}), [], name)

    def test_one_machine_is_refused_nothing(self):
        self.assertEqual(refusals({**stage("local"), "DbtUrl": "http://127.0.0.1:1", "KafkaBootstrap": "127.0.0.1:2"}), [])


if __name__ == "__main__":
    unittest.main()
