"""Plants a fault on the platform that runs on this machine, to practise what an operator sees and does.

    tools/fault variable FUNCTION NAME [VALUE]   another value of a variable, or none
    tools/fault secret NAME [VALUE]              another value of a secret, or none
    tools/fault timeout FUNCTION SECONDS
    tools/fault concurrency FUNCTION NUMBER      so many at once; 0 lets nobody in
    tools/fault silence rates                    the vendor takes requests and never answers
    tools/fault rule RULE                        switched off on the bus, which then loses what it would have passed on
    tools/fault schedule NAME                    deleted
    tools/fault letter QUEUE                     a dead letter: extract, load, dispatch, activate, spool, runs or schedule
    tools/fault twice TABLE                      some rows of a raw table are there twice, as if somebody had copied them
    tools/fault mend                             puts everything back but rows

What a person would see of it, as schedules are paused here:

    tools/fault channel                          the watcher's messages go to a stand-in for Slack
    tools/fault round                            a round of the watcher, with each table measured
    tools/fault messages                         what that channel shows now

Only the emulator on this machine is reached, never an account."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[1]
STACK = "sluice-local"
# What the stand-in for Slack takes.
SLACK_TOKEN = "xoxb-1-1-fake"
LETTERS = {
    "extract": ("extract-dead", {"split": "no-such-plan"}),
    "load": ("load-dead", {"retry": {"table": "DLT.OPEN_EXCHANGE_RATES.CURRENCIES", "sequence": 1}}),
    "dispatch": ("dispatch-dead", {"sweep": True}),
    "activate": ("activate-dead", {"sweep": True}),
    "spool": ("spool-dead", {"events": []}),
}
# As Lambda wraps the event of a run that failed every attempt.
FAILED_RUN = {
    "version": "1.0",
    "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
    "requestPayload": {"time": "2026-10-29T12:00:00Z", "table": "DLT.OPEN_EXCHANGE_RATES.CURRENCIES"},
    "responsePayload": {"errorType": "Unavailable", "errorMessage": "a drill"},
}
# As Scheduler leaves what it could not start: the input, and why beside it.
NOT_STARTED = {
    "ERROR_CODE": "AccessDeniedException",
    "ERROR_MESSAGE": "the schedule's role may not invoke the function",
    "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    "SCHEDULED_TIME": "2026-10-29T12:00:00Z",
}
# Silent for as long as anybody asks.
ENDLESS = 1_000_000


class Faults:
    """What was planted is noted beside the platform's state, so that it can be put back in another call."""

    def __init__(self, state):
        ports = state / "ports.json"
        if not ports.exists():
            sys.exit("fault: no platform runs on this machine; start one with `make up` in another terminal")
        self.ports = json.loads(ports.read_text())
        own = {"endpoint_url": f"http://127.0.0.1:{self.ports['aws']}", "region_name": "us-east-1",
               "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        # A round may wait for dbt, and is run once.
        own["config"] = Config(read_timeout=180, retries={"max_attempts": 0})
        services = ("lambda", "secretsmanager", "sqs", "events", "scheduler", "cloudformation")
        self.functions, self.secrets, self.queues, self.bus, self.scheduler, self.stacks = (boto3.client(name, **own) for name in services)
        self.state = state
        self.note = state / "faults.json"
        self.planted = json.loads(self.note.read_text()) if self.note.exists() else []

    def plant(self, kind, *what):
        """Notes how it was, first: what is interrupted can be mended, too."""
        before = getattr(self, f"read_{kind}")(*what)
        self.planted.append([kind, what[0], before])
        self.note.write_text(json.dumps(self.planted))
        getattr(self, f"write_{kind}")(what[0], before, *what[1:])

    def mend(self):
        for kind, name, before in reversed(self.planted):
            getattr(self, f"mend_{kind}")(name, before)
        self.note.unlink(missing_ok=True)
        return len(self.planted)

    def configuration(self, function):
        return self.functions.get_function_configuration(FunctionName=f"{STACK}-{function}")

    def configure(self, function, **changes):
        self.functions.update_function_configuration(FunctionName=f"{STACK}-{function}", **changes)

    def read_variable(self, function, name, *_):
        return [name, self.configuration(function)["Environment"]["Variables"].get(name)]

    def write_variable(self, function, _, name, value):
        """The others stay: what a platform that was started again has given them."""
        others = self.configuration(function)["Environment"]["Variables"]
        others.pop(name, None)
        self.configure(function, Environment={"Variables": others | ({} if value is None else {name: value})})

    def mend_variable(self, function, before):
        self.write_variable(function, None, *before)

    def read_timeout(self, function, *_):
        return self.configuration(function)["Timeout"]

    def write_timeout(self, function, _, seconds):
        self.mend_timeout(function, seconds)

    def mend_timeout(self, function, seconds):
        self.configure(function, Timeout=seconds)

    def read_concurrency(self, function, *_):
        return self.functions.get_function_concurrency(FunctionName=f"{STACK}-{function}").get("ReservedConcurrentExecutions")

    def write_concurrency(self, function, _, number):
        self.mend_concurrency(function, number)

    def mend_concurrency(self, function, number):
        name = f"{STACK}-{function}"
        if number is None:
            self.functions.delete_function_concurrency(FunctionName=name)
        else:
            self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=number)

    def read_secret(self, name, *_):
        return self.secrets.get_secret_value(SecretId=f"{STACK}/{name}")["SecretString"]

    def write_secret(self, name, _, value):
        """Without a value it is as a first deployment has made it."""
        if value is not None:
            return self.mend_secret(name, value)
        self.secrets.delete_secret(SecretId=f"{STACK}/{name}", ForceDeleteWithoutRecovery=True)
        self.secrets.create_secret(Name=f"{STACK}/{name}")

    def mend_secret(self, name, value):
        self.secrets.put_secret_value(SecretId=f"{STACK}/{name}", SecretString=value)

    def read_silence(self, *_):
        return None

    def write_silence(self, vendor, *_):
        self.vendor(vendor, "POST", {"kind": "silence", "requests": ENDLESS})

    def mend_silence(self, vendor, _):
        self.vendor(vendor, "DELETE")

    def vendor(self, name, method, fault=None):
        url = f"http://127.0.0.1:{self.ports[name]}/_emulator/faults"
        body = None if fault is None else json.dumps(fault).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
        urllib.request.urlopen(request, timeout=10).close()

    def physical(self, logical):
        found = self.stacks.describe_stack_resource(StackName=STACK, LogicalResourceId=logical)
        return found["StackResourceDetail"]["PhysicalResourceId"]

    def read_rule(self, rule, *_):
        return self.physical(rule)

    def write_rule(self, _, name):
        self.bus.disable_rule(Name=name, EventBusName=f"{STACK}-bus")

    def mend_rule(self, _, name):
        self.bus.enable_rule(Name=name, EventBusName=f"{STACK}-bus")

    def read_schedule(self, name, *_):
        kept = ("Name", "GroupName", "Description", "State", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow",
                "Target")
        found = self.scheduler.get_schedule(Name=self.physical(name), GroupName=self.physical("Schedules"))
        return {key: found[key] for key in kept if found.get(key)}

    def write_schedule(self, _, before):
        self.scheduler.delete_schedule(Name=before["Name"], GroupName=before["GroupName"])

    def mend_schedule(self, _, before):
        self.scheduler.create_schedule(**before)

    def twice(self, table):
        """As the loader, whose key the deployment has put into its secret."""
        copy = f"INSERT INTO {table} SELECT * FROM {table} WHERE _SLUICE_ROW_NUMBER < 4"
        block = f"EXECUTE IMMEDIATE $$ BEGIN BEGIN TRANSACTION; {copy}; COMMIT; END; $$"
        subprocess.run([ROOT / "tests/cli/warehouse", self.state, block], check=True, stdout=subprocess.DEVNULL)

    def channel(self):
        """A server that outlives this call: it ends with its input, of which it holds the other end itself."""
        given, kept = os.pipe()
        server = [sys.executable, ROOT / "tests/fakes/alert_channels.py"]
        served = subprocess.Popen(server, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[kept], text=True)
        url = f"http://127.0.0.1:{int(served.stdout.readline())}"
        self.planted.append(["channel", url, served.pid])
        self.plant("secret", "alerts", json.dumps({"slack_token": SLACK_TOKEN}))
        self.plant("variable", "WatchPlatform", "SLUICE_SLACK_URL", f"{url}/api")

    def mend_channel(self, _, pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def messages(self):
        url = next((url for kind, url, _ in self.planted if kind == "channel"), None)
        if not url:
            sys.exit("fault: no channel is set up; call `tools/fault channel` first")
        with urllib.request.urlopen(f"{url}/seen") as answer:
            for post in json.load(answer)["posts"]:
                print(post["blocks"][0]["text"]["text"])

    def round(self):
        """Again while another one is under way, which news of a run or a load has asked for."""
        asked, body = json.dumps({"round": True, "fresh": True}), '"busy"'
        while body == '"busy"':
            answer = self.functions.invoke(FunctionName=f"{STACK}-WatchPlatform", Payload=asked)
            body = answer["Payload"].read().decode()
            if "FunctionError" in answer:
                sys.exit(f"fault: the watcher has failed: {body}")
            time.sleep(1 if body == '"busy"' else 0)

    def letter(self, queue):
        function = f"arn:aws:lambda:us-east-1:000000000000:function:{STACK}-ExtractExchangeRates"
        attributes = {}
        if queue == "runs":
            context = {**FAILED_RUN["requestContext"], "functionArn": f"{function}:$LATEST"}
            name, body = "runs-dead", {**FAILED_RUN, "requestContext": context}
        elif queue == "schedule":
            name, body, attributes = "runs-dead", FAILED_RUN["requestPayload"], {**NOT_STARTED, "TARGET_ARN": function}
        else:
            name, body = LETTERS[queue]
        url = self.queues.get_queue_url(QueueName=f"{STACK}-{name}")["QueueUrl"]
        said = {key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()}
        self.queues.send_message(QueueUrl=url, MessageBody=json.dumps(body), MessageAttributes=said)


def main():
    parser = argparse.ArgumentParser(prog="tools/fault", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=ROOT / ".sluice", help="where the platform keeps its state")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, value in (("variable", str), ("timeout", int), ("concurrency", int)):
        one = kinds.add_parser(kind)
        one.add_argument("function", help="as the template names it")
        if kind == "variable":
            one.add_argument("name")
        one.add_argument("value", type=value, nargs="?" if value is str else None)
    secret = kinds.add_parser("secret")
    secret.add_argument("name", help="the part behind the stack's name")
    secret.add_argument("value", nargs="?")
    kinds.add_parser("silence").add_argument("name", choices=["rates", "hubspot"])
    for kind in ("rule", "schedule"):
        kinds.add_parser(kind).add_argument("name", help="as the template names it")
    kinds.add_parser("letter").add_argument("queue", choices=[*LETTERS, "runs", "schedule"])
    kinds.add_parser("twice").add_argument("table", help="as status names it")
    for kind in ("channel", "round", "messages", "mend"):
        kinds.add_parser(kind)
    asked = parser.parse_args()
    faults = Faults(asked.state)
    match asked.kind:
        case "mend":
            print(f"{faults.mend()} faults are mended")
        case "letter":
            faults.letter(asked.queue)
        case "twice":
            faults.twice(asked.table)
        case "channel" | "round" | "messages":
            getattr(faults, asked.kind)()
        case "variable":
            faults.plant("variable", asked.function, asked.name, asked.value)
        case "secret":
            faults.plant("secret", asked.name, asked.value)
        case "silence" | "rule" | "schedule":
            faults.plant(asked.kind, asked.name)
        case kind:
            faults.plant(kind, asked.function, asked.value)


if __name__ == "__main__":
    main()
