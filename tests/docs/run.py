"""Executes what the documentation tells its readers to type, against a platform on this machine, and compares what it shows.

    tests/docs/run.py <state>             everything; the last line is JSON: pages, commands, executed, failed, broken_links
    WRITE=1 tests/docs/run.py <state>     puts what was shown into the pages
    STAMP=1 tests/docs/run.py <state>     writes today's date into the runbooks that passed

What a block's words mean is in CONTRIBUTING.md. Commands for an account are parsed only and counted apart.
"""

import datetime
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/docs"))

import yaml  # noqa: E402

import pages  # noqa: E402
import picture  # noqa: E402
from stage import front_matter, outside_code  # noqa: E402

LOCAL = ROOT / "target/x86_64-unknown-linux-gnu/release/sluice-local"
SLUICE = LOCAL.with_name("sluice")
SCALE = "0.02"
LONGEST = 240  # Seconds that one block may take.
ENDING = 30  # Seconds that one which is interrupted has to stop what it started.
# The command whose report the README shows, and the picture of it.
PICTURED, PICTURE = "make demo DATA=my-shop", ROOT / "docs/demo.svg"


class Report:
    def __init__(self):
        self.pages = self.commands = self.executed = self.for_an_account = self.by_ci = 0
        self.failures, self.outputs, self.passed = [], {}, set()

    def fail(self, place, message, detail=""):
        self.failures.append(place)
        print(f"docs-test: {place}: {message}", flush=True)
        for line in detail.splitlines()[-40:]:
            print(f"    {line}", flush=True)


# ---- What needs no platform


def parse_only(block, report):
    """A command for an account must at least be one: the shell understands it."""
    text = re.sub(r"<[A-Za-z][^<>\n]*>", "PLACEHOLDER", block.text)
    parsed = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    if parsed.returncode:
        report.fail(f"{block.page}:{block.line}", "bash does not understand this", parsed.stderr)


def help_of(*words, known={}):
    """The help of `sluice`, of a verb, or of a verb's task such as `warehouse rotate`."""
    if words not in known:
        known[words] = subprocess.run([SLUICE, *words, "--help"], capture_output=True, text=True).stdout
    return known[words]


def words_below(*words):
    """The verbs of `sluice`, or the tasks of a verb that has some."""
    listed = re.search(r"^Commands:\n((?:  .*\n|\n)+)", help_of(*words), re.M)
    return re.findall(r"^  ([a-z-]+)", listed[1], re.M) if listed else []


def check_call(place, verb, rest, report):
    """What a page calls `sluice` with is there: the verb, its task, each option."""
    if verb not in words_below():
        return report.fail(place, f"sluice has no {verb}")
    words, task = [verb], re.match(r"\s+([a-z][a-z-]*)(?![\w.])", rest)
    if task and words_below(verb):
        if task[1] not in words_below(verb):
            return report.fail(place, f"sluice {verb} has no {task[1]}")
        words.append(task[1])
    options = help_of(verb) + help_of(*words)
    for option in re.findall(r"(?:^|\s)(--[a-z-]+)", rest):
        if not re.search(rf"{option}(?![\w-])", options):
            report.fail(place, f"sluice {verb} has no {option}")
    return None


def check_calls(block, report):
    for command in block.commands():
        for verb, rest in re.findall(r"tools/sluice ([a-z-]+)([^|;&]*)", command.text):
            check_call(f"{block.page}:{command.line}", verb, rest, report)


def check_prose(page, text, report):
    """A command within a sentence is not executed, but it is one: of `sluice`, or a target of the Makefile."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for number, (line, is_prose) in enumerate(outside_code(text), 1):
        for code in re.findall(r"`([^`]+)`", line) if is_prose else []:
            if call := re.fullmatch(r"(?:tools/)?sluice ([a-z-]+)((?:\s[^()]*)?)", code):
                check_call(f"{page}:{number}", call[1], call[2], report)
            elif (called := re.match(r"make ([a-z-]+)", code)) and called[1] not in targets:
                report.fail(f"{page}:{number}", f"the Makefile has no {called[1]}")


def run_by_ci(command):
    """Whether CI runs this `make` command, or the tests run the program that it calls."""
    target = command.split()[1] if command.startswith("make ") else None
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M) if target else None
    if not recipe:
        return False
    ci, tests = (ROOT / ".ci/run").read_text(), (ROOT / "tools/test").read_text()
    programs = [Path(path).stem for path in re.findall(r"tests/[\w/.-]+\.py", recipe[1])]
    return f"make {target}\n" in ci or f'make {target}"' in ci or any(program in tests for program in programs)


def without_platform(block, report):
    """Judges a block that is not executed; says whether it was one."""
    place = f"{block.page}:{block.line}"
    if block.language in ("yaml", "json") and "entry" not in block.words:
        try:
            (yaml.safe_load if block.language == "yaml" else json.loads)(block.text.replace("…", "x"))
        except ValueError as error:
            report.fail(place, f"is no {block.language}", str(error))
        except yaml.YAMLError as error:
            report.fail(place, "is no YAML", str(error))
        return True
    if block.language == "sql":
        report.for_an_account += 1
        if not block.text.rstrip().endswith(";"):
            report.fail(place, "a statement ends with a semicolon")
        return True
    if block.language not in ("sh", "console"):
        return "entry" not in block.words
    report.commands += len(block.commands())
    check_calls(block, report)
    if "aws" in block.words:
        report.for_an_account += len(block.commands())
        parse_only(block, report)
        return True
    if "ci" in block.words:
        report.by_ci += len(block.commands())
        for command in block.commands():
            if not run_by_ci(command.text):
                report.fail(f"{block.page}:{command.line}", "no step of .ci/run runs this")
        return True
    # `make up` is what the test itself has started.
    return "up" in block.words


# ---- On a platform


class Session:
    """A reader of one page: the commands share a folder, in which the checkout appears, and the variables that they set."""

    def __init__(self, state):
        self.state = state
        self.folder = Path(tempfile.mkdtemp(prefix="docs-test."))
        for entry in ROOT.iterdir():
            if entry.name not in (".git", ".sluice-test"):
                (self.folder / entry.name).symlink_to(entry)
        self.variables = self.folder / ".variables"
        self.variables.write_text("")

    def close(self):
        shutil.rmtree(self.folder)

    def run(self, text):
        """Status and output, both streams as a terminal shows them."""
        for tool in ("tools/sluice", "tools/fault"):
            text = text.replace(f"{tool} ", f"{tool} --state {shlex.quote(str(self.state))} ")
        # As the Makefile's recipe, on a state beside the platform's; SAM does not follow the links of this folder.
        own = f"(cd {ROOT} && {LOCAL} --state {shlex.quote(str(self.state) + '-data')} demo --data {self.folder}"
        text = re.sub(r"^make demo DATA=(\S+)", rf"{own}/\1)", text, flags=re.M)
        script = f"set -e\nsource {self.variables}\n{text}\nexport -p >{self.variables}\n"
        command = ["bash", "-c", script]
        environment = {**os.environ, "COLUMNS": "100"}
        done = subprocess.Popen(command, cwd=self.folder, env=environment, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            said, _ = done.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            # With what it has started: a demo stops its parts when it is interrupted.
            os.killpg(done.pid, signal.SIGINT)
            try:
                said, _ = done.communicate(timeout=ENDING)
            except subprocess.TimeoutExpired:
                os.killpg(done.pid, signal.SIGKILL)
                said, _ = done.communicate()
            return None, said
        return done.returncode, said


def execute(block, session, report):
    report_before = len(report.failures)
    if "entry" in block.words:
        return valid_entry(block, session, report)
    commands = block.commands()
    want = int(block.word("status") or 0)
    if block.language == "sh":
        status, shown = session.run(block.text)
        report.executed += len(commands)
        if status != want:
            report.fail(f"{block.page}:{block.line}", f"ended with {status}, not {want}", shown)
        return None
    for command in commands:
        status, shown = session.run(command.text)
        report.executed += 1
        if command.text == PICTURED and not status:
            check_picture(shown, report)
        if status != want:
            report.fail(f"{block.page}:{command.line}", f"`{command.text}` ended with {status}, not {want}", shown)
        elif pages.matches(command.expected, shown.splitlines()):
            continue
        elif "WRITE" in os.environ:
            report.outputs.setdefault(block.page, {})[command.line] = shown.rstrip().splitlines()
        else:
            report.fail(f"{block.page}:{command.line}", f"`{command.text}` shows something else than the page:", shown)
    return len(report.failures) == report_before


def check_picture(shown, report):
    """The picture is what the command has printed; with WRITE it is drawn again."""
    lines = picture.shown(PICTURED, shown)
    if pages.matches(picture.texts(PICTURE.read_text()), lines):
        return
    if "WRITE" in os.environ:
        PICTURE.write_text(picture.render(lines))
    else:
        report.fail("docs/demo.svg", "is not what the command shows; `make docs-test WRITE=1` draws it again", "\n".join(lines))


def valid_entry(block, session, report):
    """An entry that a page shows is valid beside those that are there."""
    sources = session.folder / "with-entry.yaml"
    entry = "\n".join(f"  {line}" if not block.text.startswith("  ") else line for line in block.lines)
    sources.write_text((ROOT / "platform/sources.yaml").read_text() + "\n" + entry + "\n")
    status, shown = session.run(f"tools/sluice status --sources {sources}")
    if status:
        report.fail(f"{block.page}:{block.line}", "the entry is not valid", shown)


def inner(state, target):
    """Runs beside the platform; leaves what was found in a file, because others print after it."""
    report = judge(pages.in_order(ROOT), state)
    Path(target).write_text(json.dumps(vars(report), default=sorted))


def judge(texts, state):
    """Every block of every page, in order. Without a state nothing is executed."""
    report = Report()
    for page, text in texts.items():
        report.pages += 1
        before, start = len(report.failures), time.monotonic()
        check_prose(page, text, report)
        try:
            found = pages.blocks(page, text)
        except pages.Fault as fault:
            report.fail(page, str(fault))
            continue
        executed = [block for block in found if not without_platform(block, report)]
        if executed and state:
            session = Session(state)
            for block in executed:
                execute(block, session, report)
            session.close()
            print(f"docs-test: {page}: {time.monotonic() - start:.0f} s", flush=True)
        if len(report.failures) == before:
            report.passed.add(page)
    return report


# ---- Around it


def site_faults():
    """Faults of the site: the reference as committed, every link. A line each."""
    build = [sys.executable, str(ROOT / "tools/docs/build.py"), "--frozen"]
    built = subprocess.run(build, capture_output=True, text=True)
    if not built.returncode:
        return []
    return built.stderr.splitlines() + [f"the site was not built: tools/docs/build.py ended with {built.returncode}"]


def write_outputs(outputs):
    for page, shown in outputs.items():
        path = ROOT / page
        path.write_text(pages.rewritten(path.read_text(), {int(line): lines for line, lines in shown.items()}))


def stamp(passed):
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for page in passed:
        path = ROOT / page
        if "owner" in front_matter(path.read_text())[0]:
            path.write_text(re.sub(r"^last_tested: .*$", f"last_tested: {today}", path.read_text(), count=1, flags=re.M))


def outer(state):
    start = time.monotonic()
    state = Path(state).absolute()
    for folder in (state, state.with_name(state.name + "-data")):
        shutil.rmtree(folder, ignore_errors=True)
    state.parent.mkdir(parents=True, exist_ok=True)
    faults = site_faults()
    for fault in faults:
        print(f"docs-test: {fault}")
    target = state.with_name(state.name + ".json")
    target.unlink(missing_ok=True)
    stack = [LOCAL, "--state", state, "with-stack", "--scale", SCALE, "--", sys.executable, __file__, "--beside", state, target]
    subprocess.run(stack, cwd=ROOT)
    if not target.exists():
        sys.exit("docs-test: the platform did not start, so no page was tested")
    found = json.loads(target.read_text())
    if "WRITE" in os.environ:
        write_outputs(found["outputs"])
    if "STAMP" in os.environ:
        stamp(found["passed"])
    broken = [fault for fault in faults if "leads to nothing" in fault or "names no place" in fault or "nav:" in fault]
    failed = len(found["failures"]) + len(faults) - len(broken)
    print(json.dumps({
        "pages": found["pages"], "commands": found["commands"], "executed": found["executed"], "failed": failed,
        "broken_links": len(broken), "for_an_account": found["for_an_account"], "by_ci": found["by_ci"],
        "seconds": round(time.monotonic() - start),
    }))
    if not found["pages"] or not found["executed"]:
        sys.exit("docs-test: no page or no command was tested")
    sys.exit(1 if failed or broken else 0)


if __name__ == "__main__":
    if sys.argv[1] == "--beside":
        inner(Path(sys.argv[2]), sys.argv[3])
    else:
        outer(sys.argv[1])
