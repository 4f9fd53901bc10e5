"""The files of P4: a year of a large shop, in the formats of docs/data-formats.md, the same bytes every time.

Repeated events, strangers, shared and missing addresses, merged and archived contacts, purchases before a price and of
deleted or unknown products are in it; lines that the platform must refuse are not, since no peer would refuse them.
"""

import os

import machine

PURCHASES = int(os.environ.get("BENCH_ROWS", 1_000_000))
PRODUCTS = max(PURCHASES // 100, 100)
CONTACTS = max(PURCHASES // 20, 1_000)
CHANGES_EACH = 3
DAYS = 365
CURRENCIES = 170

# One event in this many is sent twice.
REPEATED = 200

RATES = f"""
    SELECT date '2025-01-01' + day::int AS rate_date, 'USD' AS base_currency,
           CASE WHEN code = 0 THEN 'GBP' ELSE 'X' || chr(65 + (code // 26)::int) || chr(65 + (code % 26)::int) END AS target_currency,
           (7000000000 + hash(day * 1000 + code) % 1000000000)::decimal(20, 0) * 0.0000000001 AS rate
    FROM range({DAYS}) AS days(day), range({CURRENCIES}) AS codes(code) ORDER BY day, code
"""

# Every product is inserted on the first morning, changes after four months and again after eight; some are deleted then.
PRODUCT_CHANGES = f"""
    WITH changes AS (
        SELECT n, CASE WHEN n < {PRODUCTS} THEN 'INSERT' WHEN n >= 2 * {PRODUCTS} AND n % 10 = 0 THEN 'DELETE' ELSE 'UPDATE' END AS operation
        FROM range({PRODUCTS * CHANGES_EACH}) AS numbers(n)
    )
    SELECT n + 1 AS audit_id, n % {PRODUCTS} + 1 AS product_id,
           CASE WHEN operation <> 'DELETE' THEN 'Product ' || n % {PRODUCTS} + 1 END AS product_name,
           CASE WHEN operation <> 'DELETE' THEN (50 + hash(n) % 50000)::decimal(18, 0) * 0.01 END AS price_usd, operation,
           strftime(timestamp '2025-01-01' + to_days(120 * (n // {PRODUCTS})::int) + to_seconds(n % {PRODUCTS}), '%Y-%m-%d %H:%M:%S') AS valid_ts
    FROM changes ORDER BY n
"""

# Of each hundred one is archived, one has consumed the next one, one has no address, and two have the address of the one before.
CONTACT_ROWS = f"""
    SELECT 100 + n AS id,
           CASE WHEN n % 100 = 6 THEN NULL WHEN n % 50 = 7 THEN 'buyer' || (n - 1) || '@example.com'
                WHEN n % 20 = 0 THEN 'BUYER' || n || '@Example.com' ELSE 'buyer' || n || '@example.com' END AS email,
           'First' || n AS firstname, 'Last' || n AS lastname, 'customer' AS lifecyclestage,
           strftime(timestamp '2025-01-01' + to_seconds(n), '%Y-%m-%d %H:%M:%S') AS createdate,
           strftime(timestamp '2025-01-02' + to_seconds(n * 31000000 // {CONTACTS}), '%Y-%m-%d %H:%M:%S') AS lastmodifieddate,
           n % 100 = 3 AS archived, CASE WHEN n % 100 = 4 THEN 101 + n END AS merged_ids
    FROM range({CONTACTS}) AS numbers(n) ORDER BY n
"""

# The last day has rates and no purchases: the platform runs on it.
PURCHASE_LINES = f"""
    WITH events AS (
        SELECT n, md5(n::varchar) AS digest, hash(n) AS buyer, hash(n + 100000000) AS product, hash(n + 200000000) AS luck,
               hash(n + 300000000) % {(DAYS - 1) * 86_400_000} AS millisecond
        FROM range({PURCHASES - PURCHASES // REPEATED}) AS numbers(n)
    ), sent AS (
        SELECT * FROM events UNION ALL SELECT * FROM events WHERE n < {PURCHASES // REPEATED}
    )
    SELECT substr(digest, 1, 8) || '-' || substr(digest, 9, 4) || '-' || substr(digest, 13, 4) || '-' || substr(digest, 17, 4)
               || '-' || substr(digest, 21) AS event_id,
           CASE WHEN luck % 100 = 0 THEN 'stranger' || buyer % 90 || '@example.com'
                WHEN luck % 20 = 1 THEN ' Buyer' || buyer % {CONTACTS} || '@example.com '
                ELSE 'buyer' || buyer % {CONTACTS} || '@example.com' END AS customer_email,
           (CASE WHEN luck % 200 = 3 THEN 900000 ELSE 1 + product % {PRODUCTS} END)::bigint AS product_id,
           (1 + luck % 5)::bigint AS quantity,
           strftime(timestamp '2025-01-01' + to_milliseconds(millisecond::bigint), '%Y-%m-%dT%H:%M:%S.%gZ') AS purchase_ts,
           1 AS schema_version
    FROM sent ORDER BY purchase_ts, event_id
"""


def files():
    """Makes the folder unless it is there, and gives its path."""
    import duckdb  # Of the tools' own environment, see run.py.

    folder = machine.STATE / f"shop-{PURCHASES}"
    if not folder.exists():
        draft = folder.with_suffix(".draft")
        draft.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect()
        csv = "FORMAT csv, HEADER"
        for name, query, form in [
            ("rates.csv", RATES, csv), ("products.csv", PRODUCT_CHANGES, csv), ("contacts.csv", CONTACT_ROWS, csv),
            ("purchases.ndjson", PURCHASE_LINES, "FORMAT json"),
        ]:
            connection.execute(f"COPY ({query}) TO '{draft / name}' ({form})")
        draft.rename(folder)
    return folder
