"""The parameters of Entra ID, by LiteLLM's names.

https://docs.litellm.ai/docs/providers/azure and
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Final, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, model_validator

from count_tokens_mw.config.fields import BaseUrl, Credential, PathSegment
from count_tokens_mw.config.params.base import Params, Raw
from count_tokens_mw.config.params.oidc import OIDC, file_in

__all__ = ["EntraParams"]

_APPLICATION: Final[Mapping[str, tuple[str, ...]]] = {
    "tenant_id": ("AZURE_TENANT_ID",),
    "client_id": ("AZURE_CLIENT_ID",),
}
_PROOFS: Final[Mapping[str, tuple[str, ...]]] = {
    "client_secret": ("AZURE_CLIENT_SECRET",),
    "azure_federated_token_file": ("AZURE_FEDERATED_TOKEN_FILE",),
}
_SOURCES: Final = (*_PROOFS, "azure_managed_identity")
_TOKEN_NAMES: Final = ("auth_token", "azure_ad_token")
_MISSING_EXTRA: Final = "azure-identity is not installed; run pip install 'count-tokens-mw[azure]'"


def _add_scheme(host: object) -> object:
    """Return an authority with its scheme, which AZURE_AUTHORITY_HOST may leave out."""
    return f"https://{host}" if isinstance(host, str) and "://" not in host else host


def _check_authority(url: str) -> str:
    if not url.startswith("https://"):
        raise ValueError("Entra ID requires https://; use a URL that begins with it")
    return url


def _check_scope(scope: str) -> str:
    if not scope.isascii() or not scope.isprintable() or " " in scope or not scope:
        raise ValueError("one scope is required, as in https://ai.azure.com/.default")
    return scope


Authority: TypeAlias = Annotated[
    BaseUrl, BeforeValidator(_add_scheme), AfterValidator(_check_authority)
]
Scope: TypeAlias = Annotated[str, AfterValidator(_check_scope)]


class EntraParams(Params):
    """Parameters by which Entra ID issues an access token to the gateway.

    An application (`tenant_id`, `client_id`) proves itself by its `client_secret` or by the
    identity token in `azure_federated_token_file`, which is read for each token; LiteLLM writes the
    latter as `azure_ad_token: oidc/file/PATH`. `azure_managed_identity` is the identity of the
    machine, or the one of `client_id` that it has. Unset fields default to Azure's own variables.
    """

    tenant_id: PathSegment | None = None
    client_id: PathSegment | None = None
    client_secret: Credential | None = None
    azure_federated_token_file: str | None = None
    azure_managed_identity: bool = False
    azure_scope: Scope = "https://ai.azure.com/.default"
    azure_authority_host: Authority = "https://login.microsoftonline.com"

    @property
    def entra_source(self) -> str | None:
        """The parameter by which the gateway proves its identity to Entra ID, or None."""
        return next((name for name in _SOURCES if getattr(self, name)), None)

    @classmethod
    def asks_for_entra(cls, raw: Raw) -> bool:
        """Return whether an entry sets any parameter of an identity."""
        names = (*_APPLICATION, *_SOURCES)
        return any(raw.get(name) for name in names) or _reference_in(raw) is not None

    @classmethod
    def entra_variables(cls, raw: Raw, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the fields that an entry without another credential leaves to variables.

        An entry without any field takes an application as a whole, or none.
        """
        others = cls.first_set(
            {"azure_scope": ("AZURE_SCOPE",), "azure_authority_host": ("AZURE_AUTHORITY_HOST",)},
            raw,
            environ,
        )
        if raw.get("azure_managed_identity"):
            return others
        has_proof = any(raw.get(name) for name in _PROOFS) or _reference_in(raw) is not None
        variables = _APPLICATION if has_proof else {**_APPLICATION, **_PROOFS}
        first = cls.first_set(variables, raw, environ)
        if "client_secret" in first:
            first.pop("azure_federated_token_file", None)
        is_whole = first.keys() >= _APPLICATION.keys() and bool(first.keys() & _PROOFS.keys())
        return {**others, **first} if cls.asks_for_entra(raw) or is_whole else others

    @model_validator(mode="before")
    @classmethod
    def _move_file(cls, raw: Raw) -> Raw:
        """Move the path of LiteLLM's `azure_ad_token: oidc/file/PATH` to its own field."""
        reference = _reference_in(raw)
        if reference is None:
            return raw
        path = file_in(reference)
        if path is None:
            raise ValueError("azure_ad_token: only oidc/file/PATH is supported; use it")
        rest = {name: value for name, value in raw.items() if name not in _TOKEN_NAMES}
        return {**rest, "azure_federated_token_file": path}

    @model_validator(mode="after")
    def _require_all(self) -> Self:
        if self.entra_source is None:
            return self
        if find_spec("azure") is None or find_spec("azure.identity") is None:
            raise ValueError(_MISSING_EXTRA)
        if self.azure_managed_identity:
            if self.client_secret or self.azure_federated_token_file:
                raise ValueError(
                    "azure_managed_identity excludes client_secret and azure_federated_token_file; "
                    "keep one of them"
                )
            return self
        if self.client_secret and self.azure_federated_token_file:
            raise ValueError(
                "client_secret and azure_federated_token_file are both set; keep one of them"
            )
        for name, variables in _APPLICATION.items():
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing; set it or {variables[0]}")
        return self


def _reference_in(raw: Raw) -> str | None:
    """Return the value of `azure_ad_token` if it refers to an identity token."""
    values = (raw.get(name) for name in _TOKEN_NAMES)
    return next((text for text in values if isinstance(text, str) and text.startswith(OIDC)), None)
