"""LiteLLM's `general_settings`: the headers that name an end user, whom LiteLLM calls a customer.

https://docs.litellm.ai/docs/proxy/customers
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel

from count_tokens_mw.config.fields import HeaderName
from count_tokens_mw.config.references import ReferenceResolver

__all__ = ["read_end_user_headers"]

_PLACE: Final = "general_settings"
_MAPPINGS: Final = "user_header_mappings"
_NAME: Final = "user_header_name"
_CUSTOMER: Final = "customer"


class _Header(BaseModel):
    header_name: HeaderName


class _DeprecatedHeader(BaseModel):
    user_header_name: HeaderName


def read_end_user_headers(section: object, values: ReferenceResolver) -> tuple[str, ...]:
    """Return the headers of `user_header_mappings` with the role `customer`, in their order.

    Without one, it is `user_header_name`. A name that no header can have is a problem of `values`,
    and is left out. Other settings are not read.
    """
    if not isinstance(section, Mapping):
        return ()
    mappings = list(_customers(section.get(_MAPPINGS)))
    if mappings:
        loaded = [
            values.load(_Header, {"header_name": name}, f"{_PLACE}.{_MAPPINGS}.{index}")
            for index, name in mappings
        ]
        return tuple(header.header_name for header in loaded if header is not None)
    name = section.get(_NAME)
    if name is None or (isinstance(name, str) and not name.strip()):
        return ()
    deprecated = values.load(_DeprecatedHeader, {_NAME: name}, _PLACE)
    return () if deprecated is None else (deprecated.user_header_name,)


def _customers(mappings: object) -> Iterator[tuple[int, object]]:
    """Yield the header of each mapping for the role `customer`, with its index.

    A mapping may stand without a list. One without a role or a header is skipped, as in LiteLLM.
    """
    for index, item in enumerate(mappings if isinstance(mappings, list) else [mappings]):
        if isinstance(item, Mapping) and item.get("header_name"):
            role = item.get("litellm_user_role")
            if isinstance(role, str) and role.lower() == _CUSTOMER:
                yield index, item["header_name"]
