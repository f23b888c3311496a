"""Names of Claude models on Amazon Bedrock: routes, regions, profiles and ARNs around an id, pure.

An id is whatever follows the last `anthropic.`, so that a new geography or route needs no change.
https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html and
https://docs.litellm.ai/docs/providers/bedrock
"""

import re
from typing import Final

from count_tokens_mw.errors import CannotCount

__all__ = ["geography_of", "is_on_mantle", "model_id_of", "region_in"]

_ANCHOR: Final = "anthropic."
_LONGEST_NAME: Final = 2048  # the longest ARN that AWS allows
_LABEL: Final = r"[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}"
_REGION: Final = re.compile(rf"(?:^|/)({_LABEL})/|:bedrock:({_LABEL}):").search
_ARN: Final = re.compile(r"(?:^|/)arn:[^:]*:[^:]*:[^:]*:[^:]*:([^/]*)/").search
_ARNS_WITH_ID: Final = {"foundation-model", "inference-profile"}
# A version in Vertex AI's notation, a context such as `[1m]`, and one of provisioned throughput.
_SUFFIX: Final = re.compile(r"(?:@[^@/]*|\[\w{1,16}\]|:\d{1,6}k)+\Z", re.IGNORECASE)
_GEOGRAPHY: Final = re.compile(r"(?:^|/)([a-z]{2,8}(?:-[a-z]+)?)\.\Z").search
_MANTLE: Final = re.compile(r"(?:^|/)mantle/|^bedrock_mantle/").search
_ID: Final = re.compile(r"anthropic\.[A-Za-z0-9._:-]{1,246}").fullmatch


def region_in(name: str) -> str | None:
    """Return the region of an ARN, or of LiteLLM's `bedrock/{region}/{model}`; else None."""
    region = _REGION(name[:_LONGEST_NAME])
    return (region[1] or region[2]) if region else None


def is_on_mantle(name: str) -> bool:
    """Return whether a name has LiteLLM's `bedrock_mantle/`, or `mantle/` among its routes."""
    return _MANTLE(name[:_LONGEST_NAME]) is not None


def geography_of(name: str) -> str | None:
    """Return the geography of a cross-region profile, such as `eu` or `us-gov`; else None."""
    geography = _GEOGRAPHY(name[:_LONGEST_NAME].rpartition(_ANCHOR)[0])
    return geography[1] if geography else None


def model_id_of(name: str, base_model: str | None = None) -> str:
    """Return the foundation model's id in a name, or in `base_model` for an ARN without one.

    A name without `anthropic.` is the id if it begins with `claude-`.

    Raises:
        CannotCount: the ARN does not name its model, or the model is not Anthropic's.
    """
    arn = _ARN(name[:_LONGEST_NAME])
    if arn and arn[1] not in _ARNS_WITH_ID:
        if not base_model:
            raise CannotCount(
                "bedrock: the ARN does not name its model; set model_info.base_model."
            )
        name = base_model
    anchor = name.rfind(_ANCHOR)
    id_ = name[anchor + len(_ANCHOR) :] if anchor >= 0 else name.rpartition("/")[2]
    is_claude = anchor >= 0 or id_.startswith("claude-")
    model = _ANCHOR + _SUFFIX.sub("", id_) if len(name) <= _LONGEST_NAME else ""
    if not is_claude or not _ID(model):
        raise CannotCount(
            f"bedrock can count tokens only for Anthropic's models, not {name[:200]}."
        )
    return model
