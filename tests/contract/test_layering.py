"""The house: its arrows point down, its front door is a list, and importing it loads little."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import count_tokens_mw

PACKAGE = Path(count_tokens_mw.__file__).parent
# A folder is a layer, and so is a module beside the folders. From the ground up; each may import
# those below it and itself, and those in one row do not know each other.
LAYERS = [
    ["errors", "rawjson"],
    ["aio", "types"],
    ["config", "events", "protocol"],
    ["host"],
    ["cache", "providers"],
    ["counting"],
    ["breakdown"],
    ["pipeline"],
    ["asgi"],
    ["app"],
    ["cli", "fastapi", "middleware", "telemetry"],
    ["", "__main__"],
]
HEIGHT_OF = {layer: height for height, row in enumerate(LAYERS) for layer in row}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    .removesuffix("__init__")
    .rstrip("."): path
    for path in PACKAGE.rglob("*.py")
}


def layer_of(module: str) -> str:
    """Return the folder or the module at the package's top that a module belongs to."""
    return module.partition(".")[0]


def imports_of(path: Path) -> set[str]:
    """Return every module that a file imports, wherever in the file the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module or "")
    return found


def imports_of_os(path: Path) -> set[str]:
    """Return the names that a file imports from `os`; the module itself is one of them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.partition(".")[0] == "os"}
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "os":
            names |= {alias.name for alias in node.names}
    return names


def test_every_module_is_in_a_layer() -> None:
    assert HEIGHT_OF.keys() == set(map(layer_of, MODULES))


def test_the_package_has_few_files_at_its_top() -> None:
    assert len([path for path in PACKAGE.iterdir() if path.is_file()]) <= 12


def test_imports_point_down() -> None:
    for module, path in MODULES.items():
        layer = layer_of(module)
        for imported in imports_of(path):
            name, _, inner = imported.partition(".")
            if name == "count_tokens_mw" and layer_of(inner) != layer:
                assert HEIGHT_OF[layer_of(inner)] < HEIGHT_OF[layer], f"{module} imports {inner}"


def test_a_provider_knows_no_web_framework_and_nothing_of_hosts() -> None:
    for module in [name for name in MODULES if layer_of(name) == "providers"]:
        for imported in imports_of(MODULES[module]):
            assert imported.partition(".")[0] not in {"starlette", "fastapi"}, module
            assert imported not in {"count_tokens_mw.events", "count_tokens_mw.host.auth"}, module


def test_only_the_configuration_reads_the_environment() -> None:
    for module, path in MODULES.items():
        if module != "config":
            assert imports_of_os(path) <= {"register_at_fork"}, module


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


FIRST_COUNT = """
import asyncio, sys, threading
from count_tokens_mw import Config, CountError, CountTokens

on_the_loop = set()

class Watch:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            on_the_loop.add(name.partition(".")[0])

sys.meta_path.insert(0, Watch())
entry = {{"model_name": "m", "litellm_params": {params}}}

async def count():
    count_tokens = CountTokens(Config.from_mapping({{"model_list": [entry]}}, {{}}))
    async with count_tokens.lifespan():
        try:
            messages = [{{"role": "user", "content": "a"}}]
            await count_tokens.count({{"model": "m", "messages": messages}})
        except CountError as error:
            print(error.status)

asyncio.run(count())
print(*on_the_loop)
"""


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has imported after a statement."""
    listed = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", listed], capture_output=True, check=True, text=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_client_and_no_provider() -> None:
    loaded = loaded_by("import count_tokens_mw")
    heavy = {
        "aiohttp",
        "botocore",
        "aiobotocore",
        "google.auth",
        "httpx",
        "azure",
        "fastapi",
        "redis",
    }
    assert "count_tokens_mw.app" in loaded
    assert loaded & heavy == set()
    assert {name for name in loaded if name.startswith("count_tokens_mw.providers.")} == {
        "count_tokens_mw.providers.base",
        "count_tokens_mw.providers.pool",
    }


def test_importing_the_package_loads_all_that_a_request_needs_but_vendors_libraries() -> None:
    """At start: the event loop would wait in the request that is the first to need it."""
    loaded = loaded_by("import count_tokens_mw")
    rooms = {"cache", "config", "counting", "host", "protocol", "rawjson"}
    modules = {f"count_tokens_mw.{name}" for name in MODULES if layer_of(name) in rooms}
    optional = {"cache.redis", "cache.redis_codec", "protocol.openapi"}
    assert modules - loaded == {f"count_tokens_mw.{name}" for name in optional}


def test_checking_a_file_for_anthropic_loads_no_other_providers_library() -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "anthropic/m", "api_key": "k"}}
    made = (
        "import tempfile, json, runpy; file = tempfile.NamedTemporaryFile('w', suffix='.yaml'); "
        f"json.dump({{'model_list': [{entry!r}]}}, file); file.flush(); "
        "sys.argv = ['count_tokens_mw', 'check', file.name, '--json']; "
        "import contextlib, io; out = io.StringIO()\n"
        "with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):\n"
        "    runpy.run_module('count_tokens_mw', run_name='__main__')\n"
        "assert json.loads(out.getvalue())['ok'] is True, out.getvalue()\n"
    )
    loaded = loaded_by(f"exec({made!r})")
    assert "count_tokens_mw.cli.check" in loaded
    assert loaded & {"aiobotocore", "botocore", "google.auth", "urllib3", "redis"} == set()


def test_a_name_that_is_not_public_is_none() -> None:
    """To a type checker too: one that took any name would find the ignored error unneeded."""
    with pytest.raises(AttributeError, match="'count_tokens_mw' has no attribute 'CacheSettings'"):
        assert count_tokens_mw.CacheSettings  # type: ignore[attr-defined]


def test_nothing_is_opened_and_no_client_loaded_before_the_first_count() -> None:
    made = (
        "from count_tokens_mw import CountTokens, Config; environ = {'ANTHROPIC_API_KEY': 'k'}; "
        "entry = {'model_name': 'm', 'litellm_params': {'model': 'anthropic/m'}}; "
        "ready = CountTokens(Config.from_mapping({'model_list': [entry]}, environ)); ready.routes"
    )
    assert loaded_by(made) & {"httpx", "aiohttp", "count_tokens_mw.providers.anthropic"} == set()


def test_a_service_that_uses_only_anthropic_loads_no_other_providers_library() -> None:
    """After a count, which nobody answers."""
    entry = {"model": "anthropic/m", "api_key": "k", "api_base": "http://127.0.0.1:1"}
    loaded = loaded_by(f"exec({FIRST_COUNT.format(params=entry)!r})")
    assert "aiohttp" in loaded
    assert loaded & {"botocore", "aiobotocore", "google.auth"} == set()


def test_the_public_names_are_listed_in_order_and_all_there() -> None:
    names = count_tokens_mw.__all__
    assert names == sorted(names)
    found = {name: getattr(count_tokens_mw, name) for name in dir(count_tokens_mw)}
    public = {
        name
        for name, value in found.items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert set(names) == public


@pytest.mark.parametrize("folder", sorted({name.partition(".")[0] for name in MODULES if name}))
def test_every_modules_all_is_complete_and_documented(folder: str) -> None:
    for module, path in MODULES.items():
        if module.partition(".")[0] == folder:
            check_all_of(module, ast.parse(path.read_text(encoding="utf-8")))


def check_all_of(module: str, tree: ast.Module) -> None:
    """Check that a name without an underscore is listed, and that it has a docstring."""
    assert ast.get_docstring(tree), module
    listed: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            listed = ast.literal_eval(node.value)
    definitions = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in tree.body:
        if isinstance(node, definitions) and not node.name.startswith("_"):
            assert node.name in listed, node.name
            is_overload = any(ast.unparse(each) == "overload" for each in node.decorator_list)
            assert is_overload or ast.get_docstring(node), node.name


@pytest.mark.parametrize(
    ("params", "library", "status"),
    [
        (
            {
                "model": "bedrock/anthropic.claude-x",
                "aws_region_name": "us-east-1",
                "aws_access_key_id": "a",
                "aws_secret_access_key": "s",
                "aws_bedrock_runtime_endpoint": "http://127.0.0.1:1",
            },
            "aiobotocore",
            "502",
        ),
        (
            {
                "model": "vertex_ai/gemini-x",
                "vertex_project": "p",
                "vertex_location": "us",
                "vertex_credentials": {"type": "service_account"},
            },
            "google",
            "500",
        ),
        ({"model": "gemini/x", "api_key": "k", "api_base": "http://127.0.0.1:1"}, "aiohttp", "502"),
        (
            {
                "model": "azure_ai/claude-x",
                "api_base": "http://127.0.0.1:1",
                "tenant_id": "t",
                "client_id": "c",
                "client_secret": "s",
                "azure_authority_host": "https://127.0.0.1:1",
            },
            "msal",  # azure-identity's; `azure` itself is looked for when the file is read
            "502",
        ),
    ],
)
def test_a_vendors_library_is_not_imported_on_the_event_loop(
    params: dict[str, object], library: str, status: str
) -> None:
    """Each is hundreds of milliseconds of work, in which the host would answer nobody."""
    command = [sys.executable, "-c", FIRST_COUNT.format(params=params)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    said, imported = done.stdout.splitlines()
    assert said == status
    assert library not in imported.split()
    assert not {"aiobotocore", "botocore", "google", "urllib3"} & set(imported.split())
