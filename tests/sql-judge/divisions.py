"""Judges the divisions of the dbt project by Snowflake's rule, which no emulator plays: a quotient has
max(s, min(s + 6, 12)) decimals, s being those of the dividend. A cast to more of them keeps zeros in place of digits.

Each division, and each average, which is one, has to stand in a cast to a decimal that asks for no more than it has; what
the decimals of an operand are is worked out from the models' contracts, the sources' types and the SQL itself.

Usage: <venv>/bin/python tests/sql-judge/divisions.py <target folder of `dbt compile --target snowflake`>
"""

import json
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

WHOLE = {"bigint", "integer", "int", "smallint", "number"}

# A statement and whether its divisions are as they have to be; `rates` has one column, RATE decimal(18,10).
EXAMPLES = [
    ("select cast(1 / rate as decimal(28, 10)) as x from rates", False),
    ("select cast(cast(1 as decimal(18, 10)) / rate as decimal(28, 10)) as x from rates", True),
    ("select cast(rate / nullif(rate, 0) - 1 as decimal(18, 12)) as x from rates", True),
    ("select cast(rate / rate as decimal(28, 13)) as x from rates", False),
    ("with a as (select cast(rate as decimal(18, 2)) as r from rates) select cast(r / 3 as decimal(18, 8)) as x from a", True),
    ("with a as (select cast(rate as decimal(18, 2)) as r from rates) select cast(r / 3 as decimal(18, 9)) as x from a", False),
    ("select cast(avg(rate) as decimal(28, 12)) as x, cast(avg(length('a')) as decimal(9, 7)) as y from rates", False),
    ("select rate / 2 as x from rates", False),
    ("select cast(rate * 2 as decimal(38, 30)) as x from rates", True),
]


def decimals(kind):
    """Those of a type as it is written; None of what is no exact number."""
    found = re.fullmatch(r"(?:decimal|number|numeric)\s*\(\s*\d+\s*(?:,\s*(\d+)\s*)?\)", kind.strip().lower())
    if found:
        return int(found[1] or 0)
    return 0 if kind.strip().lower() in WHOLE else None


def quotient(dividend):
    return None if dividend is None else max(dividend, min(dividend + 6, 12))


class Statement:
    """One query; `relations` has the columns of what it reads, by name in lower case."""

    def __init__(self, text, relations):
        self.relations = relations
        self.columns = {}
        self.faults = []
        self.count = 0
        self.scopes = {}
        for scope in traverse_scope(sqlglot.parse_one(text, read="snowflake")):
            self.scope = scope
            self.columns = self.scopes[id(scope)] = self._outputs(scope)
            self._judge(scope)

    def _outputs(self, scope):
        if scope.union_scopes:
            # The first half names the columns; of two that differ nobody can say.
            first, second = (self.scopes[id(half)] for half in scope.union_scopes)
            pairs = zip(first.items(), second.values())
            return {name: one if one == other else None for (name, one), other in pairs}
        found = {}
        for projection in scope.expression.selects:
            if projection.is_star:
                for source in scope.sources.values():
                    found |= self._source(source)
            else:
                found[projection.alias_or_name.lower()] = self.scale(projection)
        return found

    def _source(self, source):
        if isinstance(source, Scope):
            # A recursive part is read before it is done.
            return self.scopes.get(id(source), {})
        return self.relations.get(source.name.lower(), {})

    def _judge(self, scope):
        for division in scope.find_all(exp.Div, exp.Avg):
            self.count += 1
            cast = division.find_ancestor(exp.Cast)
            asked = decimals(cast.to.sql()) if cast else None
            if asked is None:
                self.faults.append(f"no cast says how many decimals this has: {division.sql()}")
                continue
            given = self.scale(cast.this)
            if given is None:
                self.faults.append(f"the decimals of an operand are not known: {cast.sql()}")
            elif given < asked:
                self.faults.append(f"{asked} decimals are asked for and Snowflake gives {given}: {cast.sql()}")

    def scale(self, node):
        """The decimals of an expression by Snowflake's rules; None where it is no number or nothing tells."""
        inner = lambda: self.scale(node.this)
        match node:
            case exp.Column():
                sources = self.scope.sources
                wanted = [sources[node.table]] if node.table in sources else sources.values()
                known = [columns[node.name.lower()] for columns in map(self._source, wanted) if node.name.lower() in columns]
                return known[0] if len(known) == 1 else None
            case exp.Literal():
                return None if node.is_string else len(node.this.partition(".")[2])
            case exp.Cast():
                return decimals(node.to.sql())
            case exp.Div() | exp.Avg():
                return quotient(inner())
            case exp.Mul():
                pair = [self.scale(node.left), self.scale(node.right)]
                return None if None in pair else min(sum(pair), max(*pair, 12))
            case exp.Round():
                return int(node.args["decimals"].this) if node.args.get("decimals") else 0
            case exp.Count() | exp.RowNumber() | exp.Length():
                return 0
            case exp.Add() | exp.Sub():
                return self._widest([node.left, node.right])
            case exp.Coalesce():
                return self._widest([node.this, *node.expressions])
            case exp.Case():
                return self._widest([branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")])
            case exp.Alias() | exp.Paren() | exp.Neg() | exp.Nullif() | exp.Window() | exp.Lag() | exp.Lead():
                return inner()
            case exp.Max() | exp.Min() | exp.Sum() | exp.Abs():
                return inner()
        return None

    def _widest(self, nodes):
        scales = [self.scale(node) for node in nodes if node is not None and not isinstance(node, exp.Null)]
        return max(scales) if scales and None not in scales else None


def judge(manifest):
    """Each model's divisions by its name: how many there are, and the faults."""
    relations, judged = {}, {}
    for source in manifest["sources"].values():
        relations[source["identifier"].lower()] = {c["name"].lower(): decimals(c["data_type"]) for c in source["columns"].values()}
    models = {id: node for id, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    for id in TopologicalSorter({id: [n for n in node["depends_on"]["nodes"] if n in models] for id, node in models.items()}).static_order():
        node = models[id]
        statement = Statement(node["compiled_code"], relations)
        judged[node["name"]] = (statement.count, statement.faults)
        promised = {c["name"].lower(): decimals(c["data_type"]) for c in node["columns"].values() if c.get("data_type")}
        relations[node["alias"].lower()] = statement.columns | promised
    return judged


def main():
    for text, right in EXAMPLES:
        found = Statement(text, {"rates": {"rate": 10}}).faults
        if (not found) != right:
            sys.exit(f"the judge is wrong about {text}: {found}")
    manifest = json.loads((Path(sys.argv[1]) / "manifest.json").read_text(encoding="utf-8"))
    judged = judge(manifest)
    faults = [f"{model}: {fault}" for model, (_, found) in judged.items() for fault in found]
    print("\n".join(faults), end="\n" if faults else "")
    count = sum(count for count, _ in judged.values())
    print(f"{count} divisions in {len(judged)} models by Snowflake's rule: {len(faults)} faults")
    return 1 if faults or not count else 0


if __name__ == "__main__":
    sys.exit(main())
