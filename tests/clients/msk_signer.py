"""Amazon's own signer of tokens for MSK: the tokens that ours are compared with are what it makes.

Each case of shared/sluice-kafka/src/iam/tokens.json is signed again at its time. `--write` writes the file.

Usage: <venv>/bin/python tests/clients/msk_signer.py [--write]
"""

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import botocore.auth
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from botocore.credentials import CredentialProvider, Credentials

TOKENS = Path(__file__).parents[2] / "shared/sluice-kafka/src/iam/tokens.json"

# What a base64 text may hold that an address may not, and times at the edges of days and years.
SESSION = "FwoGZXIvYXdzE+a/b//c++d==" * 12
CASES = [
    {"region": "us-east-1", "access_key": "AKIAEXAMPLE", "secret_key": "a/secret+of=tests", "session_token": None,
     "time": "2026-03-01T12:34:56Z"},
    {"region": "eu-west-1", "access_key": "ASIAEXAMPLE", "secret_key": "another/secret+", "session_token": SESSION,
     "time": "2028-02-29T23:59:59Z"},
    {"region": "cn-north-1", "access_key": "ASIAEXAMPLE", "secret_key": "another/secret+", "session_token": "short",
     "time": "2027-01-01T00:00:00Z"},
    {"region": "us-gov-west-1", "access_key": "AKIAEXAMPLE", "secret_key": "a/secret+of=tests", "session_token": None,
     "time": "2026-12-31T23:59:59Z"},
]


class Fixed(CredentialProvider):
    def __init__(self, case):
        self.credentials = Credentials(case["access_key"], case["secret_key"], case["session_token"])

    def load(self):
        return self.credentials


def signed(case):
    now = datetime.fromisoformat(case["time"]).astimezone(timezone.utc)
    botocore.auth.get_current_datetime = lambda: now.replace(tzinfo=None)
    token, ends_ms = MSKAuthTokenProvider.generate_auth_token_from_credentials_provider(case["region"], Fixed(case))
    return {**case, "token": token, "ends": ends_ms // 1_000}


made = [signed(case) for case in CASES]
if sys.argv[1:] == ["--write"]:
    TOKENS.write_text(json.dumps(made, indent=2) + "\n")
elif json.loads(TOKENS.read_text()) != made:
    sys.exit(f"{TOKENS} is not what Amazon's signer makes; look at why, then write it again with --write")
print(json.dumps({"tokens": len(made)}))
