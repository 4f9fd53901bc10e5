"""Makes dbt/lineage.json: for each column of each model the columns that it comes from, for each model how a row of it finds
its rows in the tables before it, and what could not be resolved. `sluice why`, the OpenLineage events and the catalogue read it.

    tools/lineage/build.py            writes the file again
    tools/lineage/build.py --check    a file that is not what the models say is an error

Models are compiled for Snowflake, with the published names and without a connection, and read by sqlglot.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "dbt/lineage.json"
DBT = ROOT / ".tools/venv/dbt/bin/dbt"

# What each raw table has beside its contract.
OWN = ["_sluice_run_id", "_sluice_sequence", "_sluice_loaded_at", "_sluice_source_file", "_sluice_row_number"]
OWN_OF_A_STREAM = ["_kafka_topic", "_kafka_partition", "_kafka_offset", "_kafka_timestamp"]


def compiled():
    """The manifest of the project, every model's SQL in it."""
    with tempfile.TemporaryDirectory(prefix="sluice-lineage-") as work:
        environment = os.environ | {
            "DBT_PROJECT_DIR": str(ROOT / "dbt"), "DBT_PROFILES_DIR": str(ROOT / "dbt"), "DBT_TARGET_PATH": work, "DBT_LOG_PATH": work,
            "DBT_USE_COLORS": "false", "DBT_SLUICE_RELATIONS": "published", "DBT_SLUICE_COMPILE_AS": "first_run",
        }  # fmt: skip
        command = [DBT, "--quiet", "compile", "--target", "snowflake", "--no-introspect", "--no-populate-cache"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"lineage: dbt compile failed:\n{done.stdout}{done.stderr}")
        return json.loads(Path(work, "manifest.json").read_text())


def relation(node):
    name = node.get("identifier") or node.get("alias") or node["name"]
    return ".".join([node["database"], node["schema"], name]).upper()


def raw_columns(source):
    streams = source["database"].upper() == "STREAMING"
    return [name.upper() for name in [*source["columns"], *OWN, *(OWN_OF_A_STREAM if streams else [])]]


def tested(manifest, test):
    """By model the columns that have a test of this name, over all rows."""
    columns = {}
    for node in manifest["nodes"].values():
        is_whole = node.get("column_name") and not node["config"].get("where")
        if (node.get("test_metadata") or {}).get("name") == test and is_whole:
            columns.setdefault(node["attached_node"], set()).add(node["column_name"].upper())
    return columns


def in_order(nodes):
    """Models, each after those that it reads."""
    waiting = {key: node for key, node in nodes.items() if node["resource_type"] == "model"}
    while waiting:
        ready = [key for key, node in sorted(waiting.items()) if not waiting.keys() & set(node["depends_on"]["nodes"])]
        for key in ready:
            yield key, waiting.pop(key)


def artefact(manifest):
    from model import describe

    tables = {relation(source): raw_columns(source) for source in manifest["sources"].values()}
    # What people have put aside decides which rows count, and no column comes from it.
    tables["ADMIN.OBSERVABILITY.PUT_ASIDE"] = ["TABLE_NAME", "ROW_KEY", "TAKEN_BACK_AT"]
    models, unresolved = {}, []
    never_null, unique = tested(manifest, "not_null"), tested(manifest, "unique")
    for key, node in in_order(manifest["nodes"]):
        name = relation(node)
        described, problems = describe(node["compiled_code"], tables, never_null.get(key, set()))
        missing = {column.upper() for column in node["columns"]} - set(described["columns"])
        problems += [f"the column {column} is not found" for column in sorted(missing)]
        unresolved += [{"model": name, "reason": reason} for reason in problems]
        before = {**manifest["nodes"], **manifest["sources"]}
        models[name] = {
            "model": node["name"],
            "key": sorted(unique.get(key, set())),
            "reads": sorted(relation(before[key]) for key in node["depends_on"]["nodes"] if key in before),
            **described,
        }
        tables[name] = list(described["columns"])
    return {"version": 1, "models": models, "unresolved": unresolved}


def written(artefact):
    """A line for each column and link, so that a difference is read as one."""
    lines = ['{ "version": 1,', '  "unresolved": [']
    lines.append(",\n".join(f"    {json.dumps(entry)}" for entry in artefact["unresolved"]))
    lines += ["  ],", '  "models": {']
    models = []
    for name, model in artefact["models"].items():
        columns = ",\n".join(f"        {json.dumps(column)}: {json.dumps(entry)}" for column, entry in model["columns"].items())
        links = ",\n".join(f"        {json.dumps(link)}" for link in model["links"])
        models.append(
            f'    {json.dumps(name)}: {{\n      "model": {json.dumps(model["model"])},\n      "key": {json.dumps(model["key"])},\n      "reads": {json.dumps(model["reads"])},\n'
            f'      "columns": {{\n{columns}\n      }},\n      "links": [\n{links}\n      ]\n    }}'
        )
    lines.append(",\n".join(models))
    return "\n".join([*lines, "  }", "}"]) + "\n"


def main(check):
    text = written(artefact(compiled()))
    found = FILE.read_text() if FILE.exists() else ""
    if text == found:
        print("lineage: dbt/lineage.json is what the models say")
    elif check:
        sys.exit("lineage: dbt/lineage.json is not what the models say; run `make lineage` and commit it")
    else:
        FILE.write_text(text)
        print("lineage: dbt/lineage.json was written again; commit it")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
