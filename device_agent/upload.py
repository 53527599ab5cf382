"""Sending the outbox: retried while the server is away, and kept where it does not come back."""

from dataclasses import dataclass

import stamina

from contract.client import TableClient
from contract.errors import RequestRefused, ServerUnreachable
from device_agent.journal import Journal

_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the outbox."""

    accepted: int
    refused: tuple[str, ...]  # one message per timing that the server will never take


def send(journal: Journal, client: TableClient, *, patience_s: float = 20.0) -> Sent:
    """Post every waiting timing of this client's server, sessions first.

    A timing leaves the outbox only when the server has answered that it is stored. Posts carry
    the ids made at measuring, so one whose answer was lost is stored once all the same.

    Raises:
        ServerUnreachable: no answer for `patience_s`; the rest stays in the outbox.
    """
    accepted = 0
    refused: list[str] = []
    known = set()
    for session, timing in journal.unsent(client.server):
        try:
            for attempt in stamina.retry_context(
                on=_is_passing, timeout=patience_s, attempts=None
            ):
                with attempt:
                    if session.id not in known:
                        client.add_session(session)
                        known.add(session.id)
                    client.add_timing(str(session.id), timing)
        except RequestRefused as refusal:
            if _is_passing(refusal):
                raise ServerUnreachable(str(refusal)) from refusal
            journal.refused(timing.id, str(refusal))
            refused.append(f"{timing.operator.key}: {refusal}")
        else:
            journal.sent(timing.id)
            accepted += 1
    return Sent(accepted, tuple(refused))


def _is_passing(error: Exception) -> bool:
    if isinstance(error, RequestRefused):
        return error.status in _PASSING or error.status >= 500
    return isinstance(error, ServerUnreachable)
