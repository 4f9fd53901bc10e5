"""Puts the built site (target/docs) under docs/ in the bucket of a stack's lake: what has changed is uploaded, what is gone is
removed, and nothing else in the bucket is touched.

    tools/docs-publish sluice-dev             needs the environment sam and the AWS CLI's credentials; `make docs` comes before
"""

import hashlib
import json
import mimetypes
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

SITE = Path(__file__).resolve().parents[1] / "target/docs"
PREFIX = "docs/"
# What was published last, by file. It is written when everything else is there, so a broken-off run is made up for.
CONTENTS = PREFIX + "contents.json"


def site(folder):
    """Each file's checksum, by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def published(s3, bucket):
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=CONTENTS)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return {}
        raise


def content_type(name):
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def publish(s3, bucket, folder):
    """How many files were uploaded and removed."""
    now, before = site(folder), published(s3, bucket)
    changed = [name for name, checksum in now.items() if before.get(name) != checksum]
    # Pages come last, so that none is there before what it shows.
    for name in sorted(changed, key=lambda name: name.endswith(".html")):
        body = (folder / name).read_bytes()
        s3.put_object(Bucket=bucket, Key=PREFIX + name, Body=body, ContentType=content_type(name), CacheControl="no-cache")
    gone = sorted(set(before) - set(now))
    for name in gone:
        s3.delete_object(Bucket=bucket, Key=PREFIX + name)
    if changed or gone:
        s3.put_object(Bucket=bucket, Key=CONTENTS, Body=json.dumps(now).encode(), ContentType="application/json")
    return len(changed), len(gone)


def lake(stack):
    outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return next(output["OutputValue"] for output in outputs if output["OutputKey"] == "LakeBucket")


def main():
    if len(sys.argv) != 2:
        sys.exit("docs-publish: name the stack, such as sluice-dev")
    if not (SITE / "index.html").exists():
        sys.exit("docs-publish: there is no site in target/docs; run `make docs`")
    bucket = lake(sys.argv[1])
    uploaded, removed = publish(boto3.client("s3"), bucket, SITE)
    print(f"docs-publish: {uploaded} files uploaded and {removed} removed; s3://{bucket}/{PREFIX}index.html")


if __name__ == "__main__":
    main()
