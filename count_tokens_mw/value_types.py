"""The types of single configuration values: what each may be, and what is said of one that may not.

None of the messages quotes a value, since any of them may be a secret.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

__all__ = [
    "Amount",
    "BaseUrl",
    "Credential",
    "Duration",
    "ExtraHeaders",
    "GoogleUrl",
    "HeaderName",
    "MessagesUrl",
    "PathSegment",
    "Seconds",
]

# Ours to set: each of them describes how the request is framed.
_FRAMING: Final = {"connection", "content-encoding", "content-length", "transfer-encoding"}
_NO_URL: Final = "a URL is required, as in https://api.anthropic.com"
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
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


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


def _without(pattern: str) -> AfterValidator:
    """Takes from a base URL what of the endpoint was written too."""
    return AfterValidator(lambda url: re.sub(f"{pattern}$", "", url))


Duration: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]
Seconds: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
Amount: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Field(gt=0)]
Credential: TypeAlias = Annotated[SecretStr, AfterValidator(_usable_credential)]
BaseUrl: TypeAlias = Annotated[str, AfterValidator(_base_url)]
MessagesUrl: TypeAlias = Annotated[BaseUrl, _without(r"(?<![/:])/v1(/messages(/count_tokens)?)?")]
GoogleUrl: TypeAlias = Annotated[BaseUrl, _without(r"(?<![/:])/(v1|v1beta|v1beta1)(/.*)?")]
PathSegment: TypeAlias = Annotated[str, AfterValidator(_path_segment)]
HeaderName: TypeAlias = Annotated[str, AfterValidator(_header_name)]
ExtraHeaders: TypeAlias = Annotated[Mapping[str, str], AfterValidator(_extra_headers)]
