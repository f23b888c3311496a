"""The script that LiteLLM's own interpreter runs: how LiteLLM reads each configuration.

It reads shapes as JSON from its standard input, and writes their answers as JSON to the file that
its argument names, together with the provider that LiteLLM infers for each name of
`litellm_models.json`. Nothing of this package is imported, and no request leaves the process.
"""

import asyncio
import importlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

__all__ = ["describe_request"]

_OWN_VARIABLES: Final = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "NO_GCE_CHECK": "true",
    "PATH": os.environ["PATH"],
}
_MESSAGES: Final = [{"role": "user", "content": "Hello"}]
_ENDPOINT: Final = re.compile(
    r"/(v1/messages|chat/completions|model/.+/(converse|invoke)"
    r"|(v1|v1beta|v1beta1)/(models|projects)/.*)$"
)
_REGION: Final = re.compile(
    r"/locations/([^/]+)/|^https://bedrock-(?:runtime|mantle)\.([^.]+)\."
).search
_PROJECT: Final = re.compile(r"/projects/([^/]+)/").search
_SIGNED: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]*)/\d+/([^/]+)/").match
_KEY_HEADERS: Final = ("x-api-key", "api-key", "x-goog-api-key")


class _Sent(BaseException):
    """The request that LiteLLM was about to send; no `except Exception` of LiteLLM catches it."""

    def __init__(self, request: Any) -> None:
        self.request = request


def _send(client: Any, request: Any, **options: Any) -> None:
    raise _Sent(request)


def _google_credentials(vertex: Any, account: dict[str, Any]) -> Any:
    """Return credentials whose token is the account's name, because Google is not asked."""
    return SimpleNamespace(
        token=account["client_email"],
        project_id=account.get("project_id"),
        quota_project_id=None,
        expired=False,
        refresh=lambda request: None,
    )


def _default_google_credentials(vertex: Any, scopes: object) -> tuple[Any, str | None]:
    account = json.loads(Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    return _google_credentials(vertex, account), account.get("project_id")


def _refuse_connection(*arguments: object) -> None:
    raise ConnectionRefusedError("no request may leave the process")


def _replace_network() -> None:
    """Replace the HTTP client and Google's credentials, and refuse every other connection."""
    importlib.import_module("socket").socket.connect = _refuse_connection
    importlib.import_module("httpx").Client.send = _send
    vertex = importlib.import_module("litellm.llms.vertex_ai.vertex_llm_base").VertexBase
    vertex._credentials_from_json = _google_credentials
    vertex._credentials_from_default_auth = _default_google_credentials
    vertex.refresh_auth = lambda self, credentials: None


def _ask(litellm: Any, proxy: Any, shape: dict[str, Any], home: Path) -> dict[str, Any]:
    """Return the answer to a shape, in whose environment this process is."""
    file = home / "config.yaml"
    file.write_text(json.dumps(shape["config"]))  # JSON is YAML too
    load = proxy.ProxyConfig().load_config(router=None, config_file_path=str(file))
    router, _, _ = asyncio.run(load)
    names = importlib.import_module("litellm.proxy.common_utils.model_listing_utils")
    model = names.claude_code_requested_group(shape["model"], router, None) or shape["model"]
    params = router.get_available_deployment(model, messages=_MESSAGES)["litellm_params"]
    options = {name: params.get(name) for name in ("custom_llm_provider", "api_base", "api_key")}
    upstream_model, provider, _, _ = litellm.get_llm_provider(params["model"], **options)
    try:
        router.completion(model=model, messages=_MESSAGES, max_tokens=9)
    except _Sent as sent:
        return {"provider": provider, "model": upstream_model, **describe_request(sent.request)}
    raise LookupError("LiteLLM sent nothing")


def describe_request(request: Any) -> dict[str, str | None]:
    """Return the base, the key, the region and the project of a request."""
    url = str(request.url)
    parts = urlsplit(url)
    path = _ENDPOINT.sub("", parts.path)
    authorization = request.headers.get("authorization", "")
    signed = _SIGNED(authorization)
    region, project = _REGION(url), _PROJECT(url)
    keys = [request.headers[name] for name in _KEY_HEADERS if name in request.headers]
    keys += parse_qs(parts.query).get("key", [])
    bearer = authorization.removeprefix("Bearer ")
    return {
        "base": f"{parts.scheme}://{parts.netloc}{path}",
        "key": signed[1] if signed else next(iter(keys), bearer or None),
        "region": signed[2] if signed else region and (region[1] or region[2]),
        "project": project and project[1],
    }


def _ask_in_child(litellm: Any, proxy: Any, shape: dict[str, Any], home: Path) -> dict[str, Any]:
    """Ask in a process of its own, because LiteLLM writes to the environment and keeps caches."""
    answer = home / "answer.json"
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        answered: dict[str, Any] = json.loads(answer.read_text())
        return answered
    try:
        os.environ.clear()
        os.environ.update(_OWN_VARIABLES | {"HOME": str(home)} | shape["environ"])
        try:
            answered = _ask(litellm, proxy, shape, home)
        except Exception as error:  # noqa: BLE001 - LiteLLM refuses by many kinds
            sys.stderr.write(f"{shape['name']}: {str(error)[:300]}\n")
            answered = {"refused": type(error).__name__}
        answer.write_text(json.dumps(answered))
    finally:
        os._exit(0)


def _infer_providers(litellm: Any) -> dict[str, str]:
    """Return the provider of each name of Claude in LiteLLM's price map."""
    file = Path(__file__).with_name("litellm_models.json")
    names = [name for names in json.loads(file.read_text())["models"].values() for name in names]
    return {name: litellm.get_llm_provider(name)[1] for name in names}


def main() -> None:
    """Ask about each shape, and about each name of a model."""
    os.environ.update(_OWN_VARIABLES)
    litellm = importlib.import_module("litellm")
    proxy = importlib.import_module("litellm.proxy.proxy_server")
    importlib.import_module("boto3")
    _replace_network()
    text = sys.stdin.read()
    answers = {}
    for index, shape in enumerate(json.loads(text)):
        with tempfile.TemporaryDirectory() as folder:
            own = json.loads(text.replace("{home}", folder))[index]
            for name, content in own["files"].items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_text(content)
            answers[shape["name"]] = _ask_in_child(litellm, proxy, own, Path(folder))
    version = importlib.import_module("importlib.metadata").version("litellm")
    inferred = _infer_providers(litellm)
    facts = {"package": "litellm", "version": version, "answers": answers, "inferred": inferred}
    Path(sys.argv[1]).write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
