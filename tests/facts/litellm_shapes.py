"""Configurations in the shapes of LiteLLM's documentation, and how both packages read them.

LiteLLM's answers are recorded by `make compare-config`, so that the tests need no LiteLLM.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import yaml
from botocore.session import Session

from count_tokens_mw import Config, Deployment, NotFound
from count_tokens_mw.config.params.anthropic import MessagesParams
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.params.google import GeminiParams, VertexParams
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from tests.facts import FOLDER

__all__ = [
    "LITELLM_ANSWERS",
    "Answer",
    "Difference",
    "Shape",
    "compare_answers",
    "our_answer",
    "read_shapes",
]

LITELLM_ANSWERS: Final = "litellm_answers.json"

Answer: TypeAlias = Mapping[str, str | None]
"""The provider, model, region, project, base and key of a request, or why it is `refused`."""

_FIELDS: Final = ("provider", "model", "region", "project", "base", "key")
# An entry without a counting API is not read further.
_FIELDS_WITHOUT_COUNT: Final = _FIELDS[:2]


class Shape(NamedTuple):
    """A configuration with its environment and its files, and the model that a caller names."""

    name: str
    model: str
    config: Mapping[str, Any]
    environ: Mapping[str, str] = {}
    files: Mapping[str, str] = {}

    def placed(self, home: Path) -> "Shape":
        """Write the files below a home directory, and return the shape with its paths."""
        for name, text in self.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        text = json.dumps(self._asdict()).replace("{home}", str(home))
        return Shape(**json.loads(text))


class Difference(NamedTuple):
    """A field that the two packages read differently; `outcome` is whether one refuses."""

    shape: str
    field: str
    theirs: str
    ours: str


def read_shapes() -> list[Shape]:
    """Return the shapes in the file's order."""
    text = (FOLDER / "litellm_shapes.yaml").read_text(encoding="utf-8")
    return [Shape(**data) for data in yaml.safe_load(text)]


def our_answer(shape: Shape, home: Path) -> Answer:
    """Return how this package reads a shape, with `home` as the home directory."""
    shape = shape.placed(home)
    environ = {**shape.environ, "HOME": str(home)}
    router = ConfigSnapshot(Config.from_mapping(shape.config, environ)).router
    try:
        deployment = router.find(router.name_of(shape.model))[0]
    except NotFound:
        return {"refused": "not found"}
    if deployment.problem:
        return {"refused": deployment.problem}
    names = {"provider": deployment.provider, "model": deployment.upstream_model}
    return {**names, **_describe(deployment, environ)}


def compare_answers(shape: Shape, theirs: Answer, ours: Answer) -> list[Difference]:
    """Return the differences between LiteLLM's answer and this package's; none if both refuse."""
    outcomes = ["refused" if "refused" in answer else "accepted" for answer in (theirs, ours)]
    if "refused" in outcomes:
        agree = outcomes[0] == outcomes[1]
        return [] if agree else [Difference(shape.name, "outcome", *outcomes)]
    fields = _FIELDS if "base" in ours else _FIELDS_WITHOUT_COUNT
    return [
        Difference(shape.name, field, str(theirs[field]), str(ours[field]))
        for field in fields
        if theirs[field] != ours[field]
    ]


def _describe(deployment: Deployment, environ: Mapping[str, str]) -> Answer:
    """Return region, project, base and key; nothing without a counting API."""
    params = deployment.params
    answer: dict[str, str | None] = {"region": None, "project": None, "key": None}
    match params:
        case None:
            return {}
        case MessagesParams():
            answer["key"] = _reveal(params.api_key or params.auth_token)
        case BedrockParams():
            answer["region"] = params.aws_region_name
            answer["key"] = _reveal(params.api_key or params.aws_access_key_id)
            answer["key"] = answer["key"] or _key_of_profile(params, environ)
        case GeminiParams():
            answer["key"] = _reveal(params.api_key)
        case VertexParams():
            account = params.key or _default_account(environ)
            answer["region"] = params.location
            answer["project"] = params.project or str(account["project_id"])
            answer["key"] = _reveal(params.express_key) or str(account["client_email"])
    return {**answer, "base": params.endpoint_for(deployment.upstream_model)}


def _reveal(secret: Any) -> str | None:
    return secret.get_secret_value() if secret else None


def _key_of_profile(params: BedrockParams, environ: Mapping[str, str]) -> str:
    """Return the key id that AWS's own chain takes from a profile's files."""
    session = Session(profile=params.aws_profile_name or environ["AWS_PROFILE"])
    for variable, name in {"config_file": "config", "credentials_file": "credentials"}.items():
        session.set_config_variable(variable, str(Path(environ["HOME"], ".aws", name)))
    return str(session.get_credentials().access_key)


def _default_account(environ: Mapping[str, str]) -> Mapping[str, object]:
    """Return the account of Google's default credentials, which only a count loads."""
    text = Path(environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text(encoding="utf-8")
    account: Mapping[str, object] = json.loads(text)
    return account
