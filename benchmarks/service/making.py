"""Sessions and timings to post, as an agent makes them."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from benchmarks.service.asking import Request
from benchmarks.service_data import RUNTIME, SPACE
from contract.devices import Conditions
from contract.sessions import Session
from contract.timings import Timing, TimingBatch
from device_agent.measuring.journal import Entry
from device_agent.measuring.upload import batches

ROUNDS, SAMPLES = 40, 5  # of a timing


def a_session(device: str) -> Session:
    return Session(
        id=uuid4(),
        device=device,
        runtime=RUNTIME,
        space=SPACE.name,
        origin="measured",
        effort="standard",
        started_at=datetime.now(UTC),
        agent_version="0",
        conditions=Conditions(load_1min=0.1, clock_mhz=None, temperature_c=None),
    )


def some_timings(count: int = len(SPACE.operators)) -> list[Timing]:
    """One of each of so many operators: samples that scatter, a fifth of them disturbed."""
    generator = random.Random(count)

    def by_round(least: float, scatter: float, digits: int) -> tuple[tuple[float, ...], ...]:
        return tuple(
            tuple(
                round(least * (1 + generator.expovariate(1 / scatter)), digits)
                for _ in range(SAMPLES)
            )
            for _ in range(ROUNDS)
        )

    return [
        Timing(
            id=uuid4(),
            operator=operator,
            measured_at=datetime.now(UTC),
            rounds_us=by_round(1234.567, 0.01, 3),
            drift=by_round(1.0, 0.06, 3),
        )
        for operator in SPACE.operators[:count]
    ]


def opening(session: Session) -> Request:
    return Request("/sessions", body=session.model_dump_json())


def single(session: UUID, timing: Timing) -> Request:
    return Request(f"/sessions/{session}/timings", body=timing.model_dump_json())


def at_once(session: UUID, timings: Sequence[Timing]) -> Request:
    body = TimingBatch(timings=tuple(timings)).model_dump_json()
    return Request(f"/sessions/{session}/timings/batch", body=body)


def in_batches(session: UUID, timings: Sequence[Timing]) -> list[Request]:
    """All of them, in batches as an agent makes them."""
    by_id = {timing.id: timing for timing in timings}
    entries = (
        Entry(id=timing.id, kind="timing", bytes=len(timing.model_dump_json()))
        for timing in timings
    )
    return [at_once(session, [by_id[entry.id] for entry in some]) for some in batches(entries)]
