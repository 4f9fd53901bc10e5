"""Pages of other repositories on this site: fetched at a pinned commit before the build, never while a page is read.

`docs/imports.yaml` names them. A repository is fetched once for each commit; a build without a network needs nothing but that.
"""

import re
import shutil
import subprocess
from pathlib import Path

import yaml

SETTINGS = {"name", "repository", "commit", "folder"}


class NotImported(Exception):
    """An entry that cannot be had, and why."""


def listed(path):
    """The entries of the file; each names everything, and a commit in full, so that no build differs from the one before."""
    entries = yaml.safe_load(path.read_text())["imports"] if path.exists() else []
    for entry in entries:
        if set(entry) != SETTINGS:
            raise NotImported(f"{path.name}: an entry has {', '.join(sorted(SETTINGS))}, and this one has {', '.join(sorted(entry))}")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", entry["name"]) or not re.fullmatch(r"[0-9a-f]{40}", str(entry["commit"])):
            raise NotImported(f"{path.name}: {entry['name']}: a name is lower case, a commit has 40 hexadecimal digits")
    return entries


def git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise NotImported(f"git {' '.join(map(str, arguments))}: {done.stderr.strip()}")


def fetch(entry, cache):
    """The folder of a repository's pages at its commit."""
    target = cache / f"{entry['name']}-{entry['commit'][:12]}"
    if not (target / ".done").exists():
        shutil.rmtree(target, ignore_errors=True)
        git("clone", "--quiet", "--no-checkout", entry["repository"], target)
        git("-C", target, "checkout", "--quiet", entry["commit"], "--", entry["folder"])
        (target / ".done").touch()
    pages = target / entry["folder"]
    if not any(pages.rglob("*.md")):
        raise NotImported(f"{entry['name']}: {entry['folder']} of {entry['repository']} holds no page")
    return pages


def place(entry, pages, target):
    """Copies the pages below their name, and answers their part of the navigation."""
    folder = target / entry["name"]
    for path in sorted(path for path in pages.rglob("*") if path.is_file() and path.name != "mkdocs.yml"):
        copy = folder / path.relative_to(pages)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            copy.write_text(inside(path, pages))
        else:
            shutil.copyfile(path, copy)
    return {entry["name"]: navigation(pages, entry["name"])}


def inside(path, pages):
    """A page whose links that lead out of its folder are only their words: what they name is not here."""
    def kept(link):
        address = link[3].partition("#")[0]
        is_here = not address or re.match(r"[a-z][a-z0-9+.-]*:", address) or (path.parent / address).resolve().is_relative_to(pages.resolve())
        return link[0] if is_here else link[2]

    return re.sub(r"(!?\[([^\]]*)\])\(([^)\s]+)\)", kept, path.read_text())


def navigation(pages, name):
    """That of the repository's own mkdocs.yml, or every page by its title, the index first."""
    own = pages / "mkdocs.yml"
    if own.exists():
        return prefixed(yaml.safe_load(own.read_text())["nav"], name)
    found = sorted(pages.rglob("*.md"), key=lambda path: (path.stem not in ("index", "README"), path))
    return [{title(path): f"{name}/{path.relative_to(pages).as_posix()}"} for path in found]


def title(path):
    heading = re.search(r"^# (.+)$", path.read_text(), re.M)
    return heading[1] if heading else path.stem


def prefixed(entries, name):
    if isinstance(entries, str):
        return entries if "://" in entries else f"{name}/{entries}"
    if isinstance(entries, dict):
        return {key: prefixed(value, name) for key, value in entries.items()}
    return [prefixed(entry, name) for entry in entries]
