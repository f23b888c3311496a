"""The throttle of a log line that could be written for every request."""

import pytest

from count_tokens_mw.aio.throttle import LogThrottle


@pytest.mark.parametrize(
    ("seconds", "admitted"), [(60, [1, 0, 0, 3, 0]), (0, [1, 1, 1, 1, 1]), (1, [1, 1, 1, 1, 0])]
)
def test_a_line_is_admitted_in_so_many_seconds_with_all_since_the_last(
    seconds: float, admitted: list[int]
) -> None:
    now = [0.0]
    throttle = LogThrottle(seconds, lambda: now[0])
    counts = []
    for now[0] in (0, 1, 59.9, 60.9, 61):
        counts.append(throttle.admit())
    assert counts == admitted
