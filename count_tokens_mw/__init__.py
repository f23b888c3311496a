"""POST /v1/messages/count_tokens for an existing Starlette or FastAPI gateway."""

from count_tokens_mw.app import CountTokens
from count_tokens_mw.breakdown.result import (
    Breakdown,
    ImageTokens,
    MessageTokens,
    PartError,
    Progress,
    ToolTokens,
)
from count_tokens_mw.config import Config
from count_tokens_mw.config.models import Deployment, RouterSettings, Settings
from count_tokens_mw.errors import (
    CannotCount,
    ClientClosedRequest,
    ConfigError,
    CountError,
    CountTokensError,
    CredentialsUnavailable,
    DeadlineExceeded,
    ErrorType,
    HeadersTooLarge,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
    Refused,
    RequestTooLarge,
    TooManyRequests,
    Unauthenticated,
    UpstreamError,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.events import Attempt, CountEvent, EntryPoint, Hook
from count_tokens_mw.host.api_keys import KeyLookup, api_key
from count_tokens_mw.host.auth import Authenticator, Authorizer, anyone, host_user
from count_tokens_mw.host.callbacks import Resolver, Transform
from count_tokens_mw.middleware import CountTokensMiddleware
from count_tokens_mw.types import Caller, Source, TokenCount

__all__ = [
    "Attempt",
    "Authenticator",
    "Authorizer",
    "Breakdown",
    "Caller",
    "CannotCount",
    "ClientClosedRequest",
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
    "EntryPoint",
    "ErrorType",
    "HeadersTooLarge",
    "Hook",
    "ImageTokens",
    "InternalError",
    "InvalidRequest",
    "KeyLookup",
    "MessageTokens",
    "MethodNotAllowed",
    "NotFound",
    "PartError",
    "PermissionDenied",
    "Progress",
    "Refused",
    "RequestTooLarge",
    "Resolver",
    "RouterSettings",
    "Settings",
    "Source",
    "TokenCount",
    "TooManyRequests",
    "ToolTokens",
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
