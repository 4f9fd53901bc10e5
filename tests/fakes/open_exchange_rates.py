"""An Open Exchange Rates written from its documentation and nothing else, so that our client is judged by somebody who
has not seen our emulator. https://docs.openexchangerates.org

Prints its port, serves until its input ends. `GET /requests` tells what has been asked; `POST /faults` with
`{"path": "…", "status": 500, "body": "…", "headers": {}, "times": 1}` spoils answers.
"""

import datetime
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

APP_ID = "00000000000000000000000000000000"
FIRST_DAY = datetime.date(1999, 1, 1)
# The vendor's clock: nothing later is known.
TODAY = datetime.date(2026, 1, 20)

NAMES = {"AED": "United Arab Emirates Dirham", "BTC": "Bitcoin", "EUR": "Euro", "IDR": "Indonesian Rupiah",
         "JPY": "Japanese Yen", "SLE": "Sierra Leonean Leone", "USD": "United States Dollar", "VEF": "Bolívar"}

ERRORS = {
    "missing_app_id": (401, "No App ID provided - please sign up at https://openexchangerates.org/signup"),
    "invalid_app_id": (401, "Invalid App ID provided - please sign up at https://openexchangerates.org/signup"),
    "not_allowed": (429, "Changing the API `base` currency is available for Developer, Enterprise and Unlimited plans."),
    "invalid_base": (400, "Client requested rates for an unsupported base currency"),
    "not_available": (400, "Historical rates for the requested date are not available - please try a different date."),
    "not_found": (404, "Client requested a non-existent resource/route"),
    "access_restricted": (403, "Access restricted for repeated over-use"),
}

lock = threading.Lock()
asked, faults = [], []


def rates_text(day):
    """Numbers as the vendor writes them: integers without a point, few and many decimals, an exponent."""
    n = (day - FIRST_DAY).days
    rates = {
        "AED": "3.6725",
        "BTC": f"{n % 9 + 1}.05538428e-06",
        "EUR": f"0.{850000 + n % 997}",
        "IDR": str(16000 + n % 300),
        "JPY": f"{140 + n % 20}.{n % 1000:03d}",
        "USD": "1",
    }
    # One currency came and another one went in the middle of the month.
    if day >= datetime.date(2026, 1, 10):
        rates["SLE"] = "22.7"
    else:
        rates["VEF"] = "248487.642241"
    return ",".join(f'"{code}": {text}' for code, text in sorted(rates.items()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=None):
        payload = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def refuse(self, message):
        status, description = ERRORS[message]
        self.answer(status, json.dumps({"error": True, "status": status, "message": message, "description": description}))

    def do_POST(self):
        with lock:
            faults.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(204, "")

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/requests":
            with lock:
                return self.answer(200, json.dumps(asked))
        with lock:
            asked.append(url.path)
            fault = next((f for f in faults if f["path"] in url.path and f.get("times", 1) > 0), None)
            if fault:
                fault["times"] = fault.get("times", 1) - 1
        if fault:
            return self.answer(fault["status"], fault.get("body", ""), fault.get("headers"))
        query = parse_qs(url.query)
        path = url.path.removeprefix("/api/")
        if path == "currencies.json":
            return self.answer(200, json.dumps(NAMES, ensure_ascii=False))
        given = query.get("app_id", [None])[0] or (self.headers["Authorization"] or "").removeprefix("Token ")
        if given != APP_ID:
            return self.refuse("invalid_app_id" if given else "missing_app_id")
        if path == "usage.json":
            with lock:
                used = sum(1 for p in asked if "historical" in p or "latest" in p)
            return self.answer(200, json.dumps({"status": 200, "data": {
                "app_id": APP_ID, "status": "active",
                "plan": {"name": "Free", "quota": "1000 requests / month", "update_frequency": "3600s", "features": {
                    "base": False, "symbols": True, "experimental": True, "time-series": False, "convert": False}},
                "usage": {"requests": used, "requests_quota": 1000, "requests_remaining": 1000 - used,
                          "days_elapsed": 20, "days_remaining": 11, "daily_average": used // 20}}}))
        if "base" in query and query["base"] != ["USD"]:
            return self.refuse("not_allowed" if query["base"][0] in NAMES else "invalid_base")
        if path == "latest.json":
            return self.rates(TODAY, datetime.time(9, 0))
        if not (path.startswith("historical/") and path.endswith(".json")):
            return self.refuse("not_found")
        try:
            day = datetime.date.fromisoformat(path.removeprefix("historical/").removesuffix(".json"))
        except ValueError:
            return self.refuse("not_available")
        if not FIRST_DAY <= day <= TODAY:
            return self.refuse("not_available")
        return self.rates(day, datetime.time(23, 59, 59))

    def rates(self, day, at):
        stamp = int(datetime.datetime.combine(day, at, datetime.UTC).timestamp())
        self.answer(200, '{\n  "disclaimer": "Usage subject to terms: https://openexchangerates.org/terms",\n'
                         '  "license": "https://openexchangerates.org/license",\n'
                         f'  "timestamp": {stamp},\n  "base": "USD",\n  "rates": {{{rates_text(day)}}}\n}}',
                    {"ETag": f'"{stamp:x}"'})


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
