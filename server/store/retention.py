"""Dropping the raw samples of old timings. Figures stay, and tables are never touched."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session as DbSession
from sqlalchemy.orm import sessionmaker

from contract.estimates import Estimate, estimate
from server.database.records import TimingRecord

BATCH = 50  # timings; writers wait no longer than it takes to update so many


@dataclass(frozen=True, kw_only=True, slots=True)
class OldSamples:
    """An old timing that has samples; no figures where none can be computed from them."""

    id: UUID
    figures: Estimate | None
    digest: str


def count_samples(session: DbSession, before: datetime) -> int:
    """How many timings measured before that moment have raw samples."""
    return session.scalar(select(func.count()).where(*_has_samples(before))) or 0


def old_samples(
    reading: sessionmaker[DbSession], before: datetime
) -> Iterator[tuple[OldSamples, ...]]:
    """The timings measured before that moment that have raw samples, in batches.

    Each batch is read in a session of its own, which is closed before the batch is given.
    """
    last: UUID | None = None
    while True:
        with reading() as session:
            found = session.execute(
                select(
                    TimingRecord.id,
                    TimingRecord.rounds_us,
                    TimingRecord.drift,
                    TimingRecord.figures,
                    TimingRecord.samples_digest,
                )
                .where(*_has_samples(before), *(() if last is None else (TimingRecord.id > last,)))
                .order_by(TimingRecord.id)
                .limit(BATCH)
            ).all()
        if not found:
            return
        last = found[-1].id
        yield tuple(
            OldSamples(
                id=id,
                figures=(
                    Estimate.model_validate(figures)
                    if figures
                    else _figures(rounds_us or (), drift or ())
                ),
                digest=digest or samples_digest(rounds_us, drift),
            )
            for id, rounds_us, drift, figures, digest in found
        )


def drop_samples(session: DbSession, batch: Sequence[OldSamples], now: datetime) -> int:
    """Replace samples by their figures where there are figures; how many timings that were."""
    dropped = 0
    for old in batch:
        if old.figures is None:
            continue
        done = session.execute(
            update(TimingRecord)
            .where(TimingRecord.id == old.id, TimingRecord.rounds_us.is_not(None))
            .values(
                rounds_us=None,
                drift=None,
                figures=old.figures.model_dump(),
                samples_digest=old.digest,
                samples_dropped_at=now,
            )
            .returning(TimingRecord.id)
        )
        dropped += len(done.all())
    return dropped


def samples_digest(
    rounds_us: Sequence[Sequence[float]] | None, drift: Sequence[Sequence[float]] | None
) -> str:
    """By which a repeated post of samples is known again, once they were dropped or made anew."""
    return sha256(json.dumps([rounds_us, drift]).encode()).hexdigest()


def _has_samples(before: datetime) -> tuple[ColumnElement[bool], ...]:
    return TimingRecord.rounds_us.is_not(None), TimingRecord.measured_at < before


def _figures(
    rounds_us: Sequence[Sequence[float]], drift: Sequence[Sequence[float]]
) -> Estimate | None:
    try:
        return estimate(rounds_us, drift)
    except ValidationError:
        return None
