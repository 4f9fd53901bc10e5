"""Starts snowduck, an emulator of Snowflake, and connects to it as a client of Snowflake would."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import snowflake.connector
from project import ROOT

SNOWDUCK = ROOT / ".tools/venv/snowduck/bin/snowduck"

# How long it may take to listen, and how often it is asked.
START_SECONDS = 60
POLL_SECONDS = 0.1


@contextmanager
def snowduck(folder: Path) -> Iterator[int]:
    """An emulator on a free port, which it gives; stopped afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(folder / "snowduck.log", "wb") as log:
        process = subprocess.Popen(
            [SNOWDUCK, "--port", str(port)],
            env=os.environ | {"SNOWDUCK_DB_PATH": str(folder / "snowduck.duckdb")},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(process, port, folder / "snowduck.log")
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(POLL_SECONDS)
    raise RuntimeError(f"snowduck does not listen on {port}: {log.read_text(errors='replace')[-2000:]}")


def connect(port: int) -> snowflake.connector.SnowflakeConnection:
    return snowflake.connector.connect(
        host="127.0.0.1",
        port=port,
        protocol="http",
        account="emulator",
        user="emulator",
        password="emulator",
        database="ANALYTICS",
        schema="SCRATCH",
    )
