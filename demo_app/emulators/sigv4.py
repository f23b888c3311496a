"""A check of AWS Signature Version 4, which computes the signature again as AWS does.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, NoReturn

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.requests import Request

from demo_app.emulators.answers import Refused

__all__ = ["EMULATED_SESSION_TOKEN", "check_signature"]

EMULATED_SESSION_TOKEN: Final = "emulated-session-token"  # noqa: S105 - opens nothing

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/(?P<day>[0-9]{8})/(?P<region>[^/,]+)"
    r"/(?P<service>[^/,]+)/aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;-]+)"
    r", ?Signature=(?P<signature>[0-9a-f]{64})"
).fullmatch
_STAMP: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z").fullmatch
_SKEW: Final = timedelta(minutes=15)
_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details."
)


def check_signature(
    request: Request, body: bytes, *, key: str, secret: str, region: str, service: str
) -> None:
    """Check that a request was signed with these keys, for this service, just now.

    A session token, as a role's keys come with, has to be `EMULATED_SESSION_TOKEN`.

    Raises:
        Refused: with a 403 and the name of AWS's exception.
    """
    parts = _AUTHORIZATION(request.headers.get("authorization", ""))
    if parts is None:
        _refuse("Authorization header requires a credential scope.", "IncompleteSignatureException")
    token = request.headers.get("x-amz-security-token", EMULATED_SESSION_TOKEN)
    if parts["key"] != key or token != EMULATED_SESSION_TOKEN:
        _refuse(
            "The security token included in the request is invalid.", "UnrecognizedClientException"
        )
    if parts["region"] != region:
        _refuse(f"Credential should be scoped to a valid region, not '{parts['region']}'.")
    if parts["service"] != service:
        _refuse(f"Credential should be scoped to correct service: '{service}'.")
    stamp = _check_stamp(request.headers.get("x-amz-date", ""), parts["day"])
    signed = _check_headers(request, body, parts["headers"].split(";"))
    expected = _compute_signature(
        request, body, signed, stamp, SigV4Auth(Credentials(key, secret), service, region)
    )
    if not hmac.compare_digest(expected, parts["signature"]):
        _refuse(_MISMATCH)


def _refuse(message: str, kind: str = "InvalidSignatureException") -> NoReturn:
    raise Refused(403, message, kind)


def _check_stamp(stamp: str, day: str) -> str:
    try:
        if not _STAMP(stamp):
            raise ValueError(stamp)
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        _refuse("Date must be in ISO-8601 'basic format'.", "IncompleteSignatureException")
    if not stamp.startswith(day):
        _refuse("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date.")
    now = datetime.now(UTC)
    if signed_at < now - _SKEW:
        _refuse(f"Signature expired: {stamp} is now earlier than {now - _SKEW:%Y%m%dT%H%M%SZ}")
    if signed_at > now + _SKEW:
        _refuse(f"Signature not yet current: {stamp} is still later than {now:%Y%m%dT%H%M%SZ}")
    return stamp


def _check_headers(request: Request, body: bytes, signed: list[str]) -> list[str]:
    """Check that `host` and all of AWS's headers are signed and present; return the signed ones."""
    necessary = {"host", *(name for name in request.headers if name.startswith("x-amz-"))}
    if necessary - set(signed) or set(signed) - set(request.headers):
        _refuse(_MISMATCH)
    digest = request.headers.get("x-amz-content-sha256")
    if digest is not None and digest != sha256(body).hexdigest():
        _refuse("The provided 'x-amz-content-sha256' header does not match what was computed.")
    return signed


def _compute_signature(
    request: Request, body: bytes, signed: list[str], stamp: str, auth: SigV4Auth
) -> str:
    # The raw path, because a signed path has `%3A` where Starlette's has a colon.
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"]
    url = f"http://emulated{path}?{query.decode('latin-1')}"
    unsigned = AWSRequest(method=request.method, url=url, data=body)
    for name in signed:
        for value in request.headers.getlist(name):
            unsigned.headers.add_header(name, value)
    unsigned.context["timestamp"] = stamp
    text = auth.string_to_sign(unsigned, auth.canonical_request(unsigned))
    return str(auth.signature(text, unsigned))
