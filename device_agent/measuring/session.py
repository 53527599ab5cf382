"""A session: rounds over the programs, each in a fresh random order, every visit journalled."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid5

from contract.audits import Audit
from contract.sessions import Session
from contract.timings import Failure, FailureCode, Timing
from device_agent.device import Device, ProgramFailed, ProgramFile
from device_agent.measuring.journal import Journal, OpenSession
from device_agent.measuring.protocols.protocol import EFFORTS, PlannedProgram
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.visit_program import visit_program
from device_agent.measuring.visits import Recorded, Rounds, rounds_by_name

BLOCK = 5  # rounds between two looks at the grades, once all have been made that must be


class Sitting:
    """An open session at its work: `planned` are all that it visits, by the program's file."""

    def __init__(
        self,
        opened: OpenSession,
        planned: Mapping[ProgramFile, PlannedProgram],
        *,
        device: Device,
        journal: Journal,
    ) -> None:
        self._opened = opened
        self._id = opened.session.id
        self._bounds = EFFORTS[opened.session.effort]
        self._protocol = PROTOCOLS[opened.session.runtime.protocol]
        self._planned = planned
        self._names = tuple(file.name for file in planned)
        self._device = device
        self._journal = journal

    @property
    def exported(self) -> tuple[ProgramFile, ...]:
        """The programs that can be visited."""
        return tuple(file for file in self._planned if file.path.exists())

    @property
    def least_visits(self) -> int:
        """How many are made in any case."""
        return self._bounds.rounds * len(self.exported)

    def add_failure(self, file: ProgramFile, code: FailureCode, message: str) -> None:
        """The program gets no more visits, and its operators this failure.

        It is kept as the table keeps it: the end of a long message, and no NUL, which some
        databases refuse.
        """
        failure = Failure(code=code, message=message.replace("\0", "")[-4000:])
        self._journal.add_failure(self._id, file.name, failure)

    def failures(self) -> dict[str, tuple[Failure, datetime]]:
        """Those of this sitting's programs, by their names, with the time of each."""
        failed = self._journal.failures(self._id)
        return {name: failed[name] for name in self._names if name in failed}

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
        exported = self.exported
        for number in range(self._bounds.rounds):
            self._round(number, exported, before_round, on_visit)
        last = self._bounds.rounds + self._bounds.more_rounds
        for first in range(self._bounds.rounds, last, BLOCK):
            uncertain = self._uncertain()
            files = [file for file in exported if file.name in uncertain]
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
                    made = visit_program(self._planned[file], file, self._device)
                except ProgramFailed as failure:
                    self.add_failure(file, failure.code, failure.message)
                else:
                    self._journal.add_visit(self._id, number, file.name, made)
            on_visit()

    def _uncertain(self) -> set[str]:
        """The programs that hold something graded C: an operator, or the whole network."""
        recorded = self._recorded()
        grades = {
            name: rounds.estimate().grade for name, rounds in rounds_by_name(recorded).items()
        }
        return {
            each.program
            for each in recorded
            if any(grades[name] == "C" for name in each.visit.names)
        }

    def settled_rounds(self) -> dict[str, Rounds]:
        """The samples so far, by name, those of operators as the protocol settles them.

        Visits to a program that failed later count for nothing.
        """
        failed = self.failures()
        working = [self._planned[file] for file in self._planned if file.name not in failed]
        rounds = rounds_by_name(self._recorded())
        self._protocol.settle(working, rounds)
        return rounds

    def close(self) -> list[Timing]:
        """Finish the session: one timing per operator goes to the outbox.

        An operator that no other program holds gets the failure of its program.
        """
        failures = self.failures()
        reasons = {
            operator.key: failures[file.name]
            for file, each in self._planned.items()
            if file.name in failures
            for operator in each.operators
        }
        rounds = self.settled_rounds()
        timings = []
        for operator in self._opened.operators:
            # The same operator of the same session: an id that no repetition can change.
            identity: UUID = uuid5(self._id, operator.key)
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
                timings.append(
                    Timing(id=identity, operator=operator, measured_at=at, failure=failure)
                )
        self.close_with(timings, self.end())
        return timings

    def close_with(self, results: Sequence[Timing | Audit], ended: Session) -> None:
        """Finish the session as it ended; these results go to the outbox."""
        self._journal.close(ended, results)

    def end(self) -> Session:
        """The session as it ends now. A wall clock that was set back does not end it early."""
        session = self._opened.session
        return session.evolve(
            ended_at=max(session.started_at, datetime.now(UTC)),
            conditions_after=self._device.conditions(),
        )

    def _recorded(self) -> list[Recorded]:
        failed = self.failures()
        working = [name for name in self._names if name not in failed]
        return self._journal.visits(self._id, working)
