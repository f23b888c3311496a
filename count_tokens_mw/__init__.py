"""POST /v1/messages/count_tokens for the Starlette or FastAPI gateway that you already run."""

from count_tokens_mw.auth import Authenticator, Authorizer, KeyLookup, anyone, api_key, host_user
from count_tokens_mw.config import Config
from count_tokens_mw.config_models import Deployment, RouterSettings, Settings
from count_tokens_mw.errors import (
    CannotCount,
    ConfigError,
    CountError,
    CountTokensError,
    CredentialsUnavailable,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TooManyRequests,
    Unauthenticated,
    UpstreamError,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.hooks import Attempt, CountEvent, Hook
from count_tokens_mw.middleware import CountTokensMiddleware
from count_tokens_mw.plugin import CountTokens
from count_tokens_mw.resolving import Resolver
from count_tokens_mw.transforming import Transform
from count_tokens_mw.types import Caller, TokenCount

__all__ = [
    "Attempt",
    "Authenticator",
    "Authorizer",
    "Caller",
    "CannotCount",
    "Config",
    "ConfigError",
    "CountError",
    "CountEvent",
    "CountTokens",
    "CountTokensError",
    "CountTokensMiddleware",
    "CredentialsUnavailable",
    "DeadlineExceeded",
    "Deployment",
    "Hook",
    "InvalidRequest",
    "KeyLookup",
    "NotFound",
    "PermissionDenied",
    "Resolver",
    "RouterSettings",
    "Settings",
    "TokenCount",
    "TooManyRequests",
    "Transform",
    "Unauthenticated",
    "UpstreamError",
    "UpstreamUnreachable",
    "UpstreamUnusable",
    "anyone",
    "api_key",
    "host_user",
]

__version__ = "0.1.0"
