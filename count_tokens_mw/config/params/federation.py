"""The parameters of Anthropic's workload identity federation, by LiteLLM's names.

https://docs.litellm.ai/docs/providers/anthropic and
https://platform.claude.com/docs/en/manage-claude/workload-identity-federation
"""

from collections.abc import Mapping
from typing import Final, Self

from pydantic import model_validator

from count_tokens_mw.config.fields import Credential, PathSegment
from count_tokens_mw.config.params.base import Params, Raw
from count_tokens_mw.config.params.oidc import file_in, unsupported_problem, variable_in

__all__ = ["FederationParams"]

_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "anthropic_federation_rule_id": ("ANTHROPIC_FEDERATION_RULE_ID",),
    "anthropic_organization_id": ("ANTHROPIC_ORGANIZATION_ID",),
    "anthropic_service_account_id": ("ANTHROPIC_SERVICE_ACCOUNT_ID",),
    # LiteLLM has the first, and Anthropic's own SDK the second.
    "anthropic_federation_workspace_id": (
        "ANTHROPIC_FEDERATION_WORKSPACE_ID",
        "ANTHROPIC_WORKSPACE_ID",
    ),
    "anthropic_identity_token_file": ("ANTHROPIC_IDENTITY_TOKEN_FILE",),
    "anthropic_identity_token": ("ANTHROPIC_IDENTITY_TOKEN",),
}
_TOKENS: Final = ("anthropic_identity_token_file", "anthropic_identity_token")


class FederationParams(Params):
    """Parameters by which an identity token of a workload is exchanged for an access token.

    An entry that sets any of them takes the others from Anthropic's variables; no entry takes all.
    The identity token is in a file, which is read for each exchange, or else in the entry. LiteLLM
    writes either as `oidc/file/PATH` and `oidc/env/NAME` in `anthropic_identity_token`.
    """

    anthropic_federation_rule_id: PathSegment | None = None
    anthropic_organization_id: PathSegment | None = None
    anthropic_service_account_id: PathSegment | None = None
    anthropic_federation_workspace_id: PathSegment | None = None
    anthropic_identity_token: Credential | None = None
    anthropic_identity_token_file: str | None = None

    @property
    def federates(self) -> bool:
        """Whether requests carry an access token in exchange for an identity token."""
        return any(getattr(self, name) is not None for name in _VARIABLES)

    @classmethod
    def asks_for_federation(cls, raw: Raw) -> bool:
        """Return whether an entry sets any parameter of the federation."""
        return any(raw.get(name) is not None for name in _VARIABLES)

    @classmethod
    def federation_variables(cls, raw: Raw, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the fields that an entry with federation leaves to variables, with these."""
        if not cls.asks_for_federation(raw):
            return {}
        first = cls.first_set(_VARIABLES, raw, environ)
        if any(raw.get(name) for name in _TOKENS) or _TOKENS[0] in first:
            first = {name: first[name] for name in first if name != _TOKENS[1]}
        if raw.get(_TOKENS[1]):
            first.pop(_TOKENS[0], None)
        variable = variable_in(raw.get(_TOKENS[1]))
        return {**first, _TOKENS[1]: variable} if variable and environ.get(variable) else first

    @model_validator(mode="before")
    @classmethod
    def _move_file(cls, raw: Raw) -> Raw:
        """Move the path of `oidc/file/PATH` to its own field, and drop a token beside a file."""
        path = raw.get(_TOKENS[0]) or file_in(raw.get(_TOKENS[1]))
        if not path:
            return raw
        rest = {name: value for name, value in raw.items() if name not in _TOKENS}
        return {**rest, _TOKENS[0]: path}

    @model_validator(mode="after")
    def _require_all(self) -> Self:
        if not self.federates:
            return self
        token = self.anthropic_identity_token
        if token and (problem := unsupported_problem(token.get_secret_value())):
            raise ValueError(f"anthropic_identity_token: {problem}")
        for name in ("anthropic_federation_rule_id", "anthropic_organization_id"):
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing; set it or {_VARIABLES[name][0]}")
        if not any(getattr(self, name) for name in _TOKENS):
            raise ValueError(
                f"{_TOKENS[0]} is missing; set it, or ANTHROPIC_IDENTITY_TOKEN_FILE or "
                "ANTHROPIC_IDENTITY_TOKEN"
            )
        return self
