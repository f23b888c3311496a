"""Emulated upstreams: the wire contract of each counting API, and invented counts.

Each is as strict as its original about credentials, paths and fields, so that a request that it
accepts is worth sending to the original. None of them counts as the models do.
"""

from demo_app.emulators.anthropic import EMULATED_KEY, emulated_anthropic
from demo_app.emulators.bedrock import (
    EMULATED_ACCESS_KEY_ID,
    EMULATED_BEDROCK_API_KEY,
    EMULATED_REGION,
    EMULATED_SECRET_ACCESS_KEY,
    emulated_bedrock,
    emulated_runtime,
)
from demo_app.emulators.bedrock_models import MANTLE_REGIONS
from demo_app.emulators.counting import count, count_gemini, count_openai
from demo_app.emulators.google import EMULATED_EXPRESS_KEY, EMULATED_GEMINI_KEY, EmulatedGoogle
from demo_app.emulators.openai import EMULATED_OPENAI_KEY, emulated_openai

__all__ = [
    "EMULATED_ACCESS_KEY_ID",
    "EMULATED_BEDROCK_API_KEY",
    "EMULATED_EXPRESS_KEY",
    "EMULATED_GEMINI_KEY",
    "EMULATED_KEY",
    "EMULATED_OPENAI_KEY",
    "EMULATED_REGION",
    "EMULATED_SECRET_ACCESS_KEY",
    "MANTLE_REGIONS",
    "EmulatedGoogle",
    "count",
    "count_gemini",
    "count_openai",
    "emulated_anthropic",
    "emulated_bedrock",
    "emulated_openai",
    "emulated_runtime",
]
