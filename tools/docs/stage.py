"""Gathers the pages of the site in one folder: docs/, and what is written beside the code. Nothing outside of the project is read.

A link that is right where a page lies in the repository is right on the site, too: it is rewritten to the page, or to a copy
of the file that it names. A link to nothing ends the build.
"""

import os
import re
import shutil
from pathlib import Path, PurePosixPath

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = "files"
# The list at the end of ARCHITECTURE.md is a page of its own on the site.
NOT_PROVEN = "What cannot be proven on one machine"
NOT_PROVEN_LINK = "ARCHITECTURE.md#what-cannot-be-proven-on-one-machine"


# What pages name that is no file here: what a reader would make, what is built, and folders of the lake.
ELSEWHERE = ("functions/extract-weather", "events/extract-weather", "platform/schemas/returns", "target/",
             "dbt/artifacts", "dbt/ended", "dbt/log", "dbt/starts", "dbt/stops")


class Broken(Exception):
    """Links that lead nowhere, a line each."""


def sources(root=ROOT):
    """Path in the repository and place on the site of every page and picture."""
    pages = {
        "README.md": "index.md",
        "ARCHITECTURE.md": "architecture.md",
        "CHANGELOG.md": "changelog.md",
        "CONTRIBUTING.md": "contributing.md",
        "SECURITY.md": "security.md",
        "dbt/README.md": "dbt.md",
        "events/README.md": "events.md",
    }
    for readme in sorted(root.glob("functions/*/README.md")):
        pages[readme.relative_to(root).as_posix()] = f"functions/{readme.parent.name}.md"
    for path in sorted(path for path in (root / "docs").rglob("*") if path.is_file() and path.name != "imports.yaml"):
        pages[path.relative_to(root).as_posix()] = path.relative_to(root / "docs").as_posix()
    return {source: place for source, place in pages.items() if (root / source).is_file()}


LINK = re.compile(r"(!?\[(?:[^\]\[]|\[[^\]]*\])*\]\()([^)\s]+)(\))")
FENCE = re.compile(r"^(\s*)(```+|~~~+)(.*)$")


def outside_code(text):
    """Lines with whether they are prose: neither in a fence nor indented as code after a blank line."""
    fence, before, indented = None, "", False
    for line in text.split("\n"):
        found = FENCE.match(line)
        if fence is None and found:
            fence = found[2]
            yield line, False
        elif fence is not None:
            if found and found[2].startswith(fence) and not found[3].strip():
                fence = None
            yield line, False
        else:
            indented = line.startswith("    ") and (indented or not before.strip()) and not re.match(r"\s+([-*]|\d+\.) ", line)
            yield line, not indented
        before = line


def links(text):
    """Every address of a link or picture in prose."""
    for line, is_prose in outside_code(text):
        if is_prose:
            for found in LINK.finditer(re.sub(r"`[^`]*`", lambda code: "x" * len(code[0]), line)):
                yield found[2]


class Stage:
    def __init__(self, root=ROOT, target=None):
        self.root, self.target = root, target or root / "target/docs-source"
        self.places, self.problems, self.files = sources(root), [], {}

    def build(self):
        """Fills the folder from nothing; raises `Broken` when a page links to nothing."""
        shutil.rmtree(self.target, ignore_errors=True)
        for source, place in self.places.items():
            target = self.target / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.endswith(".md"):
                # A decision is a page of its day, and a change names what was there then.
                if not source.startswith(("docs/adr/", "docs/reference/", "CHANGELOG")):
                    self.named_files(source, (self.root / source).read_text())
                target.write_text(self.page(source, (self.root / source).read_text()))
            else:
                shutil.copyfile(self.root / source, target)
        self.not_proven()
        self.dbt_docs()
        for source, place in self.files.items():
            target = self.target / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / source, target)
        if self.problems:
            raise Broken("\n".join(self.problems))

    def page(self, source, text):
        meta, text = front_matter(text)
        if "owner" in meta:
            told = f"Owner: {meta['owner']} · last tested: {meta['last_tested']}\n"
            text = re.sub(r"^(# .*\n)", rf"\1\n{told}", text, count=1, flags=re.M)
        lines, is_fence = [], False
        for line, is_prose in outside_code(text):
            found = FENCE.match(line)
            if is_prose:
                line = LINK.sub(lambda link: f"{link[1]}{self.address(source, link[2])}{link[3]}", line)
            elif found and found[3].strip():
                # The word after the language tells the test what to do with the block; the reader need not see it.
                line = f"{found[1]}{found[2]}{found[3].split()[0]}"
            lines.append(line)
        return "\n".join(lines)

    def address(self, source, link):
        """Where a link of a page leads on the site."""
        if re.match(r"[a-z][a-z0-9+.-]*:", link) or link.startswith("#"):
            return link
        path, mark, anchor = link.partition("#")
        target = os.path.normpath(PurePosixPath(source).parent / path)
        here = PurePosixPath(self.places[source]).parent
        if target + mark + anchor == NOT_PROVEN_LINK:
            return os.path.relpath("not-proven.md", here)
        if target in self.places:
            place = self.places[target]
        elif (self.root / target).is_file() and not target.startswith(".."):
            # A browser shows a text; of code it would make a download.
            is_shown = target.endswith((".svg", ".png", ".json", ".txt"))
            place = self.files.setdefault(target, f"{FILES}/{target}{'' if is_shown else '.txt'}")
        else:
            self.problems.append(f"{source}: the link {link} leads to nothing")
            return link
        return os.path.relpath(place, here) + mark + anchor

    def named_files(self, source, text):
        """Every file of the project that a page names between backquotes is there."""
        tops = "|".join(sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith(".")))
        for named in sorted(set(re.findall(rf"`((?:{tops})/[\w./-]+)`", text))):
            if not named.startswith(ELSEWHERE) and not (self.root / named).exists():
                self.problems.append(f"{source}: {named} is not there")

    def dbt_docs(self):
        """dbt's own page about every model, where `make dbt-docs` has made it."""
        made = self.root / "target/dbt-docs/index.html"
        page = self.target / "dbt.md"
        if made.exists() and page.exists():
            (self.target / "dbt-docs").mkdir()
            shutil.copyfile(made, self.target / "dbt-docs/index.html")
            page.write_text(page.read_text() + "\n## Every model\n\n[dbt's own documentation](dbt-docs/index.html): each model, column, test and what hangs on what.\n")

    def not_proven(self):
        """Moves the list of what is not proven out of the page about the architecture."""
        text = (self.root / "ARCHITECTURE.md").read_text()
        before, title, section = text.partition(f"## {NOT_PROVEN}\n")
        if not title:
            self.problems.append(f"ARCHITECTURE.md has no section '{NOT_PROVEN}'")
            return
        section, mark, after = section.partition("\n## ")
        page = f"# Not proven without an account\n{section}"
        (self.target / "not-proven.md").write_text(self.page("ARCHITECTURE.md", page))
        rest = f"{before}{title}\nA page of its own: [Not proven without an account]({NOT_PROVEN_LINK}).\n{mark}{after}"
        (self.target / "architecture.md").write_text(self.page("ARCHITECTURE.md", rest))


def front_matter(text):
    if not text.startswith("---\n"):
        return {}, text
    head, _, rest = text[4:].partition("\n---\n")
    return yaml.safe_load(head), rest
