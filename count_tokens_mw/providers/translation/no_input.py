"""Fields of Anthropic's format that are not translated, by the reason.

A field that is no input is left out without being named. A refused one is an error unless empty.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Raw

from count_tokens_mw.providers.claude.fields import NOT_INPUT

__all__ = [
    "ABSENT",
    "NO_INPUT_OF_REQUEST",
    "Answer",
    "CacheMark",
    "Citations",
    "Constant",
    "Limit",
    "Loading",
    "Origin",
    "Refused",
    "Scaling",
    "State",
]

NO_INPUT_OF_REQUEST: Final = NOT_INPUT | {
    *("betas", "billing_policy", "cache_control", "compaction", "context_management"),
    *("model", "speed", "thinking"),
}
"""Top-level fields that are no input. Another model gets the whole context, whatever manages
Claude's, and Anthropic's counter ignores `compaction` too."""

CacheMark: TypeAlias = Annotated[Raw, Meta(description="no input: a mark of what to cache")]
Citations: TypeAlias = Annotated[
    Raw, Meta(description="no input: a switch, or cited text, which Anthropic does not count")
]
State: TypeAlias = Annotated[
    Raw, Meta(description="no input: state of Anthropic's, which nobody else can read")
]
Origin: TypeAlias = Annotated[Raw, Meta(description="no input: a tool is known by its name")]
Loading: TypeAlias = Annotated[Raw, Meta(description="no input: every tool is sent at once")]
Answer: TypeAlias = Annotated[Raw, Meta(description="no input: a rule of the answer")]
Limit: TypeAlias = Annotated[Raw, Meta(description="no input: a limit of the provider's tool")]
Scaling: TypeAlias = Annotated[Raw, Meta(description="no input: the provider scales images itself")]
Refused: TypeAlias = Annotated[Raw, Meta(description="refused: no counterpart")]
Constant: TypeAlias = Annotated[Raw, Meta(description="no input: the type implies it")]
ABSENT: Final = Raw()
