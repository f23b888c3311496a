"""The `litellm_params` of the Gemini API and of Vertex AI."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import AliasChoices, Field, PlainValidator, SecretStr, model_validator

from count_tokens_mw.config.fields import Credential, GoogleUrl, Location, PathSegment
from count_tokens_mw.config.params.base import FILE_VARIABLE, Params, Raw
from count_tokens_mw.config.params.google_keys import key_problem, read_key_file
from count_tokens_mw.config.secret_files import KeyFile

__all__ = ["GEMINI_API", "GeminiParams", "VertexParams"]

GEMINI_API: Final = "https://generativelanguage.googleapis.com"
_EXPRESS_MODEL: Final = re.compile(r"(?:[a-z_/]+/)?gemini-[^*]*").fullmatch
_VERTEX_API: Final = "https://aiplatform.googleapis.com"


class _TranslatedParams(Params):
    """Parameters of the translation to Gemini.

    `thought_signatures: placeholder` marks function calls of other models with the documented
    placeholder for a missing signature. `base_model` names the model that a tuned one is based on.
    """

    row_keys: ClassVar = Params.row_keys | {
        "api_base",
        "api_key",
        "base_model",
        "base_url",
        "thought_signatures",
    }

    thought_signatures: Literal["none", "placeholder"] = "none"
    base_model: str | None = None

    @property
    def signs_calls(self) -> bool:
        """Whether function calls get the placeholder."""
        return self.thought_signatures == "placeholder"

    @property
    def base_name(self) -> str | None:
        """The name of `base_model` without the provider's prefix, or None."""
        return self.base_model.rpartition("/")[2] if self.base_model else None


class GeminiParams(_TranslatedParams):
    """Parameters of the Gemini API (AI Studio).

    The key defaults to GEMINI_API_KEY, then to GOOGLE_API_KEY.
    """

    credentials: ClassVar = ("api_key",)

    api_key: Credential
    api_base: GoogleUrl = Field(
        default=GEMINI_API, validation_alias=AliasChoices("base_url", "api_base")
    )

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables = {
            "api_key": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            "api_base": ("GEMINI_API_BASE",),
        }
        return cls.first_set(variables, raw, environ)

    @model_validator(mode="before")
    @classmethod
    def _require_key(cls, raw: Raw) -> Raw:
        if raw.get("api_key") is None:
            raise ValueError("api_key is missing; set it or GEMINI_API_KEY")
        return raw

    @property
    def endpoint(self) -> str:
        return self.api_base


def _is_path(value: str) -> bool:
    return not value.lstrip().startswith("{")


def _parse_credentials(value: object) -> object:
    """Return the mapping or the file of `vertex_credentials`, which may be JSON text or a path."""
    if isinstance(value, str):
        value = _read_credentials(value)
    if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
        raise ValueError("the names of a key's members are strings; quote them")
    if not isinstance(value, dict | KeyFile | None):
        raise ValueError("Input should be a valid dictionary")
    return value


def _read_credentials(text: str) -> object:
    try:
        return read_key_file(text) if _is_path(text) else json.loads(text)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    except ValueError:  # its message quotes the credentials
        raise ValueError("neither JSON nor the path of a JSON file") from None


def _is_express(raw: Raw) -> bool:
    """Return whether an entry is counted in express mode, which has published Gemini models only.

    https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview
    """
    return bool(raw.get("api_key")) and bool(_EXPRESS_MODEL(str(raw.get("model", "gemini-"))))


VertexCredentials: TypeAlias = Annotated[
    Mapping[str, object] | KeyFile | None, PlainValidator(_parse_credentials)
]


class VertexParams(_TranslatedParams):
    """Parameters of Vertex AI.

    `vertex_credentials` default to Google's application default credentials. A key file may be
    replaced by a newer key of the same account at any time. Tokens are counted at
    `vertex_count_tokens_location`, else at `vertex_location`, which defaults to VERTEXAI_LOCATION.
    The project defaults to VERTEXAI_PROJECT, then to the credentials' project. `api_base` replaces
    scheme and host. `strip_version` removes the `@…` from a Claude model's name, which Vertex AI's
    counter refuses. `forward_beta` is whether betas are sent: all of them, none, or (`auto`) those
    that Vertex AI is not known to refuse. `api_key` counts Gemini in express mode, without a
    project and a location, unless there are `vertex_credentials`; other models ignore it.
    """

    credentials: ClassVar = ("vertex_credentials", "api_key")
    without_credentials: ClassVar = "application default credentials"
    row_keys: ClassVar = _TranslatedParams.row_keys | {
        "forward_beta",
        "strip_version",
        "vertex_ai_credentials",
        "vertex_ai_location",
        "vertex_ai_project",
        "vertex_count_tokens_location",
        "vertex_credentials",
        "vertex_location",
        "vertex_project",
    }

    vertex_location: Location | None = Field(
        default=None, validation_alias=AliasChoices("vertex_location", "vertex_ai_location")
    )
    vertex_count_tokens_location: Location | None = None
    vertex_project: PathSegment | None = Field(
        default=None, validation_alias=AliasChoices("vertex_project", "vertex_ai_project")
    )
    vertex_credentials: VertexCredentials = Field(
        default=None,
        repr=False,
        validation_alias=AliasChoices("vertex_credentials", "vertex_ai_credentials"),
    )
    api_base: GoogleUrl | None = Field(
        default=None, validation_alias=AliasChoices("base_url", "api_base")
    )
    api_key: Credential | None = None
    strip_version: bool = True
    forward_beta: bool | Literal["auto"] = "auto"

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables: dict[str, tuple[str, ...]] = {
            "api_base": ("VERTEXAI_API_BASE", "VERTEX_API_BASE")
        }
        if not _is_express(raw):
            variables["vertex_credentials"] = (
                "VERTEXAI_CREDENTIALS",
                # The process's own variable is the first of the application default credentials.
                f"{FILE_VARIABLE}GOOGLE_APPLICATION_CREDENTIALS",
            )
        if not raw.get("vertex_count_tokens_location"):
            variables["vertex_location"] = ("VERTEXAI_LOCATION", "VERTEX_LOCATION")
        if not raw.get("vertex_credentials"):  # a key file names its own project
            variables["vertex_project"] = ("VERTEXAI_PROJECT",)
        return cls.first_set(variables, raw, environ)

    @classmethod
    def is_path(cls, key: str, value: object) -> bool:
        is_key_file = key in cls.names("vertex_credentials")
        return is_key_file and isinstance(value, str) and _is_path(value)

    def row_problem(self) -> str | None:
        if self.vertex_credentials is not None:
            return key_problem(self.key)
        if self.express_key is not None and self.location:
            # Claude and tuned models at this location would use the host's default credentials.
            return "vertex_location: not allowed beside api_key alone in a tenant's row; remove it"
        return super().row_problem()

    @property
    def location(self) -> str:
        """The location at which tokens are counted."""
        return self.vertex_count_tokens_location or self.vertex_location or ""

    @property
    def express_key(self) -> SecretStr | None:
        """The key of express mode, or None if Gemini is counted in a project."""
        return None if self.vertex_credentials else self.api_key

    @property
    def endpoint(self) -> str:
        return self.regional_endpoint if self.express_key is None else self.api_base or _VERTEX_API

    @property
    def regional_endpoint(self) -> str:
        """https://cloud.google.com/vertex-ai/docs/reference/rest#rest_endpoints"""
        if self.api_base:
            return self.api_base
        if self.location == "global":
            return _VERTEX_API
        if self.location in {"us", "eu"}:
            return f"https://aiplatform.{self.location}.rep.googleapis.com"
        return f"https://{self.location}-aiplatform.googleapis.com"

    @property
    def project(self) -> str | None:
        """The configured project, or None if only the default credentials have one."""
        named = self.key.get("project_id")
        return self.vertex_project or (named if isinstance(named, str) else None)

    @property
    def key(self) -> Mapping[str, object]:
        """The content of `vertex_credentials` as configured; empty without any."""
        key = self.vertex_credentials
        return key.content if isinstance(key, KeyFile) else key or {}

    @model_validator(mode="before")
    @classmethod
    def _drop_unused_key(cls, raw: Raw) -> Raw:
        return {name: raw[name] for name in raw if name != "api_key" or _is_express(raw)}

    @model_validator(mode="after")
    def _require_location(self) -> Self:
        if not self.location and self.express_key is None:
            raise ValueError("vertex_location is missing; set it or vertex_count_tokens_location")
        return self
