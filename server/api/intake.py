"""Timings as they come in: what is known of them, their figures, and then the database's lock."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from contract.estimates import Estimate
from contract.imports import Import, ImportReport
from contract.timings import Timing
from server.database.transactions import Database
from server.errors import Refusal
from server.roles import Caller
from server.store.imports import import_timings, is_stored
from server.store.kept_estimates import estimate_of
from server.store.measurements import Outcome, add_timings, stored_outcomes
from server.store.snapshots import Figures


async def take_in(
    database: Database, session: UUID, timings: Sequence[Timing], by: Caller, now: datetime
) -> dict[UUID, Outcome]:
    """Store the timings of a session that are not stored yet: what became of each, by its id.

    Figures are computed of new ones alone, and before anybody waits for this write.

    Raises:
        NotFound: no such session.
        Forbidden: it is another token's.
        Busy: the database does not answer.
    """
    outcomes = await database.read(stored_outcomes, session, timings, by, now)
    new = [timing for timing in timings if timing.id not in outcomes]
    figures, refused = await database.compute(_figures, new)
    outcomes |= refused
    if figures:
        outcomes |= await database.write(add_timings, session, figures, by, now)
    return outcomes


async def take_in_import(
    database: Database, new: Import, by: Caller, now: datetime
) -> ImportReport:
    """Store imported timings with their session, all or none; figures as in `take_in`.

    Raises:
        NotFound: no such device.
        Conflict: the session's id, or the id of a timing, belongs to something else.
        Unprocessable: an operator is not of the session's space, samples have no estimate, or a
            time is before 2000 or in the future.
        Busy: the database does not answer.
    """
    known = await database.read(is_stored, new, now)
    figures = () if known else await database.compute(_figures_of_import, new)
    return await database.write(import_timings, new, figures, by, now)


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


def _figures_of_import(new: Import) -> tuple[Figures, ...]:
    found = []
    for timing in new.timings:
        estimate = estimate_of(timing.operator.key, timing.rounds_us, timing.drift)
        assert estimate is not None  # an import has no failures
        found.append(Figures(timing.operator.key, new.session.id, timing.measured_at, estimate))
    return tuple(found)
