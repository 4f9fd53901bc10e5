"""The AWS of one machine, for the tests of a class."""

import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except (urllib.error.URLError, OSError):
        return False


def started(tests, in_force=False):
    """Starts it until the class has ended, with policies in force or without; returns what makes a client of a service."""
    folder = tempfile.TemporaryDirectory()
    tests.addClassCleanup(folder.cleanup)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": folder.name,
        "TMPDIR": folder.name,
        "GATEWAY_PORT": port,
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    called = [ROOT / ".tools/venv/ministack/bin/ministack"]
    if in_force:
        called = [ROOT / ".tools/venv/ministack/bin/python", ROOT / "local/ministack/start.py"]
        environment |= {"AUTH": "true", "SLUICE_ROLES_USED": str(Path(folder.name, "roles-used.jsonl"))}
    aws = subprocess.Popen(called, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tests.addClassCleanup(aws.wait)
    tests.addClassCleanup(aws.terminate)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while not answers(f"{url}/_ministack/health"):
        if time.monotonic() > deadline or aws.poll() is not None:
            raise RuntimeError("the AWS of one machine does not answer")
        time.sleep(0.05)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return lambda service: boto3.client(service, endpoint_url=url, **keys)
