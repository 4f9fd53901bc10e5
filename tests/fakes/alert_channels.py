"""Slack's Web API, PagerDuty's Events API v2 and a webhook, written from their documentation and nothing else, so that our senders
are judged by somebody who has not seen them.
https://docs.slack.dev/reference/methods/chat.postMessage  https://docs.slack.dev/apis/web-api/rate-limits
https://developer.pagerduty.com/docs/send-alert-event

Prints its port, serves until its input ends. `GET /seen` tells what was taken; `POST /faults` with `{"path": "/api", "status": 500,
"body": "…", "headers": {}, "times": 1, "seconds": 0}` spoils answers, with `"acts": true` after the request was taken; `POST /now` with `{"seconds": 2}` moves the clock of the limits.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "xoxb-1-1-fake"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
CHANNELS = {"#data-alerts": "C0DATAALERT", "#data-critical": "C0DATACRIT1"}
ARCHIVED = {"#archived": "C0ARCHIVED1"}
TEXT_MOST, SECTION_MOST, HEADER_MOST, BLOCKS_MOST = 40_000, 3_000, 150, 50
# About one message a second and channel; short bursts are let through.
BURST = 5

lock = threading.Lock()
seen = {"slack": [], "pagerduty": [], "webhook": []}
posts, incidents, faults, posted_at = {}, {}, [], {}
offset = 0.0


def now():
    return time.monotonic() + offset


def limited(channel):
    """Whether a channel has had its burst and its message of this second."""
    recent = [at for at in posted_at.get(channel, []) if now() - at < BURST]
    posted_at[channel] = recent
    if len(recent) >= BURST:
        return True
    recent.append(now())
    return False


def blocks_error(blocks):
    if len(blocks) > BLOCKS_MOST:
        return "invalid_blocks"
    for block in blocks:
        kind, text = block.get("type"), block.get("text", {})
        if kind == "header" and (text.get("type") != "plain_text" or not 1 <= len(text.get("text", "")) <= HEADER_MOST):
            return "invalid_blocks"
        if kind == "section" and not 1 <= len(text.get("text", "")) <= SECTION_MOST:
            return "invalid_blocks"
        if kind not in ("header", "section", "context", "divider", "actions"):
            return "invalid_blocks"
    if sum(len(json.dumps(block)) for block in blocks) > 13_200:
        return "msg_blocks_too_long"
    return None


def slack(method, token, body):
    """An answer of the Web API: status 200 with `ok: false` is a refusal."""
    if token is None:
        return {"ok": False, "error": "not_authed"}
    if token != TOKEN:
        return {"ok": False, "error": "invalid_auth"}
    channel = body.get("channel", "")
    if channel in ARCHIVED or channel in ARCHIVED.values():
        return {"ok": False, "error": "is_archived"}
    text, blocks = body.get("text", ""), body.get("blocks", [])
    if not text and not blocks:
        return {"ok": False, "error": "no_text"}
    if len(text) > TEXT_MOST:
        return {"ok": False, "error": "msg_too_long"}
    if error := blocks_error(blocks):
        return {"ok": False, "error": error}
    if method == "chat.postMessage":
        id = CHANNELS.get(channel, channel)
        if id not in CHANNELS.values():
            return {"ok": False, "error": "channel_not_found"}
        if limited(id):
            return None
        if body.get("thread_ts") and (id, body["thread_ts"]) not in posts:
            return {"ok": False, "error": "thread_not_found"}
        ts = f"1764000000.{len(posts) + 1:06d}"
        posts[(id, ts)] = body
        seen["slack"].append({"method": method, "channel": id, "ts": ts, **body, "channel_given": channel})
        return {"ok": True, "channel": id, "ts": ts, "message": {"text": text, "type": "message"}}
    if method == "chat.update":
        # By id alone: a name is no channel here.
        if channel not in CHANNELS.values():
            return {"ok": False, "error": "channel_not_found"}
        if (channel, body.get("ts")) not in posts:
            return {"ok": False, "error": "message_not_found"}
        posts[(channel, body["ts"])] = body
        seen["slack"].append({"method": method, **body})
        return {"ok": True, "channel": channel, "ts": body["ts"], "text": text}
    return {"ok": False, "error": "unknown_method"}


def pagerduty(body):
    errors = []
    action, payload = body.get("event_action"), body.get("payload", {})
    if len(body.get("routing_key", "")) != 32:
        errors.append("'routing_key' is missing or invalid")
    if action not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is missing or invalid")
    if action != "trigger" and not body.get("dedup_key"):
        errors.append("'dedup_key' is missing or blank")
    if len(body.get("dedup_key", "")) > 255:
        errors.append("'dedup_key' is too long")
    if action == "trigger":
        if not 1 <= len(payload.get("summary", "")) <= 1024:
            errors.append("'payload.summary' is missing or blank")
        if not payload.get("source"):
            errors.append("'payload.source' is missing or blank")
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            errors.append("'payload.severity' is invalid")
    if errors:
        return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    if body["routing_key"] != ROUTING_KEY:
        return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": ["invalid routing key"]}
    key = body.get("dedup_key") or f"made-{len(incidents)}"
    # What resolves or acknowledges no open alert is dropped, and answered like any other.
    if action == "trigger" or incidents.get(key) not in (None, "resolve"):
        incidents[key] = action
    seen["pagerduty"].append(body)
    return 202, {"status": "success", "message": "Event processed", "dedup_key": key}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def do_GET(self):
        with lock:
            state = {**seen, "incidents": incidents, "posts": [{"channel": c, "ts": t, **b} for (c, t), b in posts.items()]}
            self.answer(200, state)

    def do_POST(self):
        global offset
        length = int(self.headers.get("content-length", 0))
        try:
            body = json.loads(self.rfile.read(length) or "{}")
        except ValueError:
            return self.answer(200, {"ok": False, "error": "invalid_json"})
        if self.path == "/faults":
            with lock:
                faults.append(body)
            return self.answer(200, {})
        if self.path == "/now":
            offset += body["seconds"]
            return self.answer(200, {})
        if self.path == "/forget-faults":
            with lock:
                faults.clear()
            return self.answer(200, {})
        if self.path == "/forget-posts":
            with lock:
                posts.clear()
            return self.answer(200, {})
        with lock:
            fault = next((fault for fault in faults if self.path.startswith(fault["path"])), None)
            if fault:
                fault["times"] = fault.get("times", 1) - 1
                if fault["times"] <= 0:
                    faults.remove(fault)
        if fault:
            if fault.get("acts"):
                self.act(body)
            time.sleep(fault.get("seconds", 0))
            return self.answer(fault["status"], fault.get("body", ""), fault.get("headers", {}))
        return self.answer(*self.act(body))

    def act(self, body):
        with lock:
            if self.path.startswith("/api/"):
                bearer = self.headers.get("authorization", "")
                token = bearer.removeprefix("Bearer ") if bearer else None
                answer = slack(self.path.removeprefix("/api/"), token, body)
                if answer is None:
                    return 429, {"ok": False, "error": "ratelimited"}, {"retry-after": "1"}
                return 200, answer
            if self.path == "/v2/enqueue":
                return pagerduty(body)
            if self.path == "/hook":
                seen["webhook"].append(body)
                return 200, "ok"
        return 404, "not found"


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
server.serve_forever()
