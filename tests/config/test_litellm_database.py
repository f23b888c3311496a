"""Rows of LiteLLM's database: the recipe of docs/litellm.md reads them from a real PostgreSQL."""

import asyncio
import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.secret import SecretBox
from psycopg.types.json import Jsonb
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from count_tokens_mw import Config, CountTokens, CredentialsUnavailable
from count_tokens_mw.config.model_names import is_encrypted
from demo_app.loopback import serving
from tests.support import postgres
from tests.support.postgres import RealPostgres, running_postgres

PAGE: Final = (Path(__file__).parents[2] / "docs" / "litellm.md").read_text(encoding="utf-8")
SNIPPETS: Final = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SALT_KEY: Final = "sk-salt-canary"
# By `encrypt_value_helper` of LiteLLM 1.108.7, with this salt key.
ENCRYPTED: Final = {
    "anthropic/claude-opus-4-8": (
        "Esy2UEuiQ3UPdgG_Y7Clfl0vd3DyBa3jy2ZXsuxOis43TNTFxdiRczkxGn8tofsLfoUHBpod3SKFgJgTIsUp5oU="
    ),
    "anthropic/claude-sonnet-5": (
        "SZVgJePHvxJso_f_56zdZOf13nHzNqrnoV0iePintCEDXsfF3DGGbeThTjd6N0AfgsGn5cVeb1gXjbr0i-jnd-c="
    ),
    "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef123456": (
        "7e2ZrBaa84bB0iNCDVBTqFzrtmS8NfkDIjajF34ZsWvegWRn_K9TXekGo6h5DSJaQeiNRj3G2LeVQfp4"
        "ElP7zbIo3nk83AnRoYY127-V9s2K2ypXTO39i7nfZHBVEH73wKbUYsgvdEZoutrpBpMJ9qgdvZBtZCv3"
        "vE3eptxaESoR"
    ),
    "anthropic": "nbRLkLs140KEua6zF5EyHSVVrLAO6Iu5tmQQnF5kX_7_RABXmpzhFWsFaucKc_Y4vA==",
    "team-a": "om0tVb1DRPKImpnxHgxFqiORnO7SSqquSanXMxSjpcNUP5cms_Kv-8JRs58toQ==",
    "row-key": "cgwBiReqdwcSo0B91E17bkriMZC331JF8SiTHXrf9b9UId6IFVORg9TcYUAebwE=",
    "credential-key": "zMHELS2n7MJ29UbuZ6afa8zxxUZknR9FVMfsWZPVJdLin6K8NUSiZAFrziHESkZ-TNvrSdOS",
}
# The same function with `encryption_algorithm: aes-256-gcm`.
AES_GCM: Final = {
    "anthropic/claude-opus-4-8": (
        "v2:gcm:wWGDvMfSLoJ3Nl3FkfkTRU7Ac6RpJtbNcKaX0jRsjB6jp37N78WZospsGob4TUvXLTGq6Cc="
    ),
    "openai/o3": "v2:gcm:s7KR2YyGCkjGVg8An2eVZddbWXzP-AinfuM8pybVNzkQegEnoA==",
}
# Migrations of litellm-proxy-extras 0.4.110, without the columns that nobody reads.
TABLES: Final = """
    CREATE TABLE "LiteLLM_ProxyModelTable" (
        "model_id" TEXT PRIMARY KEY,
        "model_name" TEXT NOT NULL,
        "litellm_params" JSONB NOT NULL,
        "model_info" JSONB,
        "blocked" BOOLEAN NOT NULL DEFAULT false,
        "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        "created_by" TEXT NOT NULL DEFAULT 'admin',
        "updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        "updated_by" TEXT NOT NULL DEFAULT 'admin'
    );
    CREATE TABLE "LiteLLM_CredentialsTable" (
        "credential_id" TEXT PRIMARY KEY,
        "credential_name" TEXT NOT NULL UNIQUE,
        "display_name" TEXT,
        "credential_values" JSONB NOT NULL,
        "credential_info" JSONB,
        "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        "created_by" TEXT NOT NULL DEFAULT 'admin',
        "updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        "updated_by" TEXT NOT NULL DEFAULT 'admin'
    );
    CREATE TABLE "LiteLLM_Config" (
        "param_name" TEXT PRIMARY KEY,
        "param_value" JSONB,
        "last_run_at" TIMESTAMP(3),
        "reload_revision" BIGINT NOT NULL DEFAULT 0
    );
"""


def encrypt(text: str, key: str = SALT_KEY) -> str:
    box = SecretBox(sha256(key.encode()).digest())
    return urlsafe_b64encode(box.encrypt(text.encode())).decode()


class Database:
    """LiteLLM's three tables."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        connection.execute('DROP TABLE IF EXISTS "LiteLLM_ProxyModelTable"')
        connection.execute('DROP TABLE IF EXISTS "LiteLLM_CredentialsTable"')
        connection.execute('DROP TABLE IF EXISTS "LiteLLM_Config"')
        connection.execute(TABLES)

    def add_model(self, name: str, *, blocked: bool = False, **litellm_params: Any) -> None:
        """Insert a row as LiteLLM does, whose id is also in `model_info`."""
        info = {"id": f"id-{name}", "db_model": True}
        self._connection.execute(
            'INSERT INTO "LiteLLM_ProxyModelTable"'
            " (model_id, model_name, litellm_params, model_info, blocked)"
            " VALUES (%s, %s, %s, %s, %s)",
            (info["id"], name, Jsonb(litellm_params), Jsonb(info), blocked),
        )

    def add_credential(self, name: str, **values: Any) -> None:
        self._connection.execute(
            'INSERT INTO "LiteLLM_CredentialsTable"'
            " (credential_id, credential_name, credential_values) VALUES (%s, %s, %s)",
            (f"id-{name}", name, Jsonb(values)),
        )

    def set_router_settings(self, **settings: Any) -> None:
        self._connection.execute(
            """INSERT INTO "LiteLLM_Config" (param_name, param_value)
            VALUES ('router_settings', %s), ('litellm_settings', '{"drop_params": true}')""",
            (Jsonb(settings),),
        )

    def rename(self, name: str, new_name: str) -> None:
        self._connection.execute(
            'UPDATE "LiteLLM_ProxyModelTable" SET model_name = %s WHERE model_name = %s',
            (new_name, name),
        )


class Anthropic:
    """An API on loopback, which records the key and the model of every request."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[tuple[str, str]] = []
        path = "/v1/messages/count_tokens"
        self.app = Starlette(routes=[Route(path, self._count, methods=["POST"])])

    async def _count(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.seen.append((request.headers["x-api-key"], body["model"]))
        return JSONResponse({"input_tokens": 14})


@pytest.fixture(scope="module")
def server() -> Iterator[RealPostgres]:
    with running_postgres() as started:
        yield started


@pytest.fixture
def database(server: RealPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("DATABASE_URL", server.url)
    with psycopg.connect(server.url, autocommit=True) as connection:
        yield Database(connection)


@pytest.fixture
def anthropic() -> Iterator[Anthropic]:
    api = Anthropic()
    with serving(api.app) as api.url:
        yield api


@pytest.fixture
def execute(
    anthropic: Anthropic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Return a function that executes the recipe beside a `config.yaml` of three sections."""

    def run(**more: Any) -> dict[str, Any]:
        params = {
            "model": "anthropic/of-the-file",
            "api_key": "file-key",
            "api_base": anthropic.url,
        }
        data = {
            "model_list": [{"model_name": "file", "litellm_params": params}],
            "count_tokens": {"cache": {"ttl": 0}},
            **more,
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(data))
        monkeypatch.chdir(tmp_path)
        names: dict[str, Any] = {"__name__": "models"}
        (code,) = (code for language, code in SNIPPETS if language == "python")
        exec(compile(code, "docs/litellm.md", "exec"), names)
        names["SECONDS"] = 0.05
        return names

    return run


async def count(count_tokens: CountTokens, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    return (await count_tokens.count(body)).input_tokens


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the recipe has no event to wait for
            await asyncio.sleep(0.01)


async def test_rows_count_with_their_credentials_and_aliases(
    database: Database,
    anthropic: Anthropic,
    execute: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opus, sonnet = "anthropic/claude-opus-4-8", "anthropic/claude-sonnet-5"
    key, base = ENCRYPTED["row-key"], encrypt(anthropic.url)
    database.add_model(
        "opus",
        model=ENCRYPTED[opus],
        api_key=key,
        api_base=base,
        rpm=60,
        use_in_pass_through=False,
        tags=["team-a"],
    )
    name = ENCRYPTED["team-a"]
    database.add_model("sonnet", model=ENCRYPTED[sonnet], litellm_credential_name=name)
    values = {"api_key": ENCRYPTED["credential-key"], "api_base": base}
    database.add_credential("team-a", **values)
    older = ENCRYPTED[opus].replace("-", "+").replace("_", "/")
    database.add_model("older", model=older, api_key=key, api_base=base)
    database.add_model("plain", model=opus, api_key="os.environ/PLAIN_KEY", api_base=anthropic.url)
    database.add_model("paused", blocked=True, model=ENCRYPTED[opus], api_key=key, api_base=base)
    other = encrypt(opus, "another salt key")
    database.add_model("other", model=other, custom_llm_provider=encrypt("anthropic", "another"))
    database.add_model("broken", api_key=key)
    aliases = {"model_group_alias": {"best": "opus"}, "routing_strategy": None}
    database.set_router_settings(**aliases)
    monkeypatch.setenv("LITELLM_SALT_KEY", SALT_KEY)
    monkeypatch.setenv("PLAIN_KEY", "plain-key")
    file_values = {"api_key": "file-key", "api_base": anthropic.url}
    names = execute(
        credential_list=[{"credential_name": "team-a", "credential_values": file_values}]
    )
    count_tokens = names["count_tokens"]
    async with names["lifespan"](None):
        for model in ("file", "opus", "sonnet", "older", "plain", "best"):
            assert await count(count_tokens, model) == 14
        with pytest.raises(CredentialsUnavailable):
            await count(count_tokens, "other")
    assert anthropic.seen == [
        ("file-key", "of-the-file"),
        ("row-key", "claude-opus-4-8"),
        ("credential-key", "claude-sonnet-5"),
        ("row-key", "claude-opus-4-8"),
        ("plain-key", "claude-opus-4-8"),
        ("row-key", "claude-opus-4-8"),
    ]
    assert not count_tokens.has_model("paused")
    assert re.findall(r"\((\w+)\).*encrypted by LiteLLM", caplog.text) == ["other"]
    assert re.findall(r"\((\w+)\).*a string is required", caplog.text) == ["broken"]


async def test_a_changed_row_is_reloaded_and_an_outage_changes_nothing(
    server: RealPostgres,
    database: Database,
    anthropic: Anthropic,
    execute: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = encrypt("anthropic/claude-opus-4-8", "sk-master")
    database.add_model("opus", model=model, api_key="row-key", api_base=anthropic.url)
    database.set_router_settings(model_group_alias={"best": "opus"})
    monkeypatch.delenv("LITELLM_SALT_KEY", raising=False)
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-master")
    names = execute(router_settings={"model_group_alias": {"best": "file"}})
    count_tokens = names["count_tokens"]
    read, read_all = names["config_of"], names["refresh"]
    configs: list[Config] = []
    refreshes = 0

    def config_of(*rows: Any) -> Config:
        configs.append(read(*rows))
        return configs[-1]

    async def refresh(*rows: Any) -> Any:
        nonlocal refreshes
        latest = await read_all(*rows)
        refreshes += 1
        return latest

    async def refresh_twice() -> None:
        """Wait for the end of a refresh that began after this call."""
        earlier = refreshes
        await until(lambda: refreshes >= earlier + 2)

    names |= {"config_of": config_of, "refresh": refresh}
    async with names["lifespan"](None):
        assert await count(count_tokens, "opus") == 14
        assert configs[-1].router_settings.model_group_alias == {"best": "file"}
        await refresh_twice()
        assert len(configs) == 1
        database.rename("opus", "opus-2")
        await until(lambda: count_tokens.has_model("opus-2"))
        assert not count_tokens.has_model("opus")
        server.stop()
        await until(lambda: "the last configuration stays in force" in caplog.text)
        assert await count(count_tokens, "opus-2") == 14
        server.start()
        await refresh_twice()
        assert len(configs) == 2
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("""UPDATE "LiteLLM_ProxyModelTable" SET model_name = 'opus-3'""")
        await until(lambda: count_tokens.has_model("opus-3"))
    assert len(configs) == 3
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


@pytest.mark.parametrize(
    ("environ", "outcome"), [({}, pytest.skip.Exception), ({"CI": "true"}, pytest.fail.Exception)]
)
def test_a_missing_postgresql_skips_the_test_or_fails_in_ci(
    environ: dict[str, str], outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "FOLDERS", [])
    monkeypatch.delenv("CI", raising=False)
    for name, value in {"PATH": "", **environ}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(outcome, match="apt-get install postgresql"), running_postgres():
        pass


def test_the_page_has_the_recipe_and_no_other_snippet() -> None:
    assert [language for language, _ in SNIPPETS] == ["python"]


@pytest.mark.parametrize("text", AES_GCM)
def test_a_value_of_the_other_algorithm_is_what_the_page_writes(text: str) -> None:
    sealed = urlsafe_b64decode(AES_GCM[text].removeprefix("v2:gcm:"))
    aes = AESGCM(sha256(SALT_KEY.encode()).digest())
    assert aes.decrypt(sealed[:12], sealed[12:], None).decode() == text


MODELS: Final = [
    *(text for name, text in ENCRYPTED.items() if "/" in name),
    *(text.replace("-", "+").replace("_", "/") for name, text in ENCRYPTED.items() if "/" in name),
    *AES_GCM.values(),
]


@pytest.mark.parametrize("has_provider", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_an_encrypted_model_is_reported_as_encrypted(model: str, has_provider: bool) -> None:
    params = {"model": model, "api_key": ENCRYPTED["row-key"]}
    if has_provider:
        params["custom_llm_provider"] = ENCRYPTED["anthropic"]
    config = Config.from_mapping(
        {"model_list": [{"model_name": "opus", "litellm_params": params}]}, {}
    )
    problem = "encrypted by LiteLLM; decrypt the row as docs/litellm.md shows"
    assert config.warnings == (f"model_list[0] (opus): litellm_params.model: {problem}",)
    (deployment,) = config.deployments
    assert deployment.problem == f"litellm_params.model: {problem}"
    assert deployment.params is None


@pytest.mark.parametrize(
    "name",
    [
        "anthropic/claude-opus-4-8",
        "together_ai/NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO",
        "deepinfra/meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        "together_ai/meta-llama/Meta-Llama-3-70B-Instruct-Turbo-A",
        "friendliai/MiniMaxAI/MiniMax-M2.5",
        "fireworks_ai/accounts/fireworks/models/deepseek-r1-basic",
        "azure/aVeryLongNameInCamelCase",
        "openai/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "v2:gcm:opus",
        "",
    ],
)
def test_a_name_is_not_taken_for_a_ciphertext(name: str) -> None:
    assert not is_encrypted(name)
