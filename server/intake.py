"""Timings as they come in: what is known of them, their figures, and then the database's lock."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from contract.estimates import Estimate
from contract.timings import Timing
from server.database import Database
from server.errors import Refusal
from server.roles import Caller
from server.store.measurements import Outcome, add_timings, estimate_of, known


async def take_in(
    store: Database, session: UUID, timings: Sequence[Timing], by: Caller, now: datetime
) -> dict[UUID, Outcome]:
    """Store the timings of a session that are not stored yet: what became of each, by its id.

    Figures are computed of new ones alone, and before anybody waits for this write.

    Raises:
        NotFound: no such session.
        Forbidden: it is another token's.
        Busy: the database does not answer.
    """
    outcomes = await store.read(known, session, timings, by, now)
    new = [timing for timing in timings if timing.id not in outcomes]
    figures, refused = await store.compute(_figures, new)
    outcomes |= refused
    if figures:
        outcomes |= await store.write(add_timings, session, figures, by, now)
    return outcomes


def _figures(
    timings: Sequence[Timing],
) -> tuple[list[tuple[Timing, Estimate | None]], dict[UUID, Outcome]]:
    """Each timing with the estimate of its samples, and those whose samples have none."""
    found: list[tuple[Timing, Estimate | None]] = []
    refused: dict[UUID, Outcome] = {}
    for timing in timings:
        try:
            estimate = estimate_of(timing.operator.key, timing.rounds_us, timing.drift)
        except Refusal as refusal:
            refused[timing.id] = Outcome(refusal)
        else:
            found.append((timing, estimate))
    return found, refused
