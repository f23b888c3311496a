"""The betas of a request, those that each cloud is known to refuse, and those that it did refuse.

Anthropic gets every beta as the caller sent it. A cloud refuses a whole request for one beta that
it does not know, so it gets all but those that are known to be refused there; an unknown one is
sent, and the upstream decides. https://docs.claude.com/en/api/beta-headers
"""

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cachetools import TTLCache

from count_tokens_mw.errors import InvalidRequest, UpstreamError
from count_tokens_mw.types import CountRequest, hash_names, unreadable

__all__ = ["BETAS", "BetaTable", "RefusedBetas", "Selection", "betas_of", "body_betas"]

_LEARNT_SECONDS: Final = 3600
_MOST_LEARNT: Final = 10_000
_MOST_LETTERS: Final = 256
_LONGEST_MESSAGE: Final = 20_000
_MOST_NAMES: Final = 64
_MOST_BYTES: Final = 64 * 1024
_NAME: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,256}").fullmatch  # visible, without a comma
# The whole message: a 400 that quotes a caller's text, such as the name of a field, has a colon.
_NAMED: Final = re.compile(
    r"Unexpected value\(s\) ((?:`[^`:]+`(?:, )?)+) for the `anthropic-beta` header(?:\.[^:]*)?"
).fullmatch
_UNNAMED: Final = re.compile(r"invalid beta flag\.?", re.IGNORECASE).fullmatch

_PROBED: Final = "probed by Envoy AI Gateway"
_NOT_PROBED: Final = "older than Envoy AI Gateway's probe, which found all others refused"
_LITELLM: Final = "LiteLLM 1.110, anthropic_beta_headers_config.json"
_COUNTER: Final = "Vertex AI's counter refuses it by name, github.com/BerriAI/litellm/issues/39597"


@dataclass(frozen=True, slots=True)
class BetaTable:
    """The betas that an upstream is known to take or to refuse, each with its source.

    `aliases` are names under which the upstream takes what another name asks for.
    """

    taken: Mapping[str, str]
    refused: Mapping[str, str]
    aliases: Mapping[str, str] = field(
        default_factory=lambda: {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
    )


def _each(source: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), source)


BETAS: Final[Mapping[str, BetaTable]] = {
    "runtime": BetaTable(
        taken=_each(
            _PROBED,
            """computer-use-2024-10-22 computer-use-2025-01-24 context-1m-2025-08-07
            context-management-2025-06-27 dev-full-thinking-2025-05-14
            fine-grained-tool-streaming-2025-05-14 interleaved-thinking-2025-05-14
            mcp-client-2025-04-04 mcp-client-2025-11-20 model-context-window-exceeded-2025-08-26
            output-128k-2025-02-19 pdfs-2024-09-25 search-results-2025-06-09
            token-counting-2024-11-01 token-efficient-tools-2025-02-19 tool-search-tool-2025-10-19
            web-search-2025-03-05""",
        ),
        refused={
            **_each(
                _LITELLM,
                """advisor-tool-2026-03-01 bash_20241022 bash_20250124 code-execution-2025-08-25
                fast-mode-2026-02-01 files-api-2025-04-14 mcp-servers-2025-12-04
                per-turn-control-2026-07-01 prompt-caching-scope-2026-01-05 skills-2025-10-02
                structured-output-2024-03-01 structured-outputs-2025-11-13 text_editor_20241022
                text_editor_20250124 web-fetch-2025-09-10""",
            ),
            **_each(
                _NOT_PROBED,
                """claude-code-20250219 code-execution-2025-05-22 computer-use-2025-11-24
                effort-2025-11-24 extended-cache-ttl-2025-04-11 message-batches-2024-09-24
                oauth-2025-04-20 prompt-caching-2024-07-31 structured-outputs-2025-12-15
                tool-examples-2025-10-29""",
            ),
        },
    ),
    "mantle": BetaTable(
        taken=_each(
            _LITELLM,
            """claude-code-20250219 compact-2026-01-12 computer-use-2025-01-24
            computer-use-2025-11-24 context-1m-2025-08-07 context-management-2025-06-27
            dangerous-tool-use-2026-09-03 effort-2025-11-24 fine-grained-tool-streaming-2025-05-14
            interleaved-thinking-2025-05-14 output-128k-2025-02-19 per-turn-control-2026-07-01
            structured-outputs-2025-11-13 thinking-binding-controls-2026-08-01
            thinking-display-updates-2026-08-18 token-efficient-tools-2025-02-19
            tool-examples-2025-10-29 tool-search-tool-2025-10-19 web-search-2025-03-05""",
        ),
        refused=_each(
            _LITELLM,
            """advisor-tool-2026-03-01 bash_20241022 bash_20250124 code-execution-2025-08-25
            fast-mode-2026-02-01 files-api-2025-04-14 mcp-client-2025-04-04 mcp-client-2025-11-20
            mcp-servers-2025-12-04 prompt-caching-scope-2026-01-05 skills-2025-10-02
            structured-output-2024-03-01 text_editor_20241022 text_editor_20250124
            web-fetch-2025-09-10""",
        ),
    ),
    # LiteLLM's columns `vertex_ai` and `vertex_ai_header_only`: a count sends betas as a header.
    "vertex": BetaTable(
        taken=_each(
            _LITELLM,
            """afk-mode-2026-01-31 ce-plugins-2026-09-01 ce-user-management-2026-07-13
            claude-code-20250219 compact-2026-01-12 compact-2026-09-04 computer-use-2025-01-24
            computer-use-2025-11-24 context-1m-2025-08-07 context-management-2025-06-27
            dangerous-tool-use-2026-09-03 dreaming-2026-04-21 effort-2025-11-24
            experimental-claude-tag-2026-10-21 extended-cache-ttl-2025-04-11
            fallback-credit-2026-06-01 fallback-credit-2026-07-01
            fine-grained-tool-streaming-2025-05-14 inline-tools-2026-09-15
            interleaved-thinking-2025-05-14 managed-agents-2026-04-01 mcp-tunnels-2026-06-22
            mid-conversation-output-config-2026-07-01 mid-conversation-system-clear-at-2026-08-21
            mid-conversation-tool-changes-2026-07-01 model-context-window-exceeded-2025-08-26
            oauth-2025-04-20 output-128k-2025-02-19 pdfs-2024-09-25 per-turn-control-2026-07-01
            prompt-caching-2024-07-31 prompt-caching-scope-2026-01-05 redact-thinking-2026-02-12
            server-side-fallback-2026-06-01 spend-limit-reads-2026-09-26
            structured-outputs-2025-11-13 structured-outputs-2025-12-15 task-budgets-2026-03-13
            telemetry-destinations-2026-08-11 thinking-binding-controls-2026-08-01
            thinking-display-updates-2026-08-18 thinking-token-count-2026-05-13
            token-counting-2024-11-01 token-efficient-tools-2025-02-19 tool-examples-2025-10-29
            user-profiles-2026-03-24 user-profiles-2026-08-18 user-profiles-2026-09-04""",
        ),
        refused={
            **_each(
                _LITELLM,
                """advisor-tool-2026-03-01 agent-memory-2026-07-22 analytics-usage-cost-2026-08-24
                bash_20241022 bash_20250124 cache-diagnosis-2026-04-07 code-execution-2025-05-22
                code-execution-2025-08-25 computer-use-2024-10-22 dev-full-thinking-2025-05-14
                fast-mode-2026-02-01 files-api-2025-04-14 mcp-client-2025-04-04
                mcp-client-2025-11-20 mcp-client-2026-09-15 mcp-servers-2025-12-04
                message-batches-2024-09-24 message-threads-2026-08-12 output-300k-2026-03-24
                server-side-fallback-2026-07-01 skills-2025-10-02 structured-output-2024-03-01
                text_editor_20241022 text_editor_20250124 web-fetch-2025-09-10
                webhooks-2026-10-07""",
            ),
            **_each(_COUNTER, "tool-search-tool-2025-10-19 web-search-2025-03-05"),
        },
    ),
}
"""The tables by upstream. Where sources differ, a probe of the counter itself wins."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The betas to send, and those left out, in the caller's order and under the caller's names."""

    sent: tuple[str, ...]
    omitted: tuple[str, ...]

    @property
    def places(self) -> list[str]:
        """The places of those left out."""
        return [f"anthropic-beta:{name}" for name in self.omitted]


def betas_of(request: CountRequest) -> list[str]:
    """Return the betas of the header, then of the body's `anthropic_beta`, each once.

    Raises:
        InvalidRequest: `anthropic_beta` is no list of names.
    """
    lines = [value for name, value in request.headers if name == "anthropic-beta"]
    header = [name.strip() for name in ",".join(lines).split(",")]
    return list(dict.fromkeys(filter(None, [*header, *body_betas(request)])))


def body_betas(request: CountRequest) -> list[str]:
    """Return the betas of the body's `anthropic_beta`.

    Raises:
        InvalidRequest: it is no list of names.
    """
    member = request.body.member("anthropic_beta")
    if member is None:
        return []
    if len(member) > _MOST_BYTES:
        raise InvalidRequest("anthropic_beta: a list of names is required.")
    try:
        names = member.value
    except ValueError as error:
        raise unreadable(error) from None
    if names is None:
        return []
    listed = (
        [name for name in names.split(",") if name.strip()] if isinstance(names, str) else names
    )
    if not isinstance(listed, list):
        raise InvalidRequest("anthropic_beta: a list of names is required.")
    stripped = [name.strip() if isinstance(name, str) else "" for name in listed]
    if len(stripped) > _MOST_NAMES or not all(map(_NAME, stripped)):
        raise InvalidRequest("anthropic_beta: a list of names is required.")
    return stripped


class RefusedBetas:
    """Betas that an upstream's answers refused, by endpoint and model, for an hour.

    Args:
        table: the known betas.
        clock: the monotonic time in seconds.
    """

    def __init__(self, table: BetaTable, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        # By the hash of the place, because under a wildcard callers choose the model's name.
        self._refused: TTLCache[tuple[bytes, str], bool] = TTLCache(
            _MOST_LEARNT, _LEARNT_SECONDS, timer=clock
        )

    def select(self, betas: Sequence[str], place: str) -> Selection:
        """Return which betas to send to a place, an endpoint and a model."""
        sent: dict[str, None] = {}
        omitted = []
        place_hash = hash_names(place) if betas else b""
        for beta in betas:
            name = self._table.aliases.get(beta, beta)
            if name in self._table.refused or (place_hash, name) in self._refused:
                omitted.append(beta)
            else:
                sent[name] = None
        return Selection(tuple(sent), tuple(omitted))

    def learn(self, error: UpstreamError, sent: Collection[str], place: str) -> bool:
        """Return whether an answer names betas that the call sent, or refuses unknown ones.

        An upstream that names none refuses those of the call that it is not known to take.
        """
        if error.status != 400 or len(error.message) > _LONGEST_MESSAGE:
            return False
        named = _NAMED(error.message)
        if named:
            refused = set(sent).intersection(re.findall("`([^`]+)`", named[1]))
        elif _UNNAMED(error.message):
            refused = set(sent).difference(self._table.taken)
        else:
            return False
        place_hash = hash_names(place)
        for name in refused:
            # Not renewed by a late answer to a call that was sent before.
            self._refused.setdefault((place_hash, name[:_MOST_LETTERS]), True)
        return bool(refused)
