"""Follows the README as somebody who has never seen the project: from a clone to her own data in `sales`, in at most 15 minutes.

    tests/docs/first_quarter.py [<folder>]           clones this checkout into the folder and runs the commands of the pages there
    tests/docs/first_quarter.py --warm [<folder>]    with this checkout's tools and compiled code, in some minutes

A line for each step with its seconds; the last line is JSON. The commands and what they must show are those of README.md and
docs/start/first-quarter.md, up to the step that leaves a platform running."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

import pages  # noqa: E402 It lies beside this file.

README, PAGE = "README.md", "docs/start/first-quarter.md"
LONGEST = 900
# After this command her own data is in `sales`; the others show more.
GOAL = "make demo DATA="


def steps(root):
    """The README's first command, then those of the page that it leads to: text, place, and what is shown, if anything."""
    readme = pages.blocks(README, (root / README).read_text())[0].commands()[0]
    found = [(readme.text, f"{README}:{readme.line}", None)]
    if f"]({PAGE})" not in (root / README).read_text():
        sys.exit(f"first-quarter: the README does not lead to {PAGE}")
    for block in pages.blocks(PAGE, (root / PAGE).read_text()):
        if "up" in block.words:
            return found
        if block.language not in ("sh", "console"):
            continue
        for command in block.commands():
            # The page repeats the README's command for those who begin there.
            if command.text != readme.text:
                shown = command.expected if block.language == "console" else None
                found.append((command.text, f"{PAGE}:{command.line}", shown))
    sys.exit(f"first-quarter: {PAGE} no longer says where a platform is left running")


def clone(folder, warm):
    """The checkout as it is committed. A warm one has this one's tools, and its compiled code with the times of its sources."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
    if not warm:
        return
    for name in (".tools", ".native"):
        (folder / name).symlink_to((ROOT / name).resolve())
    subprocess.run(["cp", "--archive", str(ROOT / "target"), str(folder / "target")], check=True)
    for name in subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines():
        source, copy = ROOT / name, folder / name
        if source.exists() and source.read_bytes() == copy.read_bytes():
            os.utime(copy, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))


def run(command, folder):
    """Status and output; the output is also in a file, which outlives a step that hangs."""
    log = folder / ".first-quarter.log"
    with log.open("w") as output:
        done = subprocess.run(["bash", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    return done.returncode, log.read_text()


def said(seconds, text):
    print(f"{seconds:7.1f} s  {text}", flush=True)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--warm"]
    warm = "--warm" in sys.argv
    home = Path(arguments[0]).absolute() if arguments else Path(tempfile.mkdtemp(prefix="first-quarter."))
    folder = home / "sluice"
    start = time.monotonic()
    clone(folder, warm)
    said(time.monotonic() - start, "git clone" + (", with tools and compiled code" if warm else ""))
    begun, reached, failures = time.monotonic(), None, []
    for command, place, shown in steps(folder):
        before = time.monotonic()
        status, output = run(command, folder)
        said(time.monotonic() - before, command if len(command) < 80 else f"{command[:79]}…")
        if status or (shown is not None and not pages.matches(shown, output.splitlines())):
            failures.append(place)
            what = f"ended with {status}" if status else "shows something else than the page"
            print(f"first-quarter: {place}: `{command}` {what}\n" + "\n".join(output.splitlines()[-40:]), flush=True)
            break
        if command.startswith(GOAL) and reached is None:
            reached = time.monotonic() - begun
            said(reached, "in all until her own data is in `sales`")
            if not re.search(r"equal to the oracle's, to the cent", output):
                failures.append(place)
    if not arguments:
        shutil.rmtree(home)
    in_time = reached is not None and reached <= LONGEST
    print(json.dumps({"seconds": None if reached is None else round(reached), "limit": LONGEST, "warm": warm, "failures": failures}))
    sys.exit(0 if in_time and not failures else 1)


if __name__ == "__main__":
    main()
