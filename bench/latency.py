"""Seconds from sending an event until its row is queryable: an independent producer, the whole stack, one machine."""

import os
import subprocess

from machine import FUNCTIONS, ROOT


def main():
    local = FUNCTIONS / "sluice-local"
    if not local.exists():
        raise SystemExit(f"no {local}: run make build")
    subprocess.run([ROOT / "tools/setup", "ministack", "sam", "dbt", "data", "kafka-client"], check=True)
    client = ROOT / ".tools/venv/kafka-client/bin/python"
    command = [local, "--state", ".sluice-test/stream", "with-stack", "--open", "--scale", "0.02", "--"]
    subprocess.run([*command, client, ROOT / "tests/stream/latency.py"], cwd=ROOT, env=os.environ, check=True)


if __name__ == "__main__":
    main()
