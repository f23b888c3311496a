"""One value for each event loop."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Values by event loop, created on first use."""

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._values: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """Return the running loop's value."""
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is None:
            self._values = {other: v for other, v in self._values.items() if not other.is_closed()}
            value = self._values[loop] = self._create()
        return value
