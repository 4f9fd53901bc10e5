"""The table of P1: product changes like the shop's, in any number."""

COLUMNS = "audit_id, product_id, product_name, price_usd, operation, valid_ts"
TABLE = "raw_data.products"

CONTRACT = f"""
tables:
  - table: DLT.APPLICATION_DATA.PRODUCTS
    description: Product changes.
    source: {{ kind: postgres, schema: raw_data, table: %s, cursor: audit_id }}
    loader: copy
    disposition: merge
    key: [audit_id]
    columns:
      - {{ name: audit_id, type: bigint, required: true }}
      - {{ name: product_id, type: bigint, required: true }}
      - {{ name: product_name, type: text }}
      - {{ name: price_usd, type: "decimal(18,4)", minimum: 0 }}
      - {{ name: operation, type: text, required: true, one_of: [INSERT, UPDATE, DELETE] }}
      - {{ name: valid_ts, type: timestamp, required: true }}
"""


def fill(postgres, rows):
    """Makes raw_data.products<rows> unless it is there. The same rows every time; about 117 bytes of heap each."""
    name = f"products_{rows}"
    if postgres.psql(f"SELECT to_regclass('raw_data.{name}')").strip():
        return name
    postgres.psql(
        f"""
        CREATE SCHEMA IF NOT EXISTS raw_data;
        BEGIN;
        CREATE TABLE raw_data.{name} (
            audit_id bigint PRIMARY KEY, product_id bigint NOT NULL, product_name text, price_usd numeric(18, 4),
            operation text NOT NULL, valid_ts timestamp NOT NULL
        );
        INSERT INTO raw_data.{name}
        SELECT i, product,
               (ARRAY['Small','Large','Blue','Red','Steel','Wooden','Organic','Classic'])[1 + product % 8] || ' '
                   || (ARRAY['chair','table','lamp','mug','shoe','shirt','phone','clock','plate','towel'])[1 + product % 10]
                   || ' of the ' || (ARRAY['summer','winter','spring','autumn'])[1 + product % 4]
                   || ' collection, model ' || product,
               CASE WHEN i % 50 = 0 THEN NULL ELSE round(abs(hashint8extended(i, 2) % 100000)::numeric / 100 + 0.99, 2) END,
               (ARRAY['INSERT','UPDATE','UPDATE','UPDATE','DELETE'])[1 + abs(hashint8extended(i, 3) % 5)],
               timestamp '2024-01-01' + i * interval '7 seconds' + abs(hashint8extended(i, 4) % 7000000) * interval '1 microsecond'
        FROM (SELECT i, abs(hashint8extended(i, 1) % 100000) AS product FROM generate_series(1::bigint, {rows}) AS i) AS numbered;
        COMMIT;
        """
    )
    postgres.psql(f"VACUUM (FREEZE, ANALYZE) raw_data.{name}")
    return name


# What a reader must find, whatever it was written by.
CHECKS = (
    "count(*)", "count(price_usd)", "sum(audit_id)", "sum(product_id)", "sum(length(product_name))",
    "sum(price_usd)", "sum(length(operation))", "min(valid_ts)", "max(valid_ts)",
)
