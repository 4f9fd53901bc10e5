"""Two who take OpenLineage events, written from their documentation and nothing else: Marquez at `/marquez` (201 and an empty body, 400 on
what it cannot read) and OpenMetadata at `/openmetadata` (200, and the body says what became of the event; 401 without its token).
https://marquezproject.ai/docs/api/record-lineage-event  https://docs.open-metadata.org/latest/connectors/ingestion/lineage/openlineage

Prints its port, serves until its input ends. `GET /seen` tells the jobs that were taken; `POST /faults` with `{"status": 503, "times": 2,
"seconds": 0}` spoils the next answers.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "eyJ-fake"
REQUIRED = ("eventTime", "producer", "schemaURL", "run", "job")
# Tables that OpenMetadata knows.
KNOWN = "snowflake://"

lock = threading.Lock()
seen, faults = [], []


def openmetadata(event):
    """Edges are made of COMPLETE events with both sides whose datasets are known; others are told, with 200 all the same."""
    if event.get("eventType", "COMPLETE") != "COMPLETE":
        return {"status": "SUCCESS", "edgesCreated": 0}
    sides = event.get("inputs", []) + event.get("outputs", [])
    unknown = [side["name"] for side in sides if not side["namespace"].startswith(KNOWN)]
    if unknown:
        return {"status": "FAILURE", "unresolvedDatasets": unknown}
    return {"status": "SUCCESS", "edgesCreated": 1}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        with lock:
            self.answer(200, seen)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/faults":
            with lock:
                faults.append(json.loads(body))
            return self.answer(200, {})
        with lock:
            fault = faults[0] if faults else None
            if fault:
                fault["times"] -= 1
                if not fault["times"]:
                    faults.pop(0)
        if fault:
            time.sleep(fault.get("seconds", 0))
            return self.answer(fault["status"], {"message": "planted"})
        try:
            event = json.loads(body)
        except ValueError:
            return self.answer(400, {"message": "no JSON"})
        if not isinstance(event, dict) or any(name not in event for name in REQUIRED):
            return self.answer(400, {"message": "a member is missing"})
        if self.path == "/openmetadata" and self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"message": "no token"})
        told = openmetadata(event) if self.path == "/openmetadata" else None
        if told is None or told["status"] == "SUCCESS":
            with lock:
                seen.append(f"{event['job'].get('name')} {event.get('eventType')}")
        self.answer(200 if told else 201, told)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
