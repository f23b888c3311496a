"""Jobs as an entry point makes them, for tests that need no HTTP."""

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.counting.job import Job
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.types import CountRequest

__all__ = ["job_of"]


def job_of(
    engine: CountingEngine,
    request: CountRequest,
    record: RequestRecord | None = None,
    snapshot: ConfigSnapshot | None = None,
) -> Job:
    """Return the job of a request that starts now."""
    snapshot = snapshot or engine.snapshot
    deadline = Deadline(snapshot.settings.timeout)
    record = record or RequestRecord("count")
    place = engine.admission.place(record.caller)
    return Job(request, snapshot, record, deadline, place)
