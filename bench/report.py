"""The table for people and the last line for programs."""

import json
import statistics
import subprocess

from machine import ROOT, STATE


def median(values):
    return statistics.median(values)


def spread(values):
    return {"median": round(median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def table(headings, rows):
    texts = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(len(row[at]) for row in texts) for at in range(len(headings))]
    for number, row in enumerate(texts):
        print("  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))))
        if number == 0:
            print("  ".join("-" * width for width in widths))


def finish(result):
    """Keeps the result for benchmarks that compute from it, and prints it as the last line."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    result = {**result, "commit": commit}
    (STATE / "results").mkdir(parents=True, exist_ok=True)
    (STATE / "results" / f"{result['bench']}.json").write_text(json.dumps(result))
    print(json.dumps(result))


def kept(bench):
    path = STATE / "results" / f"{bench}.json"
    return json.loads(path.read_text()) if path.exists() else None
