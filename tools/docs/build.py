"""Builds the site strictly into target/docs: reference from code, pages gathered, MkDocs, then every link looked at.

    tools/docs/build.py              writes pages of docs/reference that have changed, and says which
    tools/docs/build.py --frozen     a page that has changed is an error: what was committed must be what the code says
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

import imports
import links
import reference
from stage import Broken, Stage

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "target/docs"
CONFIGURATION = ROOT / "mkdocs.yml"


def fail(problems):
    for problem in problems:
        print(f"docs: {problem}", file=sys.stderr)
    sys.exit(1)


def with_imports(pages):
    """Adds other repositories' pages; the configuration to build with, which is mkdocs.yml where there are none."""
    entries = imports.listed(ROOT / "docs/imports.yaml")
    if not entries:
        return CONFIGURATION
    settings = yaml.safe_load(CONFIGURATION.read_text())
    cache = ROOT / "target/docs-imports"
    settings["nav"] += [imports.place(entry, imports.fetch(entry, cache), pages) for entry in entries]
    settings["docs_dir"], settings["site_dir"] = str(pages), str(SITE)
    derived = ROOT / "target/mkdocs.yml"
    derived.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return derived


def main(frozen):
    start = time.monotonic()
    if frozen:
        stale = [f"docs/reference/{name} is not what the code says; run `make docs` and commit it" for name, _ in reference.changed()]
        if stale:
            fail(stale)
    for name in reference.write():
        print(f"docs: docs/reference/{name} was written again from the code; commit it")
    if not (reference.BINARIES / "sluice").exists():
        print("docs: docs/reference/command-line.md is as it was committed: the binaries are not built")
    stage = Stage()
    try:
        stage.build()
        configuration = with_imports(stage.target)
    except (Broken, imports.NotImported) as broken:
        fail(str(broken).splitlines())
    problems = links.missing_entries(configuration, stage.target)
    if problems:
        fail(problems)
    spelling = [Path(sys.executable).with_name("typos"), "--format", "brief", "--config", ROOT / "tools/docs/typos.toml", stage.target]
    if subprocess.run(spelling).returncode:
        fail(["the words above are not spelled so"])
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    mkdocs = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--clean", "--config-file", str(configuration)]
    if subprocess.run(mkdocs, cwd=ROOT, env=environment).returncode:
        fail(["MkDocs found the faults above"])
    problems = links.broken_links(SITE)
    if problems:
        fail(problems)
    pages = len(list(stage.target.rglob("*.md")))
    print(f"docs: {pages} pages in target/docs/index.html after {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main("--frozen" in sys.argv[1:])
