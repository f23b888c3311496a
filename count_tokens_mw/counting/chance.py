"""The package's random generator, which a forked process seeds anew.

Servers may import the application and then fork their workers (gunicorn's `--preload`). Workers
that inherit the state of one generator would draw the same request ids and the same deployments.
The global generator of `random` is no substitute: the host may seed it.
"""

import random
from contextlib import suppress
from typing import Final

__all__ = ["CHANCE"]

CHANCE: Final = random.Random()  # noqa: S311 - it makes ids and balances load
"""Generator for what need not be secret; `os.urandom` is slower."""

# One for all instances, because a callback can never be unregistered.
with suppress(ImportError):  # Windows does not fork
    from os import register_at_fork

    register_at_fork(after_in_child=CHANCE.seed)
