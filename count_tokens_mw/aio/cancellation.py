"""Stray `CancelledError`s: host code awaited a task that was cancelled, or raised one itself."""

import asyncio

__all__ = ["is_cancelled"]


def is_cancelled() -> bool:
    """Return whether the running task is being cancelled; else a `CancelledError` is a failure.

    A task that was cancelled once and did not call `uncancel` counts as being cancelled.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
