"""Every snippet of the README and the manual, run as it stands but for the address."""

import json
import os
import re
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.testclient import TestClient

import count_tokens_mw
from count_tokens_mw import Config, CredentialsUnavailable, NotFound, Settings
from count_tokens_mw.__main__ import main
from count_tokens_mw.config.model_names import may_count, provider_of
from count_tokens_mw.config.params.anthropic import MessagesParams
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from demo_app.emulators import EMULATED_KEY, count
from tests.support.fakes import FakeUpstream, client_of
from tests.support.shell import run_in_shell

ROOT = Path(__file__).parents[2]
PAGES = {
    path: path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
}
README = PAGES[ROOT / "README.md"]
TEXT = "\n\n".join(text for path, text in PAGES.items() if path.name != "CHANGELOG.md")
# The snippets of these pages have tests of their own.
OWN_TESTS = {"litellm.md", "providers.md"}
SNIPPETS = [
    found
    for path, text in PAGES.items()
    if path.name not in OWN_TESTS
    for found in re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
]
CALLS = re.findall(r"^```bash\n(curl.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
COUNT = "/v1/messages/count_tokens"
HELLO: dict[str, Any] = {
    "model": "claude-sonnet",
    "messages": [{"role": "user", "content": "Hello"}],
}


def snippets(language: str, having: str = "") -> list[str]:
    return [text for name, text in SNIPPETS if name == language and having in text]


def snippet(language: str, having: str) -> str:
    (only,) = snippets(language, having)
    return only


@pytest.fixture
def gateways_folder(tmp_path: Path, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with the README's `config.yaml`, led to the emulator."""
    config = yaml.safe_load(snippet("yaml", "# the model name in requests"))
    for entry in config["model_list"]:
        entry["litellm_params"]["api_base"] = emulator
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", EMULATED_KEY)
    return tmp_path


def executed(code: str, **given: object) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme", **given}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_the_commands_for_trying_it_are_targets_of_make() -> None:
    commands = snippet("bash", "make demo")
    dry = re.sub(r"^make", "make --dry-run --always-make", commands, flags=re.MULTILINE)
    printed = run_in_shell(f"cd '{ROOT}'\n{dry}")
    assert "-m demo_app" in printed
    assert "-m pytest" in printed


@pytest.mark.parametrize("code", CALLS)
def test_the_curl_calls_count(code: str, demo: str) -> None:
    said = json.loads(run_in_shell(code.replace("http://127.0.0.1:8000", demo)))
    if "breakdown" in code:
        assert said == json.loads(snippet("json", "overhead"))
    elif "how are you" in code:
        assert said == json.loads(snippet("json", '{"input_tokens": 14}'))
    else:
        assert said.keys() == {"input_tokens"}


def test_what_claude_code_reads_leads_its_sdk_to_the_gateway(demo: str) -> None:
    ask = (
        "import anthropic; print(anthropic.Anthropic().messages.count_tokens("
        "model='claude-sonnet-5', messages=[{'role': 'user', 'content': 'Hi'}]).input_tokens)"
    )
    code = snippet("bash", "ANTHROPIC_BASE_URL").replace("http://127.0.0.1:8000", demo)
    assert int(run_in_shell(f'{code}\nenv -u ANTHROPIC_API_KEY {sys.executable} -c "{ask}"')) > 0


@pytest.mark.parametrize("code", snippets("python", "127.0.0.1:8000"))
def test_the_python_calls_count(code: str, demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = executed(code.replace("http://127.0.0.1:8000", demo))
    if "client" in names:
        names["client"].close()
        body = {"messages": [{"role": "user", "content": "Hello, how are you?"}]}
        expected = str(count({**body, "system": "Be brief."}))
    else:
        expected = "{'input_tokens': 14}"
    assert capsys.readouterr().out.strip() == expected


@pytest.mark.usefixtures("gateways_folder")
@pytest.mark.parametrize(
    ("having", "path"),
    [
        ("async def chat", COUNT),
        ("app.mount", f"/llm{COUNT}"),
        ("routes.extend", COUNT),
        ('path="/llm")', f"/llm{COUNT}"),
    ],
)
def test_the_hosts_that_take_us_in_count_for_their_own_callers(having: str, path: str) -> None:
    app = executed(snippet("python", having))["app"]
    with TestClient(app) as client:
        response = client.post(path, json=HELLO, headers={"x-api-key": "sk-team-a"})
        assert response.json() == {"input_tokens": count(HELLO)}
        assert client.post(path, json=HELLO).status_code == 401
        if "async def chat" in having:
            assert client.post("/v1/messages").json() == {"type": "message"}


def test_the_call_without_http_prints_a_count(gateways_folder: Path) -> None:
    code = snippet("python", "asyncio.run(main())")
    command = [sys.executable, "-W", "error", "-c", code]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environ, cwd=gateways_folder
    )
    assert done.stdout.strip() == str(count(HELLO))
    assert done.stderr == ""


@pytest.mark.usefixtures("gateways_folder")
async def test_the_authorisation_and_the_hook_do_what_they_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    names = executed(snippet("python", "only_sonnet"))
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"at": 1795353487150464}}
    text = {"type": "text", "text": "4111 1111 1111 1111"}
    card = {**HELLO, "messages": [{"role": "assistant", "content": [text, call]}]}
    hidden = [{**text, "text": "[card]"}, call]
    redacted = {**HELLO, "messages": [{"role": "assistant", "content": hidden}]}
    async with names["count_tokens"].lifespan():
        caller = names["Caller"]("team-a")
        counted = await names["count_tokens"].count(card, caller=caller)
        with pytest.raises(names["PermissionDenied"]):
            await names["count_tokens"].count({**HELLO, "model": "claude-opus"}, caller=caller)
    assert counted.input_tokens == count(redacted) != count(card)
    records = [record for record in caplog.records if record.name == "gateway.counts"]
    assert [record.levelname for record in records] == ["INFO", "WARNING"]
    assert "caller=team-a model=claude-sonnet" in records[0].message
    assert "4111" not in caplog.text


@pytest.mark.usefixtures("gateways_folder")
async def test_the_metrics_and_the_trace_take_the_event() -> None:
    from prometheus_client import REGISTRY

    names = executed(snippet("python", "PrometheusHook()"))
    async with names["count_tokens"].lifespan():
        await names["count_tokens"].count(HELLO)
    labels = {
        "provider": "anthropic",
        "model": "claude-sonnet",
        "outcome": "counted",
        "source": "provider",
    }
    assert REGISTRY.get_sample_value("count_tokens_requests_total", labels) == 1
    assert REGISTRY.get_sample_value("count_tokens_cache_entries") == 1


@pytest.mark.usefixtures("gateways_folder")
async def test_any_other_integration_is_a_function_of_an_event() -> None:
    names = executed(snippet("python", "insert_row"))
    async with names["count_tokens"].lifespan():
        await names["count_tokens"].count(HELLO, headers={"x-end-user-id": "alice"})
        with pytest.raises(NotFound):
            await names["count_tokens"].count({**HELLO, "model": "nobody"})
    with closing(names["database"]) as database:
        rows = database.execute("select end_user, model, tokens, status from counts").fetchall()
    assert rows == [
        ("alice", "claude-sonnet", count(HELLO), 200),
        (None, "nobody", None, 404),
    ]
    assert [each["level"] for each in names["generations"]] == ["DEFAULT", "ERROR"]


@pytest.mark.usefixtures("gateways_folder")
async def test_a_logger_of_litellms_kind_gets_each_count(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GENERIC_LOGGER_ENDPOINT", raising=False)
    names = executed(snippet("python", "LiteLLMCallbacks"))
    async with names["count_tokens"].lifespan():
        await names["count_tokens"].count(HELLO, headers={"x-litellm-customer-id": "alice"})
        with pytest.raises(NotFound):
            await names["count_tokens"].count({**HELLO, "model": "nobody"})
    success, failure = capsys.readouterr().out.splitlines()
    assert success.endswith(f" alice {{'input_tokens': {count(HELLO)}}}")
    assert "'error_code': '404'" in failure


@pytest.mark.usefixtures("gateways_folder")
async def test_a_jwt_of_the_hosts_lets_its_subject_count() -> None:
    import jwt

    names = executed(snippet("python", "current_user"))
    app, path = names["app"], f"/llm{COUNT}"
    claims = {"sub": "alice", "exp": 4_000_000_000}
    async with app.router.lifespan_context(app), client_of(app) as client:
        for token, status in [
            (jwt.encode(claims, names["SECRET"]), 200),
            (jwt.encode(claims, "another secret, which is also long enough"), 401),
            (jwt.encode({**claims, "exp": 1}, names["SECRET"]), 401),
            ("nonsense", 401),
        ]:
            headers = {"authorization": f"Bearer {token}"}
            response = await client.post(path, json=HELLO, headers=headers)
            assert response.status_code == status
        refused = await client.post(path, json=HELLO)
        assert (refused.status_code, refused.json()["type"]) == (401, "error")
        assert path in (await client.get("/openapi.json")).json()["paths"]


def led_to_the_emulator(folder: Path, emulator: str) -> Path:
    """Write the README's LiteLLM file with every provider replaced by the emulator."""
    config = yaml.safe_load(snippet("yaml", "model_group_alias"))
    for entry in config["model_list"]:
        if "claude-sonnet" in entry["litellm_params"]["model"]:
            entry["litellm_params"] = {
                **entry["litellm_params"],
                "model": "anthropic/claude-sonnet-4-5",
                "api_base": emulator,
            }
    del config["model_list"][3]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_the_check_shows_what_the_file_comes_to(
    gateways_folder: Path, emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    led_to_the_emulator(gateways_folder, emulator)
    code = snippet("bash", "count_tokens_mw check")
    said = run_in_shell(re.sub(r"^python", sys.executable, code, flags=re.MULTILINE))
    assert said.count("tokens,") == 2
    assert said.count("alias of claude-sonnet") == 2
    assert "canary" not in said


def test_the_listing_of_the_check_is_that_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(snippet("yaml", "model_group_alias"))
    assert main(["check", "config.yaml", "--model", "sonnet"]) == 0
    assert capsys.readouterr().out == snippet("text", "sonnet")


def test_the_litellm_file_loads_and_leads_where_its_comments_say() -> None:
    data = yaml.safe_load(snippet("yaml", "model_group_alias"))
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "ANTHROPIC_API_KEY": "k"}
    config = Config.from_mapping(data, keys)
    assert config.warnings == ()
    router = ConfigSnapshot(config).router
    leads = {name: router.find(router.name_of(name)) for name in ("sonnet", "claude-opus-4-8")}
    assert [found.provider for found in leads["sonnet"]] == ["bedrock", "anthropic"]
    assert [found.provider for found in leads["claude-opus-4-8"]] == ["anthropic"]
    assert [found.params for found in router.find("mistral-large")] == [None]


async def test_a_database_stands_in_for_the_list_and_a_new_file_comes_without_a_restart(
    gateways_folder: Path, emulator: str
) -> None:
    names = executed(snippet("python", "on_change"))
    row = names["ROWS"]["team-a"]
    row |= {"api_base": emulator, "api_key": EMULATED_KEY}
    team_a = names["Caller"]("team-a")
    with pytest.raises(CredentialsUnavailable):  # BASES does not have the emulator
        await names["count_tokens"].count(HELLO, caller=team_a)
    names["BASES"].add(emulator)
    async with names["count_tokens"].lifespan():
        for caller in (None, names["Caller"]("team-a"), names["Caller"]("team-b")):
            counted = await names["count_tokens"].count(HELLO, caller=caller)
            assert counted.input_tokens == count(HELLO)
        (gateways_folder / "config.yaml").write_text("model_list: []")
        names["on_change"]()
        await names["count_tokens"].count(HELLO, caller=names["Caller"]("team-a"))
        with pytest.raises(NotFound):
            await names["count_tokens"].count(HELLO)


def table(first: str, second: str) -> list[list[str]]:
    """Return the cells of the table whose header begins with these columns."""
    start = TEXT.index(f"| {first} | {second} |")
    lines = TEXT[start:].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_table_of_providers_names_models_that_each_can_count() -> None:
    *rows, others = table("provider", "`model:`")
    assert others[0] == "any other"
    named = [provider_of(code.replace("…", "")) for row in rows for code in codes(row[1])]
    assert {provider for provider, _ in named} == PROVIDERS.keys()
    assert [each for each in named if not may_count(*each)] == []


def test_the_inferred_providers_are_those_that_recognise_a_bare_name() -> None:
    sentence = TEXT.partition("else inferred as in LiteLLM: ")[2].partition("\n- **")[0]
    inferred = {provider_of(code.removesuffix("..."))[0] for code in codes(sentence)}
    never = re.compile("(?!)")
    assert inferred == {name for name, row in PROVIDERS.items() if row.bare != never}


def test_the_table_of_parameters_has_every_parameter_of_every_provider() -> None:
    cells = dict(table("provider", "`litellm_params` besides `model` and `timeout`"))
    cells = {code: text for name, text in cells.items() for code in codes(name)}
    assert cells.keys() == PROVIDERS.keys()
    cells["azure_ai"] += cells["anthropic"]  # "the same"
    for name, row in PROVIDERS.items():
        mentioned = {code.removeprefix("model_info.") for code in codes(cells[name])}
        fields = row.params.model_fields.keys() - Params.model_fields.keys()
        lacking = [field for field in fields if mentioned.isdisjoint(row.params.names(field))]
        assert lacking == [], name


YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def samples_of_defaults(page: str) -> list[str]:
    """Return the YAML of each block whose paragraph before it speaks of defaults."""
    return [
        block[1]
        for block in YAML_BLOCK.finditer(page)
        if re.search(r"\bdefaults\b", page[: block.start()].rstrip("\n").rpartition("\n\n")[2])
    ]


def names_in(value: object) -> object:
    """Return a mapping's shape: its names, at every depth."""
    return {key: names_in(value[key]) for key in value} if isinstance(value, dict) else None


@pytest.mark.parametrize(
    "text", [text for page in PAGES.values() for text in samples_of_defaults(page)]
)
def test_a_sample_called_defaults_is_all_the_defaults(text: str) -> None:
    data = yaml.safe_load(text)
    assert Config.from_mapping(data, {}).settings == Settings()
    assert names_in(data["count_tokens"]) == names_in(Settings().model_dump())


def test_there_is_a_sample_of_the_defaults() -> None:
    assert len(samples_of_defaults(TEXT)) == 1
    assert samples_of_defaults("These are the defaults:\n\n```yaml\na: 1\n```\n") == ["a: 1\n"]
    assert samples_of_defaults("The defaults:\n\nOther.\n\n```yaml\na: 1\n```\n") == []


@pytest.mark.usefixtures("gateways_folder")
def test_the_defaults_in_the_first_host_send_no_callers_key_upstream(
    gateways_folder: Path, upstream: FakeUpstream
) -> None:
    config = gateways_folder / "config.yaml"
    (defaults,) = samples_of_defaults(TEXT)
    config.write_text(f"{config.read_text()}\n{defaults}")
    code = snippet("python", "app.mount").replace(
        '"config.yaml"', '"config.yaml", http_client=http_client'
    )
    app = executed(code, http_client=upstream.client())["app"]
    with TestClient(app) as client:
        for headers in ({"x-api-key": "sk-team-a"}, {"authorization": "Bearer sk-team-a"}):
            path = f"/llm/anthropic{COUNT}"
            assert client.post(path, json=HELLO, headers=headers).status_code == 200
    assert [request.headers["x-api-key"] for request in upstream.requests] == [EMULATED_KEY]
    assert "sk-team-a" not in repr([request.headers.raw for request in upstream.requests])


def test_the_forwarding_pass_through_forwards_the_header_that_it_names() -> None:
    data = yaml.safe_load(snippet("yaml", "forward_client_credentials"))
    params = Config.from_mapping(data, {}).settings.passthrough.anthropic
    assert params is not None
    assert params.forward_client_credentials == ("authorization",)


def test_the_counts_are_shared_by_the_redis_that_a_variable_names() -> None:
    data = yaml.safe_load(snippet("yaml", "REDIS_URL"))
    settings = Config.from_mapping(data, {"REDIS_URL": "redis://127.0.0.1"}).settings
    assert settings.cache.url is not None
    assert settings.cache.url.get_secret_value() == "redis://127.0.0.1"


def test_the_entries_of_the_other_providers_load() -> None:
    data = yaml.safe_load(snippet("yaml", "claude-vertex"))
    config = Config.from_mapping(data, {"GEMINI_API_KEY": "key"})
    assert [deployment.provider for deployment in config.deployments] == [
        "vertex_ai",
        "bedrock",
        "gemini",
    ]


@pytest.mark.parametrize(
    ("excerpt", "issuer"),
    [("fdrl_", "anthropic_federation_rule_id"), ("my-resource", "client_secret")],
)
def test_an_entry_with_an_identity_has_tokens_issued(excerpt: str, issuer: str) -> None:
    data = yaml.safe_load(snippet("yaml", excerpt))
    (deployment,) = Config.from_mapping(data, {"AZURE_CLIENT_SECRET": "secret"}).deployments
    assert isinstance(deployment.params, MessagesParams)
    assert deployment.params.issued_by == issuer


def test_the_proxy_is_for_every_call() -> None:
    data = yaml.safe_load(snippet("yaml", "ca_file: /etc"))
    found = Config.from_mapping(data, {}).settings.http.proxies.find("https://api.anthropic.com")
    assert found is not None
    assert found.url == "http://proxy.company.example:3128"


def test_bedrocks_entry_counts_by_both_apis_in_the_region_that_its_comment_names() -> None:
    data = yaml.safe_load(snippet("yaml", "bedrock_mantle_region"))
    (deployment,) = Config.from_mapping(data, {}).deployments
    assert isinstance(deployment.params, BedrockParams)
    assert deployment.params.rungs(deployment.upstream_model) == ("runtime", "mantle")
    assert ".us-west-2." in deployment.params.endpoint_of("mantle", deployment.upstream_model)


def test_every_snippet_is_run_by_one_of_these_tests() -> None:
    run = [
        snippet("bash", "make demo"),
        snippet("bash", "count_tokens_mw check"),
        snippet("text", "sonnet"),
        *(code for code in CALLS if "/anthropic/" not in code),
        *snippets("python", "127.0.0.1:8000"),
        snippet("python", "async def chat"),
        snippet("python", "app.mount"),
        snippet("python", "routes.extend"),
        snippet("python", "asyncio.run(main())"),
        snippet("python", "only_sonnet"),
        snippet("python", "PrometheusHook()"),
        snippet("python", "LiteLLMCallbacks"),
        snippet("python", "insert_row"),
        snippet("python", "current_user"),
        snippet("python", 'path="/llm")'),
        snippet("python", "CORSMiddleware"),
        snippet("python", "def make()"),
        snippet("python", "on_change"),
        snippet("json", '{"input_tokens": 14}'),
        snippet("json", "overhead"),
        snippet("bash", "ANTHROPIC_BASE_URL"),
        snippet("yaml", "# the model name in requests"),
        snippet("yaml", "REDIS_URL"),
        snippet("yaml", "timeout: 20"),
        snippet("yaml", "forward_client_credentials"),
        snippet("yaml", "claude-vertex"),
        snippet("yaml", "bedrock_mantle_region"),
        snippet("yaml", "model_group_alias"),
        snippet("yaml", "fdrl_"),
        snippet("yaml", "my-resource"),
        snippet("yaml", "ca_file: /etc"),
    ]
    assert sorted(run) == sorted(text for _, text in SNIPPETS)


def anchors_of(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading_of_it(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGES[path]):
        if httpx.URL(link).is_absolute_url:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(PAGES[target]), link


def test_every_page_is_in_the_index() -> None:
    index = PAGES[ROOT / "docs" / "README.md"]
    for path in PAGES:
        assert path.name == "README.md" or f"{path.name})" in index


def test_the_readme_is_a_front_page() -> None:
    assert len(README.splitlines()) <= 260
    assert len(README.split()) <= 2300


def test_every_public_name_is_in_the_page_about_the_api() -> None:
    page = PAGES[ROOT / "docs" / "api.md"]
    assert [name for name in count_tokens_mw.__all__ if f"`{name}`" not in page] == []


def test_every_folder_of_the_package_is_in_the_page_about_the_architecture() -> None:
    page = PAGES[ROOT / "docs" / "architecture.md"]
    folder = Path(count_tokens_mw.__file__).parent
    names = [path.stem for path in folder.iterdir() if not path.name.startswith(("_", "py"))]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_target_of_make_is_explained() -> None:
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    explained = re.findall(r"^\| `make ([\w-]+)` \|", PAGES[ROOT / "CONTRIBUTING.md"], re.MULTILINE)
    assert set(targets[1].split()) - {"clean", "picture"} == set(explained)


@pytest.mark.usefixtures("gateways_folder")
def test_each_worker_makes_its_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KEYS", "sk-a=team-a sk-b==team-b")
    monkeypatch.syspath_prepend(ROOT / "demo_app")
    app = executed(snippet("python", "def make()"))["make"]()
    with TestClient(app) as client:
        for key, status in (("sk-a", 200), ("sk-b=", 200), ("sk-c", 401)):
            answer = client.post(COUNT, json=HELLO, headers={"x-api-key": key})
            assert answer.status_code == status


@pytest.mark.usefixtures("gateways_folder")
def test_a_page_of_another_origin_sees_the_headers_of_counts_and_of_errors() -> None:
    app = executed(snippet("python", "CORSMiddleware"))["app"]
    origin = {"origin": "https://app.example.com"}
    with TestClient(app) as client:
        asking = {**origin, "access-control-request-method": "POST"}
        asking["access-control-request-headers"] = "x-api-key"
        assert client.options(COUNT, headers=asking).status_code == 200
        for key, status in (("sk-team-a", 200), ("sk-other", 401)):
            answer = client.post(COUNT, json=HELLO, headers={**origin, "x-api-key": key})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == origin["origin"]
            exposed = answer.headers["access-control-expose-headers"]
            own = {name for name in answer.headers if name.startswith(("x-count", "request-id"))}
            assert own <= set(exposed.split(", "))


def test_every_extra_that_is_named_can_be_installed() -> None:
    """Pip only warns of an extra that does not exist."""
    installed = re.findall(r"pip install '\.\[([\w,]+)\]'", TEXT)
    mentioned = re.findall(r"extras? `(\w+)`", TEXT)
    installed = [name for names in installed for name in names.split(",")]
    assert {"fastapi", "prometheus", "zstd"} <= set(installed)
    assert "redis" in mentioned
    assert {*installed, *mentioned} <= EXTRAS.keys()
