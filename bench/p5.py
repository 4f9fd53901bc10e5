"""P5: growth. The extraction of P1 at one and at ten times the rows: time at most linear, memory the same."""

import os

import machine
import p1
import products
import report

SMALL = int(os.environ.get("BENCH_ROWS", 3_000_000))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))


def main():
    p1.set_up()
    with machine.postgres() as postgres, machine.s3() as endpoint:
        measured = {}
        environments = {}
        for rows in (SMALL, 10 * SMALL):
            environments[rows] = None, products.fill(postgres, rows)
        environment = p1.prepare(postgres, endpoint, environments[SMALL][1])
        for _ in range(ROUNDS):
            for rows, (_, table) in environments.items():
                (machine.STATE / "platform" / "sources.yaml").write_text(products.CONTRACT % table)
                run = p1.extract(environment)
                if run["answer"]["rows"] != rows:
                    raise SystemExit(f"{run['answer']['rows']} rows were extracted, not {rows}")
                limit = p1.copy_to_nowhere(postgres, table)
                measured.setdefault(rows, []).append({**run, "limit": limit})
    table = []
    medians = {}
    for rows, runs in measured.items():
        medians[rows] = {key: report.median([run[key] for run in runs]) for key in ("seconds", "cpu", "limit", "peak_mib")}
        medians[rows]["peak_mib"] = max(run["peak_mib"] for run in runs)
        found = medians[rows]
        table.append([f"{rows:,} rows", f"{found['seconds']:.2f}", f"{found['limit']:.2f}", f"{found['seconds'] / found['limit']:.2f}",
                      f"{found['cpu']:.2f}", f"{found['peak_mib']:.1f}"])
    report.table(["", "median s", "limit s", "to limit", "CPU s", "peak MiB"], table)
    small, large = medians[SMALL], medians[10 * SMALL]
    report.finish({
        "bench": "P5", "rows": [SMALL, 10 * SMALL],
        "ratio_to_limit": round(large["seconds"] / (10 * small["seconds"]), 3), "ratio_best_peer_to_ours": None,
        "peak_mib": round(large["peak_mib"], 1), "peak_growth": round(large["peak_mib"] / small["peak_mib"], 3),
        "seconds": {str(rows): report.spread([run["seconds"] for run in runs]) for rows, runs in measured.items()},
    })


if __name__ == "__main__":
    main()
