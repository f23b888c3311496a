"""The types of single configuration values, with the messages for invalid ones.

No message quotes a value, because it may be a secret.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

__all__ = [
    "CREDENTIAL_HEADERS",
    "Amount",
    "BaseUrl",
    "Credential",
    "CredentialHeaders",
    "Duration",
    "ExtraHeaders",
    "GoogleUrl",
    "HeaderName",
    "HeaderValue",
    "Location",
    "MessagesUrl",
    "PathSegment",
    "RedisUrl",
    "Seconds",
]

CREDENTIAL_HEADERS: Final = ("authorization", "x-api-key")
"""The headers that authenticate a caller at Anthropic."""

# The HTTP client sets these, because they describe the framing of the request.
_FRAMING: Final = {"connection", "content-encoding", "content-length", "transfer-encoding"}
_NO_URL: Final = "a URL is required, as in https://api.anthropic.com"
_NO_REDIS_URL: Final = (
    "not the URL of a Redis server; use redis://127.0.0.1:6379/0 or the like, rediss:// or unix://"
)
# redis-py would refuse other options only when it connects, or they would change its timeouts.
_REDIS_OPTIONS: Final = {
    "db": re.compile(r"\d{1,9}"),
    "username": re.compile(r".+"),
    "password": re.compile(r".+"),
    "ssl_ca_certs": re.compile(r".+"),
    "ssl_certfile": re.compile(r".+"),
    "ssl_keyfile": re.compile(r".+"),
    "ssl_cert_reqs": re.compile(r"none|optional|required"),
    "ssl_check_hostname": re.compile(r"true|false", re.IGNORECASE),
}
# An IPv6 address in brackets is validated by urlsplit.
_NETLOC: Final = re.compile(r"(?:[a-z0-9._-]+|\[[^\[\]]+\])(?::\d*)?", re.IGNORECASE).fullmatch
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_LONGEST_VALUE: Final = 1024
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+").fullmatch
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*").fullmatch


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is required")
    return value


def _check_credential(credential: SecretStr) -> SecretStr:
    stripped = credential.get_secret_value().strip()  # a file often ends in a line break
    if not _VISIBLE(stripped):
        raise ValueError("empty, or not visible ASCII; remove spaces and line breaks")
    return SecretStr(stripped)


def _normalize_url(url: str) -> str:
    """Return scheme, host and path, without a trailing slash."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # its message quotes the URL
        raise ValueError(_NO_URL) from None
    if not usable or not _VISIBLE(url):
        raise ValueError(_NO_URL)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("the URL has more than scheme, host and path; remove the rest")
    if not _NETLOC(parts.netloc):  # HTTP clients differ on the host of such a URL
        raise ValueError(_NO_URL)
    # In lower case, because the signature of a request to AWS covers the host in lower case.
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _check_redis_url(url: SecretStr) -> SecretStr:
    """Return a URL that redis-py accepts.

    https://redis.readthedocs.io/en/stable/connections.html#redis.asyncio.client.Redis.from_url
    """
    try:
        parts = urlsplit(url.get_secret_value())
        options = parse_qsl(parts.query, keep_blank_values=True)
        is_file = parts.scheme == "unix" and parts.path
        has_host = parts.hostname and parts.port != 0 and re.fullmatch(r"/?|/\d{1,9}", parts.path)
    except ValueError:  # its message quotes the URL
        raise ValueError(_NO_REDIS_URL) from None
    is_usable = is_file or (parts.scheme in {"redis", "rediss"} and has_host)
    if not is_usable or parts.fragment or not _VISIBLE(url.get_secret_value()):
        raise ValueError(_NO_REDIS_URL)
    for name, value in options:
        is_misplaced = name.startswith("ssl_") and parts.scheme != "rediss"
        allowed = _REDIS_OPTIONS.get(name)
        if allowed is None or is_misplaced or not allowed.fullmatch(value):
            known = ", ".join(_REDIS_OPTIONS)
            raise ValueError(f"the URL has an unsupported option or value; use only {known}")
    if find_spec("redis") is None:
        raise ValueError("redis-py is not installed; run pip install 'count-tokens-mw[redis]'")
    return url


def _check_segment(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]*", value):
        raise ValueError("invalid characters; use letters, digits and . _ : -")
    return value


def _check_location(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,46}[A-Za-z0-9])?", value):
        raise ValueError("invalid characters; use letters, digits and -")
    return value


def _check_header_name(name: str) -> str:
    if not _HEADER_NAME(name):
        raise ValueError("not a header name; use letters, digits and hyphens")
    return name.lower()


def _check_header_value(value: str) -> str:
    if not _VISIBLE(value) or len(value) > _LONGEST_VALUE:
        raise ValueError("invalid characters, or too long; use visible ASCII")
    return value


def _check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME(name) or not _PRINTABLE(value):
            raise ValueError("a header has invalid characters; use printable ASCII")
        if name.lower() in _FRAMING:
            raise ValueError(f"{name} is set by the HTTP client; remove it")
    return {name.lower(): value for name, value in headers.items()}


def _parse_forwarding(value: object) -> object:
    """Return one or several header names as a lower-case tuple; null and false yield none."""
    if value is None or value is False:
        return ()
    names = value if isinstance(value, list | tuple) else [value]
    lowered = [name.lower() if isinstance(name, str) else name for name in names]
    if not all(name in CREDENTIAL_HEADERS for name in lowered):
        raise ValueError(
            "not a header in which callers may send their own credential for Anthropic; use "
            "authorization, x-api-key, or a list of both, without the header of the gateway's keys"
        )
    return tuple(dict.fromkeys(lowered))


def _strip_path(pattern: str) -> AfterValidator:
    """Return a validator that removes the endpoint's path from the end of a base URL."""
    return AfterValidator(lambda url: re.sub(f"{pattern}$", "", url))


Duration: TypeAlias = Annotated[
    float, BeforeValidator(_refuse_bool), Field(ge=0, allow_inf_nan=False)
]
Seconds: TypeAlias = Annotated[
    float, BeforeValidator(_refuse_bool), Field(gt=0, allow_inf_nan=False)
]
Amount: TypeAlias = Annotated[int, BeforeValidator(_refuse_bool), Field(gt=0)]
Credential: TypeAlias = Annotated[SecretStr, AfterValidator(_check_credential)]
CredentialHeaders: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_parse_forwarding)]
BaseUrl: TypeAlias = Annotated[str, AfterValidator(_normalize_url)]
MessagesUrl: TypeAlias = Annotated[
    BaseUrl, _strip_path(r"(?<![/:])/v1(/messages(/count_tokens)?)?")
]
GoogleUrl: TypeAlias = Annotated[BaseUrl, _strip_path(r"(?<![/:])/(v1|v1beta|v1beta1)(/.*)?")]
RedisUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_check_redis_url)]
PathSegment: TypeAlias = Annotated[str, AfterValidator(_check_segment)]
# A location is part of a host's name. It is one label, so that no other domain can follow.
Location: TypeAlias = Annotated[str, AfterValidator(_check_location)]
HeaderName: TypeAlias = Annotated[str, AfterValidator(_check_header_name)]
HeaderValue: TypeAlias = Annotated[str, AfterValidator(_check_header_value)]
ExtraHeaders: TypeAlias = Annotated[Mapping[str, str], AfterValidator(_check_headers)]
