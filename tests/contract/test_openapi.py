"""Requests generated from the router's own OpenAPI: every answer is as documented."""

from typing import Any

import httpx
import schemathesis
from fastapi import Depends, FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from count_tokens_mw.fastapi import count_tokens_router
from tests.support.fakes import FakeUpstream, count_tokens_with

ANY = {"model_list": [{"model_name": "*", "litellm_params": {"model": "anthropic/*"}}]}


def busy_at_times(request: httpx.Request) -> httpx.Response:
    """Answer with a count, or with a 429 to a long body, like an upstream with a limit."""
    if len(request.content) > 400:
        envelope = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}}
        return httpx.Response(429, json=envelope, headers={"retry-after": "60"})
    return httpx.Response(200, json={"input_tokens": len(request.content)})


def gateway() -> FastAPI:
    upstream = FakeUpstream()
    upstream.answer = busy_at_times
    app = FastAPI()
    count_tokens = count_tokens_with(upstream, ANY)
    app.include_router(count_tokens_router(count_tokens, identity=Depends(lambda: "team-a")))
    return app


schema = schemathesis.openapi.from_asgi("/openapi.json", gateway())


@schema.parametrize()
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_what_the_documentation_allows_is_documented(
    case: schemathesis.Case[Any],
) -> None:
    response = case.call_and_validate(
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ]
    )
    assert response.status_code in {200, 400, 404, 405, 429}
