"""Runs as Prefect's own server has them: starts the server on SQLite, has the function's client tell it of runs, and looks by
Prefect's own client library at states, logs, artifacts and parameters.

Usage: <venv>/bin/python tests/watch/prefect_server.py
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_WITHIN = 90


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def settings(home, port):
    return {
        **os.environ,
        "PREFECT_HOME": home,
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home}/prefect.db",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def wait(server, port):
    for _ in range(START_WITHIN * 2):
        assert server.poll() is None, f"the server has ended with {server.returncode}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"the server has not answered within {START_WITHIN} s")


async def look():
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter

    async with get_client() as client:
        runs = {f"{run.name} {run.state_type.value}": run for run in await client.read_flow_runs()}
        expected = {"dbt-7 FAILED", "A.B.C#3 COMPLETED", "A.B.C COMPLETED", "A.B.C FAILED"}
        assert set(runs) == expected, f"flow runs: {sorted(runs)}"
        dbt = runs["dbt-7 FAILED"]
        assert dbt.state.message == "a test failed", dbt.state
        assert dbt.parameters["number"] == 7 and {"sluice", "a-stack"} == set(dbt.tags), dbt
        assert dbt.start_time and dbt.end_time and dbt.end_time >= dbt.start_time, "a run that was live has a beginning and an end"
        flows = {(await client.read_flow(run.flow_id)).name for run in runs.values()}
        assert flows == {"sluice dbt", "sluice load", "sluice extract"}, flows
        logs = await client.read_logs(LogFilter(flow_run_id={"any_": [dbt.id]}))
        lines = sorted((log.level, log.message) for log in logs)
        assert (40, "test.x failed") in lines and len(lines) == 3, lines
        artifacts = [artifact for artifact in await client.read_artifacts() if artifact.flow_run_id == dbt.id]
        assert len(artifacts) == 1 and "- `sales`" in artifacts[0].data, artifacts
    return len(runs)


def main():
    with tempfile.TemporaryDirectory() as home:
        port = free_port()
        environment = settings(home, port)
        command = [str(Path(sys.executable).parent / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        with open(Path(home) / "server.log", "w") as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                wait(server, port)
                test = ["cargo", "test", "--release", "--quiet", "-p", "watch-platform", "--test", "prefect", "--", "--ignored"]
                told = {**os.environ, "SLUICE_PREFECT_API": environment["PREFECT_API_URL"]}
                subprocess.run(test, cwd=ROOT, env=told, check=True)
                os.environ.update(environment)
                print(f"prefect: {asyncio.run(look())} flow runs as its own client reads them")
            except BaseException:
                print((Path(home) / "server.log").read_text()[-4000:], file=sys.stderr)
                raise
            finally:
                server.terminate()
                try:
                    server.wait(20)
                except subprocess.TimeoutExpired:
                    server.kill()


if __name__ == "__main__":
    sys.exit(main())
