"""Counters of work: calls, bytes that Python's own JSON parser reads, and memory."""

import gc
import json
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from count_tokens_mw.rawjson import members

__all__ = ["Work", "counted", "traced"]


class Work:
    """Work that a piece of code did, in all threads.

    Attributes:
        loop_calls: calls of functions on the event loop, whether in Python or in C.
        thread_calls: those in other threads.
        json_bytes: bytes that Python's own parser read.
    """

    def __init__(self) -> None:
        self.loop_calls = self.thread_calls = self.json_bytes = 0
        self._loop_thread = threading.get_ident()

    def start(self) -> None:
        """Forget what was done so far."""
        self.loop_calls = self.thread_calls = self.json_bytes = 0

    def count_call(self, frame: object, event: str, argument: object) -> None:
        if event in {"call", "c_call"}:
            if threading.get_ident() == self._loop_thread:
                self.loop_calls += 1
            else:
                self.thread_calls += 1


@contextmanager
def counted(patch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Count the calls, and the bytes that Python's parser reads."""
    work = Work()
    decode, loads = members._decode, json.loads

    def spying_decode(text: str) -> Any:
        work.json_bytes += len(text)
        return decode(text)

    def spying_loads(text: Any, **options: Any) -> Any:
        work.json_bytes += len(text)
        return loads(text, **options)

    with patch.context() as patched:
        patched.setattr(members, "_decode", spying_decode)
        patched.setattr(json, "loads", spying_loads)
        threading.setprofile(work.count_call)
        sys.setprofile(work.count_call)
        try:
            yield work
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


@contextmanager
def traced() -> Iterator[None]:
    """Trace memory, without what the garbage collector would free."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.enable()
