"""Makes the pages of docs/reference that say what the code says: they are written from it, never by hand.

A page whose source cannot be read any more as it was is an error, so that none of them is silently empty.
"""

import json
import re
import subprocess
from pathlib import Path

import catalogue
from cloudformation import Template

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/reference"
BINARIES = ROOT / "target/x86_64-unknown-linux-gnu/release"
MADE = "<!-- Made by `make docs` from {}; an edit here is lost. -->\n"

# The page that helps when an alarm is on. Every alarm must match one.
RUNBOOKS = [
    (r"Extract\w+-|extract-dead|runs-dead", "an-extract-fails"),
    (r"LoadCommits-|load-dead|load-lagging", "a-commit-does-not-load"),
    (r"DispatchDbt-|dispatch-dead", "a-dbt-run-fails"),
    (r"ActivateHubspot-|activate-dead", "an-activation-stops"),
    (r"WatchPlatform-|silent-watcher|unsent-alerts", "an-alert-arrives"),
    (r"stream-dead-letters", "records-are-dead-letters"),
    (r"PublishReport-", "the-report-is-missing"),
    (r"StreamKafka-|stream-lagging|stream-partitions-failing", "the-stream-falls-behind"),
    (r"CollectEvents-|spool-|outbox-", "events-wait-or-are-refused"),
    (r"alarms-dead|hops-exhausted", "news-is-lost"),
    (r"ProvisionWarehouse-", "the-account-differs"),
    (r"keys-old", "rotate-a-secret"),
]


class NotFound(Exception):
    """A source does not hold what its page is made from."""


def read(path):
    return (ROOT / path).read_text()


def need(found, what):
    if not found:
        raise NotFound(f"{what}; the page is made from it, so tools/docs/reference.py must follow")
    return found


def cell(text):
    return " ".join(str(text).split()).replace("|", "\\|") or " "


def code(text):
    text = cell(text).strip()
    return f"`{text}`" if text else ""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def functions():
    return need(sorted(path.parent.name for path in ROOT.glob("functions/*/README.md")), "functions/*/README.md")


# ---- Configuration


def environment_rows(function):
    """The rows of a function's table of variables, which a test compares with its code."""
    rows = re.findall(r"^\| (`SLUICE_[^|]*)\|([^|]*)\|([^|]*)\|$", read(f"functions/{function}/README.md"), re.M)
    return [[part.strip() for part in row] for row in need(rows, f"functions/{function}/README.md has no table of variables")]


def configuration():
    template = Template(read("template.yaml"))
    out = ["# Configuration\n", MADE.format("template.yaml and the README of each function")]
    out.append(
        "A deployment is configured by the template's parameters, which `samconfig.toml` holds for each stage; from them the"
        " template sets the environment of each function. What is extracted is in [sources.yaml](sources-yaml.md). Secrets are"
        " never parameters: [Secrets](../deploy.md#secrets).\n"
    )
    out.append("## Parameters of the template\n")
    groups = template.data["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [(group["Label"]["default"], group["Parameters"]) for group in groups]
    named = {name for _, names in grouped for name in names}
    others = [name for name in template.parameters if name not in named]
    for label, names in grouped + ([("Others", others)] if others else []):
        rows = []
        for name in names:
            parameter = template.parameters[name]
            values = parameter.get("AllowedValues")
            allowed = ", ".join(code(value) for value in values) if values else ""
            least, most = parameter.get("MinValue"), parameter.get("MaxValue")
            if least is not None or most is not None:
                allowed = f"{'' if least is None else f'from {least} '}{'' if most is None else f'to {most}'}".strip()
            default = parameter.get("Default")
            shown = "required" if default is None else code(default) or "empty"
            rows.append([code(name), cell(parameter.get("Description", "")), shown, allowed or " "])
        out += [f"### {label}\n", table(["Parameter", "Meaning", "Default", "Allowed"], rows)]
    out.append("## Environment of the functions\n")
    out.append("Each is read once, when a function starts. A value that cannot be used ends the start with every problem named.\n")
    for function in functions():
        rows = [[name, cell(meaning), cell(default)] for name, meaning, default in environment_rows(function)]
        out += [f"### {function}\n", table(["Variable", "Meaning", "Default"], rows)]
    return "\n".join(out)


# ---- sources.yaml


def kind_of(schema, definitions):
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        target = definitions[name]
        if any("const" in each for each in target.get("oneOf", [])) and "properties" not in str(target["oneOf"][0]):
            return " \\| ".join(code(each["const"]) for each in target["oneOf"])
        return f"[{name.lower()}](#{name.lower()})"
    if "anyOf" in schema:
        return " \\| ".join(kind_of(each, definitions) for each in schema["anyOf"] if each.get("type") != "null")
    if "const" in schema:
        return code(schema["const"])
    if schema.get("type") == "array":
        return "list of " + kind_of(schema["items"], definitions)
    kind = schema.get("type", "")
    return " \\| ".join(each for each in kind if each != "null") if isinstance(kind, list) else str(kind)


def properties(schema, definitions):
    required = schema.get("required", [])
    rows = [
        [code(name), kind_of(each, definitions), "yes" if name in required else "", cell(each.get("description", ""))]
        for name, each in sorted(schema["properties"].items(), key=lambda item: item[0] not in required)
    ]
    return table(["Setting", "Value", "Required", "Meaning"], rows)


def sources_yaml():
    schema = json.loads(read("platform/sources.schema.json"))
    definitions = need(schema.get("$defs"), "platform/sources.schema.json has no $defs")
    out = ["# sources.yaml\n", MADE.format("platform/sources.schema.json")]
    out.append(
        "`platform/sources.yaml` says what is extracted, how it is loaded, and the contract of every raw table. Its schema is made"
        " from the types that read it. What spans several settings, and what is refused, is in"
        " [Add a table](../add-a-table.md#what-the-file-is-checked-for).\n"
    )
    out += ["## The file\n", cell(schema.get("description", "")) + "\n", properties(schema, definitions)]
    for name, each in definitions.items():
        choices = each.get("oneOf", [])
        if "properties" in each:
            out += [f"## {name}\n", cell(each.get("description", "")) + "\n", properties(each, definitions)]
        elif choices and "properties" in choices[0]:
            out += [f"## {name}\n", cell(each.get("description", "")) + "\n"]
            for choice in choices:
                title = choice["properties"]["kind"]["const"]
                out += [f"### kind: {title}\n", cell(choice.get("description", "")) + "\n", properties(choice, definitions)]
        elif choices:
            rows = [[code(choice["const"]), cell(choice.get("description", ""))] for choice in choices]
            out += [f"## {name}\n", cell(each.get("description", "")) + "\n", table(["Value", "Meaning"], rows)]
        elif each.get("type") == "array":
            out += [f"## {name}\n", cell(each.get("description", "")) + " Each is: " + kind_of(each["items"], definitions) + ".\n"]
        else:
            rule = f" It matches {code(each['pattern'])}." if "pattern" in each else ""
            out += [f"## {name}\n", cell(each.get("description", "")) + rule + "\n"]
    return "\n".join(out)


# ---- warehouse.yaml


# What an entry of any section may have.
OF_EACH = ("comment", "owner", "environments", "each", "where")
WRITTEN = [
    ["`${name}`", "a value of the environment, or of the deployment: `lake_bucket`, `lake_role_arn`, `lake_external_id`, `egress`"],
    ["`${environment}`, `${ENVIRONMENT}`", "the environment's name, in lower and in upper case"],
    ["`environments: [prod]`", "the entry is there in `prod` only"],
    ["`each: [dev, prod]`", "the entry is there once for each, with the values of each"],
    ["`where: { prod: { size: LARGE } }`", "in `prod` the entry has these settings"],
]
GRANTED = [
    ["`on: account`", "the account"],
    ["`on: warehouse LOADING`", "one object: its type and full name"],
    ["`on: [tables, views], in: ANALYTICS.REPORTING`", "all objects of these types in a database or schema, those that are there and those that will be; `current: false` or `future: false` leaves one of the two out"],
    ["`with_grant_option: true`", "who has it may grant it on"],
]


def shown_kind(schema):
    if "anyOf" in schema:
        number = next(each for each in schema["anyOf"] if each.get("type") == "integer")
        return f"number from {number['minimum']} to {number['maximum']}"
    if "enum" in schema:
        return " \\| ".join(code(word) for word in schema["enum"])
    items = schema.get("items", {}).get("type")
    items = {"object": "mappings", "integer": "numbers"}.get(items, "texts")
    words = {"string": "text", "boolean": "true or false", "object": "mapping", "array": f"list of {items}"}
    return words[schema["type"]]


def settings(schema, left_out=()):
    required = schema.get("required", [])
    named = [(name, each) for name, each in schema["properties"].items() if name not in left_out]
    default = lambda each: code(json.dumps(each["default"]).strip('"')) if "default" in each else ""
    return table(["Setting", "Value", "Required", "Default", "Meaning"], [
        [code(name), shown_kind(each), "yes" if name in required else "", default(each), cell(need(each.get("description"), f"no description of {name}"))]
        for name, each in sorted(named, key=lambda item: item[0] not in required)
    ])


def warehouse_yaml():
    schema = json.loads(read("platform/warehouse.schema.json"))
    sections = need(schema.get("properties"), "platform/warehouse.schema.json has no properties")
    entries = {name: each["additionalProperties"] for name, each in sections.items() if isinstance(each.get("additionalProperties"), dict)}
    out = ["# warehouse.yaml\n", MADE.format("platform/warehouse.schema.json")]
    out.append(
        "`platform/warehouse.yaml` says what the Snowflake account is. [Give somebody access](../how-to/give-access.md) walks through a"
        " change, [the account as code](../cli.md#warehouse) has the commands. Its schema is made from the kinds that the code knows.\n"
    )
    out.append(
        "An object that the file does not name is reported and never dropped. A grant that the file does not give is revoked, where a role"
        " or user of the file holds it on an object of the file. Raw tables, their databases and schemas, locks, pipes, the ledger, the"
        " lake's stage and file format, and what the loading role needs on them follow from [sources.yaml](sources-yaml.md) and need no"
        " entry.\n"
    )
    out += ["## How an entry is written\n", table(["In an entry", "Means"], WRITTEN)]
    out += ["## How a grant is written\n", "An item of `grants` has `grant`, a list of privileges, and `on`:\n", table(["Grant", "Means"], GRANTED)]
    out += ["## Sections\n"]
    required = schema.get("required", [])
    out.append(table(["Section", "Required", "Meaning"], [
        [f"[`{name}`](#{name})" if name in entries or "properties" in each else code(name), "yes" if name in required else "", cell(need(each.get("description"), f"no description of {name}"))]
        for name, each in sections.items()
    ]))
    common = next(each for each in entries.values() if set(OF_EACH) <= set(each["properties"]))
    out += ["## Of any entry\n", "Where the kind has it; a network policy has no owner, and a resource monitor neither owner nor comment.\n"]
    out.append(settings({"properties": {name: common["properties"][name] for name in OF_EACH}}))
    for name, each in sections.items():
        own = entries.get(name) or (each if "properties" in each else None)
        if own is None:
            continue
        out += [f"## {name}\n", cell(each["description"]) + "\n"]
        if set(own["properties"]) - set(OF_EACH):
            out.append(settings(own, OF_EACH if name in entries else ()))
        else:
            out.append("Nothing but what any entry may have.\n")
    return "\n".join(out)


# ---- Errors


def rust_texts(text):
    """The texts of a piece of Rust, continued lines joined."""
    return [re.sub(r"\\\n\s*", "", found).replace('\\"', '"') for found in re.findall(r'"((?:[^"\\]|\\.|\\\n)*)"', text)]


def errors():
    kinds = need(re.search(r"pub enum Kind \{(.*?)\n\}", read("shared/sluice-core/src/error.rs"), re.S), "the enum Kind in sluice-core")
    meanings = need(re.findall(r"/// (.*)\n\s+(\w+),", kinds[1]), "the kinds of errors")
    policy = read("shared/sluice-lambda/src/policy.rs")
    hints = dict(need(re.findall(r'Kind::(\w+) => "([^"]+)"', policy), "the hints in sluice-lambda/src/policy.rs"))
    body = read("shared/sluice-core/src/error.rs").split("fn default_retry", 1)[-1].split("fn ", 1)[0]
    transient = re.findall(r"Kind::(\w+)", need(body.split("=> Retry::Transient")[0] if "Retry::Transient" in body else "", "the retry status of kinds"))
    rows = []
    for meaning, kind in meanings:
        hint = need(hints.get(kind), f"no hint for the kind {kind}")
        rows.append([code(kind), cell(meaning), "yes" if kind in transient else "no", cell(hint)])
    own = []
    for path in sorted([*ROOT.glob("shared/*/src/**/*.rs"), *ROOT.glob("functions/*/src/**/*.rs"), *ROOT.glob("cli/src/**/*.rs")]):
        if "tests" in path.name or "tests" in path.parts:
            continue
        text = path.read_text().split("#[cfg(test)]")[0]
        for found in re.finditer(r"with_hint\(\s*(?:format!\(\s*)?(\"(?:[^\"\\]|\\.|\\\n)*\")", text):
            own.append([code(path.relative_to(ROOT).as_posix().split("/src/")[0]), cell(rust_texts(found[1])[0])])
    out = ["# Errors\n", MADE.format("shared/sluice-core/src/error.rs, shared/sluice-lambda/src/policy.rs and the hints in the code")]
    out.append(
        "Every error has a kind, says what was tried on what, and whether trying again can help. The kind is Lambda's `errorType`"
        " and `error_kind` in the [log](../logs.md); what to do is `hint`. A queue's message is acknowledged after success and"
        " after an error that is final; everything else is tried again.\n"
    )
    out += ["## Kinds\n", table(["Kind", "Meaning", "Retried within the run", "What helps most often"], rows)]
    out += ["## Hints of single errors\n", "Where an error knows better than its kind, it has its own hint.\n"]
    out.append(table(["Part", "Hint"], [row for index, row in enumerate(own) if row not in own[:index]]))
    return "\n".join(out)


# ---- The command line


def help_of(binary, *words):
    command = [str(BINARIES / binary), *words, "--help"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env={"COLUMNS": "100"}).stdout.rstrip()


def verbs(text):
    listed = text.split("Commands:\n", 1)[1].split("\n\n", 1)[0]
    return [line.split()[0] for line in listed.splitlines() if re.match(r"  \w", line) and line.split()[0] != "help"]


def command_line():
    """From the built binaries; nothing where there are none."""
    if not (BINARIES / "sluice").exists() or not (BINARIES / "sluice-local").exists():
        return None
    out = ["# Command line\n", MADE.format("the --help of the binaries")]
    out.append("[Operating a platform](../cli.md) shows each command of `sluice` with its output.\n")
    for binary in ("sluice", "sluice-local"):
        whole = help_of(binary)
        out += [f"## {binary}\n", f"```text\n{whole}\n```\n"]
        for verb in need(verbs(whole), f"{binary} --help names no commands"):
            own = help_of(binary, verb)
            out += [f"### {binary} {verb}\n", f"```text\n{own}\n```\n"]
            for part in verbs(own) if "Commands:\n" in own else []:
                out += [f"#### {binary} {verb} {part}\n", f"```text\n{help_of(binary, verb, part)}\n```\n"]
    return "\n".join(out)


# ---- Alarms, roles, metrics, announcements


def runbook(alarm):
    for pattern, page in RUNBOOKS:
        if re.search(pattern, alarm):
            return page
    raise NotFound(f"no runbook for the alarm {alarm}; RUNBOOKS in tools/docs/reference.py names one for each")


def title_of(page):
    return need(re.search(r"^# (.+)$", read(f"docs/runbooks/{page}.md"), re.M), f"docs/runbooks/{page}.md has no title")[1]


def watched(template, properties):
    if "Metrics" in properties:
        said = [each["Expression"] for each in properties["Metrics"] if "Expression" in each]
        names = [f"{each['Id']} = {template.text(each['MetricStat']['Metric']['MetricName'])}" for each in properties["Metrics"] if "MetricStat" in each]
        return "; ".join(names + [template.text(each) for each in said])
    statistic = properties.get("Statistic", properties.get("ExtendedStatistic", ""))
    return f"{template.text(statistic).lower()} of {template.text(properties.get('MetricName', ''))}"


def alarms():
    template = Template(read("template.yaml"))
    signs = {"GreaterThanThreshold": "above", "GreaterThanOrEqualToThreshold": "at least", "LessThanThreshold": "below", "LessThanOrEqualToThreshold": "at most"}
    rows = []
    for name, properties in need(template.of("AWS::CloudWatch::Alarm"), "the alarms of template.yaml"):
        alarm = template.text(properties["AlarmName"])
        period = properties.get("Period") or next((each["MetricStat"]["Period"] for each in properties.get("Metrics", []) if "MetricStat" in each), 0)
        span = int(template.text(period)) * int(template.text(properties["EvaluationPeriods"]))
        unit = " ms" if template.text(properties.get("MetricName", "")) == "Duration" else ""
        limit = f"{signs[template.text(properties['ComparisonOperator'])]} {template.text(properties['Threshold'])}{unit} within {span // 60} min"
        page = runbook(alarm)
        rows.append([code(alarm), cell(template.text(properties.get("AlarmDescription", ""))), f"{cell(watched(template, properties))}, {limit}", f"[{title_of(page)}](../runbooks/{page}.md)"])
    out = ["# Alarms\n", MADE.format("template.yaml")]
    out.append(
        "A stack whose `Stage` is not `local` has these alarms. They publish to the topic `<stack>-alarms`, which mails the address of"
        " the parameter `AlarmEmail`. The data itself is looked at by dbt's tests, by"
        " [monitors](../watching.md) and by [`sluice doctor`](../cli.md#doctor).\n"
    )
    out.append(table(["Alarm", "Says", "Watches", "Runbook"], rows))
    return "\n".join(out)


def lines_of(value):
    return value if isinstance(value, list) else [value]


def statements_of(document):
    """Of one with a condition of the template all that it may be."""
    for statement in lines_of(document["Statement"]):
        yield from (each for each in statement.get("Fn::If", [None, statement])[1:] if "Action" in each)


def folders(template, policies):
    """Who reads and who writes which folder of the lake."""
    found = {}
    for name, document, _ in policies:
        for statement in (each for each in statements_of(document) if each["Effect"] == "Allow"):
            actions = " ".join(lines_of(statement["Action"]))
            for resource in (template.text(each) for each in lines_of(statement["Resource"])):
                if not resource.startswith("Lake/"):
                    continue
                of = found.setdefault(resource.split("/")[1], (set(), set()))
                for at, action in enumerate(("s3:GetObject", "s3:PutObject")):
                    if action in actions:
                        of[at].add(name.removesuffix("Role"))
    rows = [[code(f"{folder}/"), *(", ".join(sorted(each)) or " " for each in of)] for folder, of in sorted(need(found, "the folders of the lake").items())]
    return "## Folders of the lake\n\n" + table(["Folder", "Read by", "Written by"], rows)


def iam():
    template = Template(read("template.yaml"))
    out = ["# Roles and rights\n", MADE.format("template.yaml")]
    out.append(
        "Each function has a role of its own, which reaches the folders of its own tables in the lake and no other's. Two rights are wider:"
        " a function that reads the lake may list all of its names, since IAM cannot tell such a list from asking for an object that is missing,"
        " and `CollectEvents` may write to every topic of its cluster. A name stands for the resource of that name in the template; `<stack>` is the stack's name. What each grant of Snowflake is for is in"
        " [Deploying](../deploy.md#what-must-exist-in-snowflake); what an operator needs is in [cli.md](../cli.md#what-an-operators-role-needs).\n"
    )
    managed = dict(template.of("AWS::IAM::ManagedPolicy"))
    policies = [("VpcPolicy", managed["VpcPolicy"]["PolicyDocument"], [])]
    for name, properties in need(template.of("AWS::IAM::Role"), "the roles of template.yaml"):
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        # What a function alone may do is a policy of its own.
        documents += [managed[each["Ref"]]["PolicyDocument"] for each in properties.get("ManagedPolicyArns", []) if "Ref" in each]
        statements = [each for document in documents for each in lines_of(document["Statement"])]
        also = [each for each in properties.get("ManagedPolicyArns", []) if "Ref" not in each]
        policies.append((name, {"Statement": statements}, also))
    # That of a topic has its name from a parameter.
    policies += [(name, properties["PolicyDocument"], []) for name, properties in template.of("AWS::IAM::Policy") if name == "StreamKafkaSourcePolicy"]
    out.append(folders(template, policies))
    for name, document, others in policies:
        out.append(f"## {name}\n")
        also = [template.text(each).rsplit("/", 1)[-1] for each in others]
        if any(also):
            out.append("Also has: " + ", ".join(code(each) for each in also if each) + ".\n")
        rows = []
        for statement in statements_of(document):
            said = template.text(statement.get("Condition", ""))
            rows.append([
                cell(statement.get("Sid", "")),
                ("never " if statement["Effect"] == "Deny" else "") + ", ".join(code(template.text(each)) for each in lines_of(statement["Action"])),
                ", ".join(code(template.text(each)) for each in lines_of(statement["Resource"])),
                code(said) or " ",
            ])
        out.append(table(["Statement", "May", "On", "If"], rows))
    return "\n".join(out)


def metrics():
    out = ["# Metrics\n", MADE.format("the functions' code")]
    out.append(
        "Functions write CloudWatch's embedded metric format into their log: a line is read by people and becomes metrics of the"
        " namespace `Sluice`. What Lambda, SQS and the event source mappings report comes on top; the"
        " [alarms](alarms.md) watch both.\n"
    )
    found = []
    for path in sorted([*ROOT.glob("functions/*/src/**/*.rs"), *ROOT.glob("shared/*/src/**/*.rs")]):
        text = path.read_text().split("#[cfg(test)]")[0]
        constants = dict(re.findall(r'const (\w+): &str = "([^"]+)"', text))
        part = path.relative_to(ROOT).parts[1]
        for name, unit in re.findall(r"\.values?\(\s*(\"\w+\"|[A-Z_]+),\s*Unit::(\w+)", text):
            known = name.strip('"') if name.startswith('"') else constants.get(name)
            if known:
                found.append([code(known), unit.lower(), code(part)])
    out.append(table(["Metric", "Unit", "From"], need(found, "no metric in the code")))
    out.append("What they mean is in [Streaming](../streaming.md#metrics) and in the README of each function.\n")
    return "\n".join(out)


def announcements():
    text = read("shared/sluice-core/src/event.rs")
    types = dict()
    for note, name, body in re.findall(r"/// ([^\n]*)\n#\[derive[^\n]*\]\npub struct (\w+) \{(.*?)\n\}", text, re.S):
        types[name] = (note, re.findall(r"pub (\w+): ([^\n]+),", body))
    said = need(re.findall(r'announce!\((\w+), "([^"]+)", "([^"]+)"', text), "the announcements in sluice-core/src/event.rs")
    out = ["# News on the bus\n", MADE.format("shared/sluice-core/src/event.rs")]
    out.append(
        "What happens is announced on the stack's EventBridge bus, at least once; `id` is the same in a repetition. A rule of your"
        " own may listen. `DriftDetected`, `AccountDrifted` and `SyncStopped` also go to the topic of the alarms; `LoadFailed` and"
        " `RunFailed` wake the watcher, which tells of them.\n"
    )
    for kind, source, detail in said:
        note, fields = types[kind]
        out += [f"## {detail}\n", f"Source `{source}`. {cell(note)}\n"]
        out.append(table(["Field", "Type in the code"], [[code(name), code(each)] for name, each in fields]))
    return "\n".join(out)


def catalogue_page():
    return catalogue.page(MADE.format("platform/sources.yaml, dbt/ and docs/reference/drill.json"))


PAGES = {
    "catalogue.md": catalogue_page,
    "configuration.md": configuration,
    "sources-yaml.md": sources_yaml,
    "warehouse-yaml.md": warehouse_yaml,
    "errors.md": errors,
    "command-line.md": command_line,
    "alarms.md": alarms,
    "iam.md": iam,
    "metrics.md": metrics,
    "announcements.md": announcements,
}


def changed():
    """Name and text of every page that is not as the code says; the text is None where nothing can say it here."""
    for name, make in PAGES.items():
        text, path = make(), FOLDER / name
        if text is not None and (not path.exists() or path.read_text() != text):
            yield name, text


def write():
    """Writes the pages that have changed, and names them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in changed():
        (FOLDER / name).write_text(text)
        written.append(name)
    return written
