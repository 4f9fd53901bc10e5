"""The catalogue: every table and model with its columns, owner, personal data, lineage, freshness and monitors, from
platform/sources.yaml, the dbt project, dbt/lineage.json and the last drill.
"""

import html
import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LINEAGE = ROOT / "dbt/lineage.json"
DRILL = ROOT / "docs/reference/drill.json"

LAYERS = ["raw", "staging", "intermediate", "marts", "reporting"]

# What the code calls the kinds of sources.
KINDS = {"postgres": "Postgres", "hubspot_contacts": "HubspotContacts", "currencies": "Currencies", "exchange_rates": "ExchangeRates", "kafka": "Kafka"}


def cell(text):
    return " ".join(str(text or "").split()).replace("|", "\\|") or " "


def code(text):
    return f"`{cell(text)}`"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def anchor(name):
    """As the site names a heading."""
    return name.lower().replace(".", "")


def link(name):
    return f"[{name.split('.')[-1].lower()}](#{anchor(name)})"


def raw_tables():
    return yaml.safe_load((ROOT / "platform/sources.yaml").read_text())["tables"]


def described_models():
    """What the project's files say of each model."""
    models = {}
    for path in sorted((ROOT / "dbt/models").rglob("*.yml")):
        for model in (yaml.safe_load(path.read_text()) or {}).get("models", []):
            models[model["name"]] = {**model, "layer": path.relative_to(ROOT / "dbt/models").parts[0]}
    return models


def settings_of(node):
    return {**(node.get("meta") or {}), **((node.get("config") or {}).get("meta") or {})}


def owner(node):
    project = yaml.safe_load((ROOT / "dbt/dbt_project.yml").read_text())["models"]["sluice"]
    return settings_of(node).get("owner") or project["+meta"]["owner"]


def graph(lineage, raw):
    """The tables in the order in which they are made, left to right, as a drawing that needs nothing else."""
    reads = {name: model["reads"] for name, model in lineage["models"].items()}
    known = [entry["table"] for entry in raw] + list(reads)
    depth = {}

    def depth_of(name):
        if name not in depth:
            depth[name] = 1 + max((depth_of(read) for read in reads.get(name, []) if read in known), default=-1)
        return depth[name]

    columns = {}
    for name in sorted(known):
        columns.setdefault(depth_of(name), []).append(name)
    place = {}
    width, height, gap = 172, 20, 42
    for at in sorted(columns):
        # Each stands as high as what it reads, on average, so that fewer lines cross.
        def middle(name):
            above = [place[read][1] for read in reads.get(name, []) if read in place]
            return (sum(above) / len(above) if above else 0, name)

        for row, name in enumerate(sorted(columns[at], key=middle)):
            place[name] = (at * (width + gap), row * (height + 12))
    lines = []
    for name in sorted(reads):
        for read in sorted(read for read in reads[name] if read in place):
            (x1, y1), (x2, y2) = place[read], place[name]
            x1, y1, y2 = x1 + width, y1 + height / 2, y2 + height / 2
            bend = (x1 + x2) / 2
            lines.append(f'<path d="M{x1:g} {y1:g} C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}"/>')
    boxes = []
    for name, (x, y) in sorted(place.items()):
        short = html.escape(name.split(".")[-1].lower())
        boxes.append(
            f'<a href="#{anchor(name)}"><title>{html.escape(name)}</title><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>'
            f'<text x="{x + 6}" y="{y + 14}">{short}</text></a>'
        )
    right = max(x for x, _ in place.values()) + width
    bottom = max(y for _, y in place.values()) + height
    return (
        f'<div class="lineage"><svg viewBox="-2 -2 {right + 4} {bottom + 4}" role="img" aria-label="Tables and models, from sources on the left to what is published">'
        f"<g>{''.join(lines)}</g>{''.join(boxes)}</svg></div>\n"
    )


def source_of(entry):
    source = entry["source"]
    named = {"postgres": "{schema}.{table}", "kafka": "{topic}"}.get(source["kind"], "")
    return f"{source['kind']} {named.format(**source)}".strip()


def grace_minutes(kind):
    """How long after it was due a run may end, as the monitor's own settings say."""
    text = (ROOT / "shared/sluice-watch/src/settings.rs").read_text()
    arms = re.findall(r"^ +([\w:{}. |]+) => ([\d.]+),$", text.split("grace_minutes: match table.source {")[1].split("},\n            event_time")[0], re.M)
    return next(int(float(minutes)) for kinds, minutes in arms if kinds == "_" or f"Source::{KINDS.get(kind)}" in kinds)


def freshness(entry):
    monitors = entry.get("monitors") or {}
    if minutes := monitors.get("freshness_minutes"):
        return f"at most {minutes} minutes old"
    grace = grace_minutes(entry["source"]["kind"])
    when = f"{entry['schedule']}, and " if entry.get("schedule") else ""
    return f"{when}{grace} minutes" if grace < 1440 else f"{grace // 60} hours without a row"


def watched(entry):
    own = [f"{name} {value}" for name, value in (entry.get("monitors") or {}).items()]
    return "; ".join(own) or "the defaults"


def raw_entry(entry, lineage):
    read_by = sorted(name for name, model in lineage["models"].items() if entry["table"] in model["reads"])
    out = [f"### {entry['table']}\n", f"{entry['description']}\n"]
    out.append(
        table(
            ["Source", "Loaded by", "Key", "Fresh", "Monitors"],
            [[cell(source_of(entry)), cell(f"{entry['loader']}, {entry['disposition']}"), code(", ".join(entry["key"])), freshness(entry), watched(entry)]],
        )
    )
    out.append("Read by " + (", ".join(map(link, read_by)) or "no model") + ".\n")
    rows = [
        [code(column["name"].upper()), cell(column["type"]), "personal" if column.get("pii") else " ", cell(column["description"])]
        for column in entry["columns"]
    ]
    out.append(table(["Column", "Type", "Data", "Description"], rows))
    return out


def origin(entry):
    """Where a column comes from, in one cell."""
    named = [f"{link(source['table'])}{'' if source['column'] == '*' else '.' + source['column']}" for source in entry["from"]]
    how = {source["how"] for source in entry["from"]} - {"same"}
    return (", ".join(named) or "a constant") + (f" ({', '.join(sorted(how))})" if how else "")


def model_entry(name, model, described, lineage):
    node = described[model["model"]]
    columns = {column["name"].upper(): column for column in node.get("columns", [])}
    read_by = sorted(other for other, known in lineage["models"].items() if name in known["reads"])
    first = (node.get("description") or "").strip().split("\n\n")[0]
    out = [f"### {name}\n", f"{cell(first)}\n"]
    out.append(f"Owner: {owner(node)}. Read by {', '.join(map(link, read_by)) or 'no other model'}.\n")
    rows = []
    for column, known in model["columns"].items():
        told = columns.get(column, {})
        personal = "personal" if settings_of(told).get("pii") else " "
        rows.append([code(column), cell(told.get("data_type")), personal, cell(told.get("description")), origin(known)])
    out.append(table(["Column", "Type", "Data", "Description", "From"], rows))
    return out


def monitors():
    """Each monitor, what it judges and when a planted fault has shown last that it tells."""
    page = (ROOT / "docs/watching.md").read_text()
    section = page.split("## Monitors and their defaults")[1].split("\n## ")[0]
    # A page of docs/ is one folder above this one.
    section = re.sub(r"\]\((?=[\w-]+\.md)", "](../", section)
    drill = json.loads(DRILL.read_text()) if DRILL.exists() else {}
    rows = []
    for names, judges, default in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \| ([^|]+) \|", section, re.M):
        for name in re.findall(r"`(\w+)`", names):
            seconds = drill.get("detection_s", {}).get(name)
            proven = f"{drill['date']}, told {seconds / 60:.0f} minutes after the day" if seconds is not None else "by no planted fault"
            rows.append([code(name), cell(judges), cell(default), proven])
    return rows


def page(made):
    lineage, raw, described = json.loads(LINEAGE.read_text()), raw_tables(), described_models()
    out = ["# Catalogue\n", made]
    out.append(
        "Every table and model: columns, owners, personal data, where each column comes from, freshness and monitors. The same is asked of a"
        " running platform by [`sluice why TABLE.COLUMN`](../cli.md#why); [Lineage and catalogue](../how-to/lineage.md) says what this page"
        " takes the place of, and how to feed OpenMetadata or Marquez.\n"
    )
    out += ["## Lineage\n", graph(lineage, raw)]
    listed = [f"- {entry['model']}: {entry['reason']}" for entry in lineage["unresolved"]]
    if listed:
        out += ["What the parser could not follow:\n", "\n".join(listed) + "\n"]
    out += ["## Monitors\n", table(["Monitor", "Judges", "Default", "Last proven"], monitors())]
    out.append("## Raw tables\n")
    for entry in raw:
        out += raw_entry(entry, lineage)
    for layer in LAYERS[1:]:
        models = {name: model for name, model in lineage["models"].items() if described[model["model"]]["layer"] == layer}
        out.append(f"## {layer.capitalize()}\n")
        for name in sorted(models):
            out += model_entry(name, models[name], described, lineage)
    return "\n".join(out)
