"""P1: one PostgreSQL table of 3,000,000 rows into committed zstd Parquet in S3, against COPY to nowhere and the peers."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.request

import machine
import products
import report

ROWS = int(os.environ.get("BENCH_ROWS", 3_000_000))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))
PEERS = ["duckdb", "adbc", "dlt-connectorx", "dlt-pyarrow", "ingestr"]


def set_up(*peers):
    """What the extraction needs beside its peers."""
    machine.set_up("ministack", "data", *peers)
    machine.build("extract-postgres")


def copy_to_nowhere(postgres, table):
    start = time.perf_counter()
    with open(os.devnull, "wb") as nowhere:
        postgres.psql(f"COPY (SELECT {products.COLUMNS} FROM raw_data.{table}) TO STDOUT (FORMAT binary)", nowhere)
    return time.perf_counter() - start


def prepare(postgres, endpoint, table):
    """The bucket, the secret and the sources of our function."""
    import botocore.session  # Of the tools' own environment, see run.py.

    session = botocore.session.get_session()
    options = {"endpoint_url": endpoint, "region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    session.create_client("s3", **options).create_bucket(Bucket=machine.BUCKET)
    secret = {"host": "127.0.0.1", "port": postgres.port, "dbname": "postgres", "username": "app", "password": "", "sslmode": "disable"}
    session.create_client("secretsmanager", **options).create_secret(Name="postgres", SecretString=json.dumps(secret))
    platform = machine.STATE / "platform"
    platform.mkdir(parents=True, exist_ok=True)
    (platform / "sources.yaml").write_text(products.CONTRACT % table)
    return {
        "AWS_ENDPOINT_URL": endpoint, "SLUICE_LAKE_BUCKET": machine.BUCKET, "SLUICE_LAKE_ID": "bench", "SLUICE_BUS_NAME": "bench",
        "SLUICE_POSTGRES_SECRET": "postgres", "SLUICE_PLATFORM_DIR": str(platform),
        "SLUICE_EXTRACT_QUEUE_URL": endpoint + "/extract", "SLUICE_POSTGRES_SPLIT_ROWS": "0",
        "MALLOC_MMAP_THRESHOLD_": deployed("MALLOC_MMAP_THRESHOLD_"),
    }


def deployed(variable):
    """A variable's value as the template sets it."""
    found = re.search(rf'^ +{variable}: "(.+)"$', (machine.ROOT / "template.yaml").read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f"template.yaml sets no {variable}")
    return found[1]


def extract(environment):
    event = {"time": "2026-01-02T03:04:05Z", "table": "DLT.APPLICATION_DATA.PRODUCTS", "full_refresh": True}
    answer, seconds, cpu, peak = machine.run_function("extract-postgres", event, environment)
    return {"seconds": seconds, "cpu": cpu, "peak_mib": peak, "answer": answer}


def peer(name, postgres, table, target, where, endpoint):
    work = machine.STATE / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(work), "BENCH_WORK": str(work), **machine.AWS, "AWS_DEFAULT_REGION": "us-east-1"}
    if name == "ingestr":
        return ingestr(postgres, table, target, where, endpoint, environment)
    command = [str(machine.PYTHON), str(pathlib.Path(__file__).parent / "peers.py"), name, postgres.url(), table, target, where, endpoint]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=work)
    if ended.returncode != 0:
        raise SystemExit(f"{name} failed:\n{ended.stderr[-3000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def ingestr(postgres, table, target, where, endpoint, environment):
    """A command of its own, so its start counts; S3 is the only target in Parquet that it has."""
    address = endpoint.replace("http://", "http%3A%2F%2F").replace(":", "%3A")
    destination = f"s3://?access_key_id=test&secret_access_key=test&region=us-east-1&endpoint_url={address}"
    command = [str(machine.INGESTR), "ingest", "--yes", "--progress", "log", "--source-uri", postgres.url() + "?sslmode=disable",
               "--source-table", f"raw_data.{table}", "--dest-uri", destination, "--dest-table", where]
    environment = {**environment, "DISABLE_TELEMETRY": "true", "INGESTR_DISABLE_TELEMETRY": "true"}
    start = time.perf_counter()
    with open(machine.STATE / "ingestr.log", "wb") as log:
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(running.pid, 0)
    if status != 0:
        raise SystemExit(f"ingestr failed, see {machine.STATE / 'ingestr.log'}")
    return {"seconds": time.perf_counter() - start, "peak_mib": usage.ru_maxrss / 1024}


def read_back(name, glob, endpoint):
    command = [str(machine.PYTHON), str(pathlib.Path(__file__).parent / "verify.py"), glob, endpoint, *products.CHECKS]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode != 0:
        raise SystemExit(f"the output of {name} cannot be read:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def expected(postgres, table):
    checks = ", ".join(products.CHECKS)
    return postgres.psql(f"SELECT {checks} FROM raw_data.{table}").decode().strip().split("|")


def same(found, expected):
    def plain(text):
        try:
            return round(float(text), 4)
        except ValueError:
            return text.rstrip("0").rstrip(".") if ":" in text and "." in text else text

    return [plain(value) for value in found] == [plain(value) for value in expected]


def main():
    set_up("bench-ingestr")
    with machine.postgres() as postgres, machine.s3() as endpoint:
        table = products.fill(postgres, ROWS)
        environment = prepare(postgres, endpoint, table)
        wanted = expected(postgres, table)
        seconds, peaks, sizes, cpu = {}, {}, {}, []
        names = [name for name in PEERS if os.environ.get("BENCH_PEERS") is None or name in os.environ["BENCH_PEERS"].split(",")]

        def note(name, run):
            seconds.setdefault(name, []).append(run["seconds"])
            peaks.setdefault(name, []).append(run.get("peak_mib", 0))

        def s3_of(name):
            return f"{machine.BUCKET}/peers/{name}"

        def local_of(name):
            folder = machine.STATE / "out" / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            return str(folder)

        # Every one once to warm the caches, and to compare what it wrote with the source.
        copy_to_nowhere(postgres, table)
        first = extract(environment)
        outputs = {"sluice": f"s3://{machine.BUCKET}/raw/DLT/APPLICATION_DATA/PRODUCTS/data/{first['answer']['run_id']}/*.parquet"}
        for name in names:
            peer(name, postgres, table, "s3", s3_of(name), endpoint)
            outputs[name] = f"s3://{s3_of(name)}/**/*{table}*/*.parquet" if name.startswith("dlt") else f"s3://{s3_of(name)}/**/*.parquet"
        for name, glob in outputs.items():
            back = read_back(name, glob, endpoint)
            sizes[name] = back["bytes"]
            verdict = "the same rows" if same(back["found"], wanted) else f"OTHER ROWS: {back['found']} instead of {wanted}"
            print(f"{name}: {back['files']} files, {back['bytes'] / 2**20:.1f} MiB, {', '.join(back['codecs'])}, {verdict}")
            if name == "sluice" and not same(back["found"], wanted):
                raise SystemExit("our own output is not the source")

        for _ in range(ROUNDS):
            note("limit", {"seconds": copy_to_nowhere(postgres, table)})
            ours = extract(environment)
            note("sluice", ours)
            cpu.append(ours["cpu"])
            for name in names:
                note(name, peer(name, postgres, table, "s3", s3_of(name), endpoint))
                if name != "ingestr":
                    note(f"{name} (file)", peer(name, postgres, table, "file", local_of(name), endpoint))

    limit, ours = report.median(seconds["limit"]), report.median(seconds["sluice"])
    rows = []
    for name, values in seconds.items():
        size = f"{sizes[name] / 2**20:.1f}" if name in sizes else ""
        peak = f"{max(peaks[name]):.0f}" if max(peaks[name]) else ""
        rows.append([name, f"{report.median(values):.2f}", f"{min(values):.2f}", f"{max(values):.2f}",
                     f"{report.median(values) / limit:.2f}", peak, size])
    print(f"\n{ROWS:,} rows, {ROUNDS} rounds in turn")
    report.table(["", "median s", "min s", "max s", "to limit", "peak MiB", "MiB written"], rows)
    print(f"sluice's own CPU: {report.median(cpu):.2f} s")
    # Like with like: what a peer writes to a local file is shown, and not compared with what we write to S3.
    best = min((report.median(seconds[name]) for name in names), default=None)
    report.finish({
        "bench": "P1", "rows": ROWS, "ratio_to_limit": round(ours / limit, 3),
        "ratio_best_peer_to_ours": round(best / ours, 3) if best else None,
        "peak_mib": round(max(peaks["sluice"]), 1), "cpu_seconds": round(report.median(cpu), 3), "bytes": sizes,
        "seconds": {name: report.spread(values) for name, values in seconds.items()},
        "peaks_mib": {name: round(max(values), 1) for name, values in peaks.items() if max(values)},
    })


if __name__ == "__main__":
    main()
