"""A session: rounds over the programs, each in a fresh random order, every visit journalled."""

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid5

from contract.audits import Audit
from contract.derivation import Calm, Derived, derive
from contract.sessions import Session
from contract.timings import Failure, FailureCode, Timing
from contract.visits import Layout
from device_agent.device import Device, ProgramFailed, ProgramFile
from device_agent.measuring.journal import Journal, OpenSession
from device_agent.measuring.protocols.protocol import EFFORTS, PlannedProgram
from device_agent.measuring.visit_program import visit_program

BLOCK = 5  # rounds between two looks at the grades, once all have been made that must be


class Sitting:
    """An open session at its work.

    `planned` are all that it visits, by the program's file; `usual` is for `derive`.
    """

    def __init__(
        self,
        opened: OpenSession,
        planned: Mapping[ProgramFile, PlannedProgram],
        *,
        device: Device,
        journal: Journal,
        usual: Calm | None = None,
    ) -> None:
        self._opened = opened
        self._id = opened.session.id
        self._bounds = EFFORTS[opened.session.effort]
        self._planned = planned
        self._names = tuple(file.name for file in planned)
        self._device = device
        self._journal = journal
        self._usual = usual

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
                    self._visit(file, number)
                except ProgramFailed as failure:
                    self.add_failure(file, failure.code, failure.message)
            on_visit()

    def _visit(self, file: ProgramFile, number: int) -> None:
        layout, visit = visit_program(self._planned[file], file, self._device, number=number)
        known = self._journal.layout(self._id, file.name)
        if known not in (None, layout):
            raise ProgramFailed(
                "wrong_events", f"{file.name}: other events than in an earlier visit"
            )
        self._journal.add_visit(self._id, layout, visit)

    def _uncertain(self) -> set[str]:
        """The programs that hold something graded C: an operator, or the whole network."""
        derived = self.derived()
        if derived is None:
            return set()
        graded_c = {
            name
            for home in (derived.operators, derived.networks)
            for name, rounds in home.items()
            if rounds.estimate().grade == "C"
        }
        return {
            layout.program for layout in self._layouts() if not graded_c.isdisjoint(_names(layout))
        }

    def derived(self) -> Derived | None:
        """What comes of the visits so far.

        Visits to a program that failed later count for nothing.
        """
        return derive(
            self._layouts(),
            self._journal.visits(self._id, self._working()),
            usual=self._usual,
        )

    def close(self) -> tuple[Session, list[Timing]]:
        """Finish the session, and return it: one timing per operator goes to the outbox.

        An operator that no other program holds gets the failure of its program.
        """
        failures = self.failures()
        reasons = {
            operator.key: failures[file.name]
            for file, planned in self._planned.items()
            if file.name in failures
            for operator in planned.operators
        }
        derived = self.derived()
        rounds = derived.operators if derived else {}
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
        ended = self.end(derived)
        self.close_with(timings, ended)
        return ended, timings

    def close_with(self, results: Sequence[Timing | Audit], ended: Session) -> None:
        """Finish the session as it ended; these results go to the outbox, and the visits that
        they were derived of."""
        self._journal.close(ended, results, self._working() if results else ())

    def end(self, derived: Derived | None) -> Session:
        """The session as it ends now. A wall clock that was set back does not end it early."""
        session = self._opened.session
        return session.evolve(
            ended_at=max(session.started_at, datetime.now(UTC)),
            conditions_after=self._device.conditions(),
            derivation=derived and derived.derivation,
        )

    def _working(self) -> frozenset[str]:
        return frozenset(self._names) - self.failures().keys()

    def _layouts(self) -> list[Layout]:
        """Of the programs that work and were visited."""
        working = self._working()
        layouts = self._journal.layouts(self._id)
        return [layout for program, layout in layouts.items() if program in working]


def _names(layout: Layout) -> Collection[str]:
    """What `derive` calls that which visits to the program time."""
    if len(layout.operators) == 1:
        return layout.operators
    return (*layout.operators, layout.program) if layout.events else (layout.program,)
