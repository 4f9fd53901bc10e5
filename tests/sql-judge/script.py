"""Reads rendered SQL files: statements, and the scripting block inside EXECUTE IMMEDIATE.

sqlglot has no grammar for Snowflake Scripting, so the control flow of a block is read here, and every SQL statement,
query and condition inside it is handed on as text.
"""

import re
from dataclasses import dataclass, field

BLOCK = re.compile(r"EXECUTE IMMEDIATE \$\$\n(.*)\$\$", re.S)


def split(text):
    """Statements between semicolons; those inside quotes and $$ do not count."""
    statements, start, at = [], 0, 0
    while at < len(text):
        here = text[at]
        if here == "'":
            at += 1
            while text[at] != "'":
                at += 2 if text[at] == "\\" else 1
        elif here == '"':
            at = text.index('"', at + 1)
        elif text.startswith("$$", at):
            at = text.index("$$", at + 2) + 1
        elif here == ";":
            statements.append(text[start:at].strip())
            start = at + 1
        at += 1
    rest = text[start:].strip()
    return statements + ([rest] if rest else [])


@dataclass
class Sql:
    text: str


@dataclass
class Let:
    name: str
    query: str


@dataclass
class LetCount:
    """Keeps how many rows the last change has changed."""

    name: str


@dataclass
class If:
    condition: str
    steps: list = field(default_factory=list)


@dataclass
class Raise:
    name: str | None


@dataclass
class Return:
    parts: list  # Texts in quotes, and names of variables.


@dataclass
class Block:
    exceptions: dict
    steps: list
    handler: list

    def sql(self):
        """Every statement in it, in order, and the queries of its LETs and IFs."""

        def walk(steps):
            for step in steps:
                if isinstance(step, Sql):
                    yield step.text
                elif isinstance(step, Let):
                    yield step.query
                elif isinstance(step, If):
                    yield f"SELECT {step.condition}"
                    yield from walk(step.steps)

        yield from walk(self.steps)
        yield from walk(self.handler)


def parse_block(body):
    """The block's control flow. Raises ValueError for a shape that the renderer does not use."""
    pieces = split(body)
    exceptions = {}
    if declared := re.fullmatch(r"DECLARE\s+(\w+) EXCEPTION \((-20\d{3}), '([^']*)'\)", pieces[0]):
        name, number, message = declared.groups()
        exceptions[name] = (int(number), message)
        pieces.pop(0)
    if pieces.pop() != "END":
        raise ValueError("a block ends with END")
    block = Block(exceptions, [], [])
    open_lists, variables = [block.steps], set()

    def opening(text, pattern):
        found = re.match(pattern, text, re.S)
        return (found, text[found.end() :]) if found else (None, text)

    begun, pieces[0] = opening(pieces[0], r"BEGIN\s+(?!TRANSACTION)")
    if not begun:
        raise ValueError("a block's body begins with BEGIN")
    for piece in pieces:
        handler, piece = opening(piece, r"EXCEPTION\s+WHEN OTHER THEN\s+")
        if handler:
            if len(open_lists) != 1:
                raise ValueError("an IF is open where the handler begins")
            open_lists = [block.handler]
        condition, piece = opening(piece, r"IF (\(.*?\)) THEN\s+")
        if condition:
            unknown = set(re.findall(r"[a-z_]+", condition[1])) - variables
            if unknown:
                raise ValueError(f"an IF uses {unknown}, which no LET has made")
            branch = If(condition[1])
            open_lists[-1].append(branch)
            open_lists.append(branch.steps)
        step = parse_step(piece, block.exceptions)
        if step is None:
            open_lists.pop()
        else:
            if isinstance(step, (Let, LetCount)):
                variables.add(step.name)
            open_lists[-1].append(step)
    if len(open_lists) != 1 or not block.handler:
        raise ValueError("an IF is not closed, or there is no handler")
    return block


def parse_step(piece, exceptions):
    if piece == "END IF":
        return None
    if let := re.fullmatch(r"LET (\w+) INTEGER := \((.*)\)", piece, re.S):
        return Let(let[1], let[2])
    if let := re.fullmatch(r"LET (\w+) INTEGER := SQLROWCOUNT", piece):
        return LetCount(let[1])
    if raised := re.fullmatch(r"RAISE(?: (\w+))?", piece):
        if raised[1] not in (None, *exceptions):
            raise ValueError(f"RAISE {raised[1]}, which is not declared")
        return Raise(raised[1])
    if re.fullmatch(r"RETURN '[^']*'(?: \|\| (?:'[^']*'|[a-z_]+))*", piece):
        return Return(piece.removeprefix("RETURN ").split(" || "))
    return Sql(piece)
