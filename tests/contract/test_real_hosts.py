"""Third-party applications that integrate the counter by two lines, and work unchanged."""

from typing import Any

from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.testclient import TestClient

from count_tokens_mw import CountTokens, CountTokensMiddleware
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

COUNT = "/v1/messages/count_tokens"
LOCAL = "http://127.0.0.1:8000"


def weather_server() -> Starlette:
    server = MCPServer("weather")

    @server.tool()
    def temperature(city: str) -> int:
        """Return the temperature in a city."""
        return len(city)

    return server.streamable_http_app(json_response=True, stateless_http=True)


def call_mcp(client: TestClient, method: str, **params: Any) -> Any:
    """Call a method like an MCP client, and return its result."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    accept = "application/json, text/event-stream"
    response = client.post("/mcp", json=request, headers={"accept": accept})
    assert response.status_code == 200, response.text
    return response.json()["result"]


def smoke_test(client: TestClient) -> None:
    """Check that the MCP server works as it does without the counter."""
    (tool,) = call_mcp(client, "tools/list")["tools"]
    assert tool["name"] == "temperature"
    result = call_mcp(client, "tools/call", name="temperature", arguments={"city": "Paris"})
    assert result["content"][0]["text"] == "5"
    assert client.get("/nowhere").status_code == 404


def counts(client: TestClient) -> bool:
    return bool(client.post(COUNT, json=HELLO).json() == {"input_tokens": 14})


def counting() -> CountTokens:
    return count_tokens_with(FakeUpstream())


def test_the_applications_smoke_test_passes_without_us() -> None:
    with TestClient(weather_server(), base_url=LOCAL) as client:
        smoke_test(client)
        assert client.post(COUNT, json=HELLO).status_code == 404


def test_an_mcp_server_takes_us_in_as_routes() -> None:
    app = weather_server()
    app.router.routes.extend(counting().routes)
    with TestClient(app, base_url=LOCAL) as client:
        smoke_test(client)
        assert counts(client)


def test_an_mcp_server_takes_us_in_as_a_middleware() -> None:
    app = weather_server()
    app.add_middleware(CountTokensMiddleware, count_tokens=counting())
    with TestClient(app, base_url=LOCAL) as client:
        smoke_test(client)
        assert counts(client)


def test_an_mcp_server_takes_us_in_as_a_mount() -> None:
    app = weather_server()
    app.mount("/llm", counting())
    with TestClient(app, base_url=LOCAL) as client:
        smoke_test(client)
        assert client.post(f"/llm{COUNT}", json=HELLO).json() == {"input_tokens": 14}
