"""Endpoints of Amazon Bedrock by region, pure.

https://docs.aws.amazon.com/general/latest/gr/bedrock.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator

from count_tokens_mw.config.fields import BaseUrl
from count_tokens_mw.config.params.bedrock_names import geography_of

__all__ = ["MantleUrl", "mantle_endpoint", "mantle_region", "region_of_mantle", "runtime_endpoint"]

GEOGRAPHY: Final = "geography"
"""The value of `bedrock_mantle_region` that asks the region of a model's geography."""

# The domains of AWS's partitions other than amazonaws.com, by prefix of the region.
_AWS_DOMAINS: Final = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
# The regions that LiteLLM 1.110 asks for a model's geography.
_REGIONS: Final = {
    "au": "ap-southeast-4",
    "eu": "eu-west-1",
    "jp": "ap-northeast-1",
    "us": "us-east-1",
    "us-gov": "us-gov-west-1",
}
# AWS's own host, or a VPC endpoint's.
_MANTLE: Final = re.compile(
    r"https://(?:[a-z0-9.-]+\.)?bedrock-mantle\.([a-z0-9-]+)\.(?:api\.aws|vpce\.amazonaws\.com)(?:[:/]|\Z)"
).match
_API: Final = re.compile(r"(?<![/:])(?:/openai)?/v1(?:/messages(?:/count_tokens)?)?\Z")
_PATH: Final = "/anthropic"


def _set_path(url: str) -> str:
    """Return a URL without the path of an API, which is below `/anthropic` by default."""
    base = _API.sub("", url)
    return base if urlsplit(base).path else base + _PATH


MantleUrl: TypeAlias = Annotated[BaseUrl, AfterValidator(_set_path)]


def runtime_endpoint(region: str) -> str:
    """Return the default base URL of the runtime in a region."""
    domains = (domain for start, domain in _AWS_DOMAINS.items() if region.startswith(start))
    return f"https://bedrock-runtime.{region}.{next(domains, 'amazonaws.com')}"


def mantle_endpoint(region: str) -> str:
    """Return the default base URL of mantle's Messages API in a region."""
    return f"https://bedrock-mantle.{region}.api.aws{_PATH}"


def mantle_region(configured: str | None, names: Iterable[str | None], region: str) -> str:
    """Return the region of mantle for a model of a deployment in `region`.

    `configured` is `bedrock_mantle_region`. By `geography` it is LiteLLM's region for the first
    cross-region profile in the model's names; a model without one, or with another, stays in the
    deployment's region.
    """
    if configured != GEOGRAPHY:
        return configured or region
    geographies = filter(None, (geography_of(name or "") for name in names))
    return _REGIONS.get(next(geographies, ""), region)


def region_of_mantle(url: str) -> str | None:
    """Return the region in the host of mantle, or None for a host without one."""
    host = _MANTLE(url)
    return host[1] if host else None
