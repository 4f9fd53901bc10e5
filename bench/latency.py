"""Seconds from sending an event until its row is queryable: an independent producer, the whole stack, one machine."""

import os
import subprocess

from machine import FUNCTIONS, ROOT, build, functions, set_up


def main():
    set_up("ministack", "sam", "dbt", "data", "kafka-client")
    build("sluice-local", *functions())
    client = ROOT / ".tools/venv/kafka-client/bin/python"
    command = [FUNCTIONS / "sluice-local", "--state", ".sluice-test/stream", "with-stack", "--open", "--scale", "0.02", "--"]
    subprocess.run([*command, client, ROOT / "tests/stream/latency.py"], cwd=ROOT, env=os.environ, check=True)


if __name__ == "__main__":
    main()
