"""One row from several sessions: a random-effects mean that an odd session cannot carry away.

Sessions of one device differ by more than each one's interval says: by where its programs lay in
memory, by what its neighbours left of the caches. That is a random effect with a variance of its
own (DerSimonian and Laird 1986, "Meta-analysis in clinical trials"), known before the first
repetition from other devices alone, and the better the more sessions there are. The farther a
session lies from the middle one, the less it counts; of two, nobody knows which is the odd one,
so the newest is the middle and the interval holds both.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple
from uuid import UUID

from pydantic import AwareDatetime

from contract.derivation import Calm
from contract.estimates import (
    MOST_US,
    NORMAL,
    UNSURE_OF_DRIFT,
    Estimate,
    Grade,
    RowMicroseconds,
    grade_of,
)
from contract.values import Value
from server.store.change_points import levels

MOST_SESSIONS = 12  # that a row rests on, the newest
# Of the logarithms of what sessions say of one operator, beyond each one's own uncertainty: of 99
# operators in five sessions on a shared server (docs/decisions/0016). It counts as much as so many
# sessions of the device itself.
PRIOR_SD = 0.012
PRIOR_SESSIONS = 3
_ODD = 1.5  # standard deviations from the middle, from which on a session counts less
_UNTOLD_SD = 0.05  # of a session with too few rounds to tell


class SessionFigures(Value):
    """What one session says of an operator, and to which calm device its samples were brought."""

    session: UUID
    measured_at: AwareDatetime
    latency_us: RowMicroseconds
    low_us: RowMicroseconds
    high_us: RowMicroseconds
    grade: Grade
    calm: Calm | None = None

    @classmethod
    def of(
        cls, session: UUID, measured_at: AwareDatetime, estimate: Estimate, calm: Calm | None
    ) -> "SessionFigures":
        return cls(
            session=session,
            measured_at=measured_at,
            latency_us=estimate.latency_us,
            low_us=estimate.low_us,
            high_us=estimate.high_us,
            grade=estimate.grade,
            calm=calm,
        )


class Pool(NamedTuple):
    """The row that several sessions make, and of how many."""

    latency_us: float
    low_us: float
    high_us: float
    grade: Grade
    sessions: int


def newest(of: Sequence[SessionFigures]) -> tuple[SessionFigures, ...]:
    """Each session once, the newest first, and no more than a row rests on."""
    by_session = {figures.session: figures for figures in of}
    ordered = sorted(by_session.values(), key=lambda each: each.measured_at, reverse=True)
    return tuple(ordered[:MOST_SESSIONS])


def pooled(of: Sequence[SessionFigures]) -> Pool:
    """The row of those sessions, the newest first, as on the newest one's calm device.

    Where the latency changed for good, those before count for nothing.
    """
    last = of[0]
    if not last.low_us:  # it takes no time, or less than figures keep
        return Pool(last.latency_us, last.low_us, last.high_us, last.grade, 1)
    brought = [_brought(each, last.calm) for each in of if each.low_us]
    logs, variances = _since_last_step(brought)
    middle = _middle(logs)
    trust = [
        1 / max(1.0, (log - middle) ** 2 / (variance + PRIOR_SD**2) / _ODD**2)
        for log, variance in zip(logs, variances, strict=True)
    ]
    between = _between([log - middle for log in logs], variances, trust)
    weights = [t / (variance + between) for t, variance in zip(trust, variances, strict=True)]
    is_one = len(logs) == 1
    latency_us = last.latency_us if is_one else math.exp(fmean(logs, weights))
    apart = NORMAL / math.sqrt(sum(weights))
    low_us, high_us = latency_us * math.exp(-apart), latency_us * math.exp(apart)
    return Pool(
        round(latency_us, 4),
        round(low_us, 4),
        min(round(high_us, 4), MOST_US),
        "C" if is_one and last.grade == "C" else grade_of(apart),
        len(logs),
    )


def _brought(figures: SessionFigures, calm: Calm | None) -> tuple[float, float]:
    """The logarithm of the latency on that calm device, and its variance."""
    log = math.log(figures.latency_us)
    sd = math.log(figures.high_us / figures.low_us) / 2 / NORMAL
    if figures.grade == "C":
        sd = max(sd, _UNTOLD_SD)
    if calm is not None and figures.calm is not None:
        farther = math.log(calm.slowdown(figures.calm))
        log += farther
        sd = math.hypot(sd, UNSURE_OF_DRIFT * farther)
    return log, sd**2


def _since_last_step(brought: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    oldest_first = [math.exp(log) for log, _ in reversed(brought)]
    kept = brought[: len(brought) - levels(oldest_first)[-1].start]
    return [log for log, _ in kept], [variance for _, variance in kept]


def _middle(logs: Sequence[float]) -> float:
    """The median; of an even number, that of the two in the middle which is nearer to the first,
    the newest."""
    ordered = sorted(logs)
    half = len(ordered) // 2
    two = (ordered[half], ordered[-half - 1])
    return min(two, key=lambda log: abs(log - logs[0]))


def _between(apart: Sequence[float], variances: Sequence[float], trust: Sequence[float]) -> float:
    """The variance from session to session: what is known before, and what these add to it.

    `apart` is how far each lies from the middle. Of two, neither is the odd one.
    """
    freedom = len(apart) - 1
    counted = trust if freedom > 1 else [1.0] * len(apart)
    squares = sum((t * each) ** 2 for t, each in zip(counted, apart, strict=True))
    found = max(0.0, squares - freedom * fmean(variances))
    return (PRIOR_SESSIONS * PRIOR_SD**2 + found) / (PRIOR_SESSIONS + freedom)
