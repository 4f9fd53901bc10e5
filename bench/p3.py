"""P3: cold start of every function, from the start of the process to its first `invocation/next`, and the size of its zip."""

import io
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import zipfile

import report
from machine import AWS, FUNCTIONS, PYTHON, ROOT, build, functions, set_up

# The clients that each function builds before its first event; the limit builds the same ones. Those of a REST source:
REST = "s3,events,secrets,http"
OTHERS = {
    "extract-postgres": "s3,events,secrets",
    "stream-kafka": "s3,events,secrets,sqs,http",
    "collect-events": "secrets,sqs",
    "load-commits": "s3,events,secrets,sqs,http",
    "dispatch-dbt": "s3,events,secrets,sqs,http",
    "activate-hubspot": "s3,events,secrets,sqs,http",
}
CLIENTS = {name: OTHERS.get(name, REST) for name in functions()}
NOBODY = "http://127.0.0.1:9"
SETTINGS = {
    "SLUICE_PLATFORM_DIR": str(ROOT / "platform"), "SLUICE_LAKE_BUCKET": "lake", "SLUICE_LAKE_ID": "lake",
    "SLUICE_BUS_NAME": "bus", "SLUICE_CLUSTER_ID": "bench", "SLUICE_LOAD_QUEUE_URL": f"{NOBODY}/load",
    "SLUICE_DBT_QUEUE_URL": f"{NOBODY}/dispatch", "SLUICE_DBT_URL": NOBODY, "SLUICE_DBT_ACCOUNT_ID": "1",
    "SLUICE_DBT_JOB_ID": "1", "SLUICE_DBT_SECRET": "dbt", "SLUICE_POSTGRES_SECRET": "postgres", "SLUICE_EXTRACT_QUEUE_URL": f"{NOBODY}/extract",
    "SLUICE_OXR_SECRET": "open-exchange-rates", "SLUICE_HUBSPOT_SECRET": "hubspot", "SLUICE_ALERTS_SECRET": "alerts",
    "SLUICE_KAFKA_BOOTSTRAP": "127.0.0.1:9", "SLUICE_SPOOL_QUEUE_URL": f"{NOBODY}/spool",
    "SLUICE_SPOOL_DEAD_QUEUE_URL": f"{NOBODY}/spool-dead",
    "SLUICE_COLLECT_SECRET": "collect", "SLUICE_SNOWFLAKE_ACCOUNT": "LOCAL", "SLUICE_SNOWFLAKE_URL": NOBODY,
    "SLUICE_SNOWFLAKE_USER": "SLUICE", "SLUICE_SNOWFLAKE_ROLE": "SLUICE", "SLUICE_SNOWFLAKE_WAREHOUSE": "LOADING",
    "SLUICE_SNOWFLAKE_SECRET": "snowflake", "SLUICE_PROVISIONER_SECRET": "provisioner", "SLUICE_STAGE": "local",
    "SLUICE_OWN_FUNCTION": "provision", "SLUICE_LAKE_READER_ROLE": "arn:aws:iam::000000000000:role/reader",
    "SLUICE_LAKE_EXTERNAL_ID": "bench", "SLUICE_REPORTER": "REPORT", "SLUICE_REPORTER_SECRET": "reporter",
    "SLUICE_ACTIVATE_QUEUE_URL": f"{NOBODY}/activate", "SLUICE_ACTIVATE_MODEL": "ANALYTICS.REPORTING.CUSTOMER_ACTIVATION",
}
# A peer does what a bootstrap in Python does: imports, clients, then the first request.
NEXT = """
import os, urllib.request
urllib.request.urlopen("http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/next")
"""
BOTO3 = "import boto3\nclients = [boto3.client(name) for name in ('s3', 'events', 'secretsmanager', 'sqs')]\n" + NEXT
DBT_PYTHON = ROOT / ".tools/venv/dbt/bin/python"
PEERS = {
    "Python, boto3": [DBT_PYTHON, "-c", BOTO3],
    "Python, Snowflake connector": [DBT_PYTHON, "-c", "import snowflake.connector\n" + NEXT],
    "Python, dlt": [PYTHON, "-c", "import dlt\n" + NEXT],
}
ZIP_MB = 12
SECONDS = 60


class FirstRequest:
    """Listens where the Runtime API would be, and tells when the first request for an event has come."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(SECONDS)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def wait(self, name):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(SECONDS)
            request = b""
            while b"\r\n" not in request:
                part = connection.recv(4096)
                if not part:
                    raise SystemExit(f"{name} closed its connection before it asked for an event")
                request += part
            seen = time.perf_counter()
        line = request.split(b"\r\n")[0].decode()
        if "/invocation/next" not in line:
            raise SystemExit(f"{name} did not ask for an event but sent: {line}")
        return seen


def start(name, command, extra):
    """The milliseconds of one cold start."""
    first = FirstRequest()
    environment = {
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "AWS_LAMBDA_RUNTIME_API": first.address,
        "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN", "AWS_ENDPOINT_URL": NOBODY,
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1", **AWS, **extra,
    }
    with tempfile.TemporaryFile() as log, first.listener:
        began = time.perf_counter()
        running = subprocess.Popen([str(part) for part in command], env=environment, stdout=log, stderr=log)
        try:
            return (first.wait(name) - began) * 1000
        except TimeoutError:
            log.seek(0)
            raise SystemExit(f"{name} asked for no event in {SECONDS} s: {log.read()[-2000:].decode()}") from None
        finally:
            running.kill()
            running.wait()


def zip_mb(name):
    """What `sam build` packs: the stripped binary and platform/."""
    with tempfile.TemporaryDirectory() as scratch:
        binary = pathlib.Path(scratch) / "bootstrap"
        subprocess.run(["strip", "-o", str(binary), str(FUNCTIONS / name)], check=True)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
            for path in sorted((ROOT / "platform").rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(ROOT))
        return len(packed.getvalue()) / 1e6


def competitors():
    for name, clients in CLIENTS.items():
        yield name, [FUNCTIONS / name], SETTINGS
        yield f"limit of {name}", [FUNCTIONS / "bench-cold"], {"COLD_CLIENTS": clients}
    for name, command in PEERS.items():
        yield name, command, {}


def main():
    if not shutil.which("strip"):
        raise SystemExit("strip is not installed (Debian: apt install binutils)")
    set_up("dbt")
    build("sluice-bench", *CLIENTS)
    rounds = int(os.environ.get("BENCH_ROUNDS", "15"))
    times = {}
    for round_number in range(rounds + 1):
        for name, command, extra in competitors():
            taken = start(name, command, extra)
            # The first of each reads its files from the disk, which Lambda's own number does not hold either.
            if round_number:
                times.setdefault(name, []).append(taken)
    rows, ratios, zips = [], {}, {}
    for name in CLIENTS:
        ours, limit = report.median(times[name]), report.median(times[f"limit of {name}"])
        ratios[name], zips[name] = ours / limit, zip_mb(name)
        numbers = [f"{number:.1f}" for number in (ours, min(times[name]), max(times[name]), limit)]
        rows.append([name, *numbers, f"{ratios[name]:.2f}", f"{zips[name]:.1f}"])
    for name in PEERS:
        numbers = [f"{number:.1f}" for number in (report.median(times[name]), min(times[name]), max(times[name]))]
        rows.append([name, *numbers, "", "", ""])
    print(f"\n{rounds} starts each, in turn")
    report.table(["", "median ms", "min ms", "max ms", "limit ms", "to limit", f"zip MB (at most {ZIP_MB})"], rows)
    slowest = max(report.median(times[name]) for name in CLIENTS)
    report.finish({
        "bench": "P3", "ratio_to_limit": round(max(ratios.values()), 2),
        "ratio_best_peer_to_ours": round(min(report.median(times[name]) for name in PEERS) / slowest, 1),
        "slowest_ms": round(slowest, 1), "largest_zip_mb": round(max(zips.values()), 1),
        "milliseconds": {name: report.spread(taken) for name, taken in times.items()},
    })


if __name__ == "__main__":
    main()
