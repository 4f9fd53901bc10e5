"""One run of one competitor of P4, in a process of its own: from the files to the table `sales`, which it writes to <output>.

Prints its seconds, imports not counted, and its peak memory as JSON.
usage: sales_peers.py limit|dlt-arrow|dlt-rows <folder of the files> <output>.parquet
"""

import csv
import datetime
import decimal
import json
import os
import pathlib
import sys
import time

from peers import peak_mib

SQL = (pathlib.Path(__file__).parent / "sales.sql").read_text()
# What each file's columns are, by DuckDB's names.
COLUMNS = {
    "rates.csv": {"rate_date": "date", "base_currency": "varchar", "target_currency": "varchar", "rate": "decimal(18,10)"},
    "products.csv": {
        "audit_id": "bigint", "product_id": "bigint", "product_name": "varchar", "price_usd": "decimal(18,4)",
        "operation": "varchar", "valid_ts": "timestamp",
    },
    "contacts.csv": {
        "id": "bigint", "email": "varchar", "firstname": "varchar", "lastname": "varchar", "lifecyclestage": "varchar",
        "createdate": "timestamp", "lastmodifieddate": "timestamp", "archived": "boolean", "merged_ids": "varchar",
    },
    "purchases.ndjson": {
        "event_id": "varchar", "customer_email": "varchar", "product_id": "bigint", "quantity": "bigint",
        "purchase_ts": "timestamp", "schema_version": "bigint",
    },
}


def write(connection, output):
    connection.execute(f"COPY sales TO '{output}' (FORMAT parquet)")


def limit(folder):
    import duckdb

    def job():
        connection = duckdb.connect()
        for name, columns in COLUMNS.items():
            table, form = name.split(".")
            reader = "read_csv('{}', header = true, columns = {})" if form == "csv" else "read_json('{}', format = 'nd', columns = {})"
            # A view is read as it is needed; it is the statement alone that reads the purchases, once.
            kind = "TABLE" if form == "csv" else "VIEW"
            connection.execute(f"CREATE {kind} {table} AS SELECT * FROM {reader.format(folder / name, columns)}")
        connection.execute(f"CREATE TABLE sales AS {SQL}")
        return connection

    return job


def arrow_tables(folder, name, columns):
    """The file in batches, with the types that a user would give them."""
    import pyarrow
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.json

    types = {
        "bigint": pyarrow.int64(), "varchar": pyarrow.string(), "boolean": pyarrow.bool_(), "date": pyarrow.date32(),
        "timestamp": pyarrow.timestamp("us"), "decimal(18,4)": pyarrow.decimal128(18, 4), "decimal(18,10)": pyarrow.decimal128(18, 10),
    }
    schema = pyarrow.schema([(column, types[kind]) for column, kind in columns.items()])
    if name.endswith(".csv"):
        options = pyarrow.csv.ConvertOptions(column_types=schema, strings_can_be_null=True)
        for batch in pyarrow.csv.open_csv(folder / name, convert_options=options):
            yield pyarrow.Table.from_batches([batch])
        return
    # The reader of JSON takes no offset in a time; the cast does.
    read = schema.set(schema.get_field_index("purchase_ts"), pyarrow.field("purchase_ts", pyarrow.string()))
    options = pyarrow.json.ParseOptions(explicit_schema=read)
    table = pyarrow.json.read_json(folder / name, parse_options=options)
    at = table.schema.get_field_index("purchase_ts")
    moments = pyarrow.compute.cast(table.column(at), pyarrow.timestamp("us", tz="UTC"))
    yield table.set_column(at, "purchase_ts", pyarrow.compute.cast(moments, pyarrow.timestamp("us")))


def rows(folder, name, columns):
    """The file row by row, as a generator of Python's own values."""
    values = {
        "bigint": int, "varchar": str, "boolean": lambda text: text == "true", "date": datetime.date.fromisoformat,
        "timestamp": datetime.datetime.fromisoformat, "decimal(18,4)": decimal.Decimal, "decimal(18,10)": decimal.Decimal,
    }
    with open(folder / name, encoding="utf-8", newline="") as file:
        if name.endswith(".csv"):
            readers = [(column, values[kind]) for column, kind in columns.items()]
            for row in csv.DictReader(file):
                yield {column: read(row[column]) if row[column] else None for column, read in readers}
            return
        for line in file:
            row = json.loads(line)
            row["purchase_ts"] = datetime.datetime.fromisoformat(row["purchase_ts"]).replace(tzinfo=None)
            yield row


def hint(kind):
    """dlt's name of a type, so that it neither guesses nor widens one."""
    if kind.startswith("decimal"):
        precision, scale = kind.removeprefix("decimal(").removesuffix(")").split(",")
        return {"data_type": "decimal", "precision": int(precision), "scale": int(scale)}
    if kind == "timestamp":
        return {"data_type": "timestamp", "timezone": False}
    return {"data_type": {"varchar": "text", "boolean": "bool"}.get(kind, kind)}


def by_dlt(folder, read):
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt
    import duckdb

    work = pathlib.Path(os.environ["BENCH_WORK"])

    def job():
        def resource(name, columns):
            hints = {column: hint(kind) for column, kind in columns.items()}
            return dlt.resource(read(folder, name, columns), name=name.split(".")[0], columns=hints)

        file = work / "warehouse.duckdb"
        pipeline = dlt.pipeline(
            "bench", destination=dlt.destinations.duckdb(str(file)), dataset_name="shop", pipelines_dir=str(work)
        )
        resources = [resource(name, columns) for name, columns in COLUMNS.items()]
        pipeline.run(resources, loader_file_format="parquet", write_disposition="replace")
        connection = duckdb.connect(str(file))
        connection.execute("USE shop")
        connection.execute(f"CREATE TABLE sales AS {SQL}")
        return connection

    return job


RUNS = {
    "limit": limit,
    "dlt-arrow": lambda folder: by_dlt(folder, arrow_tables),
    "dlt-rows": lambda folder: by_dlt(folder, rows),
}

if __name__ == "__main__":
    name, folder, output = sys.argv[1:]
    job = RUNS[name](pathlib.Path(folder))
    start = time.perf_counter()
    connection = job()
    seconds = time.perf_counter() - start
    write(connection, output)
    print(json.dumps({"seconds": seconds, "peak_mib": peak_mib()}))
