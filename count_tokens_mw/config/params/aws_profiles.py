"""The region of a profile in AWS's own configuration files, which botocore reads.

https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Final

__all__ = ["region_of_profile"]

_MOST_KEPT: Final = 256


def region_of_profile(profile: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the region of a profile, by default that of AWS_PROFILE or `default`, or None.

    `environ` names the files and the home directory. A file that cannot be read has no region.
    """
    chosen = environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or "default"
    config = _find(environ, "AWS_CONFIG_FILE", ".aws/config")
    credentials = _find(environ, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")
    # By their times too, or a reload would not see a change.
    versions = (_version_of(config), _version_of(credentials))
    return _read_region(profile or chosen, config, credentials, versions) if any(versions) else None


def _find(environ: Mapping[str, str], variable: str, default: str) -> str:
    home = environ.get("HOME") or environ.get("USERPROFILE") or ""
    path = Template(environ.get(variable, "")).safe_substitute(environ)
    if path and not path.startswith("~/"):
        return path
    return str(Path(home, path.removeprefix("~/") or default)) if home else ""


def _version_of(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat() if path else None
    except (OSError, ValueError):
        return None
    return found and (found.st_mtime_ns, found.st_size)


@lru_cache(_MOST_KEPT)
def _read_region(
    profile: str, config: str, credentials: str, versions: tuple[tuple[int, int] | None, ...]
) -> str | None:
    # Here, because few entries lack a region, and the import takes a third of a second.
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session(profile=profile)
    session.set_config_variable("config_file", config)
    session.set_config_variable("credentials_file", credentials)
    try:
        region = session.get_scoped_config().get("region")
    except (BotoCoreError, OSError):
        return None
    return region if isinstance(region, str) and region else None
