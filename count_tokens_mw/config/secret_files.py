"""Files with a token or a key, which somebody else replaces at any time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["KeyFile", "read_secret_file"]

_MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file at a path, whose key may be rotated while its identity stays.

    Files with equal paths and identities are equal. `identity` is all that no rotation changes, as
    text; it has secrets if the content has no key of its own.
    """

    path: str
    identity: str = field(repr=False)
    content: Mapping[str, Any] = field(repr=False, compare=False)


def read_secret_file(path: str) -> str:
    """Return the text of a small file, without the white space around it.

    The read blocks, possibly forever on a broken file system, so it belongs into a thread.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is too large to be a token or a key, or it is no text.
    """
    with Path(path).open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    return data.decode().strip()
