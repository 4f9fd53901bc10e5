"""The emulator's account: started, and described as its generator made it."""

import json
import subprocess
import sys


class Account:
    """`binary` is the emulator's; it ends with this process."""

    def __init__(self, binary, contacts):
        self.process = subprocess.Popen([binary, str(contacts)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        self.url, self.token = told["url"], told["token"]
        merged = {str(i) for contact in told["contacts"] for i in contact["merged_ids"]}
        there = [contact for contact in told["contacts"] if contact["id"] not in merged]
        self.merged = {str(i): contact["id"] for contact in there for i in contact["merged_ids"]}
        self.live = {contact["id"]: contact for contact in there if not contact["archived"]}
        self.archived = {contact["id"]: contact for contact in there if contact["archived"]}


def same(what, found, expected):
    """Ends the process with what differs."""
    if found == expected:
        print(f"{what}: {len(found)} as they are")
        return
    keys = set(found) ^ set(expected)
    differing = sorted(keys) or [key for key in expected if found[key] != expected[key]]
    sys.exit(f"{what}: {len(found)} found, {len(expected)} expected; the first that differ: {differing[:5]}")
