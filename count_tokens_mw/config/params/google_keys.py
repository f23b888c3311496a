"""The key files of Google: the identity of one, and those that a tenant's row may have.

https://google.aip.dev/auth/4112 and https://google.aip.dev/auth/4113
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from count_tokens_mw.config.secret_files import KeyFile, read_secret_file

__all__ = ["key_problem", "read_key_file"]

_PLACE: Final = "vertex_credentials"
_COMMON: Final = frozenset({"quota_project_id", "token_uri", "type", "universe_domain"})
_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "authorized_user": _COMMON | {"account", "client_id", "client_secret", "refresh_token"},
    "service_account": _COMMON
    | {
        "auth_provider_x509_cert_url",
        "auth_uri",
        "client_email",
        "client_id",
        "client_x509_cert_url",
        "private_key",
        "private_key_id",
        "project_id",
    },
}
_URLS: Final = frozenset(
    {"auth_provider_x509_cert_url", "auth_uri", "client_x509_cert_url", "token_uri"}
)
_AT_GOOGLE: Final = re.compile(
    r"https://(?:accounts\.google\.com|oauth2\.googleapis\.com|www\.googleapis\.com)/[\w./%@+-]*",
    re.ASCII,
).fullmatch
# The members of a service account's key that a rotation changes; those of other types are kept.
_ROTATED: Final[Mapping[object, frozenset[str]]] = {
    "service_account": frozenset({"client_x509_cert_url", "private_key", "private_key_id"})
}
_PROJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*").fullmatch


def read_key_file(path: str) -> KeyFile:
    """Read a key file, in a thread unless a configuration is being read.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file has no JSON object.
    """
    content = json.loads(read_secret_file(path))
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    rotated = _ROTATED.get(content.get("type"), frozenset())
    identity = {name: value for name, value in content.items() if name not in rotated}
    return KeyFile(path, json.dumps(identity, sort_keys=True), content)


def key_problem(key: Mapping[str, object]) -> str | None:
    """Return why a tenant's row must not have this key file, or None. No value is quoted."""
    kind = key.get("type")
    members = _MEMBERS.get(kind) if isinstance(kind, str) else None
    if members is None:
        return f"{_PLACE}.type: only {' and '.join(_MEMBERS)} are allowed in a tenant's row"
    for name, value in key.items():
        if name not in members:
            return f"{_PLACE}.{name[:40]!r}: not allowed in a tenant's row; remove it"
        if not isinstance(value, str):
            return f"{_PLACE}.{name}: a string is required"
        if name in _URLS and not _AT_GOOGLE(value):
            return f"{_PLACE}.{name}: only Google's own hosts are allowed in a tenant's row"
        if name == "universe_domain" and value != "googleapis.com":
            return f"{_PLACE}.{name}: only googleapis.com is allowed in a tenant's row"
        if name in {"project_id", "quota_project_id"} and not _PROJECT(value):
            return f"{_PLACE}.{name}: invalid characters; use letters, digits and . _ : -"
    return None
