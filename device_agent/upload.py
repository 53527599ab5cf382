"""Sending the outbox: retried while the server is away, and kept where it does not come back."""

from dataclasses import dataclass
from uuid import UUID

import stamina

from contract.audits import Audit
from contract.client import TableClient
from contract.errors import RequestRefused, ServerUnreachable, is_passing
from contract.timings import Session, Timing
from device_agent.journal import Journal
from device_agent.watch import Watch

PATIENCE_S = 20.0
_ACCESS = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the outbox."""

    accepted: int
    refused: tuple[str, ...]  # one message per result that the server will never take


def send(
    journal: Journal,
    client: TableClient,
    *,
    patience_s: float | None = PATIENCE_S,
    watch: Watch | None = None,
) -> Sent:
    """Post every waiting timing and audit of this client's server, a timing's session first.

    A result leaves the outbox only when the server has answered that it is stored. Posts carry
    the ids made at measuring, so one whose answer was lost is stored once all the same.

    Raises:
        ServerUnreachable: no answer for `patience_s` (None: wait for one as long as it takes);
            the rest stays in the outbox.
        RequestRefused: the server takes nothing from this agent; the rest stays in the outbox.
        Halted: the watch ended the waiting; the rest stays in the outbox.
    """

    def passes(error: Exception) -> bool | float:
        """Whether to try again; after how many seconds, if the server tells."""
        if not is_passing(error):
            return False
        (watch or Watch()).check()
        if isinstance(error, RequestRefused) and error.retry_after_s is not None:
            return error.retry_after_s
        return True

    accepted = 0
    refused: list[str] = []
    known: set[UUID] = set()
    for session, result in journal.unsent(client.server):
        try:
            for attempt in stamina.retry_context(on=passes, timeout=patience_s, attempts=None):
                with attempt:
                    _post(client, session, result, known)
        except RequestRefused as refusal:
            if is_passing(refusal):
                raise ServerUnreachable(str(refusal)) from refusal
            if refusal.status in _ACCESS:
                raise RequestRefused(
                    f"{refusal}. {len(journal.unsent(client.server))} results wait in the outbox; "
                    "the agent's next run sends them",
                    status=refusal.status,
                ) from refusal
            journal.refused(result.id, str(refusal))
            refused.append(f"{_name(result)}: {refusal}")
        else:
            journal.sent(result.id)
            accepted += 1
    return Sent(accepted, tuple(refused))


def _post(client: TableClient, session: Session, result: Timing | Audit, known: set[UUID]) -> None:
    if isinstance(result, Audit):
        client.add_audit(result)
        return
    if session.id not in known:
        client.add_session(session)
        known.add(session.id)
    client.add_timing(str(session.id), result)


def _name(result: Timing | Audit) -> str:
    return result.operator.key if isinstance(result, Timing) else f"the audit of {result.space}"
