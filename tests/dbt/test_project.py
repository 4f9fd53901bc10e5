"""The project as a whole: sources as the platform has them, everything described, owned, tagged and under contract, and
nobody's right to read wider than it should be."""

import json
import re
import unittest
from pathlib import Path
from typing import Any, Iterator

import yaml
from project import ROOT, failures, scratch_project
from raw import arrivals
from warehouse import duckdb_name, load

LAYERS = ("staging", "intermediate", "marts", "reporting")
LOADERS = {"dlt", "snowpipe", "airbyte", "streaming"}
PREFIXES = {"staging": "stg_", "intermediate": "int_", "reporting": "rpt_"}
# What is sent to another program, by who reads it.
SENT = {"customer_activation"}

# A column with a person in it is called one of these.
PERSONAL = re.compile(r"((customer|additional)_)?emails?|first_?name|last_?name")

FAULTS = ROOT / "docs/transformation-faults.md"


def repeated_keys(node: yaml.Node) -> Iterator[str]:
    """Keys that a mapping in the document has more than once: the later one would silently win."""
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        yield from (name for name in set(names) if names.count(name) > 1)
        for _, value in node.value:
            yield from repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from repeated_keys(value)


class Described(unittest.TestCase):
    """What the manifest says, and the warehouse after a build of a small shop."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.project = cls.enterClassContext(scratch_project())
        with cls.project.connection() as connection:
            load(connection.execute, duckdb_name, arrivals(11, 1).batches[0])
        outcome = cls.project.dbt("build", "--exclude-resource-type", "unit_test")
        assert outcome.success, outcome.exception or failures(outcome)
        cls.manifest = json.loads((cls.project.folder / "target/manifest.json").read_text(encoding="utf-8"))
        cls.models = [node for node in cls.manifest["nodes"].values() if node["resource_type"] == "model"]

    def test_parsing_gives_no_warning(self) -> None:
        self.project.succeed("--no-partial-parse", "--warn-error", "parse")

    def test_the_properties_to_make_in_hubspot_are_those_that_the_model_fills(self) -> None:
        made = json.loads((ROOT / "platform/hubspot-properties.json").read_text(encoding="utf-8"))["inputs"]
        model = next(node for node in self.models if node["name"] == "customer_activation")
        own = {"record_id", "suppressed_because"}
        filled = {name: c for name, c in model["columns"].items() if name not in own and not name.startswith("seen_")}
        self.assertEqual([one["name"] for one in made], list(filled))
        tests = [node.get("test_metadata") or {} for node in self.manifest["nodes"].values()]
        accepted = [test for test in tests if test.get("name") == "accepted_values"]
        for one in made:
            kind = filled[one["name"]]["data_type"]
            self.assertEqual(one["type"] == "number", kind in ("bigint", "decimal(38,2)"), one["name"])
            values = [t["kwargs"]["values"] for t in accepted if t["kwargs"]["column_name"] == one["name"]]
            options = [[option["value"] for option in one["options"]]] if "options" in one else []
            self.assertEqual(options, values, one["name"])

    def test_sources_are_what_the_platform_loads(self) -> None:
        platform = yaml.safe_load((ROOT / "platform/sources.yaml").read_text(encoding="utf-8"))
        expected = {
            tuple(table["table"].split(".")): (
                table["description"],
                [(c["name"], c["type"], c["description"], c.get("pii", False)) for c in table["columns"]],
            )
            for table in platform["tables"]
        }
        found = {}
        for source in self.manifest["sources"].values():
            database, schema = source["schema"].split("__")
            self.assertEqual(source["source_name"], f"{database}_{schema}".lower())
            found[(database, schema, source["identifier"])] = (
                source["description"],
                [(c["name"], c["data_type"], c["description"], self.is_personal(c)) for c in source["columns"].values()],
            )
        self.assertEqual(found, expected)

    def is_personal(self, column: dict[str, Any]) -> bool:
        return bool(column["config"]["meta"].get("pii", False))

    def test_every_model_is_described_owned_and_tagged(self) -> None:
        for model in self.models:
            with self.subTest(model=model["name"]):
                layer = model["fqn"][1]
                self.assertIn(layer, LAYERS)
                self.assertTrue(model["description"])
                self.assertTrue(model["config"]["meta"].get("owner"))
                self.assertIn(layer, model["tags"])
                self.assertEqual(len(LOADERS & set(model["tags"])), 1 if layer == "staging" else 0)
                self.assertTrue(model["name"].startswith(PREFIXES.get(layer, "")) or model["name"] in SENT)

    def test_every_column_is_described_and_none_is_missing(self) -> None:
        for model in self.models:
            with self.subTest(model=model["name"]):
                found = [row[0] for row in self.project.rows(f'describe "{model["schema"]}"."{model["alias"]}"')]
                self.assertEqual(list(model["columns"]), found)
                self.assertEqual([c["name"] for c in model["columns"].values() if not c["description"]], [])

    def test_marts_and_reporting_have_contracts(self) -> None:
        for model in self.models:
            enforced = model["fqn"][1] in ("marts", "reporting")
            self.assertEqual(model["contract"]["enforced"], enforced, model["name"])

    def test_materializations_are_what_the_layer_promises(self) -> None:
        """Written right, and true in the warehouse, for the published relations too."""
        promised = {"staging": {"view"}, "intermediate": {"view"}, "marts": {"table", "incremental"}, "reporting": {"view"}}
        kinds = dict(self.project.rows("select table_schema || '.' || table_name, table_type from information_schema.tables"))
        for model in self.models:
            with self.subTest(model=model["name"]):
                self.assertIn(model["config"]["materialized"], promised[model["fqn"][1]])
                kind = "VIEW" if model["config"]["materialized"] == "view" else "BASE TABLE"
                for schema in {model["schema"], model["schema"].removesuffix("_AUDIT")}:
                    self.assertEqual(kinds[f"{schema}.{model['alias']}"], kind)

    def test_models_stand_on_the_layer_below(self) -> None:
        allowed = {
            "staging": {"source"},
            "intermediate": {"staging", "intermediate"},
            "marts": {"staging", "intermediate", "marts"},
            "reporting": {"marts"},
        }
        for model in self.models:
            for name in model["depends_on"]["nodes"]:
                parent = "source" if name.startswith("source.") else self.manifest["nodes"][name]["fqn"][1]
                self.assertIn(parent, allowed[model["fqn"][1]], f"{model['name']} reads {name}")

    def test_personal_data_is_marked_wherever_it_goes(self) -> None:
        for node in self.models + list(self.manifest["sources"].values()):
            for column in node["columns"].values():
                expected = bool(PERSONAL.fullmatch(column["name"]))
                self.assertEqual(self.is_personal(column), expected, f"{node['name']}.{column['name']}")

    def test_who_may_read_is_the_accounts_to_say(self) -> None:
        for model in self.models:
            self.assertNotIn("readers", model["config"]["meta"], model["name"])
            self.assertEqual(model["config"]["grants"], {}, "dbt may not grant in schemas that it does not own")

    def test_reporting_shows_no_whole_email(self) -> None:
        rows = self.project.rows("select email from ANALYTICS__REPORTING.rpt_sales where email like '%@%'")
        self.assertTrue(rows)
        self.assertEqual([email for (email,) in rows if not re.fullmatch(r".\*\*\*@[^@]+", email)], [])

    def test_an_exposure_is_code_that_reads_its_models(self) -> None:
        self.assertTrue(self.manifest["exposures"])
        for exposure in self.manifest["exposures"].values():
            self.assertTrue(exposure["owner"]["email"])
            code = [name for name in re.findall(r"`([^`]+)`", exposure["description"]) if "/" in name]
            self.assertEqual(len(code), 1, exposure["name"])
            path = ROOT / code[0]
            if exposure["type"] == "dashboard":
                # What its tiles read is compared with the exposure by tools/lightdash/dashboards.mjs.
                self.assertEqual(path.parent, ROOT / "dbt/lightdash/dashboards")
                self.assertTrue(path.is_file(), path)
                continue
            text = "".join(file.read_text(encoding="utf-8") for file in (sorted(path.glob("*.sql")) if path.is_dir() else [path]))
            for model in exposure["depends_on"]["nodes"]:
                name = model.removeprefix("model.sluice.")
                spellings = (f"ANALYTICS__MARTS.{name}\"", f"verify::{name.upper()}", f"reporting.{name} ", f"{{reporting}}.{name} ", f"REPORTING.{name.upper()}`")
                self.assertTrue(any(spelling in text for spelling in spellings), f"{code[0]} and {name}")

    def test_every_key_of_a_mart_is_tested(self) -> None:
        """The grain of each mart: a unique key of one column, or a combination."""
        tests = [node for node in self.manifest["nodes"].values() if node["resource_type"] == "test"]
        for model in self.models:
            if model["fqn"][1] != "marts":
                continue
            kinds = {t["test_metadata"]["name"] for t in tests if t.get("attached_node") == model["unique_id"]}
            self.assertTrue(kinds & {"unique", "unique_combination"}, model["name"])

    def test_no_amount_is_a_float(self) -> None:
        for model in self.models:
            for column, kind, *_ in self.project.rows(f'describe "{model["schema"]}"."{model["alias"]}"'):
                self.assertNotIn(kind, ("DOUBLE", "FLOAT"), f"{model['name']}.{column}")

    def test_no_model_asks_the_clock(self) -> None:
        clock = re.compile(r"current_(date|time)|getdate|sysdate|\bnow\(|\btoday\(|run_started_at", re.I)
        for model in self.models:
            self.assertIsNone(clock.search(model["raw_code"]), model["name"])

    def test_one_profile_has_every_target(self) -> None:
        profiles = yaml.safe_load((ROOT / "dbt/profiles.yml").read_text(encoding="utf-8"))
        self.assertEqual(sorted(profiles["sluice"]["outputs"]), ["duckdb", "emulator", "snowflake"])
        self.assertNotRegex((ROOT / "dbt/macros/publish/schema_names.sql").read_text(encoding="utf-8"), r"target\.name")

    def test_no_yaml_file_has_a_key_twice(self) -> None:
        for path in (ROOT / "dbt").rglob("*.yml"):
            node = yaml.compose(path.read_text(encoding="utf-8"))
            self.assertEqual(list(repeated_keys(node)), [], path.name)

    def test_tools_are_pinned(self) -> None:
        for name in ("dbt", "dbt-oldest", "sqlfluff", "snowduck", "snow-cli", "notebook"):
            for line in (ROOT / f"tools/locks/{name}.txt").read_text(encoding="utf-8").splitlines():
                self.assertRegex(line, r"^#|^[\w.-]+==[\w.]+$", name)

    def test_every_fault_of_the_platform_we_follow_names_a_test_that_exists(self) -> None:
        tests = {node["name"] for node in self.manifest["nodes"].values() if node["resource_type"] == "test"}
        tests |= {test["name"] for test in self.manifest["unit_tests"].values()}
        ours = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
        tests |= set(re.findall(r"def (test_\w+)\(", ours))
        faults = dict(re.findall(r"^\| ([A-E]\d+) \|.*\| ([^|]*) \|$", FAULTS.read_text(encoding="utf-8"), re.M))
        self.assertEqual(
            sorted(faults), sorted([f"{part}{n}" for part, last in (("A", 16), ("B", 13), ("C", 13), ("D", 4), ("E", 10)) for n in range(1, last + 1)])
        )
        for fault, cell in faults.items():
            for name in re.findall(r"`([^`]+)`", cell):
                known = (ROOT / name).exists() if "/" in name else name in tests or name.startswith("make ") or (ROOT / name).exists()
                self.assertTrue(known, f"{fault} names {name}, which does not exist")


if __name__ == "__main__":
    unittest.main()
