"""The demo's providers: live where credentials are present, and emulated otherwise."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from count_tokens_mw import Config, CountEvent
from demo_app.emulators import (
    EMULATED_ACCESS_KEY_ID,
    EMULATED_GEMINI_KEY,
    EMULATED_KEY,
    EMULATED_OPENAI_KEY,
    EMULATED_SECRET_ACCESS_KEY,
    EmulatedGoogle,
    emulated_anthropic,
    emulated_bedrock,
    emulated_openai,
)
from demo_app.loopback import serving

__all__ = ["CONFIG", "Upstreams", "configured"]

CONFIG: Final = Path(__file__).with_name("config.yaml")

# Any one of these variables in the environment makes its provider live.
_CREDENTIALS: Final = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ROLE_ARN"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
    "vertex_ai": ("GOOGLE_APPLICATION_CREDENTIALS",),
}


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The live providers; all others are emulated."""

    live: frozenset[str]

    @property
    def summary(self) -> str:
        """The emulated and the live providers, for people to read."""
        emulated = ", ".join(sorted(_CREDENTIALS.keys() - self.live))
        live = ", ".join(sorted(self.live))
        return "; ".join(
            ([f"emulated, with invented counts: {emulated}"] if emulated else [])
            + ([f"live: {live}"] if live else [])
        )

    @property
    def each(self) -> dict[str, str]:
        """The kind of every provider of the demo: "emulated" or "live"."""
        return {name: "live" if name in self.live else "emulated" for name in _CREDENTIALS}

    def labels(self, event: CountEvent | None) -> dict[str, str]:
        """Return the headers that label an answer with the provider that gave it."""
        provider = event.provider if event else None
        if provider in self.each:
            return {"x-demo-upstream": self.each[provider], "x-demo-provider": provider}
        return {"x-demo-upstream": self.summary}

    def facts_of(self, event: CountEvent | None) -> dict[str, object]:
        """Return the facts of a count that the live list shows."""
        if event is None:
            return {}
        return {
            "caller": event.caller.id if event.caller else None,
            "end_user": event.end_user,
            "model": event.model,
            "provider": event.provider,
            "upstream": self.each.get(event.provider or ""),
            "input_tokens": event.input_tokens,
            "source": event.source,
            "error": event.error_type,
            # The client sees the upstream's id where there is one.
            "request_id": event.upstream_request_id or event.request_id,
        }


@contextmanager
def configured(environ: Mapping[str, str]) -> Iterator[tuple[Config, Upstreams]]:
    """Yield the demo's configuration, with emulated upstreams for as long as the `with` lasts."""
    live = {
        provider
        for provider, names in _CREDENTIALS.items()
        if any(environ.get(name) for name in names)
    }
    data = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    with ExitStack() as stack:
        for provider, overrides in _serve_emulators(stack, _CREDENTIALS.keys() - live).items():
            for params in _params_of(data, provider):
                params.update(overrides)
        if "vertex_ai" in live:
            for params in _params_of(data, "vertex_ai"):
                params["vertex_project"] = environ.get("GOOGLE_CLOUD_PROJECT")
        config = Config.from_mapping(data, environ, source=str(CONFIG))
        yield config, Upstreams(frozenset(live))


def _serve_emulators(stack: ExitStack, providers: set[str]) -> dict[str, dict[str, Any]]:
    """Serve the emulators, and return the parameters that point each provider's entries to them."""
    overrides: dict[str, dict[str, Any]] = {}
    if "anthropic" in providers:
        url = stack.enter_context(serving(emulated_anthropic()))
        overrides["anthropic"] = {"api_key": EMULATED_KEY, "api_base": url}
    if "bedrock" in providers:
        url = stack.enter_context(serving(emulated_bedrock()))
        overrides["bedrock"] = {
            "aws_access_key_id": EMULATED_ACCESS_KEY_ID,
            "aws_secret_access_key": EMULATED_SECRET_ACCESS_KEY,
            "aws_bedrock_runtime_endpoint": url,
            "aws_bedrock_mantle_endpoint": f"{url}/anthropic",
        }
    if "openai" in providers:
        url = stack.enter_context(serving(emulated_openai()))
        overrides["openai"] = {
            "api_key": EMULATED_OPENAI_KEY,
            "api_base": f"{url}/v1",
            "count_tokens_via": "responses",
        }
    if providers & {"gemini", "vertex_ai"}:
        google = EmulatedGoogle()
        url = stack.enter_context(serving(google.app))
        account = google.service_account(f"{url}/token")
        both: dict[str, dict[str, Any]] = {
            "gemini": {"api_key": EMULATED_GEMINI_KEY, "api_base": url},
            "vertex_ai": {"vertex_credentials": account, "api_base": url},
        }
        overrides |= {name: params for name, params in both.items() if name in providers}
    return overrides


def _params_of(data: dict[str, Any], provider: str) -> list[dict[str, Any]]:
    params = [entry["litellm_params"] for entry in data["model_list"]]
    matching = [entry for entry in params if entry["model"].startswith(f"{provider}/")]
    if provider == "anthropic":
        matching.append(data["count_tokens"]["passthrough"]["anthropic"])
    return matching
