"""P6: what a billion rows cost on Lambda, computed from what P1 (and P2, where it has run) measured.

Prices are AWS's public ones for us-east-1 on x86_64, and on ARM as if it took the same time. A second here is taken for a second of one Lambda vCPU's memory
step (1,769 MB), which this machine's processors are not exactly.
"""

import p1
import report

GB_SECOND = 0.0000166667
GB_SECOND_ARM = 0.0000133334
REQUEST = 0.20 / 1_000_000
S3_PUT = 0.005 / 1_000
NAT_GB = 0.045
MEMORY_GB = 1_769 / 1_024
PART_BYTES = 5 * 2**20
BILLION = 1_000_000_000
TARGET = 0.05


def main():
    extraction = report.kept("P1")
    if extraction is None:
        p1.main()
        extraction = report.kept("P1")
    rows = extraction["rows"]
    runs = BILLION / rows
    seconds = extraction["seconds"]["sluice"]["median"]
    written = extraction["bytes"]["sluice"]
    compute = runs * seconds * MEMORY_GB * GB_SECOND
    puts = runs * (written / PART_BYTES + 4)
    lines = [
        ["Lambda compute", f"{compute:.4f}"],
        ["the same on ARM", f"{compute / GB_SECOND * GB_SECOND_ARM:.4f}"],
        ["Lambda requests", f"{runs * REQUEST:.6f}"],
        ["S3 puts", f"{puts * S3_PUT:.4f}"],
        ["NAT, only where S3 has no endpoint", f"{runs * written / 1e9 * NAT_GB:.4f}"],
    ]
    stream = report.kept("P2")
    if stream and "rows" in stream and "seconds" in stream:
        per_event = stream["seconds"]["sluice"]["median"]
        lines.append(["Lambda compute of the stream", f"{BILLION / stream['rows'] * per_event * MEMORY_GB * GB_SECOND:.4f}"])
    print(f"a billion rows, from {rows:,} rows in {seconds:.2f} s")
    report.table(["", "US dollars"], lines)
    report.finish({
        "bench": "P6", "ratio_to_limit": round(compute / TARGET, 3), "ratio_best_peer_to_ours": round(0.53 / compute, 1),
        "peak_mib": extraction["peak_mib"], "dollars_per_billion_rows": round(compute, 4), "target_dollars": TARGET,
        "seconds": {"sluice": extraction["seconds"]["sluice"]},
    })


if __name__ == "__main__":
    main()
