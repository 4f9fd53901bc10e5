"""Judges queries for Snowflake without an account and gives them as DuckDB runs them.

sqlglot's Snowflake dialect has to parse each into a kind of statement that it knows (tests/sql-judge), every column has to be
one of the views that it reads, and each decimal has to ask for no more than Snowflake's division gives.

Usage: <venv of snowduck>/bin/python tests/analytics/judged.py < {"schema": {view: {column: type}}, "queries": {name: SQL}}
"""

import json
import logging
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sql-judge"))

import sqlglot  # noqa: E402
from divisions import Statement, decimals  # noqa: E402
from judge import Verdict, judge_statement  # noqa: E402
from sqlglot import exp  # noqa: E402
from sqlglot.optimizer.qualify import qualify  # noqa: E402

DATABASE, LAYER = "ANALYTICS", "REPORTING"


def judge(name, text, schema, verdict):
    """One query; as SQL of DuckDB if it is right."""
    text = text.strip().removesuffix(";")
    trees = judge_statement(verdict, name, text)
    if not trees:
        return ""
    tree = trees[0]
    relations = {(table.catalog.upper(), table.db.upper()) for table in tree.find_all(exp.Table) if table.db}
    verdict.check(name, relations == {(DATABASE, LAYER)}, f"reads {sorted(relations)}, not {DATABASE}.{LAYER}")
    columns = {view.upper(): {column.upper(): kind for column, kind in found.items()} for view, found in schema.items()}
    try:
        qualify(tree.copy(), schema={DATABASE: {LAYER: columns}}, dialect="snowflake", quote_identifiers=False)
    except sqlglot.errors.SqlglotError as error:
        verdict.check(name, False, f"reads what is not there: {error}")
    scales = {view: {column: decimals(kind) for column, kind in found.items()} for view, found in schema.items()}
    # An average that is in no cast is Lightdash's own; there readers see Snowflake's decimals as they are.
    faults = [fault for fault in Statement(text, scales).faults if not re.match(r"no cast .*: AVG\(", fault)]
    verdict.check(name, not faults, faults)
    for table in tree.find_all(exp.Table):
        if table.db:
            table.set("db", exp.to_identifier(f"{DATABASE}__{LAYER}", quoted=True))
            table.set("catalog", None)
    return tree.transform(as_duckdb).sql(dialect="duckdb")


def as_duckdb(node):
    """The function around Lightdash's timestamps is the one that sqlglot does not translate."""
    if isinstance(node, exp.Anonymous) and node.name.upper() == "TO_TIMESTAMP_NTZ":
        return exp.cast(node.expressions[0], "timestamp")
    return node


def main():
    logging.disable(logging.CRITICAL)
    told = json.load(sys.stdin)
    verdict = Verdict()
    found = {name: judge(name, text, told["schema"], verdict) for name, text in told["queries"].items()}
    if verdict.failed or not verdict.passed:
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
