"""Airbyte's HubSpot connector against the emulator: it must see the contacts as they are.

    airbyte_connector.py <emulator's binary>
"""

import json
import os
import subprocess
import sys
import tempfile

from account import Account, same
from front import serve_as_hubspot

if sys.argv[1] == "--connector":
    # The connector itself, in a process of its own, which the rest of this file starts.
    serve_as_hubspot(sys.argv[2])
    from source_hubspot.run import run

    sys.argv = ["source-hubspot", *sys.argv[3:]]
    sys.exit(run())

account = Account(sys.argv[1], 1_200)
folder = tempfile.mkdtemp(prefix="airbyte-")


def file(name, content):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as handle:
        json.dump(content, handle)
    return path


def connector(*arguments):
    """Runs one command of the connector and returns its messages."""
    command = [sys.executable, __file__, "--connector", account.url, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if ended.returncode:
        sys.exit(f"the connector ended with {ended.returncode}:\n{ended.stdout[-3_000:]}\n{ended.stderr[-3_000:]}")
    messages = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    for message in messages:
        if message["type"] == "TRACE" and message["trace"]["type"] == "ERROR":
            sys.exit(f"the connector failed: {message['trace']['error']['message']}")
    return messages


def catalog(mode):
    stream = {"name": "contacts", "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"],
              "source_defined_cursor": True, "default_cursor_field": ["updatedAt"],
              "source_defined_primary_key": [["id"]]}
    return file(f"{mode}.json", {"streams": [{
        "stream": stream, "sync_mode": mode, "destination_sync_mode": "append", "cursor_field": ["updatedAt"],
        "primary_key": [["id"]],
    }]})


def contacts(messages):
    records = [message["record"]["data"] for message in messages if message["type"] == "RECORD"]
    found = {record["id"]: (record.get("properties_email"), record.get("properties_lastname")) for record in records}
    if len(found) < len(records):
        print(f"the connector gives {len(records) - len(found)} contacts twice")
    return found


config = file("config.json", {
    "start_date": "2006-06-01T00:00:00Z",
    "credentials": {"credentials_title": "Private App Credentials", "access_token": account.token},
})
status = [m["connectionStatus"] for m in connector("check", "--config", config) if m["type"] == "CONNECTION_STATUS"]
if [one["status"] for one in status] != ["SUCCEEDED"]:
    sys.exit(f"the connector's check says {status}")

expected = {number: (contact["email"], contact["lastname"]) for number, contact in account.live.items()}
listed = contacts(connector("read", "--config", config, "--catalog", catalog("full_refresh")))
same("contacts, all by the list", listed, expected)
# With a state the connector asks the search.
state = file("state.json", [{"type": "STREAM", "stream": {
    "stream_descriptor": {"name": "contacts"}, "stream_state": {"updatedAt": "2006-06-01T00:00:00.000Z"},
}}])
searched = contacts(connector("read", "--config", config, "--catalog", catalog("incremental"), "--state", state))
same("contacts, changed by the search", searched, expected)
print("Airbyte's connector sees the contacts as they are")
