"""A session: rounds over the programs, each in a fresh random order, every visit journalled."""

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid5

from pydantic import ValidationError

from contract.networks import Network
from contract.sessions import Session
from contract.timings import Failure, FailureCode, Timing
from device_agent.devices import Device, ProgramFailed
from device_agent.in_situ import scale
from device_agent.journal import Journal, OpenSession
from device_agent.outputs import check_output
from device_agent.programs import ProgramFile
from device_agent.protocols import EFFORTS, Work
from device_agent.visits import Rounds, Series, Visit, rounds_by_name

BLOCK = 5  # rounds between two looks at the grades, once all have been made that must be


class Sitting:
    """An open session at its work: `work` is what can be measured, by exported program."""

    def __init__(
        self,
        opened: OpenSession,
        work: Mapping[ProgramFile, Work],
        *,
        device: Device,
        journal: Journal,
    ) -> None:
        self._id = opened.session.id
        self._bounds = EFFORTS[opened.session.effort]
        self._work = work
        self._device = device
        self._journal = journal

    @property
    def rounds(self) -> int:
        """How many are made in any case."""
        return self._bounds.rounds

    def measure(
        self,
        *,
        before_round: Callable[[], None],
        on_visit: Callable[[], None],
        on_more: Callable[[int, int], None],
    ) -> None:
        """Make every visit that is not in the journal yet, then more where rows are graded C.

        The order of round r is drawn from the session's id and r, so that a session which was
        interrupted goes on in the same order. A program that fails once is not visited again.
        `before_round` may wait; `on_visit` is called once per visit, also for those that are
        skipped; `on_more` with the number of visits to come and of programs that need them.

        Raises:
            DeviceFailed: the device is gone; the journal keeps every visit so far.
        """
        for number in range(self._bounds.rounds):
            self._round(number, self._work, before_round, on_visit)
        last = self._bounds.rounds + self._bounds.more_rounds
        for first in range(self._bounds.rounds, last, BLOCK):
            uncertain = self._uncertain()
            files = [file for file in self._work if file.name in uncertain]
            if not files:
                return
            numbers = range(first, min(first + BLOCK, last))
            on_more(len(files) * len(numbers), len(uncertain))
            for number in numbers:
                self._round(number, files, before_round, on_visit)

    def _round(
        self,
        number: int,
        files: Iterable[ProgramFile],
        before_round: Callable[[], None],
        on_visit: Callable[[], None],
    ) -> None:
        visited = self._journal.visited(self._id)
        failed = set(self._journal.failures(self._id))
        order = list(files)
        random.Random(f"{self._id}:{number}").shuffle(order)
        to_visit = {
            file
            for file in order
            if (number, file.name) not in visited and file.name not in failed
        }
        if to_visit:
            before_round()
        for file in order:
            if file in to_visit:
                try:
                    made = visit(self._work[file], file, self._device)
                except ProgramFailed as failure:
                    what = failure_of(failure.code, failure.message)
                    self._journal.add_failure(self._id, file.name, what)
                else:
                    self._journal.add_visit(self._id, number, file.name, made)
            on_visit()

    def _uncertain(self) -> set[str]:
        """The programs that hold something graded C: an operator, or the whole network."""
        working = {file.name for file in self._work} - self._journal.failures(self._id).keys()
        recorded = self._journal.visits(self._id, working)
        grades = {
            name: rounds.estimate().grade for name, rounds in rounds_by_name(recorded).items()
        }
        return {
            each.program
            for each in recorded
            if any(grades[name] == "C" for name in each.visit.names)
        }


def failure_of(code: FailureCode, message: str) -> Failure:
    """A failure as the table keeps it: the end of a long message, and no NUL, which some
    databases refuse."""
    return Failure(code=code, message=message.replace("\0", "")[-4000:])


def found(opened: OpenSession, work: Mapping[str, Work], journal: Journal) -> dict[str, Rounds]:
    """The samples of the session so far, by name, those of operators to scale.

    `work` is by program name. Visits to a program that failed later count for nothing. What was
    booked to operators inside whole networks is scaled so that it adds up to these networks.
    """
    failed = journal.failures(opened.session.id).keys()
    recorded = journal.visits(opened.session.id, work.keys() - failed)
    rounds = rounds_by_name(recorded)
    designed = {
        item.program.content
        for program, item in work.items()
        if program not in failed and item.operators and isinstance(item.program.content, Network)
    }
    if any(network.name in rounds for network in designed):
        operators = {operator.key for item in work.values() for operator in item.operators}
        latency_us = {name: each.estimate().latency_us for name, each in rounds.items()}
        factor = scale(list(designed), latency_us)
        for key in operators & rounds.keys():
            rounds[key].multiply(factor)
    return rounds


def close(
    opened: OpenSession, work: Mapping[str, Work], journal: Journal, device: Device
) -> list[Timing]:
    """Finish a session: one timing per operator goes to the outbox.

    `work` is by program name, failed exports included. An operator that no other program holds
    gets the failure of its program.
    """
    session = opened.session.id
    failures = journal.failures(session)
    reasons = {
        operator.key: failures[program]
        for program in work
        if program in failures
        for operator in work[program].operators
    }
    rounds = found(opened, work, journal)
    timings = []
    for operator in opened.operators:
        # The same operator of the same session: an id that no repetition can change.
        identity: UUID = uuid5(session, operator.key)
        if operator.key in rounds:
            samples = rounds[operator.key]
            timings.append(
                Timing(
                    id=identity,
                    operator=operator,
                    measured_at=samples.at,
                    rounds_us=tuple(map(tuple, samples.us)),
                    drift=tuple(map(tuple, samples.drift)),
                )
            )
        else:
            failure, at = reasons[operator.key]
            timings.append(Timing(id=identity, operator=operator, measured_at=at, failure=failure))
    journal.close(ended(opened.session, device), timings)
    return timings


def ended(session: Session, device: Device) -> Session:
    """The session as it ends now. A wall clock that was set back does not end it early."""
    return session.evolve(
        ended_at=max(session.started_at, datetime.now(UTC)), conditions_after=device.conditions()
    )


def visit(work: Work, file: ProgramFile, device: Device) -> Visit:
    """Time the program once per plan.

    Raises:
        ProgramFailed: it did not run, computed something else than eager PyTorch, or its
            samples make no sense.
        DeviceFailed: the device is gone.
    """
    series = []
    for plan, book in work.plans:
        timing = device.time_program(file, plan)
        check_output(timing, file, device.runtime.dtype)
        try:
            booked = Series.model_validate(
                {
                    "samples_us": book(timing),
                    "probes_us": [ns / 1000 for ns in timing.probes_ns],
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "samples"
            raise ProgramFailed("bad_samples", f"{where}: {first['msg']}") from error
        series.append(booked)
    return Visit(series=tuple(series))
