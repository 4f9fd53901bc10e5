"""What `snow dbt deploy` and `EXECUTE DBT PROJECT` ask of the project, judged by the command's own code.

Its package is there without what it imports, so the methods that validate are taken out of its source and run by themselves.
"""

import ast
import re
import shutil
import tempfile
import unittest
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from project import ROOT

(MANAGER,) = (ROOT / ".tools/venv/snow-cli/lib").glob("python3*/site-packages/snowflake/cli/_plugins/dbt/manager.py")
METHODS = {
    "_candidate_profiles_filenames", "_resolve_profiles_filename", "_parse_profiles_yaml", "_validate_profiles", "_validate_target",
    "_parse_env_vars",
}  # fmt: skip


class CliError(Exception):
    """What the command says to its user."""


class Folder(type(Path())):  # type: ignore[misc]
    """As much of the command's own kind of path as its validation uses."""

    @property
    def path(self) -> Path:
        return Path(self)

    def open(self, **_: Any) -> Any:  # type: ignore[override]
        return open(self, encoding="utf-8")


def manager() -> Any:
    """The command's manager with nothing but the methods that validate; every role exists."""
    tree = ast.parse(MANAGER.read_text(encoding="utf-8"))
    constants = ast.parse((MANAGER.parent / "constants.py").read_text(encoding="utf-8"))
    kept: list[ast.stmt] = [node for node in constants.body if isinstance(node, ast.Assign)]
    kept += [node for node in tree.body if isinstance(node, ast.Assign)]
    loader = [node for node in tree.body if getattr(node, "name", "") in ("_NoDuplicatesSafeLoader", "_no_duplicates_constructor")]
    register = [node for node in tree.body if isinstance(node, ast.Expr) and "add_constructor" in ast.unparse(node)]
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "DBTManager"]
    found.bases = []
    found.body = [node for node in found.body if getattr(node, "name", "") in METHODS]
    if {getattr(node, "name", "") for node in found.body} != METHODS:
        raise AssertionError("this version of the command validates in other methods")
    code = ast.fix_missing_locations(ast.Module(kept + loader + register + [found], []))
    future = "from __future__ import annotations\n"
    names: dict[str, Any] = {"re": re, "yaml": yaml, "CliError": CliError, "DEFAULT_SIZE_LIMIT_MB": 128, "defaultdict": defaultdict}
    exec(compile(future + ast.unparse(code), str(MANAGER), "exec"), names)
    made = names["DBTManager"]()
    made._validate_role = lambda role_name: True
    return made


class SnowflakeProjects(unittest.TestCase):
    def setUp(self) -> None:
        self.manager = manager()
        self.profile = yaml.safe_load((ROOT / "dbt/dbt_project.yml").read_text(encoding="utf-8"))["profile"]

    def deploy(self, folder: Path) -> None:
        self.manager._validate_profiles(Folder(folder), self.profile)

    def test_the_project_passes_the_deploy_commands_validation(self) -> None:
        self.deploy(ROOT / "dbt")

    def test_the_profile_for_other_places_would_be_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(ROOT / "dbt/profiles.yml", folder)
            with self.assertRaisesRegex(CliError, "is not defined in profile"):
                self.deploy(Path(folder))

    def test_the_profile_is_that_of_the_account_and_has_no_jinja(self) -> None:
        text = (ROOT / "dbt/dbt_projects_profiles.yml").read_text(encoding="utf-8")
        self.assertNotIn("{{", text)
        here = yaml.safe_load((ROOT / "dbt/profiles.yml").read_text(encoding="utf-8"))[self.profile]["outputs"]["snowflake"]
        there = yaml.safe_load(text)[self.profile]
        self.assertEqual(list(there["outputs"]), [there["target"]])
        target = SimpleNamespace(**there["outputs"]["snowflake"])
        for name in ("role", "warehouse", "database"):
            self.assertIn(f"'{getattr(target, name)}'", here[name])
        self.assertEqual(target.schema, here["schema"])
        self.assertIn(f'TARGET: &str = "{there["target"]}"', (ROOT / "shared/sluice-dbt/src/project.rs").read_text(encoding="utf-8"))

    def test_every_variable_of_the_project_can_be_given_to_a_run(self) -> None:
        files = [path for folder in ("macros", "models", "tests") for path in (ROOT / "dbt" / folder).rglob("*.sql")]
        files += [*(ROOT / "dbt/models").rglob("*.yml"), ROOT / "dbt/dbt_project.yml"]
        names = {name for path in files for name in re.findall(r"env_var\(\s*'(\w+)'", path.read_text(encoding="utf-8"))}
        self.assertIn("DBT_SLUICE_SCHEMA_PREFIX", names)
        given = {name: "x" for name in names}
        self.assertEqual(self.manager._parse_env_vars(yaml.safe_dump(given)), given)
        with self.assertRaises(CliError):
            self.manager._parse_env_vars("{SLUICE_SCHEMA_PREFIX: x}")


if __name__ == "__main__":
    unittest.main()
