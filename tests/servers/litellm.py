"""`make litellm`: a real LiteLLM proxy behind the gateway and in front of it.

The chain is gateway, proxy, gateway, and an emulated Anthropic. The proxy's own answers become
facts, for the tests that run without LiteLLM.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final

import httpx

from demo_app.emulators import EMULATED_KEY, count, emulated_anthropic
from demo_app.loopback import serving
from tests.bench.compare import Upstream
from tests.bench.gateway import KEY, PATH
from tests.bench.litellm import litellm_config_proxy, litellm_version
from tests.facts import write_facts
from tests.servers.exchanges import Exchange, serving_gateway

__all__ = ["FACTS", "MODELS", "WAYS", "gateway_before", "request_of"]

FACTS: Final = "litellm_proxy.json"
_CLAUDE: Final = "claude-sonnet-4-5"
MODELS: Final[Mapping[str, int]] = {
    "claude": 200,
    "through-the-gateway": 200,
    "gateway-without-count": 501,
    "gpt": 404,
    "llama": 501,
    "no-count": 502,
    "not-configured": 501,
}
"""The proxy's models, with the status that a gateway before it has to answer.

An error is the proxy's own: it passes on a gateway's 501, and OpenAI's 404 in Anthropic's envelope.
"""
WAYS: Final[Mapping[str, str]] = {"litellm_proxy": "litellm_proxy/", "anthropic": "anthropic/"}
"""The prefixes under which a gateway may have the proxy."""
_REQUESTS: Final[Sequence[Mapping[str, Any]]] = (
    {"messages": [{"role": "user", "content": "Hello, proxy"}]},
    {
        "system": "Be brief.",
        "tools": [{"name": "clock", "input_schema": {"type": "object", "properties": {}}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What time is it?"}]}],
    },
)


def request_of(model: str) -> Iterator[dict[str, Any]]:
    """Yield the bodies of requests for a model of the proxy."""
    for request in _REQUESTS:
        yield {"model": model, **request}


def gateway_before(proxy: str) -> AbstractContextManager[str]:
    """Serve a gateway with each model of the proxy under each way, as `way:model`."""
    params = {
        f"{way}:{model}": {"model": prefix + model, "api_base": proxy, "api_key": KEY}
        for way, prefix in WAYS.items()
        for model in MODELS
    }
    return serving_gateway(params)


def _proxy_models(anthropic: str, gateway: str, nonsense: str, nobody: str) -> Mapping[str, Any]:
    """Return the proxy's entries: a provider, our gateway, and upstreams without a count."""
    key = {"api_key": EMULATED_KEY}
    claude = {"model": f"anthropic/{_CLAUDE}", **key}
    return {
        "claude": {**claude, "api_base": anthropic},
        "through-the-gateway": {"model": "anthropic/far", **key, "api_base": gateway},
        "gateway-without-count": {"model": "anthropic/groq", **key, "api_base": gateway},
        "gpt": {"model": "openai/gpt-4o", **key, "api_base": nobody},
        "llama": {"model": "groq/llama3-8b-8192", **key, "api_base": nobody},
        "no-count": {**claude, "api_base": nonsense},
    }


def _ask(proxy: str) -> list[Exchange]:
    """Return the proxy's own answers, without ids, which differ each time."""
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=proxy, headers=headers, timeout=60) as client:
        bodies = [body for model in MODELS for body in request_of(model)]
        answers = [client.post(PATH, json=body) for body in bodies]
    exchanges = []
    for body, answer in zip(bodies, answers, strict=True):
        lasting = {name: part for name, part in answer.json().items() if name != "request_id"}
        exchanges.append(Exchange(body["model"], body, answer.status_code, lasting))
    return exchanges


def _failures(gateway: str, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yield a line for each answer of the gateway that is not exact, nor the right refusal."""
    with httpx.Client(base_url=gateway, timeout=60) as client:
        for way in WAYS:
            for exchange in exchanges:
                model = f"{way}:{exchange.name}"
                answer = client.post(PATH, json={**exchange.body, "model": model})
                wanted = MODELS[exchange.name]
                is_exact = wanted != 200 or answer.json() == {
                    "input_tokens": count({**exchange.body, "model": _CLAUDE}),
                    "litellm_count_source": "provider",
                }
                sys.stdout.write(f"{model}: {answer.status_code} {answer.text}\n")
                if answer.status_code != wanted or not is_exact:
                    yield f"{model}: {answer.status_code} {answer.text}, not {wanted}"


def main() -> int:
    """Run the chain, print each answer, and keep the proxy's."""
    nonsense, nobody = Upstream(answer={"hello": "world"}), Upstream(status=404, answer={})
    params = {"model": f"anthropic/{_CLAUDE}", "api_key": EMULATED_KEY}
    with ExitStack() as stack:
        anthropic = stack.enter_context(serving(emulated_anthropic()))
        far = {"far": {**params, "api_base": anthropic}, "groq": {"model": "groq/llama3-8b-8192"}}
        urls = [stack.enter_context(serving_gateway(far))]
        urls += [stack.enter_context(each.serving()) for each in (nonsense, nobody)]
        models = _proxy_models(anthropic, *urls)
        proxy = stack.enter_context(litellm_config_proxy(models)).url
        exchanges = _ask(proxy)
        failures = list(_failures(stack.enter_context(gateway_before(proxy)), exchanges))
    for exchange in exchanges:
        line = f"{exchange.name}: {exchange.status} {json.dumps(exchange.answer)}\n"
        sys.stdout.write(f"the proxy's own, {line}")
    sys.stdout.writelines(f"FAILED {line}\n" for line in failures)
    facts = {"package": "litellm", "version": litellm_version()}
    write_facts(FACTS, {**facts, "exchanges": [exchange._asdict() for exchange in exchanges]})
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
