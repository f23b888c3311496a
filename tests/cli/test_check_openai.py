"""The check of OpenAI's deployments, of servers in its format, and of Azure OpenAI."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from count_tokens_mw.__main__ import main
from demo_app.emulators import EMULATED_OPENAI_KEY, emulated_openai
from demo_app.loopback import serving

SECRET: Final = "sk-a-key-of-this-gateway"
VIA: Final = {"count_tokens_via": "responses"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(emulated_openai()) as url:
        yield url


def check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, *entries: dict[str, Any]
) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status of a check with a probe, and its rows."""
    path = tmp_path / "config.yaml"
    named = [{"model_name": f"m{n}", "litellm_params": one} for n, one in enumerate(entries)]
    path.write_text(yaml.safe_dump({"model_list": named}))
    status = main(["check", "--json", "--probe", str(path)])
    output = capsys.readouterr().out
    assert SECRET not in output
    return status, json.loads(output)["deployments"]


def test_a_probe_counts_or_shows_the_message_and_a_hint(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"model": "openai/gpt-5.6", "api_key": EMULATED_OPENAI_KEY, "api_base": url, **VIA}
    status, rows = check(
        capsys,
        tmp_path,
        good,
        {**good, "api_key": SECRET},
        {**good, "model": "openai/gpt-does-not-exist"},
        {**good, "api_base": f"{url}/elsewhere"},
        {**good, "model": "azure/gpt-5.6", "api_base": url},
    )
    assert status == 1
    counted, refused, missing, without, azure = rows
    assert (counted["state"], counted["asked_model"]) == ("counted", "gpt-5.6")
    assert counted["input_tokens"] > 0
    assert refused["words"].startswith("401 authentication_error: Incorrect API key provided: …")
    assert refused["hint"] == "the OpenAI API key is refused; check it and its project"
    assert missing["words"].startswith("404 not_found_error: The model `gpt-does-not-exist`")
    assert "access to it" in missing["hint"]
    for row, provider in ((without, "openai"), (azure, "azure")):
        message = f"{provider} answered 404: the server has no token counting API."
        assert row["words"] == f"501 api_error: {message}"
        assert row["hint"] == "does api_base have the counting API that count_tokens_via names?"


def test_an_entry_that_nobody_chose_is_no_fault_and_has_a_hint(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows = check(
        capsys,
        tmp_path,
        {"model": "openai/llama", "api_base": url, "api_key": SECRET},
        {"model": "azure/gpt", "api_base": url, "api_key": "os.environ/NOT_SET"},
    )
    assert status == 0
    for row in rows:
        assert (row["state"], row["words"]) == ("cannot_count", "no counting API; answers 501")
    assert [row["hint"] for row in rows] == [
        "set count_tokens_via to responses or anthropic, if the server has that API",
        "set count_tokens_via: responses to try it at this resource",
    ]
