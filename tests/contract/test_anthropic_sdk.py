"""The real `anthropic` client over real sockets against the demo gateway under uvicorn."""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import httpx
import pytest

from demo_app.emulators import count
from tests.support.requests import HELLO, INVENTED_BLOCK, STANDARD

MODEL = "claude-3-5-sonnet-20241022"
REQUESTS = {**STANDARD, "an invented block": INVENTED_BLOCK}


@pytest.fixture
def client(demo: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="sk-demo", base_url=demo, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(demo: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key="sk-demo", base_url=demo, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_the_sync_client_gets_the_upstreams_count(
    client: anthropic.Anthropic, request_: dict[str, Any]
) -> None:
    assert client.messages.count_tokens(model=MODEL, **request_).input_tokens == count(request_)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_the_async_client_gets_the_upstreams_count(
    async_client: anthropic.AsyncAnthropic, request_: dict[str, Any]
) -> None:
    counted = await async_client.messages.count_tokens(model=MODEL, **request_)
    assert counted.input_tokens == count(request_)


CONTEXT_MANAGEMENT = {"edits": [{"type": "clear_tool_uses_20250919"}]}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_the_beta_clients_betas_and_fields_get_through(
    client: anthropic.Anthropic, request_: dict[str, Any]
) -> None:
    counted = client.beta.messages.count_tokens(
        model=MODEL,
        betas=["context-management-2025-06-27"],
        context_management=CONTEXT_MANAGEMENT,  # type: ignore[arg-type]
        **request_,
    )
    assert counted.input_tokens == count(request_)
    assert counted.context_management is not None
    assert counted.context_management.original_input_tokens == counted.input_tokens


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_the_async_beta_client_and_its_old_query_work(
    async_client: anthropic.AsyncAnthropic, request_: dict[str, Any]
) -> None:
    counted = await async_client.beta.messages.count_tokens(
        model=MODEL, extra_query={"beta": "true"}, **request_
    )
    assert counted.input_tokens == count(request_)


def test_the_passthrough_is_a_base_url_of_its_own(demo: str) -> None:
    with anthropic.Anthropic(api_key="sk-demo", base_url=f"{demo}/anthropic") as client:
        counted = client.messages.count_tokens(model="claude-opus-4-8", messages=HELLO)
    assert counted.input_tokens == count({"messages": HELLO})


def test_a_key_in_x_api_key_and_a_token_as_bearer_are_both_read(demo: str) -> None:
    for header in ({"x-api-key": "sk-demo"}, {"authorization": "Bearer sk-demo"}):
        body = {"model": MODEL, "messages": HELLO}
        response = httpx.post(f"{demo}/v1/messages/count_tokens", json=body, headers=header)
        assert response.status_code == 200
        assert "emulated" in response.headers["x-demo-upstream"]


@pytest.mark.parametrize(
    ("change", "error_type", "status", "message"),
    [
        ({"model": "nobody"}, anthropic.NotFoundError, 404, "model: nobody"),
        ({"model": "mistral-large"}, anthropic.HTTPNotImplementedError, 501, "cannot be counted"),
        ({"extra_body": {"messages": "x"}}, anthropic.BadRequestError, 400, "messages: a list"),
        ({"system": "x" * 33_554_432}, anthropic.ContentTooLargeError, 413, "larger than 33554432"),
        (
            {"extra_headers": {"content-encoding": "br"}},
            anthropic.RequestBodyEncodingUnsupportedError,
            400,
            "compressed",
        ),
    ],
)
def test_our_errors_are_the_clients_typed_exceptions(
    client: anthropic.Anthropic,
    change: dict[str, Any],
    error_type: type[anthropic.APIStatusError],
    status: int,
    message: str,
) -> None:
    arguments = {"model": MODEL, "messages": HELLO, **change}
    with pytest.raises(error_type) as raised:
        client.messages.count_tokens(**arguments)
    assert raised.value.status_code == status
    assert message in str(raised.value.api_message)
    assert str(raised.value.request_id).startswith("req_")


def test_a_wrong_key_is_the_clients_authentication_error(demo: str) -> None:
    with (
        anthropic.Anthropic(api_key="sk-wrong", base_url=demo, max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as raised,
    ):
        client.messages.count_tokens(model=MODEL, messages=HELLO)
    assert raised.value.type == "authentication_error"
    assert raised.value.response.headers["www-authenticate"] == "Bearer"


UPSTREAMS = [
    (400, anthropic.BadRequestError, "invalid_request_error"),
    (401, anthropic.AuthenticationError, "authentication_error"),
    (402, anthropic.PaymentRequiredError, "billing_error"),
    (403, anthropic.PermissionDeniedError, "permission_error"),
    (404, anthropic.NotFoundError, "not_found_error"),
    (409, anthropic.ConflictError, "conflict_error"),
    (413, anthropic.ContentTooLargeError, "request_too_large"),
    (429, anthropic.RateLimitError, "rate_limit_error"),
    (500, anthropic.InternalServerError, "api_error"),
    (504, anthropic.GatewayTimeoutError, "timeout_error"),
    (529, anthropic.OverloadedError, "overloaded_error"),
]


@pytest.mark.parametrize(
    ("path", "status", "error_type", "name"),
    [(path, *upstream) for path, upstream in itertools.product(("", "/anthropic"), UPSTREAMS)],
)
def test_the_upstreams_errors_are_the_clients_typed_exceptions(
    demo: str, path: str, status: int, error_type: type[anthropic.APIStatusError], name: str
) -> None:
    emulate = {"anthropic-emulate-status": str(status)}
    with (
        anthropic.Anthropic(api_key="sk-demo", base_url=demo + path, max_retries=0) as client,
        pytest.raises(error_type) as raised,
    ):
        client.messages.count_tokens(model=MODEL, messages=HELLO, extra_headers=emulate)
    assert (raised.value.status_code, raised.value.type) == (status, name)
    assert str(raised.value.request_id).startswith("req_emulated_")
    assert raised.value.response.headers.get("retry-after") == ("17" if status == 429 else None)
