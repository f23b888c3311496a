"""The models of the emulated Amazon Bedrock: lists of its own, as public reports have them.

https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
"""

import re
from typing import Final

from demo_app.emulators.answers import Refused

__all__ = ["MANTLE_REGIONS", "check_on_mantle", "check_on_runtime"]


def _ids(*names: str) -> frozenset[str]:
    return frozenset(f"anthropic.claude-{name}" for name in names)


_COUNTED: Final = _ids(
    "3-5-haiku-20241022-v1:0",
    "3-5-sonnet-20240620-v1:0",
    "3-5-sonnet-20241022-v2:0",
    "3-7-sonnet-20250219-v1:0",
    "haiku-4-5-20251001-v1:0",
    "opus-4-1-20250805-v1:0",
    "opus-4-20250514-v1:0",
    "opus-4-5-20251101-v1:0",
    "opus-4-6-v1",
    "sonnet-4-20250514-v1:0",
    "sonnet-4-5-20250929-v1:0",
    "sonnet-4-6",
)
# The runtime creates messages with them, and does not count for them; mantle does both.
_NEW: Final = _ids(
    "fable-5",
    "fable-5-1",
    "haiku-5-5",
    "mythos-5-1",
    "opus-4-7",
    "opus-4-8",
    "opus-5",
    "opus-5-5",
    "sonnet-5",
    "sonnet-5-5",
)
_NOT_COUNTED: Final = _NEW | _ids("3-haiku-20240307-v1:0")
_PROFILE: Final = re.compile(r"[a-z]{2,6}(?:-[a-z]+)?\.(anthropic\..+)|arn:aws[a-z-]*:bedrock:.+")
# Mantle's ids have neither a version nor a date.
_ON_MANTLE: Final = _NEW | _ids("haiku-4-5", "mythos-preview")
_IN_GOVCLOUD: Final = _ids("haiku-5-5", "opus-5-5", "sonnet-5-5")
_IN_ONE_REGION: Final = _ids("mythos-5-1", "mythos-preview")

_REGIONS: Final = {
    **dict.fromkeys(
        (
            *("ap-northeast-1", "ap-south-1", "ap-southeast-3", "ap-southeast-4"),
            *("eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2"),
            *("sa-east-1", "us-east-2", "us-west-2"),
        ),
        _ON_MANTLE - _IN_ONE_REGION,
    ),
    "us-east-1": _ON_MANTLE,
    "us-gov-west-1": _IN_GOVCLOUD,
}
MANTLE_REGIONS: Final = frozenset(_REGIONS)
"""The regions in which mantle's host name exists."""


def check_on_runtime(model: str) -> None:
    """Check that CountTokens counts for a model, which has to be a base model.

    Raises:
        Refused: with a 400, for a profile or a model that is not counted, and for an unknown id.
    """
    profile = _PROFILE.fullmatch(model)
    known = _COUNTED | _NOT_COUNTED
    if model in _NOT_COUNTED or (profile and (profile[1] is None or profile[1] in known)):
        raise Refused(400, "The provided model doesn't support counting tokens.")
    if model not in _COUNTED:
        raise Refused(400, "The provided model identifier is invalid.")


def check_on_mantle(model: str, region: str) -> None:
    """Check that mantle has a model in a region.

    Raises:
        Refused: with a 404, for an id that mantle does not have there, and with a 400 for a model
            of another vendor.
    """
    if "anthropic." not in model:
        message = f"The model '{model}' does not support the '/anthropic/v1/messages' API"
        raise Refused(400, message)
    if model not in _REGIONS.get(region, ()):
        raise Refused(404, f"The model '{model}' does not exist or you do not have access to it.")
