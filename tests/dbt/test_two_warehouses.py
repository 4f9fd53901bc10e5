"""The whole project on DuckDB and, by the real dbt-snowflake adapter, on an emulator of Snowflake: the same raw rows give
the same rows in every model and in everything that is published, after a first build and after an incremental one."""

import unittest

from emulator import connect, snowduck
from project import Project, failures, scratch_project
from raw import arrivals
from warehouse import duckdb_name, load, snowflake_name

SEED = 7
BATCHES = 2


class TwoWarehouses(unittest.TestCase):
    maxDiff = 4000

    def test_rows_agree_whatever_the_order_in_which_columns_are_described(self) -> None:
        with scratch_project() as empty, snowduck(empty.folder) as port:
            project = empty.copy(empty.folder / "copy")
            dollars, pounds = (f"- name: {name}\n" for name in ("usd", "gbp"))
            for model in ("rpt_sales_by_day", "rpt_sales_by_product"):
                for name, other in ((dollars, "@@"), (pounds, dollars), ("@@", pounds)):
                    project.change(f"models/reporting/{model}.yml", name, other)
            emulated = {"target": "emulator", "SLUICE_EMULATOR_PORT": str(port)}
            for settings in ({}, emulated):
                project.succeed("run-operation", "create_raw_tables", **settings)
            for number, batch in enumerate(arrivals(SEED, BATCHES).batches):
                with project.connection() as connection:
                    load(connection.execute, duckdb_name, batch)
                with connect(port) as connection:
                    load(connection.cursor().execute, snowflake_name, batch)
                # Unit tests once: they do not depend on the data.
                options = ["--exclude-resource-type", "unit_test"] if number else []
                # A line without a rate is part of the data; that it warns is another test's concern.
                names = self.build(project, options, {})
                self.assertEqual(names, self.build(project, options, emulated))
                self.compare(project, port, names)

    def build(self, project: Project, options: list[str], settings: dict[str, str]) -> list[tuple[str, str]]:
        """Builds everything; the names of the relations, as layer and name."""
        outcome = project.dbt("build", *options, "--vars", "{missing_rate_severity: warn}", **settings)
        self.assertTrue(outcome.success, f"{settings}: {outcome.exception or failures(outcome)}")
        models = [result.node for result in outcome.result if result.node.resource_type == "model"]
        return sorted((node.config.schema, node.alias) for node in models)

    def compare(self, project: Project, port: int, names: list[tuple[str, str]]) -> None:
        counts = []
        with project.connection() as ours, connect(port) as theirs:
            for layer, name in names:
                published = layer in ("marts", "reporting")
                for schema in [layer.upper() + "_AUDIT", layer.upper()] if published else [layer.upper()]:
                    with self.subTest(schema=schema, model=name):
                        columns = [row[0] for row in ours.sql(f"describe ANALYTICS__{schema}.{name}").fetchall()]
                        # As text: the emulator's wire format loses that a time is null.
                        texts = ", ".join(f"cast({column} as varchar)" for column in columns)
                        query = f"select {texts} from {{}}.{name}"
                        found = ours.sql(query.format(f"ANALYTICS__{schema}")).fetchall()
                        other = theirs.cursor().execute(query.format(f"ANALYTICS.{schema}")).fetchall()
                        self.assertEqual(sorted(map(str, found)), sorted(map(str, other)))
                counts.append(f"{name} {len(found)}")
        print("rows agree: " + ", ".join(counts))


if __name__ == "__main__":
    unittest.main()
