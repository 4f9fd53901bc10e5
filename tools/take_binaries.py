"""Puts a release's binaries where `make demo BINARIES=<folder>` runs them, so that nothing is compiled.

    tools/take_binaries.py <folder>     the folder of a release, or one of binaries such as target/x86_64-unknown-linux-gnu/release

A release holds a zip for each function and architecture, and one-machine-x86_64.zip, which has the programs of one machine; the
checksums of what is taken are compared. Binaries come as they are. One that is for other processors is refused."""

import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path

import elf

ROOT = Path(__file__).resolve().parents[1]
# Three levels below the checkout, as cargo's own: from there the programs find DuckDB's library.
TAKEN = ROOT / "target/binaries/taken"
# One machine means Linux on x86_64.
ARCHITECTURE = "x86_64"
ONE_MACHINE = f"one-machine-{ARCHITECTURE}.zip"
PROGRAMS = ("sluice-local", "sluice")


def fail(message):
    sys.exit(f"take-binaries: {message}")


def functions():
    return sorted(path.name for path in (ROOT / "functions").iterdir() if path.is_dir())


def compare(folder):
    """Every file for this machine that the checksums name is as they say."""
    for sums in sorted(folder.glob("SHA256SUMS*")):
        for line in sums.read_text().splitlines():
            wanted, name = line.split(maxsplit=1)
            if not name.endswith(f"-{ARCHITECTURE}.zip"):
                continue
            path = folder / name
            if not path.exists():
                fail(f"{folder} lacks {name}, which its {sums.name} names; fetch the release again")
            if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
                fail(f"{path} has another checksum than {sums.name} says; fetch it again")


def found(folder):
    """Each program's file: a member of a zip, or the file itself."""
    members = {name: (f"{name}-{ARCHITECTURE}.zip", "bootstrap") for name in functions()}
    members.update({name: (ONE_MACHINE, name) for name in PROGRAMS})
    programs, missing = {}, []
    for name, (archive, member) in members.items():
        if (folder / archive).exists():
            programs[name] = (folder / archive, member)
        elif (folder / name).is_file():
            programs[name] = (folder / name, None)
        else:
            missing.append(archive)
    if missing:
        fail(f"{folder} lacks {', '.join(dict.fromkeys(missing))}; `make release` makes them")
    return programs


def contents(path, member):
    if member is None:
        return path.read_bytes()
    with zipfile.ZipFile(path) as packed:
        return packed.read(member)


def take(folder, taken=TAKEN):
    if not folder.is_dir():
        fail(f"{folder} is no folder")
    compare(folder)
    programs = found(folder)
    # By size and time, as the deployment on one machine does: what is there already need not be deployed again.
    state = {name: (str(path), path.stat().st_size, path.stat().st_mtime_ns) for name, (path, _) in programs.items()}
    note = taken / ".taken-from"
    if note.exists() and note.read_text() == repr(state):
        # tools/sluice runs the program that was made last.
        os.utime(taken / "sluice")
        return False
    shutil.rmtree(taken, ignore_errors=True)
    taken.mkdir(parents=True)
    for name, (path, member) in programs.items():
        data = contents(path, member)
        faults = elf.faults(name, data, ARCHITECTURE)
        if faults:
            fail(f"{path}: {faults[0]}")
        (taken / name).write_bytes(data)
        os.chmod(taken / name, 0o755)
    note.write_text(repr(state))
    return True


if __name__ == "__main__":
    if len(sys.argv) != 2:
        fail("name one folder")
    folder = Path(sys.argv[1]).resolve()
    if take(folder):
        print(f"take-binaries: the programs of {folder} are ready; nothing is compiled")
