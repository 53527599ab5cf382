"""Sending visits: after their session and before its timings, which they never hold up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from contract.client import TableClient
from contract.errors import RequestRefused, ServerAnsweredNonsense
from contract.problems import ANY_PROBLEM, NO_DEVICE, NO_SESSION, NO_SPACE, WRONG_CLOCK
from contract.sessions import Session
from contract.visits import MOST_VISITS_IN_BATCH, Layout, VisitBatch
from device_agent.measuring.journal import Journal
from device_agent.measuring.journal_file import Unreadable
from device_agent.measuring.sent import KeptVisits, too_large
from device_agent.measuring.visit_journal import VisitEntry

MOST_BYTES = 512 * 1024  # of a batch: a usual proxy takes no more than a MiB
TOO_LARGE = 413
_NO_ROUTE = frozenset({404, 405})
_FINAL = frozenset({409, 422})
_MAY_PASS = frozenset({NO_DEVICE, NO_SESSION, NO_SPACE, WRONG_CLOCK})

Answer = TypeVar("Answer")


class Ask(Protocol):
    """Makes a call of the client, again while its server is away."""

    def __call__(self, call: Callable[[], Answer], *, is_one: bool = True) -> Answer: ...


class VisitSending:
    """What became of the visits of a send so far: `kept` are those that are not stored.

    A part of a session's visits is of little use, so the first batch that is not stored ends them
    for this time.
    """

    def __init__(self, journal: Journal, client: TableClient, ask: Ask) -> None:
        self.kept: list[KeptVisits] = []
        self._journal = journal
        self._client = client
        self._ask = ask
        self._takes_none: str | None = None  # why, where the server has no place for visits

    def send(self, session: Session, *, is_known: bool) -> None:
        """Send what waits of the session's visits. Unless it `is_known` it is posted first."""
        waiting = self._journal.visit_entries(session.id)
        if not waiting:
            return
        if self._takes_none is not None:
            self._keep(session, self._takes_none)
            return
        try:
            layouts = self._journal.layouts(session.id)
            if not is_known:
                post_session(session, self._client, self._ask)
            for entries in visit_batches(waiting, layouts):
                self._post(session, layouts, entries)
        except Unreadable as error:
            self._refuse(session, str(error))
        except (RequestRefused, ServerAnsweredNonsense) as error:
            self._tell(session, error)

    def _post(
        self, session: Session, layouts: Mapping[str, Layout], entries: Sequence[VisitEntry]
    ) -> None:
        """Post them at once, or in halves where that is too large."""
        batch = VisitBatch(
            layouts=tuple(
                layouts[name] for name in dict.fromkeys(each.program for each in entries)
            ),
            visits=tuple(self._journal.read_visits(entries)),
        )
        try:
            self._ask(lambda: self._client.add_visits(str(session.id), batch), is_one=False)
        except (RequestRefused, ServerAnsweredNonsense) as error:
            if error.status != TOO_LARGE or len(entries) == 1:
                raise
            middle = len(entries) // 2
            self._post(session, layouts, entries[:middle])
            self._post(session, layouts, entries[middle:])
        else:
            self._journal.mark_visits_sent(entries)

    def _tell(self, session: Session, error: RequestRefused | ServerAnsweredNonsense) -> None:
        kind = error.type if isinstance(error, RequestRefused) else None
        if error.status == TOO_LARGE:
            self._keep(session, too_large(self._client.server))
        elif error.status in _NO_ROUTE and kind == ANY_PROBLEM:
            self._takes_none = (
                f"{self._client.server} takes no visits, as an older version does not; its tables "
                "lack nothing without them"
            )
            self._keep(session, self._takes_none)
        elif error.status in _FINAL and kind not in _MAY_PASS:
            self._refuse(session, str(error))
        else:
            self._keep(session, str(error))

    def _keep(self, session: Session, reason: str) -> None:
        waiting = self._journal.visit_entries(session.id)
        self.kept.append(KeptVisits(session.id, len(waiting), reason))

    def _refuse(self, session: Session, reason: str) -> None:
        waiting = self._journal.visit_entries(session.id)
        self._journal.mark_visits_refused(waiting, reason)
        self.kept.append(KeptVisits(session.id, len(waiting), reason, is_refused=True))


def post_session(session: Session, client: TableClient, ask: Ask) -> None:
    """Store the session; an older server, which knows no derivations, stores it without.

    Raises:
        RequestRefused: the server does not take it.
        ServerAnsweredNonsense: something else answered.
    """
    try:
        ask(lambda: client.add_session(session))
    except RequestRefused as refusal:
        if refusal.status != 422 or refusal.type in _MAY_PASS or session.derivation is None:
            raise
        without = session.evolve(derivation=None)
        try:
            ask(lambda: client.add_session(without))
        except RequestRefused:
            raise refusal from None


def visit_batches(
    entries: Sequence[VisitEntry], layouts: Mapping[str, Layout]
) -> Iterator[list[VisitEntry]]:
    """In order, each as much as one post may hold with the layouts of its programs; a visit that
    is larger goes alone."""
    bytes_of = {program: len(each.model_dump_json()) for program, each in layouts.items()}
    batch: list[VisitEntry] = []
    size = 0
    for entry in entries:
        added = entry.bytes + bytes_of[entry.program] * (
            not batch or batch[-1].program != entry.program
        )
        if batch and (len(batch) == MOST_VISITS_IN_BATCH or size + added > MOST_BYTES):
            yield batch
            batch, size = [], 0
            added = entry.bytes + bytes_of[entry.program]
        batch.append(entry)
        size += added
    if batch:
        yield batch
