"""Sessions estimated again: their rows by today's estimator, from what was measured.

Tables as they were before stay what they were, under the snapshots of then.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as DbSession

from contract.derivation import ESTIMATOR, Derivation, Derived, Rounds, derive
from contract.estimates import estimate
from server.database.records import SessionRecord, TimingRecord
from server.roles import Caller
from server.store.current_rows import settle
from server.store.deeds import note
from server.store.devices import count_change, find_device
from server.store.measurements import record_of
from server.store.retention import samples_digest
from server.store.visits import visits_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Reestimate:
    """What came of a session that was estimated again.

    Attributes:
        from_visits: from visits, uncorrected; else from samples that were corrected before they
            were sent.
        changed: how many timings have other figures now.
        kept: how many keep their figures: they have neither visits nor samples any more, or the
            session's visits are not all here yet.
        is_waiting: some of the visits are still with the agent that measured them.
    """

    from_visits: bool
    timings: int
    changed: int
    kept: int
    is_waiting: bool = False


def sessions_to_estimate(session: DbSession, device: str | None) -> list[UUID]:
    """The sessions that were measured, on one device or on all, oldest first.

    Raises:
        NotFound: no such device.
    """
    query = select(SessionRecord.id).where(SessionRecord.origin != "imported")
    if device is not None:
        query = query.where(SessionRecord.device == find_device(session, device).name)
    return list(session.scalars(query.order_by(SessionRecord.started_at, SessionRecord.id)))


def estimate_again(session: DbSession, session_id: UUID, by: Caller, now: datetime) -> Reestimate:
    """Make a session's figures anew, and the rows that rest on them.

    Raises:
        NotFound: no such session.
    """
    sitting = record_of(session, session_id)
    visits = visits_of(session, session_id)
    told = Derivation.model_validate(sitting.derivation) if sitting.derivation else None
    derived = derive(
        visits.layouts,
        visits.visits,
        usual=told.usual if told and told.estimator == ESTIMATOR else None,
    )
    timings = session.scalars(
        select(TimingRecord).where(
            TimingRecord.session == session_id, TimingRecord.failure_code.is_(None)
        )
    ).all()
    if derived is not None and any(_lacks_visits(timing, derived) for timing in timings):
        return Reestimate(
            from_visits=True, timings=len(timings), changed=0, kept=len(timings), is_waiting=True
        )
    changed = kept = 0
    for timing in timings:
        if derived is not None:
            changed += _set(timing, derived.operators[timing.operator])
        elif timing.rounds_us is None:
            kept += 1
        else:
            changed += _set_figures(timing)
    if derived is not None:
        _set_derivation(sitting, derived.derivation)
    if changed:
        revision = count_change(session, sitting.device)
        session.flush()
        note(session, by, "estimated the session again", session_id, now)
        settle(session, sitting, revision, now)
    return Reestimate(
        from_visits=derived is not None, timings=len(timings), changed=changed, kept=kept
    )


def _lacks_visits(timing: TimingRecord, derived: Derived) -> bool:
    """Whether the timing came of more visits than these: they are sent in batches."""
    rounds = derived.operators.get(timing.operator)
    return rounds is None or len(rounds.us) < len(timing.rounds_us or ())


def _set(timing: TimingRecord, rounds: Rounds) -> bool:
    if timing.rounds_us != rounds.us or (timing.drift or []) != rounds.drift:
        if timing.samples_digest is None:
            timing.samples_digest = samples_digest(timing.rounds_us, timing.drift)
        timing.rounds_us, timing.drift = rounds.us, rounds.drift
        timing.samples_dropped_at = None
    return _set_figures(timing)


def _set_figures(timing: TimingRecord) -> bool:
    figures = estimate(timing.rounds_us or (), timing.drift or ()).model_dump()
    if figures == timing.figures:
        return False
    timing.figures = figures
    return True


def _set_derivation(sitting: SessionRecord, derivation: Derivation) -> None:
    told = derivation.model_dump()
    if sitting.derivation != told:
        sitting.derivation = told
