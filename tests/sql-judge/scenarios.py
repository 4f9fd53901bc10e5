"""Runs the rendered statements on an emulator of Snowflake, on sample rows, and looks at what they leave behind."""

import importlib.util
import re
from datetime import datetime

from script import BLOCK, If, Let, LetCount, Raise, Return, Sql, parse_block

LOADS = "ADMIN.OBSERVABILITY.LOADS"
PRODUCTS = "DLT.APPLICATION_DATA.PRODUCTS"
CONTACTS = "AIRBYTE.HUBSPOT.CONTACTS"
CURRENCIES = "DLT.OPEN_EXCHANGE_RATES.CURRENCIES"
PURCHASES = "STREAMING.PUBLIC.PURCHASES"

# Statements that an emulator cannot run, with the reason; judge.py has parsed all of them.
NOT_RUN = [
    (r"CREATE PIPE ", "no emulator has pipes"),
    (r"(CREATE|ALTER) FILE FORMAT ", "no emulator alters file formats, and snowduck has none"),
    (r"CREATE STAGE .*DROP STAGE", "fakesnow does not quote a stage's URL in its own catalogue"),
    (r"CREATE (DATABASE|SCHEMA) IF NOT EXISTS \"ORDER\"", "both emulators attach databases under unquoted names"),
    (r"SELECT .*COPY_HISTORY", "no emulator keeps a load history for table functions"),
    (r"EXECUTE DBT PROJECT |SELECT SYSTEM\$LOCATE_DBT|COPY FILES ", "no emulator has dbt projects"),
    (r"SELECT .*QUERY_HISTORY_BY_USER", "no emulator keeps a query history for table functions"),
]

# A text value, which stays as it is, or the database and schema of a raw table.
IN_DATABASE = re.compile(r"('(?:[^'\\]|\\.|'')*')|\b(AIRBYTE|DLT|SNOWPIPE|STREAMING)\.(\w+)\b")


def emulator():
    return next((name for name in ("fakesnow", "snowduck") if importlib.util.find_spec(name)), "no emulator")


def connect():
    if emulator() == "fakesnow":
        import fakesnow

        # The patch lasts as long as the context is referenced.
        connect.patch = fakesnow.patch()
        connect.patch.__enter__()
    else:
        import snowduck

        snowduck.start_patch_snowflake()
    import snowflake.connector

    return snowflake.connector.connect(user="u", password="p", account="a", database="ADMIN", schema="OBSERVABILITY")


def lock(table, lake="sluice-local"):
    return f'ADMIN.OBSERVABILITY."LOCK_{lake}_{table}"'


def forget(session):
    """The ledger and the locks as before the first load."""
    session.run(f"DELETE FROM {LOADS}")
    unclaim(session)


def unclaim(session):
    for table in (PRODUCTS, CONTACTS, CURRENCIES, PURCHASES):
        session.run(f"UPDATE {lock(table)} SET RECENT = ',', HIGHEST = 0")


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, (bool, int)):
        return str(value).upper()
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


class Raised(Exception):
    """An exception of the block itself, uncaught."""


class Returned(Exception):
    """Not an error: how a RETURN leaves the block."""


class Session:
    def __init__(self):
        self.connection = connect()
        self.cursor = self.connection.cursor()
        self.one_database = False

    def run(self, text):
        # The hostile database cannot be attached (see NOT_RUN), so its table stands in another one, under its own name.
        text = text.replace('"ORDER"."GROUP".', "DLT.APPLICATION_DATA.")
        # Neither emulator quotes a table's name in its own answer.
        text = text.replace("LOCK_o'lake\\_", "LOCK_olake_")
        if self.one_database:
            text = IN_DATABASE.sub(lambda found: f"ADMIN.{found[2]}__{found[3]}" if found[2] else found[0], text)
        if emulator() == "fakesnow":
            # Its MERGE writes to a catalogue of its own, and DuckDB's transactions write to one database only. That a
            # raised block leaves nothing behind is therefore shown by snowduck.
            if text in ("BEGIN TRANSACTION", "COMMIT", "ROLLBACK"):
                return []
            # DuckDB keeps temporary tables in a catalogue of their own, and fakesnow does not translate the name.
            text = text.replace("CREATE OR REPLACE TEMPORARY TABLE", "CREATE OR REPLACE TABLE")
            # Nor does it quote a comment in its own catalogue.
            if text.startswith("COMMENT ON"):
                text = text.replace("''", "")
            # fakesnow does not quote this name in its own catalogue of columns.
            text = text.replace('"IT\'S ""QUOTED"""', '"ITS ""QUOTED"""')
        return self.cursor.execute(text).fetchall()

    def use_one_database(self, statements):
        """Makes the raw tables once more as schemas of one database: DuckDB's transactions write to one only."""
        self.one_database = True
        for text in statements:
            if IN_DATABASE.match(text.split("EXISTS ")[-1]) and text.startswith(("CREATE SCHEMA", "CREATE TABLE")):
                self.run(text)
        self.run("USE SCHEMA ADMIN.OBSERVABILITY")

    def number(self, text):
        return int(self.run(text)[0][0] or 0)

    def block(self, text, incoming):
        """Runs a block as Snowflake would. COPY is the one step that is replaced: the given rows appear instead."""
        block = parse_block(BLOCK.fullmatch(text)[1])
        variables, changed = {}, None

        def walk(steps):
            nonlocal changed
            for step in steps:
                if isinstance(step, Sql) and step.text.startswith("COPY INTO"):
                    into = step.text.split()[2]
                    for row in incoming:
                        self.run(f"INSERT INTO {into} VALUES ({', '.join(map(literal, row))})")
                elif isinstance(step, Sql):
                    bound = re.sub(r"(?<!:):([a-z_]+)\b", lambda name: str(variables.get(name[1], name[0])), step.text)
                    answer = self.run(bound)
                    changed = answer[0][0] if answer else None
                elif isinstance(step, LetCount):
                    variables[step.name] = int(changed)
                elif isinstance(step, Let):
                    variables[step.name] = self.number(step.query)
                elif isinstance(step, If):
                    condition = re.sub(r"[a-z_]+", lambda name: str(variables[name[0]]), step.condition)
                    if self.number(f"SELECT CASE WHEN {condition} THEN 1 ELSE 0 END"):
                        walk(step.steps)
                elif isinstance(step, Raise) and step.name:
                    raise Raised(step.name)
                elif isinstance(step, Return):
                    texts = (part[1:-1] if part.startswith("'") else str(variables[part]) for part in step.parts)
                    raise Returned("".join(texts))

        try:
            walk(block.steps)
        except Returned as returned:
            return str(returned)
        except Exception:
            # The handler rolls back and raises the same again.
            walk(block.handler)
            if emulator() == "fakesnow":
                # It has rolled nothing back, see above.
                unclaim(self)
            raise
        return None


def run_all(verdict, snapshots):
    if emulator() == "no emulator":
        verdict.check("emulator", False, "this Python has neither fakesnow nor snowduck")
        return
    session = Session()
    # No emulator has schemas with managed access, nor makes a schema PUBLIC with each database.
    managed = re.compile(r"ALTER SCHEMA (\S+) ENABLE MANAGED ACCESS")
    for name in ("foundation", "foundation_hostile"):
        texts = [managed.sub(r"CREATE SCHEMA IF NOT EXISTS \1", text) for text in snapshots[name]]
        snapshots[name] = [text.removesuffix(" WITH MANAGED ACCESS") for text in texts]
    foundation(verdict, session, snapshots["foundation"] + snapshots["foundation_hostile"])
    evolve(verdict, session, snapshots["evolve"])
    changes(verdict, session, snapshots["changes"])
    session.use_one_database(snapshots["foundation"])
    for scenario in (products, counted, contacts, currencies, append, empty, hostile):
        forget(session)
        for table in (PRODUCTS, CONTACTS, CURRENCIES):
            session.run(f"DELETE FROM {table}")
        scenario(verdict, session, {name: texts[0] for name, texts in snapshots.items() if name.startswith("load_")})
    forget(session)
    replay(verdict, session, snapshots["replay"])
    rebuild(verdict, session, snapshots["rebuild"])
    for text in snapshots["observe"]:
        try_to_run(verdict, session, "observe", text)
    aside(verdict, session, snapshots["aside"])
    activations(verdict, session, snapshots["activations"])
    forget(session)
    why(verdict, session, snapshots["why"])
    views(verdict, session, snapshots["views"])
    ledger(verdict, session, snapshots["ledger"])


def aside(verdict, session, statements):
    """A row is listed once, told, and kept in the list when it is taken back."""
    *looks, put_product, put_event, listed, counts, take_back = statements
    for text in looks:
        try_to_run(verdict, session, "aside", text)
    for text in (put_product, put_event, put_event):
        session.run(text)
    everything = "SELECT TABLE_NAME, ROW_KEY, REASON, PUT_BY, TAKEN_BACK_BY FROM ADMIN.OBSERVABILITY.PUT_ASIDE ORDER BY TABLE_NAME"
    product = (PRODUCTS, "42", "it's wrong \\ twice", "arn:aws:iam::1:user/u", None)
    event = (PURCHASES, "o'event\\", "an overflow", "o'brien")
    verdict.equal("a row is listed once", session.run(everything), [product, (*event, None)])
    verdict.equal("what is listed of a table", [row[:2] for row in session.run(listed)], [("o'event\\", "an overflow")])
    verdict.equal("how much is listed", sorted(row[:2] for row in session.run(counts)), [(PRODUCTS, 1), (PURCHASES, 1)])
    session.run(take_back)
    verdict.equal("what is taken back is not told", session.run(listed), [])
    verdict.equal("and is kept with who took it back", session.run(everything), [product, (*event, "o'brien")])
    session.run("DELETE FROM ADMIN.OBSERVABILITY.PUT_ASIDE")


def activations(verdict, session, statements):
    """An entry takes the place of the one before, and no other's. The model is a view that dbt makes."""
    *_, entries, failures, keep = statements
    session.run(keep.replace("'held', ", "'sending', ").replace(", 1, '1970-01-01 00:00:00.000000'", ", 7, NULL"))
    session.run(keep)
    found = [(row[0], row[1], row[2], row[4]) for row in sorted(session.run(entries))]
    digests = '{"lifetime_value":"6ba7b8109dad11d180b400c04fd430c8"}'
    verdict.equal("the last entry of each record is kept", found, [("101", "held", digests, 1), ("o'x\\", "refused", "{}", 2)])
    verdict.equal("another destination has none", session.run(failures), [])
    refused = [row[:3] for row in session.run(failures.replace("o''brien", "hubspot"))]
    verdict.equal("what is not held is told", refused, [("o'x\\", "refused", "it's \\ refused")])
    session.run("DELETE FROM ADMIN.OBSERVABILITY.ACTIVATIONS")


def why(verdict, session, statements):
    """A total is followed to its lines, the prices and the events: what is another customer's, or a second arrival, is none of them."""
    session.run("CREATE SCHEMA IF NOT EXISTS ADMIN.MARTS")
    session.run("CREATE TABLE ADMIN.MARTS.SALES (CUSTOMER_EMAIL VARCHAR, KIND VARCHAR, TOTAL NUMBER(38,4))")
    session.run(
        "CREATE TABLE ADMIN.MARTS.LINES (EVENT_ID VARCHAR, CUSTOMER_EMAIL VARCHAR, QUANTITY NUMBER(19,0), PRICE NUMBER(18,4), AMOUNT NUMBER(38,4))"
    )
    ours, other = "o'x\\", "other"
    for row in [(ours, "all", "30.5000"), (other, "all", "9.0000")]:
        session.run(f"INSERT INTO ADMIN.MARTS.SALES VALUES ({', '.join(map(literal, row))})")
    for row in [("e1", ours, 2, "10.25", "20.5"), ("e2", ours, 1, "10", "10"), ("e3", other, 1, "9", "9")]:
        session.run(f"INSERT INTO ADMIN.MARTS.LINES VALUES ({', '.join(map(literal, row))})")
    for table in (PRODUCTS, PURCHASES):
        session.run(f"DELETE FROM {table}")
    for audit_id, price in ((1, "10.25"), (2, "10"), (3, "9")):
        columns = "AUDIT_ID, PRODUCT_ID, OPERATION, VALID_TS, PRICE_USD, _SLUICE_RUN_ID, _SLUICE_SEQUENCE"
        values = f"{audit_id}, 1, 'INSERT', '2026-01-01'::TIMESTAMP_NTZ(6), {price}, 'r{audit_id}', {audit_id}"
        session.run(f"INSERT INTO {PRODUCTS} ({columns}) SELECT {values}")
    for event, offset, email, quantity in (("e1", 4, f" {ours} ", 2), ("e1", 9, f" {ours} ", 2), ("e2", 5, ours, 1), ("e3", 6, other, 1)):
        row = (event, email, 1, quantity, *purchase(0, offset)[4:])
        session.run(f"INSERT INTO {PURCHASES} VALUES ({', '.join(map(literal, row))})")
    named = [text.replace("ANALYTICS.MARTS.", "ADMIN.MARTS.") for text in statements]
    answers = [[tuple(map(str, row)) for row in session.run(text)] for text in named]
    cell, cells, lines, total, amounts, events, count, offsets, prices, priced, commits = answers
    verdict.equal("the cell of a trace", [cell[0][-1], cells], ["30.5000", [("1",)]])
    verdict.equal("its lines are its customer's", [row[0] for row in lines], ["e1", "e2"])
    verdict.equal("they sum to it, and each is what its formula says", [total, amounts], [[("30.5000", "2")], [("2", "0")]])
    verdict.equal("of two arrivals one counts", [len(events), count, offsets], [2, [("2",)], [("purchases", "0", "4", "5", "2")]])
    verdict.equal("its prices are of two commits", [len(prices), priced, commits], [2, [("2",)], [("1", "r1", "1"), ("2", "r2", "1")]])


def views(verdict, session, statements):
    """Twice, because another version makes them again. Of an incident the newest change counts."""
    observability = "ADMIN.OBSERVABILITY"
    changes = [("i1", "open", "2026-01-01 00:00:00"), ("i1", "resolved", "2026-01-01 01:00:00"), ("i2", "open", "2026-01-02 00:00:00")]
    for incident, state, at in changes:
        session.run(
            f"INSERT INTO {observability}.INCIDENTS (INCIDENT, INCIDENT_KEY, MONITOR, OBJECT, KIND, SEVERITY, STATE, RUN_ID, OPENED_AT, CHANGED_AT) "
            f"SELECT '{incident}', 'k', 'volume', 'o', 'low', 1, '{state}', 'r', '2026-01-01 00:00:00', '{at}'"
        )
    for text in [*statements, *statements]:
        # Neither emulator knows that rights are copied; that they are is Snowflake's to show.
        try_to_run(verdict, session, "views", text.replace(" COPY GRANTS", ""))
    states = session.run(f"SELECT INCIDENT, STATE, SECONDS_TO_RESOLVE FROM {observability}.INCIDENT_STATES ORDER BY INCIDENT")
    verdict.equal("each incident as it stands", states, [("i1", "resolved", 3600), ("i2", "open", None)])
    verdict.equal("what is open", [row[0] for row in session.run(f"SELECT INCIDENT FROM {observability}.OPEN_ALERTS")], ["i2"])
    for name in ("RUNS", "LOAD_DAYS", "CHECKS", "DBT_COSTS", "COST_DAYS"):
        try_to_run(verdict, session, "views", f"SELECT * FROM {observability}.{name}")
    session.run(f"DELETE FROM {observability}.INCIDENTS")


def try_to_run(verdict, session, name, text):
    """A statement that an emulator is known not to run is no failure, and no success either."""
    try:
        if BLOCK.fullmatch(text):
            session.block(text, [])
        else:
            session.run(text)
    except Exception as error:
        if any(re.match(pattern, text, re.S) for pattern, _ in NOT_RUN):
            verdict.not_run += 1
        else:
            verdict.check(name, False, f"{text[:90]}: {error}")
    else:
        verdict.check(name, True)


def foundation(verdict, session, statements):
    """Twice, because every deployment runs it again."""
    for attempt in ("first", "second"):
        for text in statements:
            try_to_run(verdict, session, f"foundation, {attempt} run", text)
    for table in (PRODUCTS, CONTACTS, CURRENCIES, PURCHASES):
        verdict.equal(f"one row in the lock of {table}", session.number(f"SELECT COUNT(*) FROM {lock(table)}"), 1)


def changes(verdict, session, statements):
    """The lease is one row however often it is made, and a statement leaves one."""
    for text in [*statements[:2], *statements]:
        try_to_run(verdict, session, "changes", text)
    for table in ("ACCOUNT_LEASE", "ACCOUNT_CHANGES"):
        verdict.equal(f"rows of {table}", session.number(f"SELECT COUNT(*) FROM ADMIN.OBSERVABILITY.{table}"), 1)


def evolve(verdict, session, statements):
    """Twice, because what dies between two statements is run again."""
    session.run(f"INSERT INTO {PRODUCTS} (AUDIT_ID, PRODUCT_ID, OPERATION, VALID_TS, PRICE_USD) SELECT 1, 1, 'x', '2026-01-01'::TIMESTAMP_NTZ(6), 1.5")
    for _ in range(2):
        for text in statements:
            try_to_run(verdict, session, "evolve", text)
    found = session.run(f'SELECT PRICE_USD, "IT\'S ""QUOTED""" FROM {PRODUCTS}')
    verdict.equal("an evolved table keeps its rows", [(str(price), new) for price, new in found], [("1.5000", None)])
    session.run(f"DELETE FROM {PRODUCTS}")


def product(audit_id, name, row_number, file="part-00000"):
    return (audit_id, 1, name, 9, "INSERT", "2026-01-01 00:00:00", file, row_number)


def products(verdict, session, blocks):
    load = blocks["load_products"]
    rows = [product(1, "a", 1), product(2, "b", 2)]
    count = f"SELECT COUNT(*) FROM {PRODUCTS}"

    try:
        session.block(load, rows[:1])
        verdict.check("a wrong row count", False, "the block returned")
    except Raised as raised:
        verdict.equal("a wrong row count is raised", str(raised), "rows_mismatch")
    verdict.equal("a raised block leaves no rows", session.number(count), 0)
    verdict.equal("a raised block leaves no ledger row", session.number(f"SELECT COUNT(*) FROM {LOADS}"), 0)

    verdict.equal("a commit loads", session.block(load, rows), "loaded")
    verdict.equal("a repeated delivery is a no-op", session.block(load, rows), "already loaded")
    session.run(f"UPDATE {LOADS} SET STATUS = 'unseen'")
    verdict.equal("one that the ledger does not show yet is not loaded", session.block(load, rows), "look again")
    session.run(f"UPDATE {LOADS} SET STATUS = 'loaded'")
    verdict.equal("its rows are there once", session.number(count), 2)
    entry = session.run(f"SELECT LAKE_ID, TABLE_NAME, SEQUENCE, STATUS, LOADER, ROWS_LOADED, FILES, REASON FROM {LOADS}")
    verdict.equal("its ledger row", entry, [("sluice-local", PRODUCTS, 7, "loaded", "copy", 2, 2, None)])

    forget(session)
    changed = [product(1, "changed", 1), product(3, "c", 2)]
    found = session.block(load, changed)
    verdict.equal("a row that differs from its key's is not taken", found, "loaded, merged away: 0, not taken: 1")
    names = session.run(f"SELECT AUDIT_ID, PRODUCT_NAME FROM {PRODUCTS} ORDER BY AUDIT_ID")
    verdict.equal("rows never change, absent ones are added", names, [(1, "a"), (2, "b"), (3, "c")])
    told = session.run(f"SELECT REASON FROM {LOADS} WHERE REASON IS NOT NULL")
    standing = "rows not taken, because the table has other values under their key and the entry has no version_column: 1"
    verdict.equal("and the ledger tells of one that is not taken", told, [(standing,)])

    forget(session)
    session.block(load, [product(4, "first", 1), product(4, "second", 1, "part-00001")])
    name = session.run(f"SELECT PRODUCT_NAME, _SLUICE_SOURCE_FILE FROM {PRODUCTS} WHERE AUDIT_ID = 4")
    verdict.equal("one row per key, the same one each time", name, [("second", "part-00001")])
    meta = session.run(f"SELECT DISTINCT _SLUICE_SEQUENCE, LENGTH(_SLUICE_RUN_ID), _SLUICE_LOADED_AT IS NULL FROM {PRODUCTS}")
    verdict.equal("every row says which load brought it", meta, [(7, 36, False)])


def counted(verdict, session, blocks):
    load = blocks["load_counted"]
    found = session.block(load, [product(1, "a", 1), product(2, "b", 2)])
    verdict.equal("a column with more values than were written", found, "values differ in column 3")
    verdict.equal("leaves no rows", session.number(f"SELECT COUNT(*) FROM {PRODUCTS}"), 0)
    unclaim(session)  # One of the emulators has no transactions to roll back, see above.
    found = session.block(load, [product(1, "a", 1), product(1, None, 2)])
    verdict.equal("rows of one key become one", found, "loaded, merged away: 1")
    told = session.run(f"SELECT ROWS_LOADED, REASON FROM {LOADS}")
    verdict.equal("and the ledger tells it", told, [(2, "rows merged away, because others of the commit have their key: 1")])


def contact(name, modified, row_number=1):
    return (1, "e", name, "l", None, "2026-01-01 00:00:00", modified, False, None, None, None, None, None, None, "f", row_number)


def contacts(verdict, session, blocks):
    load = blocks["load_contacts"]

    def outcome(name, modified):
        forget(session)
        session.block(load, [contact(name, modified, 1), contact("older", "2020-01-01 00:00:00", 2)])
        return session.run(f"SELECT FIRSTNAME, LASTMODIFIEDDATE, _SLUICE_SEQUENCE FROM {CONTACTS}")

    january, february = datetime(2026, 1, 1), datetime(2026, 2, 1)
    verdict.equal("of one batch the newest version wins", outcome("a", january), [("a", january, 7)])
    verdict.equal("a newer version updates", outcome("b", february), [("b", february, 7)])
    verdict.equal("an older version does not", outcome("c", january), [("b", february, 7)])
    verdict.equal("an equal version of the same load does not", outcome("d", february), [("b", february, 7)])
    session.run(f"UPDATE {CONTACTS} SET _SLUICE_SEQUENCE = 6")
    verdict.equal("an equal version of a later load does", outcome("e", february), [("e", february, 7)])
    session.run(f"UPDATE {CONTACTS} SET _SLUICE_SEQUENCE = 8")
    verdict.equal("an equal version of an earlier load does not", outcome("f", february), [("e", february, 8)])


def currencies(verdict, session, blocks):
    load = blocks["load_currencies"]
    codes = f"SELECT CODE, NAME FROM {CURRENCIES} ORDER BY CODE"
    session.block(load, [("EUR", "Euro", "f", 1), ("DEM", "Mark", "f", 2)])
    forget(session)
    session.block(load, [("EUR", "Euro", "f", 1), ("GBP", "Pound", "f", 2)])
    verdict.equal("the newest list is the table", session.run(codes), [("EUR", "Euro"), ("GBP", "Pound")])
    session.run(f"UPDATE {LOADS} SET SEQUENCE = 8")
    session.run(f"UPDATE {lock(CURRENCIES)} SET RECENT = ',8,', HIGHEST = 8")
    verdict.equal("an overtaken list is recorded", session.block(load, [("X", "x", "f", 1), ("Y", "y", "f", 2)]), "loaded")
    verdict.equal("and changes nothing", session.run(codes), [("EUR", "Euro"), ("GBP", "Pound")])
    verdict.equal("both are in the ledger", session.number(f"SELECT COUNT(*) FROM {LOADS}"), 2)


def append(verdict, session, blocks):
    for _ in range(2):
        session.block(blocks["load_append"], [product(1, "a", 1)])
        forget(session)
    verdict.equal("an append adds every row", session.number(f"SELECT COUNT(*) FROM {PRODUCTS}"), 2)


def empty(verdict, session, blocks):
    verdict.equal("an empty commit loads", session.block(blocks["load_empty"], []), "loaded")
    verdict.equal("and has its ledger row", session.run(f"SELECT ROWS_LOADED, FILES FROM {LOADS}"), [(0, 0)])
    verdict.equal("and no others", session.number(f"SELECT COUNT(*) FROM {PRODUCTS}"), 0)


def hostile(verdict, session, blocks):
    load = blocks["load_hostile"]
    columns = re.search(r"CREATE OR REPLACE TEMPORARY TABLE \S+ (\(.*?\n  \));", load, re.S)[1]
    columns = columns.replace("\n  )", ", _SLUICE_RUN_ID VARCHAR, _SLUICE_SEQUENCE INT, _SLUICE_LOADED_AT TIMESTAMP_NTZ(6)\n)")
    session.run(f'CREATE OR REPLACE TABLE "ORDER"."GROUP"."TABLE" {columns}')
    time = "2026-01-01 00:00:00"
    row = (1, "it's", "select", "🦀", "version", time, time, True, None, None, None, None, None, None, "f\\", 1)
    verdict.equal("a table of hostile names loads", session.block(load, [row]), "loaded")
    verdict.equal("once", session.block(load, [row]), "already loaded")
    found = session.run('SELECT "A.B", "IT\'S ""QUOTED""", "🦀; DROP TABLE X --", _SLUICE_RUN_ID FROM "ORDER"."GROUP"."TABLE"')
    verdict.equal("and its values are unchanged", found, [(1, "it's", "🦀", "'; DROP TABLE x; --")])
    lake = session.run(f"SELECT LAKE_ID, TABLE_NAME FROM {LOADS}")
    verdict.equal("as are those of its ledger row", lake, [("o'lake\\", "ORDER.GROUP.TABLE")])


def purchase(partition, offset, quantity=1, run=None):
    channel = f"sluice-local_kafka_purchases_{partition}"
    at, run = "2026-01-01 00:00:00", run or f"{channel}/a"
    return (f"e{offset}", "a@b.c", 1, quantity, at, 1, run, offset, at, "archive", 1, "purchases", partition, offset, at)


def replay(verdict, session, statements):
    """The live table lacks a row, holds one that differs and one twice, and has rows that are not the replay's."""
    live, create, load, compare, swap, swap_and_delete, drop = statements
    session.run(f"DELETE FROM {PURCHASES}")
    other = purchase(0, 5, 9, "sluice-local_kafka-2_purchases_0/a")
    held = [purchase(0, 4, 7), purchase(0, 6), purchase(0, 6), purchase(0, 7), purchase(0, 8), purchase(1, 0), other]
    for row in held:
        session.run(f"INSERT INTO {PURCHASES} VALUES ({', '.join(map(literal, row))})")
    archived = [purchase(0, offset, run="sluice-local_kafka_purchases_0/A1") for offset in (4, 5, 6, 7)]
    rows = f"SELECT _KAFKA_PARTITION, _KAFKA_OFFSET, QUANTITY FROM {PURCHASES} ORDER BY 1, 2, 3"
    before = session.run(rows)
    session.run(create)
    for _ in range(2):
        verdict.equal("the side table is filled", session.block(load, archived), "loaded")
    try:
        session.block(load, archived[:1])
        verdict.check("a wrong row count of a side table", False, "the block returned")
    except Raised as raised:
        verdict.equal("a wrong row count of a side table is raised", str(raised), "rows_mismatch")
    if emulator() == "fakesnow":
        # It has no transactions to roll back, see above.
        session.block(load, archived)
    counts = [tuple(map(int, row)) for row in session.run(live)]
    verdict.equal("rows of the ranges are counted", counts, [(0, 4, 3)])
    found = [tuple(map(int, row)) for row in session.run(compare)]
    verdict.equal("what differs is told", found, [(0, 4, 3, 1, 0, 1, 1)])
    session.run(f"INSERT INTO {PURCHASES} VALUES ({', '.join(map(literal, purchase(0, 3)))})")
    try:
        session.block(swap, [])
        verdict.check("rows that the archive lacks", False, "the block returned")
    except Raised as raised:
        verdict.equal("rows that the archive lacks end the swap", str(raised), "archive_lacks_rows")
    session.run(f"DELETE FROM {PURCHASES} WHERE _KAFKA_OFFSET = 3")
    verdict.equal("a swap that is raised changes nothing", session.run(rows), before)

    verdict.equal("the rows are swapped in", session.block(swap, []), "replayed")
    expected = [(0, 4, 1), (0, 5, 1), (0, 5, 9), (0, 6, 1), (0, 7, 1), (0, 8, 1), (1, 0, 1)]
    verdict.equal("what differed is as archived, the rest as it was", session.run(rows), expected)
    untouched = session.number(f"SELECT COUNT(*) FROM {PURCHASES} WHERE _SLUICE_SOURCE_FILE = 'archive' AND _KAFKA_OFFSET = 7 AND _SLUICE_RUN_ID LIKE '%/a'")
    verdict.equal("a row that agreed was not written", untouched, 1)
    verdict.equal("the same replay again", session.block(swap, []), "already replayed")
    verdict.equal("nothing differs any more", [tuple(map(int, row))[3:] for row in session.run(compare)], [(0, 0, 0, 0)])
    entry = session.run(f"SELECT TABLE_NAME, SEQUENCE, RUN_ID, STATUS, LOADER, ROWS_LOADED, FILES, REASON FROM {LOADS}")
    reason = "purchases-0:3-7 purchases-2:0-1 by arn:user/o'n"
    verdict.equal("its ledger row", entry, [(PURCHASES, 1, "A1", "loaded", "replay", 3, 1, reason)])

    forget(session)
    session.run(f"INSERT INTO {PURCHASES} VALUES ({', '.join(map(literal, purchase(0, 3)))})")
    verdict.equal("rows that the archive lacks may be told to go", session.block(swap_and_delete, []), "replayed")
    verdict.equal("and they do", session.run(rows), expected)
    for _ in range(2):
        session.run(drop)


def rebuild(verdict, session, statements):
    """The table lacks a row of its commits, holds one that differs and one twice, and has one that no commit makes."""
    mark, entries, create, add, compare, swap, swap_and_delete, create_source, fill, compare_source, *drops = statements
    session.run(f"DELETE FROM {PRODUCTS}")
    session.run(f"DELETE FROM {LOADS}")
    session.run(f"UPDATE {lock(PRODUCTS)} SET RECENT = ',1,2,'")
    verdict.equal("what the lock remembers", session.run(mark), [(",1,2,",)])
    verdict.equal("no entry of the ledger", session.run(entries), [])
    session.run(create)
    verdict.equal("a commit is added", session.block(add, [product(1, "a", 1), product(2, "b", 2)]), "loaded")
    session.run(f"INSERT INTO {PRODUCTS} SELECT * FROM {PRODUCTS}__REPLAY_A1 WHERE AUDIT_ID = 2")
    session.run(f"INSERT INTO {PRODUCTS} SELECT * FROM {PRODUCTS}__REPLAY_A1 WHERE AUDIT_ID = 2")
    names = f"SELECT AUDIT_ID, PRODUCT_NAME, _SLUICE_SEQUENCE FROM {PRODUCTS} ORDER BY 1, 2, 3"

    def counts(text):
        return [tuple(map(int, row))[:7] for row in session.run(text)]

    verdict.equal("a lost row and a double one are told", counts(compare), [(7, 2, 2, 1, 0, 0, 1)])
    session.run(f"UPDATE {lock(PRODUCTS)} SET RECENT = ',1,2,3,'")
    verdict.equal("a load that came since ends the swap", session.block(swap, []), "loaded meanwhile")
    session.run(f"UPDATE {lock(PRODUCTS)} SET RECENT = ',1,2,'")
    verdict.equal("the rows are swapped in", session.block(swap, []), "replayed")
    verdict.equal("each is there once", session.run(names), [(1, "a", 7), (2, "b", 7)])
    verdict.equal("the same swap again", session.block(swap, []), "already replayed")
    entry = session.run(f"SELECT SEQUENCE, RUN_ID, LOADER, ROWS_LOADED, REASON FROM {LOADS}")
    verdict.equal("its ledger row", entry, [(0, "A1", "replay", 2, "commits 1-9 by arn:user/o'n")])

    forget(session)
    session.run(f"UPDATE {PRODUCTS} SET PRODUCT_NAME = 'x' WHERE AUDIT_ID = 1")
    session.run(f"INSERT INTO {PRODUCTS} SELECT * FROM {PRODUCTS}__REPLAY_A1 WHERE AUDIT_ID = 2")
    session.run(f"UPDATE {PRODUCTS} SET AUDIT_ID = 77, _SLUICE_SEQUENCE = 9 WHERE AUDIT_ID = 2")
    left = f"INSERT INTO {PRODUCTS} SELECT * FROM {PRODUCTS}__REPLAY_A1 WHERE AUDIT_ID = 1"
    session.run(left)
    session.run(f"UPDATE {PRODUCTS} SET AUDIT_ID = 78, _SLUICE_SEQUENCE = 2 WHERE AUDIT_ID = 1 AND PRODUCT_NAME = 'a'")
    verdict.equal("what no commit makes is told, what is left alone is not", counts(compare)[-1], (9, 0, 2, 0, 2, 0, 0))
    session.run(f"UPDATE {lock(PRODUCTS)} SET RECENT = ',1,2,'")
    try:
        session.block(swap, [])
        verdict.check("rows that no commit makes", False, "the block returned")
    except Raised as raised:
        verdict.equal("rows that no commit makes end the swap", str(raised), "lake_lacks_rows")
    unclaim(session)
    verdict.equal("they may be told to go", session.block(swap_and_delete, []), "replayed")
    verdict.equal("and do, but what is left alone", session.run(names), [(1, "a", 7), (2, "b", 7), (78, "a", 2)])

    session.run(create_source)
    source = (1, 1, "a", 9, "INSERT", "2026-01-01 00:00:00", None, None, None, None, None)
    verdict.equal("the source's rows are filled in", session.block(fill, [source]), "loaded")
    verdict.equal("a row that the source has no more", counts(compare_source), [(7, 2, 2, 1, 0, 0, 1)])
    for text in [*drops, *drops]:
        session.run(text)
    session.run(f"DELETE FROM {PRODUCTS}")
    forget(session)


def ledger(verdict, session, statements):
    """Each statement runs, and running all of them twice leaves one entry."""
    entry = f"SELECT STATUS, ROWS_LOADED, FILES, REASON FROM {LOADS}"
    for attempt in ("first", "second"):
        for text in statements:
            try_to_run(verdict, session, "ledger", text)
            if text.startswith("UPDATE") and "STATUS = 'failed'" in text:
                failed, loaded = ("failed", 0, 2, "can't read C:\\x"), ("loaded", 2, 2, None)
                expected = failed if attempt == "first" else loaded
                verdict.equal("a commit fails with its reason, but what is loaded stays so", session.run(entry), [expected])
    verdict.equal("a commit has one entry, recorded last as loaded", session.run(entry), [("loaded", 2, 2, None)])
