"""The models that the gateway's keys may use, listed as Anthropic's API lists its own.

https://docs.claude.com/en/api/models-list and https://docs.claude.com/en/api/models
"""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.params import Depends

from count_tokens_mw import Caller, Config, Deployment, NotFound
from demo_app.keys import may_use

__all__ = ["models_of", "models_router"]


def models_of(config: Config) -> list[dict[str, Any]]:
    """Return the models without wildcards in the file's order; the first entry of a name wins."""
    named: dict[str, Deployment] = {}
    for deployment in config.deployments:
        named.setdefault(deployment.model_name, deployment)
    return [
        {"id": name, "provider": first.provider, "countable": first.params is not None}
        for name, first in named.items()
        if "*" not in name
    ]


def models_router(config: Config, known_caller: Depends) -> APIRouter:
    """Return the routes `/v1/models` and `/v1/models/{id}`."""
    router = APIRouter(tags=["models"])
    names = [model["id"] for model in models_of(config)]
    aliases = config.router_settings.model_group_alias

    @router.get("/v1/models")
    async def list_models(caller: Annotated[Caller, known_caller]) -> dict[str, Any]:
        data = [_model(name) for name in names if may_use(caller, name)]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}

    @router.get("/v1/models/{model_id:path}")
    async def get_model(model_id: str, caller: Annotated[Caller, known_caller]) -> dict[str, Any]:
        """Return a model or, for an alias, the model that it stands for."""
        name = aliases.get(model_id, model_id)
        if name not in names or not may_use(caller, name):
            raise NotFound(f"model: {model_id[:256]}")
        return _model(name)

    return router


def _model(name: str) -> dict[str, Any]:
    created_at = "1970-01-01T00:00:00Z"  # unknown
    return {"type": "model", "id": name, "display_name": name, "created_at": created_at}
