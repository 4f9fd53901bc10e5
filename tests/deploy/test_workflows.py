"""What the workflows do with the identities that GitHub gives them, and what the pages say of their environments."""

import http.server
import json
import os
import re
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github/workflows"
# Where a reader learns how to make the environment.
PAGES = {"${{ vars.STAGE }}": "docs/how-to/deploy-by-github.md", "lightdash": "docs/how-to/lightdash.md"}
# What stands for the AWS CLI: it notes how it was called, and with which token.
AWS = """#!/usr/bin/env bash
for argument in "$@"; do
    case $argument in file://*) argument="token $(cat "${argument#file://}")" ;; esac
    echo "$argument" >>"$NOTES"
done
printf 'AKIA\\tsecret\\tsession\\n'
"""


def jobs(workflow):
    return yaml_parse((FOLDER / workflow).read_text(encoding="utf-8"))["jobs"]


def has_identity(job):
    return job.get("permissions", {}).get("id-token") == "write"


class Workflows(unittest.TestCase):
    def test_a_job_of_the_deployment_with_an_identity_compiles_nothing(self):
        compiles = re.compile(r"\b(cargo|rustup|make)\b|sam build")
        identified = {name for name, job in jobs("deploy.yml").items() if has_identity(job)}
        self.assertEqual(identified, {"plan", "apply"})
        for name, job in jobs("deploy.yml").items():
            runs = " ".join(step.get("run", "") for step in job["steps"])
            self.assertEqual(bool(compiles.search(runs)), name not in identified, name)

    def test_each_environment_with_credentials_is_left_to_main_by_its_page(self):
        named = [job.get("environment") for path in FOLDER.glob("*.yml") for job in jobs(path.name).values()]
        # That of the pages, which are public, is a mapping and made by GitHub itself.
        self.assertEqual({one for one in named if isinstance(one, str)}, set(PAGES))
        for page in PAGES.values():
            self.assertRegex((ROOT / page).read_text(encoding="utf-8"), r"let\s+only\s+`main`", page)

    def test_a_role_is_held_for_as_long_as_a_change_is_waited_for(self):
        waits = re.search(r"const LONGEST: Duration = Duration::from_secs\(([0-9_]+)\)", (ROOT / "cli/src/stack.rs").read_text())
        role = yaml_parse((ROOT / "template-ci.yaml").read_text(encoding="utf-8"))["Resources"]["DeployRole"]["Properties"]
        apply = jobs("deploy.yml")["apply"]
        [seconds] = [step["env"]["AWS_ROLE_SECONDS"] for step in apply["steps"] if "AWS_ROLE_ARN" in step.get("env", {})]
        self.assertEqual([seconds, role["MaxSessionDuration"]], [int(waits[1])] * 2)
        self.assertGreater(apply["timeout-minutes"] * 60, seconds)

    def test_a_release_is_of_a_commit_of_main_and_is_checked_by_its_workflow(self):
        runs = [step.get("run", "") for step in jobs("release.yml")["build"]["steps"]]
        checked = runs.index('git merge-base --is-ancestor "$GITHUB_SHA" origin/main')
        self.assertLess(checked, next(at for at, run in enumerate(runs) if "make release" in run))
        said = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        for flag in ("--signer-workflow OWNER/REPOSITORY/.github/workflows/release.yml", "--source-ref refs/tags/"):
            self.assertIn(flag, said)


class Token(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):
        self.asked.append((self.path, self.headers["Authorization"]))
        body = json.dumps({"value": f"token-{len(self.asked)}"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class AsGithub(unittest.TestCase):
    """tools/as-github against GitHub's address for tokens and an AWS CLI that only notes."""

    def setUp(self):
        Token.asked.clear()
        server = http.server.HTTPServer(("127.0.0.1", 0), Token)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.notes, aws = Path(folder.name, "notes"), Path(folder.name, "aws")
        aws.write_text(AWS)
        aws.chmod(0o755)
        self.environment = {
            "PATH": f"{folder.name}:{os.environ['PATH']}", "NOTES": str(self.notes), "AWS_REGION": "us-east-1", "GITHUB_RUN_ID": "7",
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/token?api-version=2",
        }

    def run_as(self, *command, **environment):
        called = [ROOT / "tools/as-github", *command]
        return subprocess.run(called, env={**self.environment, **environment}, capture_output=True, text=True, timeout=60)

    def test_the_token_is_exchanged_once_before_the_command_and_for_its_time(self):
        done = self.run_as("env", AWS_ROLE_SECONDS="7200")
        self.assertEqual(done.returncode, 0, done.stderr)
        held = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        keys = [held.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION")]
        self.assertEqual(keys, ["AKIA", "secret", "session", "us-east-1"])
        self.assertEqual([name for name in held if name.startswith("ACTIONS_") or name == "AWS_WEB_IDENTITY_TOKEN_FILE"], [])
        self.assertEqual(Token.asked, [("/token?api-version=2&audience=sts.amazonaws.com", "bearer bearer")])
        said = self.notes.read_text().splitlines()
        self.assertEqual(said.count("assume-role-with-web-identity"), 1)
        for flag, value in (("--duration-seconds", "7200"), ("--web-identity-token", "token token-1"), ("--role-arn", "arn:aws:iam::1:role/r")):
            self.assertEqual(said[said.index(flag) + 1], value)

    def test_the_commands_status_is_that_of_the_job(self):
        self.assertEqual(self.run_as("sh", "-c", "exit 3").returncode, 3)

    def test_without_the_permission_nothing_is_run(self):
        done = self.run_as("echo", "ran", ACTIONS_ID_TOKEN_REQUEST_URL="")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("id-token: write", done.stderr)


if __name__ == "__main__":
    unittest.main()
