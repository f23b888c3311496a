"""A judge by Vertex AI's discovery document, as in `google-api-python-client`."""

import base64
import binascii
import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any, Final

from tests.support.google_judges.refused import Refused

__all__ = ["judge_by_discovery_document"]

COUNT_TOKENS_REQUEST: Final = "GoogleCloudAiplatformV1CountTokensRequest"
SCALARS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
}
STANDARD_ALPHABET: Final = str.maketrans("-_", "+/")


def judge_by_discovery_document(body: object) -> None:
    """Validate the JSON of a `countTokens` body.

    Raises:
        Refused: a field is unknown, or a value is of another type than the schema's.
    """
    walk({"$ref": COUNT_TOKENS_REQUEST}, body, "body")


@functools.cache
def vertex_schemas() -> Mapping[str, Any]:
    documents = importlib.resources.files("googleapiclient") / "discovery_cache" / "documents"
    schemas: Mapping[str, Any] = json.loads((documents / "aiplatform.v1.json").read_text())[
        "schemas"
    ]
    return schemas


def walk(schema: Mapping[str, Any], value: object, place: str) -> None:
    """Validate a value against a schema of the discovery document.

    https://developers.google.com/discovery/v1/type-format
    """
    schema = vertex_schemas()[schema["$ref"]] if "$ref" in schema else schema
    match schema["type"]:
        case "any":
            return
        case "object":
            walk_object(schema, value, place)
        case "array":
            if not isinstance(value, list):
                raise Refused(f"{place}: not an array")
            for index, item in enumerate(value):
                walk(schema["items"], item, f"{place}.{index}")
        case kind:
            walk_scalar(schema, value, place, SCALARS[kind])


def walk_object(schema: Mapping[str, Any], value: object, place: str) -> None:
    if not isinstance(value, dict):
        raise Refused(f"{place}: not an object")
    for name, item in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if known is None:
            raise Refused(f'{place}: Unknown name "{name}"')
        walk(known, item, f"{place}.{name}")


def walk_scalar(
    schema: Mapping[str, Any], value: object, place: str, wanted: type | tuple[type, ...]
) -> None:
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise Refused(f"{place}: not a {schema['type']}")
    if "enum" in schema and value not in schema["enum"]:
        raise Refused(f"{place}: not of the enum")
    if schema.get("format") == "byte":
        try:
            # Google reads both alphabets: https://protobuf.dev/programming-guides/json/
            base64.b64decode(str(value).translate(STANDARD_ALPHABET), validate=True)
        except binascii.Error:
            raise Refused(f"{place}: not base64") from None
