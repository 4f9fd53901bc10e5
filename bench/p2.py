"""P2: one Kafka event of 6 MB through the streaming loop, against a program written for it and against Python."""

import json
import subprocess
import tempfile

import report
from machine import ROOT

BINARY = ROOT / "target/x86_64-unknown-linux-gnu/release/bench-stream"
PYTHON = ROOT / ".tools/venv/bench-stream/bin/python"


def main():
    subprocess.run([ROOT / "tools/setup", "bench-stream"], check=True)
    subprocess.run(["cargo", "build", "--release", "--quiet", "--workspace", "--bins"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [BINARY, PYTHON, ROOT / "bench/stream_peers.py", scratch]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    *lines, result = output.splitlines()
    print("\n".join(lines))
    report.finish(json.loads(result))


if __name__ == "__main__":
    main()
