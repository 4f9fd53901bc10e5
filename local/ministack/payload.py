"""S3 refuses a body whose SHA-256 is not the one that the request has signed; ministack takes it."""

import hashlib

from ministack.services import s3

_UNSIGNED = ("UNSIGNED-PAYLOAD", "STREAMING-")


def _checked(handle):
    async def handling(method, path, headers, body, *rest, **more):
        signed = headers.get("x-amz-content-sha256", "")
        if signed and not signed.startswith(_UNSIGNED) and hashlib.sha256(body or b"").hexdigest() != signed:
            text = "The provided 'x-amz-content-sha256' header does not match what was computed."
            return s3._error("XAmzContentSHA256Mismatch", text, 400, path)
        return await handle(method, path, headers, body, *rest, **more)

    return handling


def install():
    s3.handle_request = _checked(s3.handle_request)
