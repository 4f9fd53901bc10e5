#!/usr/bin/env python3
"""Invokes a function with a case of events/ as Lambda would on the platform that runs on this machine.

    make invoke F=<function> E=<case>
    tools/invoke.py [--state <folder>] <function> <case>

`cargo lambda watch` runs the binary in target/; its settings are those of the deployed function, which the platform's Lambda
tells. Status: 0 when the function has answered, 1 when it has failed, 2 for a wrong command line."""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVENTS = ROOT / "events"
CARGO_LAMBDA = ROOT / ".tools/venv/lambda/bin/cargo-lambda"
HOST = "127.0.0.1"
STACK = "sluice-local"
# What `cargo lambda` gives a function.
LONGEST_SECONDS = 600
# A line of a function's log. What else is written is cargo-lambda's, or a metric; `started` repeats the settings.
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\S+Z +(?:INFO|WARN|ERROR) (?!started config=).*$", re.MULTILINE)
ENDED = re.compile(r"ERROR command (?:exited|killed|stopped|ended)")


class Failed(Exception):
    """Nothing was invoked, or nothing answered: why, in words, and the status to end with."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


def functions():
    return sorted(folder.name for folder in (ROOT / "functions").iterdir())


def cases(function):
    return sorted(file.stem for file in (EVENTS / function).glob("*.json"))


def among(letter, name, names, what):
    if name not in names:
        problem = f"{letter}={name} names no {what}" if name else f"{letter}= names a {what}"
        raise Failed("\n    ".join([f"{problem}; these are there:", *names]), status=2)


def settings(state, function):
    """The environment that the function has on the running platform."""
    try:
        ports = json.loads((ROOT / state / "ports.json").read_text())
        # AWS's emulator may outlive the process that listens on `control` when that is killed.
        for part in ("control", "aws"):
            socket.create_connection((HOST, ports[part]), 1).close()
    except (OSError, KeyError) as error:
        raise Failed("no platform runs on this machine; start one with `make up` in another terminal") from error
    aws = f"http://{HOST}:{ports['aws']}"
    deployed = f"{STACK}-" + "".join(word.capitalize() for word in function.split("-"))
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    try:
        with ask(f"{aws}/2015-03-31/functions/{deployed}/configuration", timeout=30) as answer:
            variables = json.load(answer)["Environment"]["Variables"]
    except urllib.error.HTTPError as error:
        raise Failed(f"the platform that runs has no function {deployed}; stop it and `make up` again") from error
    return {
        **os.environ,
        **variables,
        "AWS_ENDPOINT_URL": aws,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_LAMBDA_LOG_FORMAT": "text",
        "SLUICE_PLATFORM_DIR": str(ROOT / "platform"),
        "NO_PROXY": HOST,
        "no_proxy": HOST,
    }


class Watch:
    """`cargo lambda watch` for one function; what it and the function write is in a file."""

    def __init__(self, function, environment):
        self.function, self.environment = function, environment
        with socket.create_server((HOST, 0)) as free:
            self.address = ["--invoke-address", HOST, "--invoke-port", str(free.getsockname()[1])]

    def __enter__(self):
        if not CARGO_LAMBDA.exists():
            subprocess.run([ROOT / "tools/setup", "lambda"], check=True)
        # Before the first event, so that a build shows how far it is, and what it refuses.
        built = subprocess.run(["cargo", "build", "--release", "--bin", self.function], cwd=ROOT)
        if built.returncode:
            raise Failed(f"{self.function} does not compile; cargo says above why")
        self.log = tempfile.NamedTemporaryFile("r", prefix="sluice-invoke-")
        command = [CARGO_LAMBDA, "lambda", "watch", "--release", "--ignore-changes", *self.address]
        with open(self.log.name, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()

    def listens(self):
        for _ in range(100):
            try:
                socket.create_connection((HOST, int(self.address[-1])), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise Failed(f"`cargo lambda watch` does not answer; it wrote\n{self.log.read()}")

    def invoke(self, case):
        """Whether the function has answered without an error, the lines of its log, and its answer."""
        event = EVENTS / self.function / f"{case}.json"
        command = [CARGO_LAMBDA, "lambda", "invoke", self.function, *self.address, "--data-file", event]
        invoking = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        written = ""
        for _ in range(LONGEST_SECONDS * 2):
            try:
                answer, complaint = invoking.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                written += self.log.read()
                if ENDED.search(written):
                    invoking.kill()
        else:
            invoking.kill()
            raise Failed(f"{self.function} has not answered {case} within {LONGEST_SECONDS} s; it wrote\n{written}")
        written += self.log.read()
        lines = LINE.findall(written)
        has_failed = invoking.returncode != 0
        # A function says what has failed and what to do in a line of its log; one that has crashed could not.
        if has_failed and not any(" ERROR " in line for line in lines):
            complaint = complaint.split("Was this behavior unexpected?")[0]
            raise Failed(f"{self.function} has ended without an answer to {case}; it wrote\n{written}{complaint}")
        return not has_failed, lines, answer.strip()


def main():
    parser = argparse.ArgumentParser(usage="make invoke F=<function> E=<case>")
    parser.add_argument("--state", default=".sluice")
    parser.add_argument("function", nargs="?")
    parser.add_argument("case", nargs="?")
    given = parser.parse_args()
    among("F", given.function, functions(), "function")
    among("E", given.case, cases(given.function), f"case of {given.function}")
    with Watch(given.function, settings(given.state, given.function)) as watch:
        watch.listens()
        answered, lines, answer = watch.invoke(given.case)
    print("\n".join(lines), file=sys.stderr, flush=True)
    if not answered:
        raise Failed(f"{given.function} has failed on {given.case}; the last line above says why and what to do")
    print(answer)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        print(f"invoke: {failed}", file=sys.stderr)
        sys.exit(failed.status)
    except KeyboardInterrupt:
        sys.exit(130)
