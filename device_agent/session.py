"""A session: rounds over the programs, each in a fresh random order, every visit journalled."""

import math
import random
from collections.abc import Callable, Mapping
from uuid import UUID, uuid5

from contract.timings import Failure, FailureCode, Timing
from device_agent.devices import Device, ProgramFailed
from device_agent.journal import Journal, OpenSession
from device_agent.outputs import check_output
from device_agent.programs import ProgramFile
from device_agent.protocols import Booking, Protocol, Work


def measure(
    opened: OpenSession,
    work: Mapping[ProgramFile, Work],
    *,
    protocol: Protocol,
    device: Device,
    journal: Journal,
    on_visit: Callable[[], None],
) -> None:
    """Make every visit of the protocol's rounds that is not in the journal yet.

    The order of round r is drawn from the session's id and r, so that a session which was
    interrupted goes on in the same order. A program that fails once is not visited again.
    `on_visit` is called once per visit, also for visits that are skipped.

    Raises:
        DeviceFailed: the device is gone; the journal keeps every visit so far.
    """
    session = opened.session.id
    visited = journal.visited(session)
    failed = set(journal.failures(session))
    for round_number in range(protocol.rounds):
        order = list(work)
        random.Random(f"{session}:{round_number}").shuffle(order)
        for file in order:
            if (round_number, file.name) not in visited and file.name not in failed:
                try:
                    samples_us = _visit(work[file], file, protocol, device)
                except ProgramFailed as failure:
                    what = failure_of(failure.code, failure.message)
                    journal.add_failure(session, file.name, what)
                    failed.add(file.name)
                else:
                    journal.add_visit(session, round_number, file.name, samples_us)
            on_visit()


def failure_of(code: FailureCode, message: str) -> Failure:
    """A failure as the table keeps it: the end of a long message, and no NUL, which some
    databases refuse."""
    return Failure(code=code, message=message.replace("\0", "")[-4000:])


def close(opened: OpenSession, work: Mapping[str, Work], journal: Journal) -> list[Timing]:
    """Finish a session: one timing per operator goes to the outbox.

    `work` is by program name, failed exports included. Visits to a program that failed later
    count for nothing; an operator that no other program holds gets that failure.
    """
    session = opened.session.id
    failures = journal.failures(session)
    samples = journal.samples_us(session, work.keys() - failures.keys())
    reasons = {
        operator.key: failures[program]
        for program in failures.keys() & work.keys()
        for operator in work[program].operators
    }
    timings = []
    for operator in opened.operators:
        # The same operator of the same session: an id that no repetition can change.
        identity: UUID = uuid5(session, operator.key)
        if operator.key in samples:
            rounds_us, at = samples[operator.key]
            rounds = tuple(tuple(samples_us) for samples_us in rounds_us)
            timings.append(
                Timing(id=identity, operator=operator, measured_at=at, rounds_us=rounds)
            )
        else:
            failure, at = reasons[operator.key]
            timings.append(Timing(id=identity, operator=operator, measured_at=at, failure=failure))
    journal.close(session, timings)
    return timings


def _visit(work: Work, file: ProgramFile, protocol: Protocol, device: Device) -> Booking:
    timings = [device.time_program(file, plan) for plan in protocol.plans]
    for timing in timings:
        check_output(timing, file, device.runtime.dtype)
    booked = work.book(*timings)
    for key, samples_us in booked.items():
        if not samples_us or not all(math.isfinite(us) and us > 0 for us in samples_us):
            raise ProgramFailed("bad_samples", f"{key}: durations must be positive numbers")
    return booked
