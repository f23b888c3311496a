"""The types of single configuration values: what each may be, and what is said of one that may not.

None of the messages quotes a value, since any of them may be a secret.
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
    "MessagesUrl",
    "PathSegment",
    "RedisUrl",
    "Seconds",
]

CREDENTIAL_HEADERS: Final = ("authorization", "x-api-key")
"""The headers that say as whom Anthropic is asked."""

# Ours to set: each of them describes how the request is framed.
_FRAMING: Final = {"connection", "content-encoding", "content-length", "transfer-encoding"}
_NO_URL: Final = "a URL is required, as in https://api.anthropic.com"
_NO_REDIS_URL: Final = (
    "it is not the URL of a Redis, as in redis://127.0.0.1:6379/0, rediss:// or unix://"
)
# Others redis-py would refuse only when it connects, or they would change how long it waits.
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
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+").fullmatch
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*").fullmatch


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is required")
    return value


def _usable_credential(credential: SecretStr) -> SecretStr:
    if not _VISIBLE(credential.get_secret_value()):
        raise ValueError("it is empty, or has a space, a line break or another unusable character")
    return credential


def _base_url(url: str) -> str:
    """Scheme, host and path, without a slash at the end."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # its text quotes the URL
        raise ValueError(_NO_URL) from None
    if not usable or not _VISIBLE(url):
        raise ValueError(_NO_URL)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("the URL may have a host and a path, and nothing more")
    # In lower case, as it is signed.
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _redis_url(url: SecretStr) -> SecretStr:
    """https://redis.readthedocs.io/en/stable/connections.html#redis.asyncio.client.Redis.from_url"""
    try:
        parts = urlsplit(url.get_secret_value())
        options = parse_qsl(parts.query, keep_blank_values=True)
        is_file = parts.scheme == "unix" and parts.path
        has_host = parts.hostname and parts.port != 0 and re.fullmatch(r"/?|/\d{1,9}", parts.path)
    except ValueError:  # its text quotes the URL
        raise ValueError(_NO_REDIS_URL) from None
    is_usable = is_file or (parts.scheme in {"redis", "rediss"} and has_host)
    if not is_usable or parts.fragment or not _VISIBLE(url.get_secret_value()):
        raise ValueError(_NO_REDIS_URL)
    for name, value in options:
        is_out_of_place = name.startswith("ssl_") and parts.scheme != "rediss"
        allowed = _REDIS_OPTIONS.get(name)
        if allowed is None or is_out_of_place or not allowed.fullmatch(value):
            known = ", ".join(_REDIS_OPTIONS)
            raise ValueError(f"the URL has an option that it may not have; there are {known}")
    if find_spec("redis") is None:
        raise ValueError("redis-py is required: pip install 'count-tokens-mw[redis]'")
    return url


def _path_segment(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]*", value):
        raise ValueError("it has characters that it may not have")
    return value


def _header_name(name: str) -> str:
    if not _HEADER_NAME(name):
        raise ValueError("it is not the name of a header")
    return name.lower()


def _extra_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME(name) or not _PRINTABLE(value):
            raise ValueError("a header has characters that it may not have")
        if name.lower() in _FRAMING:
            raise ValueError(f"{name} cannot be set")
    return {name.lower(): value for name, value in headers.items()}


def _credential_headers(value: object) -> object:
    """Return one name or several as a tuple in lower case; nothing, or false, is none."""
    if value is None or value is False:
        return ()
    names = value if isinstance(value, list | tuple) else [value]
    lowered = [name.lower() if isinstance(name, str) else name for name in names]
    if not all(name in CREDENTIAL_HEADERS for name in lowered):
        raise ValueError(
            "the header in which callers send their own credential for Anthropic is required: "
            "authorization, x-api-key, or a list of both; the header of the gateway's own keys has "
            "to stay out of it"
        )
    return tuple(dict.fromkeys(lowered))


def _without(pattern: str) -> AfterValidator:
    """Takes from a base URL what of the endpoint was written too."""
    return AfterValidator(lambda url: re.sub(f"{pattern}$", "", url))


Duration: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]
Seconds: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
Amount: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Field(gt=0)]
Credential: TypeAlias = Annotated[SecretStr, AfterValidator(_usable_credential)]
CredentialHeaders: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_credential_headers)]
BaseUrl: TypeAlias = Annotated[str, AfterValidator(_base_url)]
MessagesUrl: TypeAlias = Annotated[BaseUrl, _without(r"(?<![/:])/v1(/messages(/count_tokens)?)?")]
GoogleUrl: TypeAlias = Annotated[BaseUrl, _without(r"(?<![/:])/(v1|v1beta|v1beta1)(/.*)?")]
RedisUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_redis_url)]
PathSegment: TypeAlias = Annotated[str, AfterValidator(_path_segment)]
HeaderName: TypeAlias = Annotated[str, AfterValidator(_header_name)]
ExtraHeaders: TypeAlias = Annotated[Mapping[str, str], AfterValidator(_extra_headers)]
