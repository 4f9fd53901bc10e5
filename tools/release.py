"""Makes what a release holds, in target/release-files: for each function the zip that is deployed and its bill of materials
(CycloneDX), the same of the programs of one machine, and SHA256SUMS over all of them. The same commit gives the same zips on
the same toolchain.

    tools/release.py         needs the environment sam; compiles with the profile of stages on AWS, which takes minutes
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / ".aws-sam/build"
FILES = ROOT / "target/release-files"
TARGET = "x86_64-unknown-linux-gnu"
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
    """The programs of one machine, compiled as there and without their symbols. DuckDB's library is fetched by tools/setup."""
    run("cargo", "build", "--locked", "--release", "--target", TARGET, *(f"--bin={name}" for name in PROGRAMS))
    with tempfile.TemporaryDirectory() as folder:
        for name in PROGRAMS:
            run("strip", "-o", str(Path(folder, name)), str(ROOT / "target" / TARGET / "release" / name))
        pack(Path(folder), files / "one-machine.zip")


def bills(packages, files):
    """The tool writes a bill beside every manifest of the workspace; those of what is released are kept."""
    tools = ROOT / ".tools/cargo"
    run("cargo", "install", "--quiet", "--locked", "--root", str(tools), CYCLONEDX)
    made = ["--format", "json", "--spec-version", "1.5", "--target", TARGET, "--no-build-deps", "--quiet"]
    epoch = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    try:
        run(str(tools / "bin/cargo-cyclonedx"), "cyclonedx", *made, SOURCE_DATE_EPOCH=epoch)
        for name, folder in packages.items():
            (bill,) = (ROOT / folder).glob("*.cdx.json")
            shutil.copy(bill, files / f"{name}.cdx.json")
    finally:
        members = subprocess.run(["git", "ls-files", "*Cargo.toml"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for manifest in members.split():
            for bill in (ROOT / manifest).parent.glob("*.cdx.json"):
                bill.unlink()


def sums(files):
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(files.iterdir())]
    (files / "SHA256SUMS").write_text("".join(lines))


def main():
    shutil.rmtree(BUILT, ignore_errors=True)
    run(str(ROOT / ".tools/venv/sam/bin/sam"), "build", SLUICE_PROFILE="dist", SAM_CLI_TELEMETRY="0", AWS_DEFAULT_REGION="us-east-1")
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir(parents=True)
    found = functions(BUILT)
    for name, folder in found.items():
        pack(folder, FILES / f"{name}.zip")
    one_machine(FILES)
    bills({name: f"functions/{name}" for name in found} | PROGRAMS, FILES)
    sums(FILES)
    print(f"release: {len(found)} functions and the programs of one machine in {FILES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
