"""Puts a release's binaries where `make demo BINARIES=<folder>` runs them, so that nothing is compiled.

    tools/take_binaries.py <folder>     the folder of a release, or one of binaries such as target/x86_64-unknown-linux-gnu/release

A release holds a zip for each function and one-machine.zip, which has the programs of one machine; their checksums are
compared. Binaries come as they are."""

import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Three levels below the checkout, as cargo's own: from there the programs find DuckDB's library.
TAKEN = ROOT / "target/binaries/taken"
ONE_MACHINE = "one-machine.zip"
PROGRAMS = ("sluice-local", "sluice")


def fail(message):
    sys.exit(f"take-binaries: {message}")


def functions():
    return sorted(path.name for path in (ROOT / "functions").iterdir() if path.is_dir())


def compare(folder):
    """Every file that SHA256SUMS names is as it says."""
    sums = folder / "SHA256SUMS"
    if not sums.exists():
        return
    for line in sums.read_text().splitlines():
        wanted, name = line.split(maxsplit=1)
        path = folder / name
        if not path.exists():
            fail(f"{folder} lacks {name}, which its SHA256SUMS names; fetch the release again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
            fail(f"{path} has another checksum than SHA256SUMS says; fetch it again")


def found(folder):
    """Each program's file: a member of a zip, or the file itself."""
    members = {name: (f"{name}.zip", "bootstrap") for name in functions()}
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
        target = taken / name
        if member is None:
            shutil.copyfile(path, target)
        else:
            with zipfile.ZipFile(path) as packed, packed.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
        os.chmod(target, 0o755)
    note.write_text(repr(state))
    return True


if __name__ == "__main__":
    if len(sys.argv) != 2:
        fail("name one folder")
    folder = Path(sys.argv[1]).resolve()
    if take(folder):
        print(f"take-binaries: the programs of {folder} are ready; nothing is compiled")
