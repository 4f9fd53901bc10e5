"""Judges the SQL that sluice-snowflake renders, independently of the emulator warehouse.

1. sqlglot's Snowflake dialect must parse every statement of every snapshot into a kind of statement that it knows. A
   fallback to its opaque Command counts as a failure, but for the shapes in OPAQUE, whose insides are judged instead.
2. An emulator runs the statements end to end on sample rows: fakesnow or snowduck, whichever this Python has. What no
   emulator can run is listed in NOT_RUN with the reason; nothing is left out silently.

Usage: <venv>/bin/python tests/sql-judge/judge.py [snapshots folder]
"""

import logging
import re
import sys
from pathlib import Path

import sqlglot
from sqlglot import exp

import account
import scenarios
from script import BLOCK, parse_block, split

SNAPSHOTS = Path(__file__).parents[2] / "shared/sluice-snowflake/src/sql/snapshots"

# What a renderer may produce. Anything else that happens to parse (a stray word parses as a column) is a failure.
KNOWN = (
    exp.Alter, exp.Comment, exp.Commit, exp.Copy, exp.Create, exp.Delete, exp.Describe, exp.Drop, exp.Insert, exp.Merge, exp.Rollback, exp.Select,
    exp.Transaction, exp.Union, exp.Update,
)  # fmt: skip

# Shapes that sqlglot reads as Command, each with the part that it can read.
OPAQUE = [
    # Scripting: the control flow is read by script.py, which refuses what it does not know.
    (BLOCK, lambda found: parse_block(found[1]).sql()),
    # A pipe is a name and a COPY, and only the COPY has a grammar.
    (re.compile(r"CREATE PIPE IF NOT EXISTS \S+ AS (COPY INTO .*)", re.S), lambda found: [found[1]]),
]

OPAQUE += [
    # A format's options are judged where it is made.
    (
        re.compile(r"ALTER FILE FORMAT (\S+) SET (.*)", re.S),
        lambda found: [f"CREATE FILE FORMAT IF NOT EXISTS {found[1]} TYPE = PARQUET {found[2]}"],
    ),
]

# A text as it is quoted.
TEXT = r"('(?:[^'\\]|\\.|'')*')"

OPAQUE += [
    # Statements whose grammar is Snowflake's alone: their texts are judged as texts.
    (re.compile(rf"EXECUTE DBT PROJECT [A-Z.]+ ARGS = {TEXT}", re.S), lambda found: [f"SELECT {found[1]}"]),
    (
        re.compile(rf"COPY FILES INTO {TEXT} FROM {TEXT} FILES = \({TEXT}\)", re.S),
        lambda found: [f"SELECT {found[1]}, {found[2]}, {found[3]}"],
    ),
]

OPAQUE += [
    # A setting of the session: the name that is asked for is judged as a text.
    (re.compile(rf"SHOW PARAMETERS LIKE {TEXT} IN SESSION", re.S), lambda found: [f"SELECT {found[1]}"]),
]

# What must come back out of the hostile snapshots, unchanged, after an independent tokenizer has read it.
HOSTILE_VALUES = {
    "load_hostile": ["o'lake\\", "'; DROP TABLE x; --", "@ADMIN.OBSERVABILITY.LAKE/raw/it's/a\\b/", "🦀.parquet"],
    "foundation_hostile": ["o'lake\\", "s3://b'; DROP STAGE x; --/"],
}
HOSTILE_NAMES = ["A.B", 'IT\'S "QUOTED"', "SELECT", "🦀; DROP TABLE X --", "BACK\\SLASH", "ORDER", "GROUP", "TABLE"]


class Verdict:
    def __init__(self):
        self.passed = self.failed = self.not_run = 0

    def check(self, name, condition, detail=""):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {detail}")

    def equal(self, name, found, expected):
        self.check(name, found == expected, f"found {found!r}, expected {expected!r}")


def judge_statement(verdict, name, text):
    """Parses one statement; returns the trees of everything in it."""
    for pattern, inside in OPAQUE:
        if found := pattern.fullmatch(text):
            try:
                parts = list(inside(found))
            except (ValueError, IndexError) as error:
                verdict.check(name, False, f"the script is not one that we render: {error}")
                return []
            return [tree for part in parts for tree in judge_statement(verdict, name, part)]
    short = " ".join(text.split())[:90]
    try:
        trees = sqlglot.parse(text, read="snowflake")
    except sqlglot.errors.SqlglotError as error:
        verdict.check(name, False, f"does not parse: {short}: {error}")
        return []
    kinds = [type(tree).__name__ for tree in trees]
    understood = len(trees) == 1 and isinstance(trees[0], KNOWN) and not trees[0].find(exp.Command)
    if not understood:
        for pattern, inside in account.OPAQUE:
            if found := pattern.fullmatch(text):
                return [tree for part in inside(found) for tree in judge_statement(verdict, name, part)]
    verdict.check(name, understood, f"is read as {kinds}: {short}")
    return trees


def judge_snapshot(verdict, path):
    trees = []
    for number, text in enumerate(split(path.read_text(encoding="utf-8")), start=1):
        trees += judge_statement(verdict, f"{path.name} statement {number}", text)
    if path.stem in HOSTILE_VALUES:
        values = {literal.this for tree in trees for literal in tree.find_all(exp.Literal) if literal.is_string}
        names = {identifier.this for tree in trees for identifier in tree.find_all(exp.Identifier)}
        for value in HOSTILE_VALUES[path.stem]:
            verdict.check(path.name, value in values, f"the value {value!r} does not come back")
        for hostile in HOSTILE_NAMES:
            expected = hostile in names or (hostile == "ORDER" and path.stem == "foundation_hostile")
            verdict.check(path.name, expected, f"the name {hostile!r} does not come back")


def main():
    # sqlglot warns of each fallback to Command; the verdict says it once.
    logging.disable(logging.CRITICAL)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SNAPSHOTS
    snapshots = {path.stem: path for path in sorted(folder.glob("*.sql"))}
    verdict = Verdict()
    verdict.check(str(folder), "foundation" in snapshots and len(snapshots) > 5, "the snapshots are missing")
    for path in snapshots.values():
        judge_snapshot(verdict, path)
    parsed = verdict.passed
    if not verdict.failed:
        scenarios.run_all(verdict, {stem: split(path.read_text(encoding="utf-8")) for stem, path in snapshots.items()})
    print(f"sqlglot {sqlglot.__version__}: {parsed} checks")
    print(f"{scenarios.emulator()}: {verdict.passed - parsed} checks; {verdict.not_run} statements it is known not to run")
    print(f"{verdict.passed} passed, {verdict.failed} failed")
    return 1 if verdict.failed or not verdict.passed else 0


if __name__ == "__main__":
    sys.exit(main())
