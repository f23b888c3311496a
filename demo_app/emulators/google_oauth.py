"""A token endpoint for one service account, whose key it generates.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

import base64
import secrets
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from demo_app.emulators.answers import Refused, object_of

__all__ = ["TokenEndpoint"]

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
# google-auth writes this audience into every assertion, whatever the key file's token_uri is.
_AUDIENCE: Final = "https://oauth2.googleapis.com/token"
_EMAIL: Final = "counter@emulated-project.iam.gserviceaccount.com"
_HOUR: Final = 3600
_SKEW: Final = 60
_TIMES: Final = "Token must be a short-lived token (60 minutes) and in a reasonable timeframe."


class TokenEndpoint:
    """An issuer of access tokens for assertions that the service account has signed.

    Args:
        lifetime: the seconds for which a token is valid.
    """

    def __init__(self, lifetime: int) -> None:
        self.issued = 0
        self._lifetime = lifetime
        self._key = _private_key()
        self._key_id = secrets.token_hex(20)
        self._ends: dict[str, float] = {}

    def service_account(self, token_uri: str) -> dict[str, str]:
        """Return the key file, as Google Cloud's console issues it."""
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return {
            "type": "service_account",
            "project_id": "emulated-project",
            "private_key_id": self._key_id,
            "private_key": key.decode(),
            "client_email": _EMAIL,
            "client_id": "100000000000000000000",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }

    def revoke_all(self) -> None:
        """Revoke every token issued so far."""
        self._ends.clear()

    def is_valid(self, token: str) -> bool:
        """Return whether a token was issued here, and is neither expired nor revoked."""
        return time.monotonic() < self._ends.get(token, 0)

    def issue(self, form: bytes, url: str) -> dict[str, Any]:
        """Answer a form posted to this endpoint; the audience is the endpoint's URL or Google's.

        Raises:
            Refused: with a 400, whose kind is OAuth's error.
        """
        fields = parse_qs(form.decode(errors="replace"))
        (grant,), (assertion,) = (
            fields.get(name, [""])[:1] for name in ("grant_type", "assertion")
        )
        if grant != _GRANT:
            raise Refused(400, f"Invalid grant_type: {grant}", "unsupported_grant_type")
        if not assertion:
            raise Refused(400, "Missing required parameter: assertion", "invalid_request")
        self._check_claims(self._read_claims(assertion), url)
        token = f"ya29.emulated-{secrets.token_urlsafe(24)}"
        self._ends[token] = time.monotonic() + self._lifetime
        self.issued += 1
        return {"access_token": token, "expires_in": self._lifetime, "token_type": "Bearer"}

    def _read_claims(self, assertion: str) -> Mapping[str, Any]:
        signed, _, signature = assertion.rpartition(".")
        header, _, payload = signed.partition(".")
        try:
            head, claims = object_of(_decode(header)), object_of(_decode(payload))
            if head.get("alg") != "RS256" or head.get("kid", self._key_id) != self._key_id:
                raise InvalidSignature
            key = self._key.public_key()
            key.verify(_decode(signature), signed.encode(), padding.PKCS1v15(), SHA256())
        except (InvalidSignature, Refused, ValueError):
            raise _invalid_grant("Invalid JWT Signature.") from None
        return claims

    def _check_claims(self, claims: Mapping[str, Any], url: str) -> None:
        if claims.get("iss") != _EMAIL:
            raise _invalid_grant("Invalid grant: account not found")
        if claims.get("aud") not in (url, _AUDIENCE):
            raise _invalid_grant(f"Invalid JWT: Failed audience check. The right audience is {url}")
        now, begins, ends = time.time(), claims.get("iat"), claims.get("exp")
        if not isinstance(begins, int | float) or not isinstance(ends, int | float):
            raise _invalid_grant(f"Invalid JWT: {_TIMES}")
        if not (begins <= now + _SKEW and now < ends <= begins + _HOUR):
            raise _invalid_grant(f"Invalid JWT: {_TIMES} Check your iat and exp values.")
        scope = claims.get("scope")
        if not isinstance(scope, str) or _SCOPE not in scope.split():
            raise Refused(400, f"{_SCOPE} is not among the scopes.", "invalid_scope")


def _decode(piece: str) -> bytes:
    return base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4))


def _invalid_grant(message: str) -> Refused:
    return Refused(400, message, "invalid_grant")


@cache
def _private_key() -> rsa.RSAPrivateKey:
    """Generate a key once: it takes long, and one is enough for all accounts of a process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
