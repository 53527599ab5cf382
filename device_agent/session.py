"""A session: rounds over the operators, each in a fresh random order, every visit journalled."""

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

import numpy as np

from contract.operators import Operator
from contract.timings import Failure, FailureCode, Timing
from device_agent.devices import Device, Plan, ProgramFailed, ProgramTiming
from device_agent.journal import Journal, OpenSession
from device_agent.programs import ProgramFile

ROUNDS = 5
OPERATOR_PLAN = Plan(
    warmup_runs=5, min_runs=20, max_runs=1000, min_duration_s=0.05, deadline_s=60.0
)

# Of the largest expected value. XNNPACK's fp32 differs from eager by about 1e-6.
OUTPUT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Work:
    """A program to visit in each round, and the operators that its timing is booked to."""

    file: ProgramFile
    operators: tuple[Operator, ...]
    book: Callable[[ProgramTiming], Mapping[str, Sequence[float]]]


def isolated(operator: Operator, file: ProgramFile) -> Work:
    """The operator alone in its program: every sample is its own."""

    def book(timing: ProgramTiming) -> Mapping[str, Sequence[float]]:
        return {operator.key: [ns / 1000 for ns in timing.samples_ns]}

    return Work(file, (operator,), book)


def measure(
    opened: OpenSession,
    work: Sequence[Work],
    *,
    device: Device,
    journal: Journal,
    on_visit: Callable[[], None],
    rounds: int = ROUNDS,
    plan: Plan = OPERATOR_PLAN,
) -> list[Timing]:
    """Make every visit that is not in the journal yet, then close the session.

    The order of round r is drawn from the session's id and r, so that a session which was
    interrupted goes on in the same order. An operator that fails once is not visited again.
    `on_visit` is called once per visit, also for visits that are skipped.

    Raises:
        DeviceFailed: the device is gone; the journal keeps every visit so far.
    """
    session = opened.session.id
    visited = journal.visited(session)
    failed = set(journal.failures(session))
    for round_number in range(rounds):
        order = list(work)
        random.Random(f"{session}:{round_number}").shuffle(order)
        for item in order:
            keys = [operator.key for operator in item.operators]
            is_done = (round_number, item.file.name) in visited
            if not is_done and failed.isdisjoint(keys):
                try:
                    samples_us = _visit(item, device, plan)
                except ProgramFailed as failure:
                    for key in keys:
                        journal.add_failure(session, key, _failure(failure.code, failure.message))
                    failed.update(keys)
                else:
                    journal.add_visit(session, round_number, item.file.name, samples_us)
            on_visit()
    timings = _timings(opened, journal, {item.file.name for item in work})
    journal.close(session, timings)
    return timings


def _visit(item: Work, device: Device, plan: Plan) -> Mapping[str, Sequence[float]]:
    timing = device.time_program(item.file, plan)
    check_output(timing, item.file)
    booked = item.book(timing)
    for key, samples_us in booked.items():
        if not samples_us or not all(math.isfinite(us) and us > 0 for us in samples_us):
            raise ProgramFailed("bad_samples", f"{key}: durations must be positive numbers")
    return booked


def check_output(timing: ProgramTiming, file: ProgramFile) -> None:
    """Compare what the device computed with what eager PyTorch did.

    Raises:
        ProgramFailed: the output differs, in size or in value.
    """
    expected = np.frombuffer(file.expected_output.read_bytes(), dtype=np.float32)
    if len(timing.output) != expected.nbytes:
        raise ProgramFailed(
            "wrong_output", f"{len(timing.output)} bytes of output, expected {expected.nbytes}"
        )
    found = np.frombuffer(timing.output, dtype=np.float32)
    difference = float(np.max(np.abs(found - expected)))
    allowed = OUTPUT_TOLERANCE * float(np.max(np.abs(expected)))
    if not difference <= allowed:
        raise ProgramFailed(
            "wrong_output",
            f"differs from eager PyTorch by {difference:.3g}, allowed {allowed:.3g}",
        )


def _timings(opened: OpenSession, journal: Journal, programs: Collection[str]) -> list[Timing]:
    """One timing per operator of the session, with an id that no repetition can change."""
    session = opened.session.id
    samples, failures = journal.samples_us(session, programs), journal.failures(session)
    timings = []
    for operator in opened.operators:
        key = operator.key
        identity: UUID = uuid5(session, key)
        if key in failures:
            failure, at = failures[key]
            timings.append(Timing(id=identity, operator=operator, measured_at=at, failure=failure))
        else:
            rounds_us, at = samples[key]
            rounds = tuple(tuple(samples_us) for samples_us in rounds_us)
            timings.append(
                Timing(id=identity, operator=operator, measured_at=at, rounds_us=rounds)
            )
    return timings


def _failure(code: FailureCode, message: str) -> Failure:
    return Failure(code=code, message=message[-4000:])
