"""Reads an output back with DuckDB and prints what the checks find, the files' bytes and their compression.

usage: verify.py <glob> <endpoint> <check>...
"""

import json
import sys

from peers import duckdb_connection

if __name__ == "__main__":
    glob, endpoint, *checks = sys.argv[1:]
    connection = duckdb_connection(endpoint)
    found = connection.execute(f"SELECT {', '.join(checks)} FROM read_parquet('{glob}')").fetchone()
    files = connection.execute(f"SELECT count(*), sum(size) FROM read_blob('{glob}')").fetchone()
    codecs = connection.execute(f"SELECT DISTINCT compression FROM parquet_metadata('{glob}')").fetchall()
    print(json.dumps({
        "found": [None if value is None else str(value) for value in found],
        "files": files[0], "bytes": int(files[1]), "codecs": sorted(codec for (codec,) in codecs),
    }))
