"""Makes what a release holds for an architecture, in target/release-files: for each function the zip that is deployed and its bill of
materials (CycloneDX), for x86_64 the same of the programs of one machine, and checksums over all of them. The same commit gives the same
zips on the same toolchain.

    tools/release.py [x86_64|arm64]     needs the environments sam and zig; takes minutes. Without an architecture: this machine's
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import elf

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / ".aws-sam/build"
FILES = ROOT / "target/release-files"
TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
# Cargo would install a tool for what .cargo/config.toml names.
HERE = f"{platform.machine()}-unknown-linux-gnu"
CYCLONEDX = "cargo-cyclonedx@0.5.9"
# What `make demo BINARIES=<folder>` runs beside the functions, and the folder of each one's package.
PROGRAMS = {"sluice-local": "local", "sluice": "cli"}


def run(*command, **settings):
    subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=True)


def package(function):
    """The package of a function: extract-postgres of ExtractPostgres."""
    return re.sub(r"(?<=.)(?=[A-Z])", "-", function).lower()


def functions(built):
    return {package(folder.name): folder for folder in sorted(built.iterdir()) if (folder / "bootstrap").is_file()}


def pack(folder, archive):
    """A zip that holds the files and nothing of when and by whom they were made."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, without which the mode below is not read.
            executed = path.name == "bootstrap" or path.name in PROGRAMS
            entry.external_attr = (0o100755 if executed else 0o100644) << 16
            packed.writestr(entry, path.read_bytes())


def one_machine(files):
    """The programs of one machine, compiled as there and without their symbols. DuckDB's library is linked to and not handed out."""
    run(str(ROOT / "tools/setup"), "native")
    target = TARGETS["x86_64"]
    run("cargo", "build", "--locked", "--release", "--target", target, "--workspace", *(f"--bin={name}" for name in PROGRAMS))
    with tempfile.TemporaryDirectory() as folder:
        for name in PROGRAMS:
            run("strip", "-o", str(Path(folder, name)), str(ROOT / "target" / target / "release" / name))
        pack(Path(folder), files / "one-machine-x86_64.zip")


def check(files, architecture):
    """Each function's zip, as it is handed out, holds what Lambda can start."""
    faults = []
    for archive in sorted(files.glob(f"*-{architecture}.zip")):
        with zipfile.ZipFile(archive) as packed:
            if "bootstrap" in packed.namelist():
                faults += elf.faults(archive.name, packed.read("bootstrap"), architecture, on_lambda=True)
    if faults:
        sys.exit("\n".join(f"release: {fault}" for fault in faults))


def bills(packages, files, architecture):
    """The tool writes a bill beside every manifest of the workspace; those of what is released are kept."""
    tools = ROOT / ".tools/cargo"
    run("cargo", "install", "--quiet", "--locked", "--root", str(tools), "--target", HERE, CYCLONEDX)
    made = ["--format", "json", "--spec-version", "1.5", "--target", TARGETS[architecture], "--no-build-deps", "--quiet"]
    epoch = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    try:
        run(str(tools / "bin/cargo-cyclonedx"), "cyclonedx", *made, SOURCE_DATE_EPOCH=epoch)
        for name, folder in packages.items():
            (bill,) = (ROOT / folder).glob("*.cdx.json")
            shutil.copy(bill, files / f"{name}-{architecture}.cdx.json")
    finally:
        members = subprocess.run(["git", "ls-files", "*Cargo.toml"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for manifest in members.split():
            for bill in (ROOT / manifest).parent.glob("*.cdx.json"):
                bill.unlink()


def sums(files, architecture):
    """In a file of its own; the workflow puts those of both architectures together."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(files.iterdir())]
    (files / f"SHA256SUMS-{architecture}").write_text("".join(lines))


def main(architecture):
    shutil.rmtree(BUILT, ignore_errors=True)
    settings = {"SLUICE_PROFILE": "dist", "SLUICE_ARCHITECTURE": architecture, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    run(str(ROOT / ".tools/venv/sam/bin/sam"), "build", **settings)
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir(parents=True)
    found = functions(BUILT)
    for name, folder in found.items():
        pack(folder, FILES / f"{name}-{architecture}.zip")
    check(FILES, architecture)
    programs = PROGRAMS if architecture == "x86_64" else {}
    if programs:
        one_machine(FILES)
    bills({name: f"functions/{name}" for name in found} | programs, FILES, architecture)
    sums(FILES, architecture)
    print(f"release: {len(found)} functions for {architecture} in {FILES.relative_to(ROOT)}")


if __name__ == "__main__":
    names = sys.argv[1:] or ["arm64" if platform.machine() == "aarch64" else platform.machine()]
    if len(names) != 1 or names[0] not in TARGETS:
        sys.exit(f"release: name one architecture: {' or '.join(TARGETS)}")
    main(*names)
