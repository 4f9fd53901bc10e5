"""P4: the whole platform, from the sources to `sales`, against DuckDB on the same files and against dlt."""

import json
import os
import pathlib
import shutil
import subprocess

import machine
import platform_run
import report
import shop

ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))
PEERS = ["dlt-arrow", "dlt-rows"]
OURS, WITHOUT_START = "sluice", "sluice without dbt's start-up"
# The mart has more columns; these are what the statement of the others makes as well.
COLUMNS = (
    "customer_id, first_name, last_name, email, total_transactions, total_items, total_usd, total_gbp, "
    "first_purchase_at, last_purchase_at, unpriced_lines"
)


def competitor(name, folder, output):
    work = machine.STATE / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(work), "BENCH_WORK": str(work)}
    command = [machine.PYTHON, pathlib.Path(__file__).parent / "sales_peers.py", name, folder, output]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=work)
    if ended.returncode != 0:
        raise SystemExit(f"{name} failed:\n{ended.stderr[-3000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def compare(warehouse, outputs):
    """Fails unless each output has the very rows of the platform's mart."""
    import duckdb  # Of the tools' own environment, see run.py.

    connection = duckdb.connect()
    connection.execute(f"ATTACH '{warehouse}' AS warehouse (READ_ONLY)")
    connection.execute(f"CREATE TABLE ours AS SELECT {COLUMNS} FROM warehouse.ANALYTICS__MARTS.sales")
    customers, purchases, usd, gbp = connection.execute(
        "SELECT count(*), sum(total_transactions), sum(total_usd), sum(total_gbp) FROM ours"
    ).fetchone()
    for name, output in outputs.items():
        theirs = f"SELECT {COLUMNS} FROM '{output}'"
        different = connection.execute(
            f"(FROM ours EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL FROM ours) ORDER BY customer_id LIMIT 6"
        ).fetchall()
        if different:
            raise SystemExit(f"the sales of {name} are not ours:\n" + "\n".join(map(str, different)))
    print(f"the same sales: {customers:,} customers, {purchases:,} purchases, {usd:,} USD, {gbp:,} GBP")


def main():
    platform_run.prepare()
    folder = shop.files()
    names = ["limit", *(name for name in PEERS if name in os.environ.get("BENCH_PEERS", ",".join(PEERS)).split(","))]
    outputs = {name: machine.STATE / f"sales-{name}.parquet" for name in names}
    seconds, peaks, phases = {}, {}, {}
    # Each once to warm the caches; the platform starts from nothing anyway.
    for name in names:
        competitor(name, folder, outputs[name])
    for _ in range(ROUNDS):
        ours = platform_run.run(folder)
        seconds.setdefault(OURS, []).append(ours["seconds"])
        seconds.setdefault(WITHOUT_START, []).append(ours["seconds"] - ours["dbt_start"])
        for phase, taken in ours["phases"].items():
            phases.setdefault(phase, []).append(taken)
        for process, mib in ours["peaks_mib"].items():
            peaks[process] = max(peaks.get(process, 0), mib)
        for name in names:
            run = competitor(name, folder, outputs[name])
            seconds.setdefault(name, []).append(run["seconds"])
            peaks[name] = max(peaks.get(name, 0), run["peak_mib"])
        compare(platform_run.kept("warehouse.duckdb"), outputs)

    median = {name: report.median(values) for name, values in seconds.items()}
    functions = {"".join(part.capitalize() for part in name.split("-")) for name in machine.functions()}
    largest = max(mib for process, mib in peaks.items() if process in functions)
    rows = [
        [name, f"{median[name]:.2f}", f"{min(values):.2f}", f"{max(values):.2f}", f"{median[name] / median['limit']:.2f}",
         f"{peaks[name]:.0f}" if name in peaks else ""]
        for name, values in sorted(seconds.items(), key=lambda item: median[item[0]])
    ]
    print(f"\n{shop.PURCHASES:,} purchases, {ROUNDS} rounds in turn")
    report.table(["", "median s", "min s", "max s", "to limit", "peak MiB"], rows)
    print()
    report.table(["the platform's phases", "median s"], [[name, f"{report.median(taken):.1f}"] for name, taken in phases.items()])
    print()
    ours = sorted((item for item in peaks.items() if item[0] not in names), key=lambda item: -item[1])
    report.table(["the platform's processes", "peak MiB"], [[name, f"{mib:.0f}"] for name, mib in ours])
    best = min((median[name] for name in names if name != "limit"), default=None)
    report.finish({
        "bench": "P4", "purchases": shop.PURCHASES, "ratio_to_limit": round(median[WITHOUT_START] / median["limit"], 3),
        "ratio_best_peer_to_ours": round(best / median[WITHOUT_START], 3) if best else None, "peak_mib": round(largest, 1),
        "seconds": {name: report.spread(values) for name, values in seconds.items()},
        "phases": {name: report.spread(values) for name, values in phases.items()},
        "peaks_mib": {name: round(mib, 1) for name, mib in peaks.items()},
    })


if __name__ == "__main__":
    main()
