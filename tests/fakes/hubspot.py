"""A HubSpot portal written from its documentation and nothing else, so that our client is judged by somebody who has not
seen our emulator. https://developers.hubspot.com/docs/api-reference

Prints its port, serves until its input ends. `POST /seed` puts contacts there, `POST /meanwhile` queues changes of which
one happens after each answered search, `POST /faults` spoils answers, `GET /requests` tells what has been asked and
`GET /truth` what there is.
"""

import base64
import datetime
import json
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "pat-na1-fake"
CAP = 10_000
DEFAULTS = ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"]
CUSTOM = {"favourite_colour": "string", "shoe_size": "number"}
PROPERTIES = {
    **{name: "string" for name in ["email", "firstname", "lastname", "phone", "company"]},
    **{name: "enumeration" for name in ["lifecyclestage", "hs_merged_object_ids", "hs_additional_emails", "hs_lead_status"]},
    **{name: "datetime" for name in ["createdate", "lastmodifieddate"]},
    "hs_object_id": "number", "hs_email_optout": "bool", "total_orders": "number", "lifetime_value": "number",
    "customer_tier": "enumeration", **{f"hs_analytics_{n}": "number" for n in range(200)}, **CUSTOM,
}

lock = threading.RLock()
contacts, consumed_by, asked, faults, meanwhile = {}, {}, [], [], []


def iso(millis):
    text = datetime.datetime.fromtimestamp(millis / 1000, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def redefine(properties):
    """Makes, changes or (with null) removes properties; HubSpot's own begin with `hs_`."""
    for name, kind in properties.items():
        if name not in PROPERTIES and not name.startswith("hs_"):
            CUSTOM[name] = kind
        PROPERTIES.pop(name, None)
        if kind is not None:
            PROPERTIES[name] = kind


def change(contact):
    """Creates, changes, archives or merges: `merged` names what the contact has consumed."""
    known = contacts.setdefault(contact["id"], {"archived": None, "merged": [], "emails": [], "properties": {}})
    known["modified"] = contact["modified"]
    known["created"] = known.get("created", contact["modified"])
    known["archived"] = contact.get("archived")
    known["properties"].update(contact.get("properties", {}))
    for consumed in contact.get("merged", []):
        gone = contacts.pop(consumed)
        known["merged"] += [consumed, *gone["merged"]]
        known["emails"] += [email for email in [gone["properties"].get("email"), *gone["emails"]] if email]
        consumed_by[consumed] = contact["id"]


def value(number, contact, name):
    if name == "hs_object_id":
        return str(number)
    if name == "createdate":
        return iso(contact["created"])
    if name == "lastmodifieddate":
        return iso(contact["modified"])
    if name == "hs_merged_object_ids":
        return ";".join(map(str, contact["merged"])) or None
    if name == "hs_additional_emails":
        return ";".join(contact["emails"]) or None
    return contact["properties"].get(name)


def render(number, contact, names):
    record = {
        "id": str(number), "createdAt": iso(contact["created"]), "updatedAt": iso(contact["modified"]),
        "archived": contact["archived"] is not None,
        "properties": {n: value(number, contact, n) for n in [*DEFAULTS, *names] if n in PROPERTIES},
    }
    if contact["archived"] is not None:
        record["archivedAt"] = iso(contact["archived"])
    return record


def comparable(number, contact, name):
    if name == "hs_object_id":
        return number
    if name in ("createdate", "lastmodifieddate"):
        return contact["created" if name == "createdate" else "modified"]
    return (value(number, contact, name) or "").lower()


def operand(name, text):
    return int(text) if name in ("hs_object_id", "createdate", "lastmodifieddate") else text.lower()


def holds(number, contact, rule):
    name, operator = rule["propertyName"], rule["operator"]
    has = value(number, contact, name) is not None
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return has == (operator == "HAS_PROPERTY")
    if not has:
        return False
    mine, low = comparable(number, contact, name), operand(name, rule["value"])
    if operator == "BETWEEN":
        return low <= mine <= operand(name, rule["highValue"])
    return {"EQ": mine == low, "NEQ": mine != low, "GT": mine > low, "GTE": mine >= low, "LT": mine < low,
            "LTE": mine <= low}[operator]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=None):
        payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json;charset=utf-8", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def refuse(self, status, category, message):
        self.answer(status, {"status": "error", "message": message, "correlationId": str(uuid.uuid4()),
                             "category": category})

    def admitted(self, path):
        with lock:
            asked.append(self.command + " " + self.path + " " + getattr(self, "body", ""))
            fault = next((f for f in faults if f["path"] in path and f.get("times", 1) > 0), None)
            if fault and fault.get("after", 0) > 0:
                fault["after"] -= 1
                fault = None
            if fault:
                fault["times"] = fault.get("times", 1) - 1
        if fault:
            self.answer(fault["status"], fault.get("body", ""), fault.get("headers"))
            return False
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.refuse(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
            return False
        return True

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/requests":
            return self.answer(200, asked)
        if url.path == "/truth":
            with lock:
                return self.answer(200, {str(n): {"modified": c["modified"], "archived": c["archived"],
                                                  "email": c["properties"].get("email")} for n, c in contacts.items()})
        if not self.admitted(url.path):
            return None
        query = {name: ",".join(values) for name, values in parse_qs(url.query).items()}
        limits = {"X-HubSpot-RateLimit-Daily": "250000", "X-HubSpot-RateLimit-Daily-Remaining": "249000"}
        if url.path == "/crm/v3/properties/contacts":
            return self.answer(200, {"results": [
                {"name": n, "label": n, "type": t, "fieldType": "text", "groupName": "contactinformation",
                 "description": "", "options": [], "hubspotDefined": n not in CUSTOM} for n, t in PROPERTIES.items()
            ]}, limits)
        if url.path != "/crm/v3/objects/contacts":
            return self.refuse(404, "OBJECT_NOT_FOUND", "resource not found")
        limit = int(query.get("limit", 10))
        if limit > 100:
            return self.refuse(400, "VALIDATION_ERROR", "limit must not exceed 100")
        after = int(base64.b64decode(query["after"])) if "after" in query else 0
        with lock:
            archived = query.get("archived", "false").lower() == "true"
            found = [(n, c) for n, c in sorted(contacts.items()) if (c["archived"] is not None) == archived and n > after]
            names = query.get("properties", "").split(",")
            body = {"results": [render(n, c, names) for n, c in found[:limit]]}
            if len(found) > limit:
                cursor = base64.b64encode(str(found[limit - 1][0]).encode()).decode()
                body["paging"] = {"next": {"after": cursor, "link": "https://api.hubapi.com/…"}}
        return self.answer(200, body, limits)

    def do_POST(self):
        self.body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        control = {"/seed": None, "/properties": None, "/meanwhile": meanwhile, "/faults": faults}
        if self.path in control:
            with lock:
                if self.path == "/seed":
                    for contact in json.loads(self.body):
                        change(contact)
                elif self.path == "/properties":
                    redefine(json.loads(self.body))
                else:
                    control[self.path].extend(json.loads(self.body))
            return self.answer(204, "")
        if not self.admitted(self.path):
            return None
        if self.path != "/crm/v3/objects/contacts/search":
            return self.refuse(404, "OBJECT_NOT_FOUND", "resource not found")
        if len(self.body) > 3000:
            return self.refuse(400, "VALIDATION_ERROR", "request body is too long")
        return self.search(json.loads(self.body))

    def search(self, request):
        limit, offset = request.get("limit", 10), int(request.get("after", 0))
        groups, sorts = request.get("filterGroups", []), request.get("sorts", [])
        names = {rule["propertyName"] for group in groups for rule in group["filters"]}
        names |= {rule["propertyName"] for rule in sorts}
        if limit > 200 or len(sorts) > 1 or len(groups) > 5 or names - set(PROPERTIES):
            return self.refuse(400, "VALIDATION_ERROR", "There was a problem with the request.")
        if offset + limit > CAP:
            return self.refuse(400, "VALIDATION_ERROR", "The maximum number of results that can be paged is 10000")
        rule = sorts[0] if sorts else {"propertyName": "createdate", "direction": "ASCENDING"}
        with lock:
            live = [(n, c) for n, c in contacts.items() if c["archived"] is None]
            found = [(n, c) for n, c in live
                     if not groups or any(all(holds(n, c, r) for r in g["filters"]) for g in groups)]
            # What the rule does not tell apart is in no order that a client may rely on.
            found.sort(key=lambda pair: (pair[0] * 7919) % 10_007)
            found.sort(key=lambda pair: comparable(*pair, rule["propertyName"]), reverse=rule["direction"] == "DESCENDING")
            page = found[offset:offset + limit]
            body = {"total": len(found), "results": [render(n, c, request.get("properties", [])) for n, c in page]}
            if offset + limit < len(found):
                body["paging"] = {"next": {"after": str(offset + limit)}}
            if meanwhile:
                change(meanwhile.pop(0))
        return self.answer(200, body)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
