"""One run of one peer, in a process of its own: prints its seconds and its peak memory as JSON.

Imports are not counted, connections are. Every peer is asked for zstd.
usage: peers.py <name> <postgres url> <table> s3|file <where> <endpoint>
"""

import json
import os
import pathlib
import sys
import time

COLUMNS = "audit_id, product_id, product_name, price_usd, operation, valid_ts"


def duckdb_extension(name):
    import importlib

    package = importlib.import_module(f"duckdb_extension_{name}")
    return str(next(pathlib.Path(package.__file__).parent.rglob(f"{name}.duckdb_extension")))


def duckdb_connection(endpoint):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"LOAD '{duckdb_extension('postgres_scanner')}'")
    connection.execute(f"LOAD '{duckdb_extension('httpfs')}'")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID 'test', SECRET 'test', REGION 'us-east-1', USE_SSL false, URL_STYLE 'path', "
        f"ENDPOINT '{endpoint.removeprefix('http://')}')"
    )
    return connection


def run_duckdb(url, table, target, where, endpoint):
    connection = duckdb_connection(endpoint)
    path = f"s3://{where}/data.parquet" if target == "s3" else f"{where}/data.parquet"

    def job():
        connection.execute(f"ATTACH '{url}' AS source (TYPE postgres, READ_ONLY)")
        connection.execute(
            f"COPY (SELECT {COLUMNS} FROM source.raw_data.{table}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        )

    return job


def run_adbc(url, table, target, where, endpoint):
    import adbc_driver_postgresql.dbapi
    import pyarrow
    import pyarrow.compute
    import pyarrow.fs
    import pyarrow.parquet

    if target == "s3":
        files = pyarrow.fs.S3FileSystem(
            access_key="test", secret_key="test", endpoint_override=endpoint, region="us-east-1", allow_bucket_creation=False
        )
    else:
        files = pyarrow.fs.LocalFileSystem()

    def job():
        with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
            # The driver answers numeric as text; a cast back to its type belongs to the work.
            cursor.execute(f"SELECT {COLUMNS} FROM raw_data.{table}")
            reader = cursor.fetch_record_batch()
            price = reader.schema.get_field_index("price_usd")
            schema = reader.schema.set(price, pyarrow.field("price_usd", pyarrow.decimal128(18, 4)))
            with files.open_output_stream(f"{where}/data.parquet") as out:
                with pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
                    for batch in reader:
                        typed = pyarrow.compute.cast(batch.column(price), pyarrow.decimal128(18, 4))
                        columns = list(batch.columns)
                        columns[price] = typed
                        writer.write_batch(pyarrow.RecordBatch.from_arrays(columns, schema=schema))

    return job


def run_dlt(url, table, target, where, endpoint, backend):
    os.environ["DATA_WRITER__COMPRESSION"] = "zstd"
    os.environ["NORMALIZE__DATA_WRITER__COMPRESSION"] = "zstd"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt
    from dlt.sources.sql_database import sql_table

    work = pathlib.Path(os.environ["BENCH_WORK"])
    if target == "s3":
        destination = dlt.destinations.filesystem(
            bucket_url=f"s3://{where}",
            credentials={"aws_access_key_id": "test", "aws_secret_access_key": "test", "endpoint_url": endpoint, "region_name": "us-east-1"},
        )
    else:
        destination = dlt.destinations.filesystem(bucket_url=f"file://{where}")

    def job():
        pipeline = dlt.pipeline("bench", destination=destination, dataset_name="out", pipelines_dir=str(work))
        address = url.replace("postgresql://", "postgresql+psycopg2://")
        options = {"backend_kwargs": {"conn": url, "return_type": "arrow_stream"}} if backend == "connectorx" else {}
        source = sql_table(credentials=address, schema="raw_data", table=table, backend=backend, **options)
        pipeline.run(source, loader_file_format="parquet", write_disposition="replace")

    return job


RUNS = {
    "duckdb": run_duckdb,
    "adbc": run_adbc,
    "dlt-connectorx": lambda *arguments: run_dlt(*arguments, backend="connectorx"),
    "dlt-pyarrow": lambda *arguments: run_dlt(*arguments, backend="pyarrow"),
}


def peak_mib():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    job = RUNS[name](*arguments)
    start = time.perf_counter()
    job()
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_mib": peak_mib()}))
