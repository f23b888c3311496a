"""`python -m count_tokens_mw check`: the deployments of a configuration and its problems."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from count_tokens_mw.__main__ import main
from demo_app.emulators import (
    EMULATED_GEMINI_KEY,
    EMULATED_KEY,
    EmulatedGoogle,
    emulated_anthropic,
    emulated_bedrock,
)
from demo_app.loopback import serving
from tests.support.cloud import bedrock_params, vertex_params
from tests.support.fakes import FakeUpstream

ROOT = Path(__file__).parents[2]
SECRET = "sk-ant-canary"
BROKEN = f"""
include: [more.yaml, nowhere.yaml]
model_list:
  - model_name: claude-sonnet
    litellm_params: {{model: anthropic/claude-x, api_key: os.environ/NOT_SET, timeout: -1}}
  - model_name: claude-bedrock
    litellm_params: {{model: bedrock/anthropic.claude-x, vertex_projet: {SECRET}}}
  - model_name: good
    litellm_params: {{model: anthropic/claude-y, api_key: {SECRET}, weight: 2, order: 1}}
  - model_name: gpt-4o
    litellm_params: {{model: mistral/mistral-large}}
  - litellm_params: {{model: anthropic/claude-x}}
router_settings:
  model_group_alias: {{sonnet: claude-sonnet, fast: quick-one}}
count_tokens: {{tiemout: 5}}
"""
FIRST = "model_list[0] (claude-sonnet): litellm_params"
SECOND = "model_list[1] (claude-bedrock): litellm_params"
PROBLEMS = [
    "nowhere.yaml: cannot be read: No such file or directory",
    "more.yaml: a mapping with model_list is required",
    "count_tokens.tiemout: unknown key; did you mean timeout?",
    f"{FIRST}.api_key: the environment variable NOT_SET is not set",
    f"{FIRST}.timeout: Input should be greater than 0",
    f"{SECOND}: aws_region_name is missing; set it or AWS_REGION",
    "model_list[4].model_name: Field required",
]
WARNINGS = [
    f"{SECOND}.vertex_projet: unknown key; did you mean vertex_project?",
    "router_settings.model_group_alias.fast: no entry is named quick-one",
]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    (tmp_path / "more.yaml").write_text("[]")
    path = tmp_path / "config.yaml"
    path.write_text(BROKEN)
    return path


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("ANTHROPIC_API_KEY", "AWS_REGION", "AWS_REGION_NAME", "AWS_DEFAULT_REGION"),
        *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ):
        monkeypatch.delenv(name, raising=False)


def run_check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Run `check --json`, and return its exit status and its report."""
    status = main(["check", "--json", *arguments])
    output = capsys.readouterr().out
    assert SECRET not in output
    return status, json.loads(output)


def test_a_broken_file_shows_every_problem_in_one_run(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = run_check(capsys, str(broken))
    assert status == 1
    assert report["ok"] is False
    assert report["problems"] == PROBLEMS
    assert report["warnings"] == WARNINGS
    assert [(row["model_name"], row["state"]) for row in report["deployments"]] == [
        ("claude-sonnet", "problem"),
        ("claude-bedrock", "problem"),
        ("good", "configured"),
        ("gpt-4o", "cannot_count"),
        ("sonnet", "alias"),
        ("fast", "alias"),
    ]


def test_the_listing_has_the_same_rows_problems_and_warnings(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(broken)]) == 1
    output = " ".join(capsys.readouterr().out.split())
    for message in (*PROBLEMS, *WARNINGS):
        assert message in output
    for part in (
        "anthropic/claude-y",
        "api.anthropic.com",
        "litellm_params.api_key",
        "order 1, weight 2",
        "good configured",
        "cannot count: no counting API; answers 501",
        "sonnet alias of claude-sonnet",
        f"PROBLEM: {PROBLEMS[5].removeprefix('model_list[1] (claude-bedrock): ')}",
        f"{broken}: problems: 7",
        f"{broken}: warnings: 2",
    ):
        assert part in output
    assert SECRET not in output


def test_a_row_says_where_its_credential_comes_from_and_where_it_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("TEAM_KEY", SECRET)
    aws = {"model": "bedrock/anthropic.claude-x", "aws_region_name": "eu-west-1"}
    vertex = {"model": "vertex_ai/claude-x", "vertex_location": "global"}
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"model": "anthropic/x"}, "ANTHROPIC_API_KEY", "api.anthropic.com"),
        (
            {"model": "anthropic/x", "api_key": SECRET},
            "litellm_params.api_key",
            "api.anthropic.com",
        ),
        (
            {"model": "anthropic/x", "api_key": "os.environ/TEAM_KEY", "base_url": "http://h:81/a"},
            "os.environ/TEAM_KEY",
            "h:81",
        ),
        (
            {"model": "gemini/x", "litellm_credential_name": "team"},
            "credential_list (team)",
            "generativelanguage.googleapis.com",
        ),
        (aws, "AWS's own chain", "bedrock-runtime.eu-west-1.amazonaws.com"),
        (
            {**aws, "aws_profile_name": "dev", "aws_role_name": "arn:r"},
            "litellm_params.aws_profile_name, assuming aws_role_name",
            "bedrock-runtime.eu-west-1.amazonaws.com",
        ),
        (
            {**aws, "count_tokens_via": "mantle", "api_key": SECRET},
            "litellm_params.api_key",
            "bedrock-mantle.eu-west-1.api.aws",
        ),
        (vertex, "application default credentials", "aiplatform.googleapis.com"),
        (
            {**vertex, "vertex_ai_credentials": '{"private_key": "' + SECRET + '"}'},
            "litellm_params.vertex_ai_credentials",
            "aiplatform.googleapis.com",
        ),
        ({"model": "anthropic/x", "base_url": "http://own"}, "ANTHROPIC_API_KEY", "own"),
        (
            {"model": "anthropic/x", "extra_headers": {"Authorization": f"Bearer {SECRET}"}},
            "litellm_params.extra_headers",
            "api.anthropic.com",
        ),
    ]
    entries = [
        {"model_name": f"m{n}", "litellm_params": params} for n, (params, _, _) in enumerate(cases)
    ]
    shared = {"credential_name": "team", "credential_values": {"api_key": SECRET}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"model_list": entries, "credential_list": [shared]}))
    status, report = run_check(capsys, str(path))
    assert status == 0
    rows = [(row["credential"], row["host"]) for row in report["deployments"]]
    assert rows == [(credential, host) for _, credential, host in cases]


def test_a_server_that_needs_no_credential_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "anthropic/x", "api_base": "http://h"}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"model_list": [entry]}))
    _, report = run_check(capsys, str(path))
    assert report["deployments"][0]["credential"] == "none"


# --model


def test_a_callers_name_is_followed_to_its_deployments(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, report = run_check(capsys, str(broken), "--model", "sonnet[1m]", "--model", "nobody")
    assert [(row["model_name"], row["id"], row["words"]) for row in report["deployments"]] == [
        ("sonnet[1m]", "claude-sonnet#0", report["deployments"][0]["words"]),
        ("nobody", None, "no entry has this name"),
    ]


def test_an_entry_for_any_provider_says_which_it_is_configured_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    path = tmp_path / "config.yaml"
    path.write_text('model_list: [{model_name: "*", litellm_params: {model: "*"}}]')
    status, report = run_check(capsys, str(path))
    (row,) = report["deployments"]
    assert (status, row["state"]) == (0, "pattern")
    assert row["words"] == "any model of anthropic, gemini"
    _, report = run_check(capsys, str(path), "--model", "claude-opus-4-8")
    (row,) = report["deployments"]
    assert (row["provider"], row["state"]) == ("anthropic", "configured")


# --probe


@pytest.fixture(scope="module")
def five() -> Iterator[dict[str, Any]]:
    """Return a configuration of the five providers, at emulated upstreams."""
    google = EmulatedGoogle()
    with ExitStack() as stack:
        anthropic = stack.enter_context(serving(emulated_anthropic()))
        bedrock = stack.enter_context(serving(emulated_bedrock()))
        google_url = stack.enter_context(serving(google.app))
        params = {
            "anthropic": {"model": "anthropic/claude-x", "api_key": EMULATED_KEY},
            "vertex-claude": vertex_params(google, google_url, "claude-3-5-sonnet-v2@20241022"),
            "bedrock": bedrock_params(bedrock),
            "gemini": {"model": "gemini/gemini-2.5-flash", "api_key": EMULATED_GEMINI_KEY},
            "vertex-gemini": vertex_params(google, google_url, "gemini-2.5-flash"),
        }
        params["anthropic"]["model"] = "anthropic/claude-3-5-sonnet-20241022"
        params["anthropic"]["api_base"] = anthropic
        params["gemini"]["api_base"] = google_url
        yield {
            "model_list": [
                {"model_name": name, "litellm_params": own} for name, own in params.items()
            ]
        }


def test_a_good_file_probes_to_five_green_rows(
    five: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(five))
    status, report = run_check(capsys, str(path), "--probe")
    assert status == 0
    assert report["ok"] is True
    rows = report["deployments"]
    assert [row["model_name"] for row in rows] == [e["model_name"] for e in five["model_list"]]
    assert [row["state"] for row in rows] == ["counted"] * 5
    assert all(row["input_tokens"] > 0 and row["milliseconds"] >= 0 for row in rows)


def test_a_probe_sends_the_request_of_a_file_by_every_deployment(
    five: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, request = tmp_path / "config.yaml", tmp_path / "request.json"
    path.write_text(yaml.safe_dump(five))
    tool = {"name": "a tool", "input_schema": {"type": "object"}, "x_future_field": 1}
    body = {
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{**tool, "name": "a_tool"}],
    }
    request.write_text(json.dumps(body))
    status, report = run_check(capsys, str(path), "--body", str(request))
    words = {row["model_name"]: row["words"] for row in report["deployments"]}
    assert status == 0
    assert words["gemini"] == words["vertex-gemini"] == "left out: tools.0.x_future_field"
    assert words["anthropic"] is None
    request.write_text(json.dumps({**body, "tools": [tool]}))
    status, report = run_check(capsys, str(path), "--body", str(request), "--model", "gemini")
    (row,) = report["deployments"]
    assert status == 1
    assert "function_declarations[0].name" in row["words"]
    assert "simplify the schema at this place" in row["hint"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file or directory"),
        ("[]", "it is not an object"),
        ("{", "The request body cannot be read"),
        ('{"model": "m"}', "messages: a list is required"),
        ('{"model": 5}', "messages: a list is required"),
    ],
)
def test_a_file_that_is_no_request_is_not_sent(
    text: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = tmp_path / "request.json"
    if text is not None:
        request.write_text(text)
    path = write_config("http://127.0.0.1:9", tmp_path)
    assert main(["check", "--json", str(path), "--body", str(request)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"{request}: ")
    assert reason in output.err


def test_it_runs_as_a_program_and_prints_plain_text_on_a_terminal_too(
    five: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(five))
    command = [sys.executable, "-W", "error", "-m", "count_tokens_mw", "check", str(path)]
    environ = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run(
        [*command, "--probe"], capture_output=True, text=True, check=False, env=environ, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"^  counted: \d+ tokens, \d+ ms$", done.stdout, re.MULTILINE)) == 5
    assert "\x1b" not in done.stdout


def write_config(upstream: str, tmp_path: Path, key: str = SECRET, **more: Any) -> Path:
    params = {"model": "anthropic/claude-x", "api_key": key, "api_base": upstream, **more}
    data = {
        "model_list": [{"model_name": "m", "litellm_params": params}],
        "router_settings": {"num_retries": 0},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def probe_at(
    upstream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], **more: Any
) -> tuple[int, dict[str, Any]]:
    path = write_config(upstream, tmp_path, **more)
    status = main(["check", "--json", "--probe", str(path)])
    (row,) = json.loads(capsys.readouterr().out)["deployments"]
    return status, row


def test_a_probe_that_fails_shows_the_upstreams_words_without_the_key_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        message = f"invalid x-api-key: {SECRET}"
        body = {"type": "error", "error": {"type": "authentication_error", "message": message}}
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    with serving(refusing) as url:
        status, row = probe_at(url, tmp_path, capsys)
        _, other = probe_at(url, tmp_path, capsys, extra_headers={"x-key": f"Bearer {SECRET}"})
        _, dummy = probe_at(url, tmp_path, capsys, key="k")
    assert (status, row["state"]) == (1, "failed")
    assert row["words"] == "401 authentication_error: invalid x-api-key: …"
    assert row["hint"] == "the credential is refused; check its source"
    assert other["words"] == row["words"]
    assert dummy["words"].startswith("401 authentication_error: invalid x-api-key: ")


def test_control_characters_and_markup_of_an_upstream_are_shown_as_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def painting(scope: Any, receive: Any, send: Any) -> None:
        body = json.dumps({"message": "\x1b[31m[bold]red[/bold]\x07 …"}).encode()
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": body})

    with serving(painting) as url:
        path = write_config(url, tmp_path)
        assert main(["check", str(path), "--probe"]) == 1
    output = capsys.readouterr().out
    assert "?[31m[bold]red[/bold]?" in output
    assert "\x1b" not in output


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_few_letters_gets_the_others_as_question_marks(
    broken: Path, encoding: str
) -> None:
    command = [sys.executable, "-m", "count_tokens_mw", "check", str(broken)]
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, check=False, env=environ, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"claude-sonnet" in done.stdout


@pytest.mark.parametrize("text", ["modle_list: []", "general_settings: {}", "model_list: []"])
def test_a_file_without_anything_to_count_is_not_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert run_check(capsys, str(path))[0] == 1
    assert main(["check", str(path)]) == 1
    assert "No deployment is configured;" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model": "*"}, "no provider has credentials; set an API key in the environment"),
        (
            {"model": "bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/a"},
            "bedrock: the ARN does not name its model; set model_info.base_model.",
        ),
    ],
)
def test_an_entry_that_can_never_count_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], params: dict[str, str], message: str
) -> None:
    path = tmp_path / "config.yaml"
    entry = {"model_name": "m*" if "*" in params["model"] else "m", "litellm_params": params}
    path.write_text(yaml.safe_dump({"model_list": [entry]}))
    status, report = run_check(capsys, str(path))
    (row,) = report["deployments"]
    assert (status, row["state"], row["words"]) == (1, "problem", message)


@pytest.mark.parametrize(
    ("status", "body", "params", "words", "hint"),
    [
        (
            404,
            {"detail": "Not Found"},
            {},
            "anthropic answered 404: the server has no token counting API.",
            "does api_base lead to a server with /v1/messages/count_tokens?",
        ),
        (
            405,
            {"detail": "Method Not Allowed"},
            {"model": "openai/m", "count_tokens_via": "anthropic"},
            "openai answered 405: the server has no token counting API.",
            "does api_base have the counting API that count_tokens_via names?",
        ),
        (
            200,
            {"input_tokens": 14, "litellm_count_source": "local_estimate"},
            {},
            "The upstream only estimates this count (local_estimate).",
            "give that LiteLLM proxy a model whose provider counts",
        ),
        (
            200,
            {"input_tokens": 14},
            {"model": "litellm_proxy/m"},
            (
                "The upstream names no source of this count (litellm_count_source), so it may only "
                "estimate."
            ),
            "update that LiteLLM proxy: newer ones name the source",
        ),
    ],
)
def test_a_server_that_cannot_count_is_a_failed_probe_with_a_hint(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: dict[str, Any],
    params: dict[str, Any],
    words: str,
    hint: str,
) -> None:
    async def answering(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    with serving(answering) as url:
        exit_status, row = probe_at(url, tmp_path, capsys, **params)
    assert (exit_status, row["state"]) == (1, "failed")
    assert row["words"] == f"501 api_error: {words}"
    assert row["hint"] == hint


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("openai/m", "set count_tokens_via to responses or anthropic, if the server has that API"),
        (
            "lm_studio/m",
            "set count_tokens_via: anthropic if api_base has /v1/messages/count_tokens",
        ),
        ("groq/llama3-8b-8192", None),
        ("bedrock/amazon.nova-pro-v1:0", None),
    ],
)
def test_an_entry_that_could_opt_in_has_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, hint: str | None
) -> None:
    path = write_config("http://127.0.0.1:8000", tmp_path, model=model)
    status, report = run_check(capsys, str(path))
    (row,) = report["deployments"]
    assert (status, row["state"], row["hint"]) == (0, "cannot_count", hint)


def test_an_upstream_that_cannot_be_reached_is_a_failed_probe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, row = probe_at("http://127.0.0.1:1", tmp_path, capsys)
    assert (status, row["state"]) == (1, "failed")
    assert row["words"].startswith("502 api_error: anthropic could not be reached")
    assert "reachable from here?" in row["hint"]


def test_what_has_no_model_of_its_own_is_not_probed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream = FakeUpstream()
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "model_list": [
                    {
                        "model_name": "c-*",
                        "litellm_params": {"model": "anthropic/*", "api_key": "k"},
                    },
                    {"model_name": "gpt", "litellm_params": {"model": "mistral/mistral-large"}},
                ],
                "router_settings": {"model_group_alias": {"alias": "gpt"}},
            }
        )
    )
    status, report = run_check(capsys, str(path), "--probe")
    assert status == 0
    states = [row["state"] for row in report["deployments"]]
    assert states == ["pattern", "cannot_count", "alias"]
    assert report["deployments"][0]["words"].endswith("to probe one, pass --model")
    assert upstream.requests == []


# Wrong usage


@pytest.mark.parametrize("arguments", [[], ["check"], ["check", "a", "b"], ["count"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m count_tokens_mw" in capsys.readouterr().err
