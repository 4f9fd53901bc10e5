"""Judges the OpenLineage events that the platform makes, by the client that OpenLineage publishes.

Each event of shared/sluice-pipeline/src/openlineage/events.ndjson is built again from the client's own classes, which know every
facet, its members and their types, and check ids, times and addresses; what they write must be the event, member by member. A
facet must name the version of its schema that its class was generated from, and must stand where its class belongs. Beyond that:
a time has its zone, which the published schema wants and the classes do not.

Usage: <venv>/bin/python tests/openlineage/judge.py [events file, or the folder of a platform whose lake has some]
"""

import importlib
import json
import pkgutil
import re
import sys
import types
import typing
from pathlib import Path

import attr
from openlineage.client import event_v2, generated
from openlineage.client.generated import base
from openlineage.client.serde import Serde

EVENTS = Path(__file__).parents[2] / "shared/sluice-pipeline/src/openlineage/events.ndjson"

# What facets of a place descend from, by where they stand in an event.
PLACES = {"run": base.RunFacet, "job": base.JobFacet, "dataset": base.DatasetFacet, "output": base.OutputDatasetFacet}

# Under which key a facet stands: the classes do not know.
KEYS = {
    "columnLineage": "ColumnLineageDatasetFacet",
    "errorMessage": "ErrorMessageRunFacet",
    "jobType": "JobTypeJobFacet",
    "nominalTime": "NominalTimeRunFacet",
    "outputStatistics": "OutputStatisticsOutputDatasetFacet",
    "parent": "ParentRunFacet",
    "schema": "SchemaDatasetFacet",
    "version": "DatasetVersionDatasetFacet",
}

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def facet_classes():
    """By the name of its schema, which is that of its class."""
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for name, value in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).items():
            if attr.has(value) and issubclass(value, base.BaseFacet):
                found[name] = value
    return found


def build(kind, data):
    """An instance of a class of the client, from JSON. A member that the class does not know is an error."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return build(next(part for part in arguments if part is not type(None)), data)
    if typing.get_origin(kind) is list:
        return [build(arguments[0], entry) for entry in data]
    if typing.get_origin(kind) is dict:
        return {key: build(arguments[1], value) for key, value in data.items()}
    if not attr.has(kind):
        return data
    attr.resolve_types(kind)
    known = {field.name: field for field in attr.fields(kind)}
    return kind(**{key: build(known[key].type, value) for key, value in data.items() if key not in ("_producer", "_schemaURL")})


def facets(place, data, classes):
    built = {}
    for key, facet in data.items():
        name = facet["_schemaURL"].rsplit("/", 1)[-1]
        kind = classes[name]
        if facet["_schemaURL"] != kind._get_schema():
            raise ValueError(f"{key} names {facet['_schemaURL']}, the client has {kind._get_schema()}")
        if not issubclass(kind, PLACES[place]):
            raise ValueError(f"{key} is no facet of a {place}")
        if KEYS.get(key) != name:
            raise ValueError(f"{key} is not the key of {name}")
        built[key] = build(kind, facet)
    return built


def again(event, classes):
    """The event from the client's classes."""
    side = lambda kind, data: kind(  # noqa: E731
        namespace=data["namespace"], name=data["name"], facets=facets("dataset", data["facets"], classes),
        **({"outputFacets": facets("output", data["outputFacets"], classes)} if "outputFacets" in data else {}),
    )  # fmt: skip
    return event_v2.RunEvent(
        eventType=event_v2.RunState(event["eventType"]),
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(runId=event["run"]["runId"], facets=facets("run", event["run"]["facets"], classes)),
        job=event_v2.Job(namespace=event["job"]["namespace"], name=event["job"]["name"], facets=facets("job", event["job"]["facets"], classes)),
        inputs=[side(event_v2.InputDataset, data) for data in event["inputs"]],
        outputs=[side(event_v2.OutputDataset, data) for data in event["outputs"]],
    )


def bare(value):
    """Without what the client puts in by itself: who made a facet, and members that hold nothing."""
    if isinstance(value, dict):
        return {key: bare(member) for key, member in value.items() if key not in ("_producer", "_schemaURL") and member not in (None, {}, [])}
    return [bare(entry) for entry in value] if isinstance(value, list) else value


def judge(event, classes):
    built = json.loads(Serde.to_json(again(event, classes)))
    if bare(built) != bare(event):
        raise ValueError(f"the client writes {json.dumps(bare(built))[:2000]}")
    if built["schemaURL"] != event["schemaURL"]:
        raise ValueError(f"the client has {built['schemaURL']}")
    if not TIME.fullmatch(event["eventTime"]):
        raise ValueError(f"{event['eventTime']} has no zone")
    if not event["inputs"] or not event["outputs"]:
        raise ValueError("one side is empty")


# Damage that must be refused: a judge that takes it judges nothing.
DAMAGE = {
    "an id that is no UUID": lambda event: event["run"].update(runId="7"),
    "a time without a zone": lambda event: event.update(eventTime="2026-01-01T00:00:00"),
    "a type in lower case": lambda event: event.update(eventType="start"),
    "a member that no class has": lambda event: event["job"]["facets"]["jobType"].update(kind="x"),
    "a facet of another version": lambda event: event["job"]["facets"]["jobType"].update(_schemaURL="https://openlineage.io/spec/facets/1-0-0/JobTypeJobFacet.json#/$defs/JobTypeJobFacet"),
    "a facet in the wrong place": lambda event: event["run"]["facets"].update(jobType=event["job"]["facets"]["jobType"]),
    "an event without a job": lambda event: event.pop("job"),
}  # fmt: skip


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    classes, failed = facet_classes(), 0
    # The emulator of the lake keeps what it knows of an object beside it.
    of_lake = (file for file in path.rglob("openlineage/*/*.json") if not file.name.endswith(".meta.json"))
    files = sorted(of_lake) if path.is_dir() else [path]
    events = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    if not events:
        sys.exit(f"there are no events in {path}")
    for number, event in enumerate(events, start=1):
        try:
            judge(event, classes)
        except Exception as error:  # noqa: BLE001 - whatever the client says is told
            failed += 1
            print(f"FAILED line {number}, {event['eventType']} of {event['job']['name']}: {type(error).__name__}: {error}")
    taken = []
    for name, damage in DAMAGE.items():
        damaged = json.loads(json.dumps(events[0]))
        damage(damaged)
        try:
            judge(damaged, classes)
            taken.append(name)
        except Exception:  # noqa: BLE001
            pass
    for name in taken:
        print(f"FAILED: {name} is taken")
    print(f"openlineage-python: {len(events) - failed} events taken, {failed} refused; {len(DAMAGE) - len(taken)} of {len(DAMAGE)} damaged ones refused")
    return 1 if failed or taken or not events else 0


if __name__ == "__main__":
    sys.exit(main())
