"""The grammar of the statements that make an account, from Snowflake's reference: sqlglot reads most of them as Command.

Each kind has the properties that its reference lists, and nothing else is let through. What is quoted in a statement is
judged as texts, and the body of a policy or a pipe as what it is.
"""

import re

TEXT = r"'(?:[^'\\]|\\.|'')*'"
PART = r'(?:"(?:[^"]|"")+"|[A-Z_][A-Z0-9_$]*)'
NAME = rf"{PART}(?:\.{PART}){{0,2}}"
WORDS = r"(?:[A-Z][A-Z0-9_]*)(?: [A-Z][A-Z0-9_]*)*"
TEXTS = rf"\((?:{TEXT}(?:, {TEXT})*)?\)"
NAMES = rf"\({NAME}(?:, {NAME})*\)"
VALUE = rf"(?:{TEXT}|{TEXTS}|[0-9]+|{NAME})"
TRIGGERS = r"TRIGGERS(?: ON [0-9]+ PERCENT DO (?:NOTIFY|SUSPEND|SUSPEND_IMMEDIATE))+"
NESTED = rf"\((?:FORMAT_NAME = {TEXT}|TYPE = CSV|ENABLE = (?:TRUE|FALSE))\)"

PROPERTIES = {
    "ACCOUNT": "TIMEZONE STATEMENT_TIMEOUT_IN_SECONDS NETWORK_POLICY",
    "ROLE": "COMMENT",
    "DATABASE ROLE": "COMMENT",
    "RESOURCE MONITOR": "CREDIT_QUOTA FREQUENCY START_TIMESTAMP",
    "WAREHOUSE": "INITIALLY_SUSPENDED WAREHOUSE_SIZE AUTO_SUSPEND AUTO_RESUME STATEMENT_TIMEOUT_IN_SECONDS "
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS MAX_CONCURRENCY_LEVEL MIN_CLUSTER_COUNT MAX_CLUSTER_COUNT SCALING_POLICY "
    "ENABLE_QUERY_ACCELERATION RESOURCE_MONITOR COMMENT",
    "DATABASE": "DATA_RETENTION_TIME_IN_DAYS COMMENT",
    "SCHEMA": "COMMENT",
    "NETWORK RULE": "TYPE MODE VALUE_LIST COMMENT",
    "NETWORK POLICY": "ALLOWED_NETWORK_RULE_LIST BLOCKED_NETWORK_RULE_LIST ALLOWED_IP_LIST BLOCKED_IP_LIST COMMENT",
    "AUTHENTICATION POLICY": "AUTHENTICATION_METHODS CLIENT_TYPES COMMENT",
    "TAG": "COMMENT",
    "USER": "TYPE LOGIN_NAME DISPLAY_NAME FIRST_NAME LAST_NAME EMAIL DISABLED DEFAULT_ROLE DEFAULT_WAREHOUSE DEFAULT_NAMESPACE "
    "DEFAULT_SECONDARY_ROLES RSA_PUBLIC_KEY RSA_PUBLIC_KEY_2 LOCK_TIMEOUT STATEMENT_TIMEOUT_IN_SECONDS NETWORK_POLICY COMMENT",
    "STORAGE INTEGRATION": "TYPE STORAGE_PROVIDER ENABLED STORAGE_AWS_ROLE_ARN STORAGE_AWS_EXTERNAL_ID "
    "STORAGE_ALLOWED_LOCATIONS STORAGE_BLOCKED_LOCATIONS COMMENT",
    "FILE FORMAT": "TYPE FIELD_DELIMITER SKIP_HEADER TRIM_SPACE USE_LOGICAL_TYPE BINARY_AS_TEXT REPLACE_INVALID_CHARACTERS NULL_IF "
    "USE_VECTORIZED_SCANNER COMMENT",
    "STAGE": "URL STORAGE_INTEGRATION COMMENT",
    "PIPE": "PIPE_EXECUTION_PAUSED",
}

# What some kinds have besides, in words of their own.
BESIDES = {
    "RESOURCE MONITOR": rf"WITH|NOTIFY_USERS = {NAMES}|{TRIGGERS}",
    "SCHEMA": "WITH MANAGED ACCESS",
    "TAG": rf"ALLOWED_VALUES {TEXT}(?:, {TEXT})*",
    "STAGE": rf"FILE_FORMAT = {NESTED}|DIRECTORY = {NESTED}",
}


def texts(found):
    quoted = re.findall(TEXT, found[0])
    return [f"SELECT {', '.join(quoted)}" if quoted else "SELECT 1"]


def clauses(kind):
    own = f"(?:{'|'.join(PROPERTIES[kind].split())}) = {VALUE}"
    return f"(?: (?:{own}|{BESIDES[kind]}))" if kind in BESIDES else f"(?: {own})"


def grammar():
    for kind in PROPERTIES:
        name = "" if kind == "ACCOUNT" else f" {NAME}"
        unless = "" if kind == "NETWORK RULE" else " IF NOT EXISTS"
        yield rf"CREATE (?:TRANSIENT )?{kind}{unless}{name}{clauses(kind)}*"
        yield rf"ALTER {kind}{name} SET{clauses(kind)}+"
        known = "|".join(PROPERTIES[kind].split())
        yield rf"ALTER {kind}{name} UNSET (?:{known})(?:, (?:{known}))*"
        yield rf"ALTER {kind}{name} (?:SET TAG {NAME} = {TEXT}(?:, {NAME} = {TEXT})*|UNSET TAG {NAME}(?:, {NAME})*)"
        yield rf"DROP {kind} IF EXISTS{name}"
    yield rf"ALTER SCHEMA {NAME} (?:ENABLE|DISABLE) MANAGED ACCESS"
    yield rf"ALTER USER {NAME} (?:SET AUTHENTICATION POLICY {NAME}(?: FORCE)?|UNSET AUTHENTICATION POLICY)"
    yield rf"ALTER TABLE {NAME} MODIFY COLUMN {PART} (?:SET MASKING POLICY {NAME}(?: FORCE)?|UNSET MASKING POLICY)"
    yield rf"ALTER TAG {NAME} (?:(?:ADD|DROP) ALLOWED_VALUES {TEXT}(?:, {TEXT})*|UNSET ALLOWED_VALUES)"
    to = rf"(?:ROLE|DATABASE ROLE|USER) {NAME}"
    on = rf"(?:ACCOUNT|(?:FUTURE|ALL) {WORDS} IN (?:DATABASE|SCHEMA) {NAME}|{WORDS} {NAME})"
    what = rf"(?:ROLE {NAME}|DATABASE ROLE {NAME}|{WORDS}(?:, {WORDS})* ON {on})"
    yield rf"GRANT {what} TO {to}(?: WITH GRANT OPTION)?"
    yield rf"REVOKE (?:GRANT OPTION FOR )?{what} FROM {to}"
    yield rf"GRANT OWNERSHIP ON {WORDS} {NAME} TO (?:ROLE|DATABASE ROLE) {NAME} COPY CURRENT GRANTS"


POLICY = re.compile(rf"CREATE MASKING POLICY IF NOT EXISTS {NAME} AS \(VAL ([A-Z0-9_(),]+)\) RETURNS \1 -> (.*?)(?: COMMENT = {TEXT})?", re.S)
PIPE = re.compile(rf"CREATE (?:OR REPLACE )?PIPE (?:IF NOT EXISTS )?{NAME}(?: AUTO_INGEST = TRUE)?(?: COMMENT = {TEXT})? AS (COPY INTO .*)", re.S)

OPAQUE = [
    (POLICY, lambda found: [f"SELECT {found[2]} FROM (SELECT 'x'::{found[1]} AS VAL)"]),
    (PIPE, lambda found: [found[1]]),
    *((re.compile(pattern, re.S), texts) for pattern in grammar()),
]
