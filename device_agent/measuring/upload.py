"""Sending the outbox: in batches, each result's fate its own.

What the server cannot take now waits for the next time; what it never will is kept with its
reason; neither holds up the others.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from contract.audits import Audit
from contract.client import TableClient
from contract.errors import (
    PhonebookError,
    RequestRefused,
    ServerAnsweredNonsense,
    ServerUnreachable,
    is_passing,
)
from contract.problems import NO_DEVICE, NO_SESSION, NO_SPACE, NOT_YOURS, WRONG_CLOCK
from contract.sessions import Session
from contract.timings import MOST_IN_BATCH, BatchReport, Timing
from device_agent.measuring.ask_again import ask_again
from device_agent.measuring.journal import Entry, Journal
from device_agent.measuring.journal_file import Unreadable
from device_agent.measuring.sent import Kept, Sent, left_behind, too_large
from device_agent.measuring.upload_visits import TOO_LARGE, VisitSending, post_session
from device_agent.supervisor import Supervisor

PATIENCE_S = 20.0
# Of a batch: the server reckons with each sample, and answers others meanwhile; and a usual proxy
# takes no more than a MiB.
MOST_BYTES = 128 * 1024
_ACCESS = frozenset({401, 403})
_FINAL = frozenset({409, 422})
_MAY_PASS = frozenset({NO_DEVICE, NO_SESSION, NO_SPACE, WRONG_CLOCK})
_OF_ONE = frozenset({TOO_LARGE, 422, 500})  # of a whole batch, for the sake of one result in it

Answer = TypeVar("Answer")


def send(
    journal: Journal,
    client: TableClient,
    *,
    session: UUID | None = None,
    patience_s: float | None = PATIENCE_S,
    supervisor: Supervisor | None = None,
) -> Sent:
    """Post every waiting timing and audit of this client's server, or of one session: the device
    first, then the session, then its visits, then its timings.

    A result counts as sent only when the server has answered that it is stored. Posts carry the
    ids made at measuring, so one whose answer was lost is stored once all the same.

    Raises:
        ServerUnreachable: no answer for `patience_s` (None: wait for one as long as it takes), or
            none that is Phonebook's; the rest stays in the outbox.
        RequestRefused: the server takes nothing from this agent; the rest stays in the outbox.
        Halted: the supervisor ended the waiting; the rest stays in the outbox.
    """
    sending = _Sending(journal, client, patience_s, supervisor or Supervisor())
    try:
        for each in _sessions(journal, client.server):
            if session in (None, each):
                sending.session(each)
        sending.check_answered()
    except ServerUnreachable as error:
        raise ServerUnreachable(f"{error}. {left_behind(journal, client.server)}") from error
    except _NoAccess as refused:
        refusal = refused.refusal
        raise RequestRefused(
            f"{refusal}. {left_behind(journal, client.server)}", status=refusal.status
        ) from refusal
    return Sent(
        sending.accepted,
        tuple(sending.refused),
        tuple(sending.waiting),
        sending.clocks_differ,
        tuple(sending.visits.kept),
    )


def _sessions(journal: Journal, server: str) -> list[UUID]:
    """Those of which results or visits wait, those with results first."""
    both = (*journal.waiting_sessions(server), *journal.sessions_with_visits(server))
    return list(dict.fromkeys(both))


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """In order, each as much as one post may hold; a result that is larger goes alone."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == MOST_IN_BATCH or size + entry.bytes > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.bytes
    if batch:
        yield batch


class _NoAccess(Exception):
    """The server takes nothing from this agent, whatever it posts."""

    def __init__(self, refusal: RequestRefused) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class _Sending:
    """One send: what became of each result so far, and what the server has been told already."""

    def __init__(
        self,
        journal: Journal,
        client: TableClient,
        patience_s: float | None,
        supervisor: Supervisor,
    ) -> None:
        self.accepted = 0
        self.refused: list[Kept] = []
        self.waiting: list[Kept] = []
        self.clocks_differ = False
        self._journal = journal
        self._client = client
        self._patience_s = patience_s
        self._supervisor = supervisor
        self._registered: set[str] = set()
        self._taught: set[str] = set()
        self._posted_again: set[UUID] = set()
        self._answered = False  # by Phonebook, and not that it failed
        self._trouble: Exception | None = None
        self._trouble_until: float | None = None
        self.visits = VisitSending(journal, client, self._ask)

    def session(self, identity: UUID) -> None:
        """Send what waits of that session. It is read batch by batch, as it may be large."""
        entries = self._journal.entries(identity)
        try:
            session = self._journal.session(identity)
        except Unreadable as error:
            self._refuse(Kept(entry.id, "a result", str(error)) for entry in entries)
            return
        results = {entry.id: entry.kind for entry in entries}
        has_timings = "Timing" in results.values()
        if not self._introduce(session, results, with_session=has_timings):
            return
        self.visits.send(session, is_known=has_timings)
        for some in batches(entries):
            timings, audits = self._read(some)
            self._post(session, timings)
            for audit in audits:
                self._post_audit(audit)

    def check_answered(self) -> None:
        """
        Raises:
            ServerUnreachable: there was trouble with every single post.
        """
        if self._trouble is not None and not self._answered:
            raise ServerUnreachable(str(self._trouble)) from self._trouble

    def _introduce(self, session: Session, results: Iterable[UUID], *, with_session: bool) -> bool:
        """Make sure that the server knows the device and the session; False where it does not,
        and none of the results can be sent."""
        device = session.device
        try:
            if device not in self._registered:
                description = self._journal.description(self._client.server, device)
                if description is not None:
                    self._ask(lambda: self._client.register(device, description))
                self._registered.add(device)
        except (RequestRefused, ServerAnsweredNonsense) as error:
            self._must_have_access(error)
            self._leave(results, f"device {device}", error)
            return False
        try:
            self._teach_space(session)
            if with_session:
                post_session(session, self._client, self._ask)
        except (RequestRefused, ServerAnsweredNonsense) as error:
            self._must_have_access(error)
            what = f"session {session.id}"
            if isinstance(error, RequestRefused) and error.status == 409:
                self._refuse(Kept(each, what, str(error)) for each in results)
            else:
                self._leave(results, what, error, at=session.ended_at or session.started_at)
            return False
        return True

    def _teach_space(self, session: Session) -> None:
        """Let the server know the session's space, where that does not ship with Phonebook."""
        space = self._journal.space_of(session.id)
        if space is not None and space.content_hash not in self._taught:
            self._ask(lambda: self._client.learn_space(space))
            self._taught.add(space.content_hash)

    def _read(self, entries: Sequence[Entry]) -> tuple[list[Timing], list[Audit]]:
        timings: list[Timing] = []
        audits: list[Audit] = []
        for entry in entries:
            try:
                result = self._journal.result(entry)
            except Unreadable as error:
                self._refuse([Kept(entry.id, f"result {entry.id}", str(error))])
                continue
            if isinstance(result, Timing):
                timings.append(result)
            else:
                audits.append(result)
        return timings, audits

    def _post(self, session: Session, timings: Sequence[Timing]) -> None:
        """Post them at once, or in halves where something is wrong with one of them."""
        if not timings:
            return
        is_one = len(timings) == 1
        try:
            report = self._ask(
                lambda: self._client.add_timings(str(session.id), timings), is_one=is_one
            )
        except (RequestRefused, ServerAnsweredNonsense) as error:
            ids = [timing.id for timing in timings]
            refusal = error if isinstance(error, RequestRefused) else None
            if refusal and refusal.type in _MAY_PASS and session.id not in self._posted_again:
                self._posted_again.add(session.id)
                self._registered.discard(session.device)
                self._taught.clear()
                if self._introduce(session, ids, with_session=True):
                    self._post(session, timings)
            elif not is_one and (refusal is None or refusal.status in _OF_ONE):
                middle = len(timings) // 2
                self._post(session, timings[:middle])
                self._post(session, timings[middle:])
            else:
                what = timings[0].operator.key if is_one else f"session {session.id}"
                self._leave(ids, what, error)
        else:
            self._settle(timings, report)

    def _settle(self, timings: Sequence[Timing], report: BatchReport) -> None:
        problems = {outcome.id: outcome.refused for outcome in report.outcomes}
        stored: list[UUID] = []
        refused: list[Kept] = []
        for timing in timings:
            key = timing.operator.key
            if timing.id not in problems:
                reason = f"{self._client.server} did not tell what became of it"
                self.waiting.append(Kept(timing.id, key, reason))
                continue
            problem = problems[timing.id]
            if problem is None:
                stored.append(timing.id)
                continue
            reason = f"{self._client.server}: {problem.detail}"
            kept = Kept(timing.id, key, reason, problem.type)
            self._compare_clocks(problem.type, timing.measured_at)
            is_final = problem.status in _FINAL and problem.type not in _MAY_PASS
            (refused if is_final else self.waiting).append(kept)
        self._journal.mark_sent(stored)
        self.accepted += len(stored)
        self._refuse(refused)

    def _post_audit(self, audit: Audit) -> None:
        what = f"the audit of {audit.space}"
        try:
            self._ask(lambda: self._client.add_audit(audit))
        except RequestRefused as refusal:
            if refusal.status in _FINAL and refusal.type not in _MAY_PASS:
                self._refuse([Kept(audit.id, what, str(refusal))])
            else:
                self._leave([audit.id], what, refusal, at=audit.ended_at)
        except ServerAnsweredNonsense as error:
            self._leave([audit.id], what, error)
        else:
            self._journal.mark_sent([audit.id])
            self.accepted += 1

    def _refuse(self, kept: Iterable[Kept]) -> None:
        refused = list(kept)
        self._journal.mark_refused({each.id: each.reason for each in refused})
        self.refused += refused

    def _leave(
        self,
        results: Iterable[UUID],
        what: str,
        error: RequestRefused | ServerAnsweredNonsense,
        *,
        at: datetime | None = None,
    ) -> None:
        """They wait for the next time; `at` is the time they tell."""
        kind = error.type if isinstance(error, RequestRefused) else None
        self._compare_clocks(kind, at)
        reason = str(error)
        if error.status == TOO_LARGE:
            reason = too_large(self._client.server)
        elif kind == NO_DEVICE:
            reason += "; the agent's next run on that device registers it"
        self.waiting += [Kept(each, what, reason, kind) for each in results]

    def _compare_clocks(self, kind: str | None, at: datetime | None) -> None:
        """What was measured while this clock was wrong says nothing of how it goes now."""
        if kind == WRONG_CLOCK and at is not None and at.year >= 2000:
            self.clocks_differ |= at <= datetime.now(UTC)

    def _must_have_access(self, error: RequestRefused | ServerAnsweredNonsense) -> None:
        """What is refused before any result is named is refused for all of them, unless it is
        about what another token made."""
        if not isinstance(error, RequestRefused) or error.type == NOT_YOURS:
            return
        if error.status in _ACCESS:
            raise _NoAccess(error) from error

    def _ask(self, call: Callable[[], Answer], *, is_one: bool = True) -> Answer:
        """What the server answers, however long it is away, if that is not for too long.

        Trouble that may be the post's own is waited out too where the post can be no smaller, but
        once in a send: a bad result must not hold up the others for long.

        Raises:
            ServerUnreachable: it stays away.
            RequestRefused: it said no, or failed at this post.
            ServerAnsweredNonsense: something else answered, to this post alone.
        """
        is_away = False

        def passes(error: PhonebookError) -> bool | float:
            """Whether to try again; after how many seconds, if the server tells."""
            nonlocal is_away
            is_away = self._is_of_the_way(error)
            if not is_away and _is_trouble(error):
                if not (is_one and self._may_wait_out(error)):
                    return False
            elif not (is_away or is_passing(error)):
                return False
            if isinstance(error, RequestRefused) and error.retry_after_s is not None:
                return error.retry_after_s
            return True

        try:
            answer = ask_again(
                call, passes=passes, patience_s=self._patience_s, supervisor=self._supervisor
            )
        except (RequestRefused, ServerAnsweredNonsense) as error:
            if is_away:
                raise ServerUnreachable(str(error)) from error
            if _is_trouble(error):
                self._trouble = error
            elif is_passing(error):
                raise ServerUnreachable(str(error)) from error
            elif isinstance(error, RequestRefused):
                self._answered = True
                if error.status == 401:
                    raise _NoAccess(error) from error
            raise
        self._answered = True
        return answer

    def _is_of_the_way(self, error: PhonebookError) -> bool:
        """Whether a proxy answers for a server that is away, and not to this very post: then the
        simplest question gets no answer of Phonebook's either."""
        if not (_is_trouble(error) and isinstance(error, ServerAnsweredNonsense) and error.passes):
            return False
        try:
            self._client.health()
        except (ServerUnreachable, ServerAnsweredNonsense):
            return True
        except RequestRefused:
            return False
        return False

    def _may_wait_out(self, error: PhonebookError) -> bool:
        if isinstance(error, ServerAnsweredNonsense) and not error.passes:
            return False  # the address may be wrong
        if self._trouble_until is None:
            seconds = PATIENCE_S if self._patience_s is None else min(self._patience_s, PATIENCE_S)
            self._trouble_until = time.monotonic() + seconds
        return time.monotonic() < self._trouble_until


def _is_trouble(error: Exception) -> bool:
    """Whether that may lie in the post, or pass: a server that failed, or no answer of Phonebook's
    (a proxy's word that the body is too large is an answer)."""
    if isinstance(error, ServerAnsweredNonsense):
        return error.status != TOO_LARGE
    return isinstance(error, RequestRefused) and error.status == 500
