"""What the pages tell a reader to type: the blocks of commands, the words that say how each is tested, and their outputs."""

import re
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<mark>```+)(?P<info>.*)$")
# The languages of blocks that are no commands.
OTHERS = {"yaml", "json", "sql", "text", "toml", "python", "csv", "rust", "markdown"}
# How a line begins that a reader would type.
TYPED = re.compile(r"\s*(\$ |make [a-z]|tools/|sluice [a-z]|sam [a-z]|aws [a-z]|cargo [a-z]|dbt [a-z]|snow [a-z]|curl )")


@dataclass
class Command:
    text: str
    line: int
    expected: list = field(default_factory=list)


@dataclass
class Block:
    page: str
    line: int
    language: str
    words: list
    lines: list
    indent: int

    @property
    def text(self):
        return "\n".join(self.lines)

    def word(self, name):
        """The value of `name=value` behind the language, or None."""
        return next((each.split("=", 1)[1] for each in self.words if each.startswith(f"{name}=")), None)

    def commands(self):
        """The commands of the block, with the output that is shown for each."""
        if self.language == "console":
            found = []
            for number, line in enumerate(self.lines):
                if line.startswith("$ "):
                    found.append(Command(line[2:], self.line + 1 + number))
                elif found:
                    found[-1].expected.append(line)
            return found
        joined = re.sub(r"\\\n\s*", "", self.text)
        lines = [line.strip() for line in joined.splitlines()]
        return [Command(line, self.line + 1) for line in lines if line and not line.startswith("#")]


class Fault(Exception):
    """A page that is not written as the test can read it."""


def blocks(page, text):
    """Every fenced block of a page. A command in a block that nothing would execute is a fault."""
    found, open_block, before = [], None, ""
    for number, line in enumerate(text.split("\n"), 1):
        fence = FENCE.match(line)
        if open_block is None and fence:
            language, *words = fence["info"].split() or ["text"]
            open_block = Block(page, number, language, words, [], len(fence["indent"]))
            mark = fence["mark"]
        elif open_block is not None and fence and fence["mark"].startswith(mark) and not fence["info"].strip():
            found.append(open_block)
            open_block = None
        elif open_block is not None:
            open_block.lines.append(line[open_block.indent :] if line[: open_block.indent].strip() == "" else line)
        elif line.startswith("    ") and not before.strip() and TYPED.match(line):
            raise Fault(f"{page}:{number}: a command is indented, so that nothing executes it; put it into a fence")
        before = line
    if open_block is not None:
        raise Fault(f"{page}:{open_block.line}: the block has no end")
    for block in found:
        known = {"console", "sh"} | OTHERS
        if block.language not in known:
            raise Fault(f"{page}:{block.line}: no test knows blocks of '{block.language}'")
        if block.language == "text" and any(TYPED.match(line) for line in block.lines):
            raise Fault(f"{page}:{block.line}: a command stands in a block that is not executed")
        if block.language == "console" and not block.text.startswith("$ "):
            raise Fault(f"{page}:{block.line}: a console begins with '$ ' and a command")
    return found


def comparable(line):
    """A line without what differs from run to run: times, durations, ids, addresses, and how wide a column is."""
    for pattern, word in [
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>"),
        (r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z| UTC|[+-]\d\d:\d\d)?)?", "<time>"),
        (r"127\.0\.0\.1:\d+", "<address>"),
        # Before the ages, which a rate's own time looks like.
        (r"\d+(\.\d+)? \((5m|1h)\)", "<rate>"),
        (r"(?<![\w.#])\d+(\.\d+)?( )?(ms|s|m|h|d)\b", "<age>"),
        (r"#\d+", "#<number>"),
        # Which tables a run of dbt covers depends on what had arrived when it began.
        (r"^dbt: run \d+ (succeeded|running|started) .*", "dbt: <a run that has not failed>"),
        (r"\brun \d+\b", "run <number>"),
        (r"\b\d+ commits loaded", "<number> commits loaded"),
        # The project's own growth is no fault of a page.
        (r"\b\d+ models, \d+ tests\b", "<number> models, <number> tests"),
        (r"\{\"[^ ]*", "<cursor>"),
        (r" +", " "),
    ]:
        line = re.sub(pattern, word, line)
    return line.strip()


def matches(expected, actual):
    """Whether an output is what is shown. A line `...` stands for any lines, `[..]` for anything within a line."""
    expected = [line for line in expected if line.strip()]
    actual = [line for line in actual if line.strip()]
    if not expected:
        return not actual
    if expected[0].strip() == "...":
        return any(matches(expected[1:], actual[at:]) for at in range(len(actual) + 1))
    if not actual:
        return False
    return line_matches(expected[0], actual[0]) and matches(expected[1:], actual[1:])


def line_matches(expected, actual):
    if "…" in expected or "…" in actual:
        # Cut where the terminal ends, which is elsewhere when an age is a digit longer.
        starts = [comparable(line.split("…")[0])[:-2] for line in (expected, actual)]
        shorter = min(map(len, starts))
        return shorter > 5 and starts[0][:shorter] == starts[1][:shorter]
    parts = [re.escape(comparable(part)) for part in expected.split("[..]")]
    return re.fullmatch(r" *.*? *".join(parts), comparable(actual)) is not None


def in_order(root):
    """Path and text of every page whose commands are tested, in the order in which the site has them."""
    import yaml

    import stage

    places = {place: source for source, place in stage.sources(root).items()}
    named = list(_entries(yaml.safe_load((root / "mkdocs.yml").read_text())["nav"]))
    tested = [places[name] for name in named if name in places and _is_tested(places[name])]
    return {source: (root / source).read_text() for source in tested}


def _entries(navigation):
    for entry in navigation:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from _entries(value) if isinstance(value, list) else [value]


def _is_tested(source):
    return source.endswith(".md") and not source.startswith(("functions/", "docs/adr/", "docs/reference/", "dbt/", "events/", "ARCHITECTURE"))


def rewritten(text, outputs):
    """A page with other outputs: `outputs` maps the line of a command to the lines that it has shown."""
    result, is_old = [], False
    for number, line in enumerate(text.split("\n"), 1):
        is_old = is_old and not line.strip().startswith(("```", "$ "))
        if not is_old:
            result.append(line)
        if number in outputs:
            indent = line[: len(line) - len(line.lstrip())]
            result += [f"{indent}{shown}".rstrip() for shown in outputs[number]]
            is_old = True
    return "\n".join(result)
