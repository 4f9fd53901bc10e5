"""P2: one Kafka event of 6 MB through the streaming loop, against a program written for it and against Python."""

import json
import subprocess
import tempfile

import report
from machine import FUNCTIONS, ROOT, build, set_up

BINARY = FUNCTIONS / "bench-stream"
PYTHON = ROOT / ".tools/venv/bench-stream/bin/python"


def main():
    set_up("bench-stream")
    build("sluice-bench")
    with tempfile.TemporaryDirectory() as scratch:
        command = [BINARY, PYTHON, ROOT / "bench/stream_peers.py", scratch]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    *lines, result = output.splitlines()
    print("\n".join(lines))
    report.finish(json.loads(result))


if __name__ == "__main__":
    main()
