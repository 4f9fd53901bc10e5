"""Looks at a built site: every link, anchor and picture leads somewhere inside, and nothing is fetched from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

# What a page fetches by itself, by tag and attribute. A link that a reader may follow can lead anywhere.
FETCHED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("object", "data")}


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.addresses, self.hrefs = set(), [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.update(given[name] for name in ("id", "name") if given.get(name))
        for name in ("href", "src", "data"):
            if given.get(name) is None or (tag == "link" and given.get("rel") in ("canonical", "prev", "next")):
                continue
            self.addresses.append((tag, name, given[name]))


def read_site(folder):
    """Every page but dbt's own, whose links its own program follows."""
    pages = {}
    for path in sorted(path for path in folder.rglob("*.html") if path.parent.name != "dbt-docs"):
        pages[path.resolve()] = page = Page()
        page.feed(path.read_text())
    return pages


def broken_links(folder):
    """A line for each link that leads to nothing and each thing that a page would fetch from elsewhere."""
    folder, problems = folder.resolve(), []
    pages = read_site(folder)
    if not pages:
        return [f"{folder} holds no page"]
    for path, page in pages.items():
        # The page for a missing address is served at any depth, so its own addresses are absolute.
        if path.name == "404.html":
            continue
        name = path.relative_to(folder)
        for tag, attribute, address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if (tag, attribute) in FETCHED and parts.scheme != "data":
                    problems.append(f"{name}: fetches {address} from elsewhere")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.is_relative_to(folder) or not target.exists():
                problems.append(f"{name}: {address} leads to nothing")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids and parts.fragment != "__top":
                problems.append(f"{name}: {address} names no place of its page")
    for path in sorted(folder.rglob("*.css")):
        for address in re.findall(r"url\(\s*[\"']?(https?:[^)\"']+)", path.read_text()):
            problems.append(f"{path.relative_to(folder)}: fetches {address} from elsewhere")
    return sorted(set(problems))


def entries(navigation):
    """Every page that a navigation names."""
    for entry in navigation:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(value, list):
                yield from entries(value)
            else:
                yield value


def missing_entries(configuration, pages):
    """A line for each entry of the navigation without a page, and each page that neither it nor its folder's index names."""
    named = list(entries(yaml.safe_load(Path(configuration).read_text())["nav"]))
    there = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    problems = [f"nav: {each} has no page" for each in named if each not in there]
    problems += [f"nav: {each} stands twice" for each in sorted(set(named)) if named.count(each) > 1]
    index = lambda each: (pages / each).parent / "README.md"
    is_listed = lambda each: each.count("/") and index(each).exists() and f"]({each.rsplit('/', 1)[1]})" in index(each).read_text()
    return problems + [f"nav: the page {each} is not in it" for each in sorted(there - set(named)) if not is_listed(each)]
